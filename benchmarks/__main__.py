"""`python -m benchmarks`: all figures, each beside what it may cost."""

from __future__ import annotations

import os

os.environ["POLARS_MAX_THREADS"] = "1"  # before Polars: as `spanlint serve` sets it

import argparse
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.bodies import Body
    from benchmarks.figures import Figure, Path

GROUPS = ("stages", "live", "check", "process")


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(
            "µs of CPU per span of every stage, facts table and rule; the live server over gRPC "
            "and HTTP beside its peers (rotel from PyPI; otelcol, otelcol-contrib, perf-sentinel "
            "from PATH; bare servers), pinned to a core, in alternation; `spanlint check` on a "
            "large recording. Each figure stands beside its budget. Exit code 1 when one is over."
        ),
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="less of everything, a minute or two; writes nothing")
    add("--only", choices=GROUPS, action="append", help="this group of figures; may be repeated")
    add("--rounds", type=int, help="repetitions of each measurement (5; quick: 2)")
    add("--bodies", type=int, help="distinct request bodies (200; quick: 120)")
    add("--spans", type=int, help="spans of the recording for `check` (1,000,000; quick: 100,000)")
    add("--decoder", choices=("auto", "reference"), default="auto", help="of server and `check`")
    add("--seed", type=int, help="of the workload; the same seed gives the same bytes")
    add("--load-seconds", type=int, help="how long 20,000 spans/s are sent (60; quick: 0)")
    add("--no-write", action="store_true", help="leave docs/performance.md as it is")
    add("--profile", action="store_true", help="profile `check` instead, print it, and end")
    add("--soak", type=int, metavar="MINUTES", help="unique texts for so long, compressed; and end")
    add("--keys", type=int, metavar="COUNT", help="offer so many distinct keys, show what stays")
    add("--instructions", action="store_true", help="count those of the stages instead; and end")
    add("--write", action="store_true", help="with --instructions: commit to what they are now")
    options = parser.parse_args(given)
    if options.write and not options.instructions:
        parser.error(
            "--write goes with --instructions; other figures are written unless --no-write"
        )
    return options


def main() -> int:
    options = arguments()
    os.environ["SPANLINT_DECODER"] = options.decoder  # read by the servers that are started
    if options.soak:
        from benchmarks import soak

        return 0 if soak.run(options.soak) else 1
    if options.keys:
        from benchmarks import keys

        return 0 if keys.run(options.keys) else 1
    if options.instructions:
        from benchmarks import instructions

        return instructions.run(writes=options.write)
    from benchmarks import bodies as making

    count = options.bodies or (120 if options.quick else 200)
    bodies = making.make_bodies(count, seed=options.seed or making.SEED)
    spans = options.spans or (100_000 if options.quick else 1_000_000)
    if options.profile:
        from benchmarks.recording import print_profile

        print_profile(bodies, spans)
        return 0
    return _run(options, bodies, spans)


def _run(options: argparse.Namespace, bodies: list[Body], spans: int) -> int:
    from benchmarks import report
    from benchmarks.figures import HEADER, line

    figures: list[Figure] = []
    print(HEADER)
    for figure in _figures(options, bodies, spans):
        print(line(figure), flush=True)
        figures.append(figure)
    over = [f for f in figures if f.verdict == "over"]
    promised = len([f for f in figures if f.budget is not None])
    print(f"{len(over)} of {promised} figures are over their budget")
    for figure in over:
        print(f"  {line(figure)}")
    if not (options.no_write or options.quick or options.only):
        command = " ".join(["./dev bench", *sys.argv[1:]])
        for path in report.write(figures, command, _decoder()):
            print(f"written: {path}")
    return 1 if over else 0


def _decoder() -> Path:
    """The decoder that is used: `native` where it is built, unless the environment says no."""
    from collector.decode.choice import REFERENCE, decoders

    asked = os.environ.get("SPANLINT_DECODER", "auto")
    return "reference" if REFERENCE in (asked, next(iter(decoders()))) else "native"


def _figures(options: argparse.Namespace, bodies: list[Body], spans: int) -> Iterator[Figure]:
    from benchmarks.servers import SENDER_CORE

    groups = options.only or GROUPS
    rounds = options.rounds or (2 if options.quick else 5)
    path = _decoder()
    if "check" in groups:  # before this process is pinned: it uses all cores
        from benchmarks.recording import check_figures

        yield from check_figures(bodies, spans, path)
    os.sched_setaffinity(0, {SENDER_CORE})
    if "stages" in groups:
        from benchmarks.flow import prepare
        from benchmarks.stages import stage_figures

        yield from stage_figures(prepare(bodies), path, rounds)
    if "process" in groups:
        from benchmarks.process import process_figures

        load_s = options.load_seconds
        load_s = (0 if options.quick else 60) if load_s is None else load_s
        yield from process_figures(bodies, path, 3 if options.quick else 10, load_s)
    if "live" in groups:
        from benchmarks.live import live_figures

        yield from live_figures(bodies, path, rounds, _tell, quick=options.quick)


def _tell(what: str) -> None:
    print(f"  … {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
