"""What a person reads: progress, each finding, and whether the demo found what it should."""

from __future__ import annotations

import io
import signal
from typing import Any, NoReturn

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from collector.demo.run import Outcome, Plan, Told, demo
from collector.demo.waiting import Found
from collector.report.phrases import duration
from collector.report.text import waterfall
from detectors.kit.contract import Bar

PLAIN_WIDTH = 110
_STYLE = {"critical": "bold red", "warning": "bold yellow", "info": "bold cyan"}
_LABELS = 11


def present(plan: Plan, *, stay: bool) -> bool:
    """Runs the demo and shows it on the terminal; whether all was found as it should be.

    With `stay`, returns when the user presses Ctrl-C. Raises NotStarted.
    """
    signal.signal(signal.SIGTERM, _ended)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=PLAIN_WIDTH)
    console.print(Text("spanlint demo: a shop that does everything twice", style="bold"))
    bars = Progress(
        TextColumn("  requests"), BarColumn(), MofNCompleteColumn(),
        console=console, transient=True, disable=not console.is_terminal,
    )  # fmt: skip
    with bars:
        task = bars.add_task("requests", total=None)
        told = Told(
            lambda line: console.print(Text(f"  {line}", style="dim"), soft_wrap=True),
            lambda total: bars.update(task, total=total, advance=1),
        )
        with demo(plan, told) as outcome:
            bars.stop()
            show(outcome, console)
            if stay:
                _stay(console)
            else:
                console.print(Text("`spanlint demo --stay` keeps these up", style="dim"))
            return outcome.right


def show(outcome: Outcome, console: Console, most: int | None = None) -> None:
    """Findings (the first `most`), the table of endpoints, and where to look on."""
    console.print()
    for finding in outcome.findings[:most]:
        _finding(finding, console)
    console.print(_table(outcome))
    for server in outcome.without:
        line = f"{server} is not installed: the endpoints that need it were left out"
        console.print(Text(line, style="yellow"))
    console.print()
    places = {
        "findings": f"{outcome.admin}/",
        "metrics": f"{outcome.admin}/metrics",
        "API": f"{outcome.admin}/api/v1/findings",
        "services": "  ".join(f"{name} {url}" for name, url in outcome.urls.items()),
    }
    for name, place in places.items():
        console.print(Text(f"{name:<{_LABELS}}{place}"), soft_wrap=True)
    wrong = sum(not row.right for row in outcome.rows)
    right = f"as expected on all {len(outcome.rows)} endpoints"
    said = right if not wrong else f"{wrong} of {len(outcome.rows)} endpoints not as expected"
    line = f"{len(outcome.findings)} findings in {outcome.seconds:.0f} s, {said}"
    console.print(Text(line, style="bold red" if wrong else "bold green"))


def _finding(finding: Found, console: Console) -> None:
    head = Text()
    head.append(f"{finding['severity']} ", style=_STYLE[finding["severity"]])
    head.append(f"{finding['code']} {finding['rule']}", style="bold")
    head.append(f"  {finding['service']} · {finding['operation']}")
    console.print(head, soft_wrap=True)
    console.print(Padding(Text(finding["headline"], style="bold"), (0, 0, 0, 2)))
    console.print()
    for line in waterfall(tuple(Bar(**bar) for bar in finding["waterfall"])):
        console.print(line, soft_wrap=True)
    console.print()
    times, wasted = finding["occurrences"], duration(int(finding["wasted_ms"] * 1e6))
    rows = {
        "evidence": finding["explanation"],
        "wasted": f"{wasted} in {times} requests",
        "traces": ", ".join(e["trace_id"] for e in finding["exemplars"]),
        "fix": finding["fix"],
    }
    for name, said in rows.items():
        console.print(_labelled(name, said, console.width))
    console.print()


def _labelled(name: str, said: str, width: int) -> Text:
    """`fix  Load the rows …`, the lines that follow indented under the words."""
    lines = Text(said).wrap(Console(width=width, file=io.StringIO()), max(width - 13, 30))
    joined = Text()
    for index, line in enumerate(lines):
        line.rstrip()
        joined.append(f"  {'' if index else name:<{_LABELS - 2}}", style="dim")
        joined.append(line)
        joined.append("\n" if index < len(lines) - 1 else "")
    return joined


def _table(outcome: Outcome) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("service", "endpoint", "what it does", "expected", "found", ""):
        table.add_column(name)
    for row in outcome.rows:
        cells: list[Any] = [row.service, row.operation, row.what, row.expected or "nothing"]
        mark = Text("✓", style="green") if row.right else Text("✗", style="bold red")
        table.add_row(*cells, ", ".join(row.found) or "nothing", mark)
    return table


def _ended(number: int, _: object) -> NoReturn:
    """Leave through every `finally`, so that nothing that we started outlives us."""
    raise SystemExit(128 + number)


def _stay(console: Console) -> None:
    """Until Ctrl-C; the block around us ends what was started."""
    try:
        console.print(Text("everything goes on running; Ctrl-C ends it", style="bold"))
        signal.pause()
    except KeyboardInterrupt:
        console.print()
