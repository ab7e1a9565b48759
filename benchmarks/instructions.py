"""Instructions per span of each stage, counted by callgrind, beside those that are committed.

Counting takes no notice of what else the machine does: the same code on the same spans differs by
less than 1 %. What it does depend on is written beside the counts, and is what makes them
comparable. Valgrind shows every machine with AVX2 the same processor, so its model is none of it.
"""

from __future__ import annotations

import json
import os
import pickle
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from benchmarks import counted, flow
from benchmarks.bodies import make_bodies

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("instructions.toml")
WRITE = "./dev bench --instructions --write"
TOLERANCE = 0.10
"""A stage that needs more than this beyond what is committed is told, or so much less."""
_EVEN = 0.03
"""So much the yardstick may differ; it differs by less than 1 % between runs."""
_BODIES = 64
"""One slab of 32,768 spans. The detector gathers more, which shows tables better and costs more."""
_DECODED = 24
_OURS = ("POLARS_", "SPANLINT_", "PYTHONHASHSEED", "VALGRIND_OPTS")
_HEAD = f"""\
# Instructions per span of each stage, counted by callgrind. Written by `{WRITE}`;
# tests/benchmarks/test_instructions.py fails when a stage needs {TOLERANCE:.0%} more.
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Instructions per span by stage, and what they were counted with: name -> version."""

    made_with: Mapping[str, str]
    per_span: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Change:
    """A stage: instructions per span as committed and now; None where it is not there."""

    stage: str
    before: float | None
    now: float | None

    @property
    def verdict(self) -> str:
        """`over`, `less`, `new`, `gone`, or nothing."""
        if self.before is None or self.now is None:
            return "new" if self.before is None else "gone"
        if self.now > self.before * (1 + TOLERANCE):
            return "over"
        return "less" if self.now < self.before * (1 - TOLERANCE) else ""

    def line(self) -> str:
        """As a line of the table."""
        before, now = (f"{v:,.0f}" if v is not None else "–" for v in (self.before, self.now))
        change = f"{self.now / self.before - 1:+.1%}" if self.before and self.now else ""
        return f"{self.stage:28} {before:>10} {now:>10} {change:>8} {self.verdict}".rstrip()


def count() -> Counts:
    """Counts all stages: a minute of a core. Valgrind must be on PATH."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = folder / "given"
        given.write_bytes(pickle.dumps(counted.give(make_bodies(_BODIES), _DECODED)))
        command = ["valgrind", "-q", "--tool=callgrind", "--dump-before=getsid"]
        command += [f"--callgrind-out-file={folder}/counts"]
        command += [sys.executable, "-m", "benchmarks.counted", str(given)]
        ran = subprocess.run(
            command, cwd=ROOT, env=_environment(), capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise RuntimeError(f"{' '.join(command)}\nended with {ran.returncode}:\n{ran.stderr}")
        told = json.loads(ran.stdout.splitlines()[-1])
        # Every other file is of what ran between two stages.
        totals = [_total(folder / f"counts.{2 * number}") for number in range(1, len(told) + 1)]
    found = {name: total / spans for (name, spans), total in zip(told, totals, strict=True)}
    return Counts(made_with(), _tables_alone(found))


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    return {**kept, "PYTHONHASHSEED": "0", "POLARS_MAX_THREADS": "1"}


def _total(path: Path) -> int:
    found = re.search(rb"^totals: (\d+)", path.read_bytes()[-1_000:], re.MULTILINE)
    if found is None:
        raise RuntimeError(f"callgrind wrote no totals into {path.name}")
    return int(found[1])


def _tables_alone(found: Mapping[str, float]) -> dict[str, float]:
    """What observing takes beyond the columns that are made first, each a stage of its own."""
    before = sum(found[name] for name in flow.COLUMNS)
    return {
        "observe, all tables" if name == flow.OBSERVE else name: (
            value - before if name == flow.OBSERVE else value
        )
        for name, value in found.items()
    }


def made_with() -> dict[str, str]:
    """What counts depend on, apart from the code that is counted."""
    shown = subprocess.run(["valgrind", "--version"], capture_output=True, text=True, check=True)
    avx2 = " avx2" if re.search(r"\bavx2\b", Path("/proc/cpuinfo").read_text()) else ""
    return {
        "machine": f"{platform.machine()}{avx2}",
        "libc": "".join(platform.libc_ver()),
        "python": f"{platform.python_version()}, {platform.python_compiler()}",
        "polars": version("polars"),
        "numpy": version("numpy"),
        "rustc": _rustc(),
        "valgrind": shown.stdout.strip().removeprefix("valgrind-"),
    }


def _rustc() -> str:
    """The compiler that the native decoder names in itself."""
    found = find_spec("spanlint_native")
    if found is None or found.origin is None:
        return "no native decoder"
    told = (
        re.search(rb"rustc version ([\d.]+)", library.read_bytes())
        for library in Path(found.origin).parent.glob("*.so")
    )
    return next((match[1].decode() for match in told if match), "unknown")


def committed() -> Counts:
    """Those in the file."""
    read = tomllib.loads(FILE.read_text())
    return Counts(read["made_with"], read["instructions_per_span"])


def write(counts: Counts) -> None:
    """Into the file."""
    made = "".join(f'{name} = "{value}"\n' for name, value in counts.made_with.items())
    per_span = "".join(f'"{stage}" = {value:.0f}\n' for stage, value in counts.per_span.items())
    FILE.write_text(f"{_HEAD}\n[made_with]\n{made}\n[instructions_per_span]\n{per_span}")


def unlike(before: Counts, now: Counts) -> list[str]:
    """What makes counts incomparable, each as a phrase: versions; the yardstick, if counted."""
    names = dict.fromkeys([*before.made_with, *now.made_with])
    found = [
        f"{name} is {now.made_with.get(name, 'none')}, was {before.made_with.get(name, 'none')}"
        for name in names
        if before.made_with.get(name) != now.made_with.get(name)
    ]
    was, is_ = (counts.per_span.get(counted.YARDSTICK) for counts in (before, now))
    if was and is_ and abs(is_ / was - 1) > _EVEN:
        found.append(f"the yardstick took {is_ / was - 1:+.1%}")
    return found


def changes(before: Counts, now: Counts) -> list[Change]:
    """All stages of both, in the order of the flow."""
    names = dict.fromkeys([*now.per_span, *before.per_span])
    return [Change(name, before.per_span.get(name), now.per_span.get(name)) for name in names]


def table(found: list[Change]) -> str:
    """In text."""
    head = f"{'instructions per span':28} {'committed':>10} {'now':>10} {'change':>8}"
    return "\n".join([head, *(change.line() for change in found)])


def advice(found: list[Change]) -> str:
    """What to do, or nothing."""
    verdicts = {change.verdict for change in found}
    if "over" in verdicts:
        return f"A stage needs over {TOLERANCE:.0%} more: make it faster, or say why and `{WRITE}`."
    if verdicts - {""}:
        return f"The committed counts are not those of this code any more: `{WRITE}`."
    return ""


def incomparable(reasons: list[str]) -> str:
    """Says so."""
    return f"Counts are not comparable with the committed ones: {'; '.join(reasons)}. `{WRITE}`"


def run(*, writes: bool) -> int:
    """Prints the counts beside those that are committed; 1 when a stage needs too many."""
    if shutil.which("valgrind") is None:
        print("valgrind is not on PATH", file=sys.stderr)
        return 2
    now = count()
    before = committed() if FILE.exists() else Counts(now.made_with, {})
    found = changes(before, now)
    print(table(found))
    if writes:
        write(now)
        print(f"written: {FILE}")
        return 0
    if reasons := unlike(before, now):
        print(incomparable(reasons))
        return 0
    if told := advice(found):
        print(told)
    return 1 if any(change.verdict == "over" for change in found) else 0
