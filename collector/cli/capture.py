"""`spanlint capture -- COMMAND`: runs it with OTLP pointed here, then checks what arrived."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click

from collector.cli.check import (
    baseline_option,
    config_option,
    fail_on_option,
    finish,
    format_option,
    ignore_option,
    output_option,
    read_report,
    select_option,
    without_accepted,
)
from collector.cli.common import PATH, UsageError, complain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from collector.cli.common import FailOn, Format

_MEMORY_MB = 1_000


@click.command(context_settings={"allow_interspersed_args": False})  # the command has its own
@click.argument(
    "command",
    metavar="-- COMMAND...",
    nargs=-1,
    required=True,
    help="An instrumented command: opentelemetry-instrument pytest, npm test, mvn verify.",
)
@click.option(
    "--save",
    type=PATH,
    help="Keep what arrived there (length-delimited OTLP, as `check` reads).",
)
@click.option(
    "--for",
    "seconds",
    type=click.FloatRange(min=0.1),
    help="End the command after so many seconds.",
)
@format_option
@output_option
@fail_on_option
@select_option
@ignore_option
@config_option
@baseline_option
def capture(
    command: Sequence[str],
    save: Path | None,
    seconds: float | None,
    style: Format,
    output: Path | None,
    fail_on: FailOn,
    select: Sequence[str],
    ignore: Sequence[str],
    config: Path | None,
    baseline: Path | None,
) -> None:
    """Run a command with a private OTLP receiver, then check the spans that it sent.

    OTEL_EXPORTER_OTLP_ENDPOINT and _PROTOCOL are set for it (http/protobuf, unless the environment
    says another), metrics and logs are off unless asked for. It keeps stdin, stdout and stderr;
    signals are passed on, gently.

    Exit codes: that of the command when it failed, else as `check`.
    """
    with tempfile.TemporaryDirectory(prefix="spanlint-") as folder:
        path = save or Path(folder) / "capture.otlp"
        failed = _run(command, path, seconds)
        report = without_accepted(
            read_report([str(path)], select, ignore, config, _MEMORY_MB), baseline
        )
        found = finish(report, style, output, fail_on)
    if not report.summary.spans:
        complain(
            "no spans came from the command: is it instrumented? Python: "
            "`opentelemetry-instrument COMMAND`; Node: NODE_OPTIONS='--require "
            "@opentelemetry/auto-instrumentations-node/register'; Java: -javaagent"
        )
    raise SystemExit(failed or found)


def _run(command: Sequence[str], path: Path, seconds: float | None) -> int:
    from collector.capture import Receiver, environment, inherited, run

    try:
        with Receiver(path) as receiver:
            return run(list(command), environment(inherited(), receiver), seconds)
    except OSError as error:
        raise UsageError(f"cannot run {command[0]}: {error.strerror or error}") from None
