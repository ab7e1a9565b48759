"""How the figures in docs/performance.md are measured: `./dev bench`, or `python -m benchmarks`.

workload -> bodies      what a fleet of services sends, deterministic from a seed
flow -> stages          µs of CPU per span of each stage, in this process
instructions, counted   instructions per span of each stage, under callgrind, held by a test
servers, load, whole    the live server beside its peers, each pinned to one core, in alternation
check                   `spanlint check` on a large recording: wall time, peak memory
budget, report, plot    every figure beside what it may cost, and where it is written down
"""
