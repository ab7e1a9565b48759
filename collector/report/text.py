"""The report as a person wants to read it on a terminal."""

from __future__ import annotations

import io
from itertools import groupby
from typing import TYPE_CHECKING

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from collector.report.model import Report, unjudged
from collector.report.phrases import disclosures, duration, summary_line

if TYPE_CHECKING:
    from detectors.kit.contract import Bar, Finding, Visibility

PLAIN_WIDTH = 110
"""Columns when nobody's terminal says how many."""
_BAR_WIDTH = 32
_LABEL_WIDTH = 52
_MARGINS = 14
"""Indentation, gaps and the duration behind a bar."""
_STYLE = {"critical": "bold red", "warning": "bold yellow", "info": "bold cyan"}


def as_text(report: Report) -> str:
    """The report without colours, for files and pipes."""
    stream = io.StringIO()
    console = Console(
        file=stream,
        width=PLAIN_WIDTH,
        no_color=True,
        force_terminal=False,
        highlight=False,
    )
    render(report, console)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def render(report: Report, console: Console) -> None:
    """Findings, what could not be seen, and one line in sum. Errors are the caller's to tell."""
    for finding in report.findings:
        _finding(report, finding, console)
    _visibility(report, console)
    for note in (*disclosures(report), *report.notes):
        _print(console, Text(note, style="dim"))
    style = "bold" if report.findings else "bold green"
    if unjudged(report):
        style = "bold yellow"
    _print(console, Text(summary_line(report), style=style))


def _print(console: Console, text: Text) -> None:
    console.print(text, soft_wrap=True)


def _finding(report: Report, finding: Finding, console: Console) -> None:
    words = report.rule(finding.code).explain(finding)
    head = Text()
    head.append(f"{finding.severity} ", style=_STYLE[finding.severity])
    head.append(f"{finding.code} {finding.rule}", style="bold")
    head.append(f"  {finding.service} · {finding.operation}")
    _print(console, head)
    console.print(Padding(Text(words.headline, style="bold"), (0, 0, 0, 2)))
    if finding.waterfall:
        console.print()
        for line in waterfall(finding.waterfall, console.width):
            _print(console, line)
        console.print()
    traces = ", ".join(e.trace_id for e in finding.exemplars)
    rows = (
        ("evidence", words.evidence),
        ("wasted", f"{duration(finding.wasted_ns)} in {_seen(finding)}"),
        ("traces", traces),
        ("fix", words.fix),
    )
    for name, said in rows:
        console.print(_labelled(name, said, console.width))
    console.print()


def _seen(finding: Finding) -> str:
    times = "once" if finding.occurrences == 1 else f"{finding.occurrences:,} times"
    traces = "1 trace" if finding.traces == 1 else f"{finding.traces:,} traces"
    return f"{traces}, seen {times}"


def _labelled(name: str, said: str, width: int) -> Text:
    """`fix  Load the rows …`, with the lines that follow indented under the words."""
    text = Text()
    lines = Text(said).wrap(Console(width=width, file=io.StringIO()), max(width - 13, 30))
    for index, line in enumerate(lines):
        line.rstrip()
        text.append(f"  {name if index == 0 else '':<9}", style="dim")
        text.append(line)
        if index < len(lines) - 1:
            text.append("\n")
    return text


def waterfall(bars: tuple[Bar, ...], width: int = PLAIN_WIDTH) -> list[Text]:
    """Bars over one time axis, the fault marked; each a line of at most `width` (60 at least)."""
    label_width = max(26, min(_LABEL_WIDTH, width - _BAR_WIDTH - _MARGINS))
    bar_width = max(18, min(_BAR_WIDTH, width - label_width - _MARGINS))
    end = max((b.start_ns + b.duration_ns for b in bars), default=0)
    begin = min((b.start_ns for b in bars), default=0)
    extent = max(end - begin, 1)
    lines = []
    for bar in bars:
        left = min(bar_width - 1, (bar.start_ns - begin) * bar_width // extent)
        right = -(-(bar.start_ns + bar.duration_ns - begin) * bar_width // extent)
        drawn = "█" * max(1, right - left)
        times = f" ×{bar.count}" if bar.count > 1 else ""
        room = label_width - 2 * bar.depth - len(times)
        label = bar.label if len(bar.label) <= room else bar.label[: room - 1] + "…"
        name = f"{'  ' * bar.depth}{label}{times}"
        line = Text(f"    {name:<{label_width}} ")
        line.append("·" * left, style="dim")
        line.append(drawn, style="red" if bar.mark else "blue")
        line.append("·" * (bar_width - left - len(drawn)), style="dim")
        line.append(f" {duration(bar.duration_ns)}")
        lines.append(line)
    return lines


def _visibility(report: Report, console: Console) -> None:
    """Blind rules first, by service and reason; then whether nothing at all could be judged."""
    blind = sorted(
        (row for row in report.visibility if row.state == "blind"),
        key=lambda row: (row.service, row.reason, row.reveal, row.code),
    )
    for _, rows in groupby(blind, key=lambda row: (row.service, row.reason, row.reveal)):
        _blind(list(rows), console)
    if blind:
        console.print()
    why = unjudged(report)
    if why:
        _print(console, Text(why, style="bold yellow"))


def _blind(rows: list[Visibility], console: Console) -> None:
    first = rows[0]
    line = Text()
    line.append("blind ", style="bold yellow")
    line.append(f"{', '.join(row.code for row in rows)}", style="bold")
    line.append(f"  {first.service}: {first.reason}")
    _print(console, line)
    if first.reveal:
        console.print(_labelled("reveal", first.reveal, console.width))
