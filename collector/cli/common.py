"""What commands share: settings, the choice of rules, writing a report. Imports nothing heavy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collector.decode.model import DecodeOptions
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


def fail(message: str) -> NoReturn:
    """Ends the command: one line on stderr, exit code 2."""
    raise UsageError(message)


def complain(message: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"spanlint: {message}\n")


def write(text: str, output: Path | None = None) -> None:
    """Text to a file, or to stdout: UTF-8 whatever the locale says."""
    if output is None:
        sys.stdout.buffer.write(text.encode())
        sys.stdout.flush()
    else:
        output.write_text(text, "utf-8")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one is not padded."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header) - 1)]
    return "".join(
        "  ".join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]).rstrip()
        + "\n"
        for row in (header, *rows)
    )


def use_threads(count: int) -> None:
    """Bounds the threads of polars; only has effect before polars is imported."""
    os.environ.setdefault("POLARS_MAX_THREADS", str(count))


def load_settings(config: Path | None) -> Settings:
    """The settings from file and environment; raises SettingsError naming what is wrong."""
    from collector.settings import load

    return load(None if config is None else str(config), os.environ)


def decode_options(settings: Settings) -> DecodeOptions:
    """How spans are decoded under these settings."""
    from collector.decode.model import DecodeOptions

    return DecodeOptions(tuple(settings.actor_attributes))


def choose_rules(select: Sequence[str], ignore: Sequence[str]) -> tuple[Rule, ...]:
    """Rules whose code starts with one of `select` (all, when empty) and with none of `ignore`.

    Raises UsageError for a prefix that no rule has, and when no rule is left.
    """
    from detectors.kit.catalogue import rules

    known = rules()
    wanted, unwanted = _prefixes(select), _prefixes(ignore)
    for prefix in (*wanted, *unwanted):
        if not any(rule.code.startswith(prefix) for rule in known):
            codes = ", ".join(rule.code for rule in known)
            raise UsageError(f"no rule's code starts with {prefix!r}; known: {codes}")
    chosen = tuple(
        rule
        for rule in known
        if (not wanted or rule.code.startswith(wanted)) and not rule.code.startswith(unwanted)
    )
    if not chosen:
        raise UsageError("--select and --ignore leave no rule")
    return chosen


def _prefixes(given: Sequence[str]) -> tuple[str, ...]:
    return tuple(part.strip().upper() for item in given for part in item.split(",") if part.strip())


def write_report(report: Report, style: Format, output: Path | None) -> None:
    """The report to a file, or to stdout: with colours when that is a terminal."""
    text = import_module("collector.report.text")
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


@contextmanager
def progress(total: int) -> Iterator[Callable[[int], None] | None]:
    """A bar with rate and time left on stderr; None when that is no terminal."""
    if not sys.stderr.isatty() or not total:
        yield None
        return
    from rich import progress as bars
    from rich.console import Console

    columns = (
        bars.TextColumn("reading"),
        bars.BarColumn(),
        bars.DownloadColumn(),
        bars.TransferSpeedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda done: bar.update(task, completed=done)
