"""Runs a command and tells its wall time, CPU and peak memory as JSON on the last line.

`python -m benchmarks.timed COMMAND…`. In a process of its own, because the peak that wait4(2) tells
of a child begins with that of the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import time


def main(command: list[str]) -> None:
    began = time.monotonic()
    child = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(child, 0)
    told = {
        "wall_s": time.monotonic() - began,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss / 1_000,
        "exit": os.waitstatus_to_exitcode(status),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
