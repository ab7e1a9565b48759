"""Recordings judged by all rules, compared with what must be said, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.check import check_files
from collector.decode.model import DecodeOptions
from detectors.kit.catalogue import rules
from detectors.kit.contract import Finding
from zoo.catalogue import Row
from zoo.model import Expect

ACTORS = ("http.request.header.x_user_id", "http.request.header.x-user-id")
FAMILIES = "CSF"


@dataclass(frozen=True, slots=True)
class Said:
    """A finding, as the matrix compares it. `text`: all that a person could read in it."""

    code: str
    service: str
    severity: str
    text: str

    def __str__(self) -> str:
        return f"{self.code} {self.severity} {self.service} {self.text[:110]}"


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one recording. hits: codes; misses: what was not found; alarms: false ones."""

    row: Row
    seed: int
    hits: tuple[str, ...]
    misses: tuple[Expect, ...]
    alarms: tuple[Said, ...]


def judge(path: Path) -> list[Said]:
    """What all rules say of a recording, through the same parts as `spanlint check`."""
    report = check_files([str(path)], options=DecodeOptions(actor_attributes=ACTORS))
    assert not report.errors, report.errors
    assert not report.failed, report.failed
    return [_said(finding) for finding in report.findings]


def _said(finding: Finding) -> Said:
    text = f"{finding.operation} {finding.subject} {dict(finding.details)}"
    return Said(finding.code, finding.service, finding.severity, text)


def present() -> frozenset[str]:
    """The codes of the rules that exist."""
    return frozenset(rule.code for rule in rules())


def compare(row: Row, seed: int, said: Sequence[Said]) -> Result:
    """Hits, misses and false alarms of one recording."""
    known = present()
    expects = [e for e in row.expects if known.intersection(e.codes)]
    hits, misses, right = [], [], set()
    for wanted in expects:
        found = [n for n, s in enumerate(said) if _matches(wanted, s)]
        right.update(found)
        if found:
            hits.append(said[found[0]].code)
        else:
            misses.append(wanted)
    alarms = [s for n, s in enumerate(said) if n not in right and not _allowed(s, row.allows)]
    return Result(row, seed, tuple(hits), tuple(misses), tuple(alarms))


def _matches(wanted: Expect, said: Said) -> bool:
    whole = f"{said.service} {said.text}".lower()
    return (
        said.code in wanted.codes
        and wanted.service in ("", said.service)
        and all(word.lower() in whole for word in wanted.words)
    )


def _allowed(said: Said, allows: Iterable[str]) -> bool:
    return said.code in allows or f"{said.code}:{said.severity}" in allows


def tally(results: Iterable[Result]) -> dict[str, Counter[str]]:
    """Per code: `hit`, `miss`, `alarm`."""
    counts: dict[str, Counter[str]] = {code: Counter() for code in sorted(present())}
    for result in results:
        for code in result.hits:
            counts[code]["hit"] += 1
        for wanted in result.misses:
            counts[wanted.codes[0]]["miss"] += 1
        for code in {said.code for said in result.alarms}:
            counts[code]["alarm"] += 1
    return counts


def ratio(part: int, whole: int) -> str:
    return f"{part / whole:.2f}" if whole else "–"


def table(results: Sequence[Result]) -> str:
    """Markdown: form × rule, then recall and precision per rule."""
    names = list(dict.fromkeys(r.row.name for r in results))
    codes = [c for c in sorted(present()) if c[0] in FAMILIES]
    lines = [
        "| form | kind | what it is | " + " | ".join(codes) + " | other |",
        "|---|---|---|" + "---|" * (len(codes) + 1),
    ]
    for name in names:
        of_form = [r for r in results if r.row.name == name]
        cells = [_cell(of_form, code) for code in codes]
        others = [c for c in sorted(present()) if c not in codes and _cell(of_form, c)]
        other = " ".join(f"{c} {_cell(of_form, c)}" for c in others)
        row = of_form[0].row
        lines.append(f"| {name} | {row.kind} | {row.what} | {' | '.join(cells)} | {other} |")
    return "\n".join([*lines, "", *_summary(results)])


def _cell(results: Sequence[Result], code: str) -> str:
    """`✓` found, `✗` missed, `!` false alarm, with how often when there are several runs."""
    runs = len(results)
    marks = (
        ("✓", sum(code in r.hits for r in results)),
        ("✗", sum(code in (w.codes[0] for w in r.misses) for r in results)),
        ("!", sum(code in {s.code for s in r.alarms} for r in results)),
    )
    return " ".join(mark + (f"{n}/{runs}" if runs > 1 else "") for mark, n in marks if n)


def _summary(results: Sequence[Result]) -> list[str]:
    lines = [
        "| rule | hits | misses | false alarms | recall | precision |",
        "|---|---|---|---|---|---|",
    ]
    for code, n in tally(results).items():
        if n:
            found, missed, wrong = n["hit"], n["miss"], n["alarm"]
            lines.append(
                f"| {code} | {found} | {missed} | {wrong} | {ratio(found, found + missed)} "
                f"| {ratio(found, found + wrong)} |"
            )
    silent = [r for r in results if r.row.kind != "bad"]
    wrong = sum(bool(r.alarms) for r in silent)
    lines += ["", f"Good forms and distractors: {len(silent)} runs, {wrong} with a false alarm."]
    return lines


def faults(results: Iterable[Result]) -> list[str]:
    """What went wrong, a line each."""
    return [
        *(f"{r.row.name} seed {r.seed}: missed {w}" for r in results for w in r.misses),
        *(f"{r.row.name} seed {r.seed}: false alarm {s}" for r in results for s in r.alarms),
    ]
