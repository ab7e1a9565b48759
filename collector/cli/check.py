"""`spanlint check`: findings of a recording, and an exit code for CI."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import common
from collector.cli.common import FailOn, Format

if TYPE_CHECKING:
    from datetime import date

    from collector.report.model import Report
    from collector.settings import Settings

Paths = Annotated[
    list[str],
    typer.Argument(
        metavar="FILE|DIR|-...",
        help="OTLP JSON lines or documents, OTLP protobuf, the Collector's file exporter; plain, "
        "gzip or zstd; `-` is stdin.",
    ),
]
FormatOption = Annotated[Format, typer.Option("--format", help="How the report is written.")]
Output = Annotated[Path | None, typer.Option(help="Write the report there, not to stdout.")]
FailOnOption = Annotated[
    FailOn, typer.Option("--fail-on", help="Exit 1 from findings of this severity on.")
]
Select = Annotated[
    list[str] | None,
    typer.Option(help="Only rules of this code or prefix; may be repeated."),
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(help="No rules of this code or prefix; may be repeated."),
]
Config = Annotated[Path | None, typer.Option(help="Configuration file (YAML).")]
Baseline = Annotated[Path | None, typer.Option(help="Accepted findings, which are left out.")]
WriteBaseline = Annotated[
    Path | None,
    typer.Option(help="Accept what is found now: write it there and exit 0."),
]
Reason = Annotated[str, typer.Option(help="With --write-baseline: why they are accepted.")]
Expires = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"],
        help="With --write-baseline: the last day on which they are.",
    ),
]
MaxMemory = Annotated[
    int,
    typer.Option(min=100, help="Memory to stay below, MB; more input goes through the disk."),
]


def check(
    paths: Paths,
    style: FormatOption = Format.TEXT,
    output: Output = None,
    fail_on: FailOnOption = FailOn.WARNING,
    select: Select = None,
    ignore: Ignore = None,
    config: Config = None,
    baseline: Baseline = None,
    write_baseline: WriteBaseline = None,
    reason: Reason = "known when the baseline was written",
    expires: Expires = None,
    max_memory: MaxMemory = 1_000,
) -> None:
    """Check recorded spans.

    Exit codes: 0 clean; 1 findings at or above --fail-on; 2 wrong usage or a broken file (what
    could be read is reported); 3 nothing that a rule could judge, which is never green.
    """
    common.use_threads(os.cpu_count() or 1)
    report = read_report(paths, select, ignore, config, max_memory)
    if write_baseline is not None:
        _accept(report, write_baseline, reason, None if expires is None else expires.date())
        raise typer.Exit(2 if report.errors or report.failed else 0)
    report = without_accepted(report, baseline)
    raise typer.Exit(finish(report, style, output, fail_on))


def read_report(
    paths: list[str],
    select: list[str] | None,
    ignore: list[str] | None,
    config: Path | None,
    max_memory: int,
) -> Report:
    """The report of files under the settings in force."""
    from collector.check import check_files
    from collector.decode.files import total_bytes
    from collector.decode.model import DecodeOptions

    settings = common.load_settings(config, select, ignore)
    try:
        with common.progress(total_bytes(paths)) as told:
            report = check_files(
                paths,
                selected=common.chosen(settings),
                lookup=settings.lookup,
                options=DecodeOptions(tuple(settings.actor_attributes), settings.decoder),
                memory_mb=max_memory,
                progress=told,
            )
    except FileNotFoundError as error:
        raise common.UsageError(f"no such file or directory: {error}") from None
    return _without_muted(report, settings)


def _without_muted(report: Report, settings: Settings) -> Report:
    mutes = settings.mutes()
    muted = {f.fingerprint for f in report.findings if any(m.covers(f, _today()) for m in mutes)}
    return replace(
        report,
        findings=tuple(f for f in report.findings if f.fingerprint not in muted),
        muted=tuple(f for f in report.findings if f.fingerprint in muted),
    )


def _today() -> date:
    return datetime.now().astimezone().date()


def without_accepted(report: Report, baseline: Path | None) -> Report:
    """The report less what the baseline accepts today."""
    if baseline is None:
        return report
    from collector.report.baseline import apply, load

    return apply(report, load(baseline), _today())


def finish(report: Report, style: Format, output: Path | None, fail_on: FailOn) -> int:
    """Writes the report; the exit code."""
    from collector.report.model import exit_code

    common.write_report(report, style, output)
    return exit_code(report, fail_on.value)


def _accept(report: Report, path: Path, reason: str, expires: date | None) -> None:
    from collector.report.baseline import dump, load

    known = load(path) if path.exists() else ()
    path.write_text(dump(report.findings, known, reason, expires), "utf-8")
    common.write_report(replace(report, findings=(), muted=report.findings), Format.TEXT, None)
