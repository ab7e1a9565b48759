"""`spanlint check`: findings of a recording, and an exit code for CI."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.cli import common
from collector.cli.common import PATH, FailOn, Format, OneOf

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from collector.report.model import Report
    from collector.settings import Settings

format_option = click.option(
    "--format",
    "style",
    type=OneOf(Format),
    default=Format.TEXT.value,
    show_default=True,
    help="How the report is written.",
)
output_option = click.option("--output", type=PATH, help="Write the report there, not to stdout.")
fail_on_option = click.option(
    "--fail-on",
    type=OneOf(FailOn),
    default=FailOn.WARNING.value,
    show_default=True,
    help="Exit 1 from findings of this severity on.",
)
select_option = click.option(
    "--select", multiple=True, help="Only rules of this code or prefix; may be repeated."
)
ignore_option = click.option(
    "--ignore", multiple=True, help="No rules of this code or prefix; may be repeated."
)
config_option = click.option("--config", type=PATH, help="Configuration file (YAML).")
baseline_option = click.option(
    "--baseline", type=PATH, help="Accepted findings, which are left out."
)


@click.command
@click.argument(
    "paths",
    metavar="FILE|DIR|-...",
    nargs=-1,
    required=True,
    help="OTLP JSON lines or documents, OTLP protobuf, the Collector's file exporter; plain, "
    "gzip or zstd; `-` is stdin.",
)
@format_option
@output_option
@fail_on_option
@select_option
@ignore_option
@config_option
@baseline_option
@click.option(
    "--write-baseline",
    type=PATH,
    help="Accept what is found now: write it there and exit 0.",
)
@click.option(
    "--reason",
    default="known when the baseline was written",
    show_default=True,
    help="With --write-baseline: why they are accepted.",
)
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d"]),
    help="With --write-baseline: the last day on which they are.",
)
@click.option(
    "--max-memory",
    type=click.IntRange(min=100),
    default=1_000,
    show_default=True,
    help="Memory to stay below, MB; more input goes through the disk.",
)
def check(
    paths: Sequence[str],
    style: Format,
    output: Path | None,
    fail_on: FailOn,
    select: Sequence[str],
    ignore: Sequence[str],
    config: Path | None,
    baseline: Path | None,
    write_baseline: Path | None,
    reason: str,
    expires: datetime | None,
    max_memory: int,
) -> None:
    """Check recorded spans.

    Exit codes: 0 clean; 1 findings at or above --fail-on; 2 wrong usage or a broken file (what
    could be read is reported); 3 nothing that a rule could judge, which is never green.
    """
    common.use_threads(os.cpu_count() or 1)
    report = read_report(paths, select, ignore, config, max_memory)
    if write_baseline is not None:
        _accept(report, write_baseline, reason, None if expires is None else expires.date())
        raise SystemExit(2 if report.errors or report.failed else 0)
    report = without_accepted(report, baseline)
    raise SystemExit(finish(report, style, output, fail_on))


def read_report(
    paths: Sequence[str],
    select: Sequence[str],
    ignore: Sequence[str],
    config: Path | None,
    max_memory: int,
) -> Report:
    """The report of files under the settings in force."""
    from collector.check import check_files
    from collector.decode.files import total_bytes
    from collector.decode.model import DecodeOptions

    settings = common.load_settings(config, select, ignore)
    files = list(paths)
    try:
        with common.progress(total_bytes(files)) as told:
            report = check_files(
                files,
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
