"""What commands share: settings, the choice of rules, writing a report. Imports nothing heavy."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.progress import Progress, TaskID

    from collector.report.model import Report
    from collector.settings import Settings
    from detectors.kit.contract import Rule


class UsageError(Exception):
    """Something that the caller got wrong, in one line."""


class Format(StrEnum):
    """How a report is written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    MARKDOWN = "markdown"


class FailOn(StrEnum):
    """The lowest severity that makes the exit code 1."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class OneOf(click.Choice[StrEnum]):
    """A member of an enum by its value, where click goes by the name."""

    def normalize_choice(self, choice: object, ctx: click.Context | None) -> str:  # noqa: ARG002
        """The value."""
        return str(choice)


PATH = click.Path(path_type=Path)
"""The type of options that are paths."""


def complain(message: str) -> None:
    """One line on stderr."""
    line = message.replace("\n", " ")
    sys.stderr.write(f"spanlint: {line}\n")


def write(text: str, output: Path | None = None) -> None:
    """Text to a file, or to stdout: UTF-8 whatever the locale says."""
    if output is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    else:
        output.write_text(text, "utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned by spaces, for people and for `awk`; the last one is not padded."""
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header) - 1)]
    return "".join(
        "  ".join([*(c.ljust(w) for c, w in zip(line, widths, strict=False)), line[-1]]).rstrip()
        + "\n"
        for line in lines
    )


def use_threads(count: int) -> None:
    """Bounds the threads of polars; only has effect before polars is imported."""
    os.environ.setdefault("POLARS_MAX_THREADS", str(count))


def load_settings(
    config: Path | None, select: Sequence[str] | None = None, ignore: Sequence[str] | None = None
) -> Settings:
    """The settings in force: file, environment, then flags; raises SettingsError.

    `select` and `ignore` are codes or prefixes, each perhaps several with commas between.
    """
    from collector.settings import load

    flags = {"select": _split(select), "ignore": _split(ignore)}
    return load(None if config is None else str(config), os.environ, flags)


def chosen(settings: Settings) -> tuple[Rule, ...]:
    """The rules to run; raises UsageError when none is left."""
    rules = settings.selected()
    if not rules:
        raise UsageError("select and ignore leave no rule")
    return rules


def _split(given: Sequence[str] | None) -> list[str] | None:
    if not given:
        return None
    return [part.strip() for item in given for part in item.split(",") if part.strip()]


def write_report(report: Report, style: Format, output: Path | None) -> None:
    """The report to a file, or to stdout: with colours when that is a terminal."""
    from collector.report.clean import cleaned

    text = import_module("collector.report.text")
    if style is not Format.JSON:  # which escapes them
        report = cleaned(report)
    if output is None and style is Format.TEXT and sys.stdout.isatty():
        from rich.console import Console

        text.render(report, Console(highlight=False))
    else:
        module = import_module(f"collector.report.{style.value}")
        written = text.as_text(report) if style is Format.TEXT else module.render(report)
        write(written, output)
    for error in report.errors:
        complain(error)
    for code, why in sorted(report.failed.items()):
        complain(f"rule {code} failed: {why}")


class Bars:
    """A bar for the bytes that are read, then one for the spans that are judged."""

    def __init__(self, bars: Progress, size: int) -> None:
        self._bars = bars
        self._reading = bars.add_task("reading", total=size, rate="")
        self._judging: TaskID | None = None

    def read(self, position: int) -> None:
        """Bytes so far."""
        self._update(self._reading, position, 1e6, "MB/s")

    def observed(self, spans: int, total: int) -> None:
        """Spans so far, of how many."""
        if self._judging is None:
            self._judging = self._bars.add_task("judging", total=total, rate="")
        self._update(self._judging, spans, 1e3, "k spans/s")

    def _update(self, task: TaskID, done: int, scale: float, unit: str) -> None:
        speed = self._bars.tasks[task].speed
        rate = "" if speed is None else f"{speed / scale:,.0f} {unit}"
        self._bars.update(task, completed=done, rate=rate)


@contextmanager
def progress(size: int) -> Iterator[Bars | None]:
    """Bars with rate and time left on stderr, for so many bytes; None when that is no terminal."""
    if not sys.stderr.isatty() or not size:
        yield None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        yield Bars(shown, size)
