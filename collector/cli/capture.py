"""`spanlint capture -- COMMAND`: runs it with OTLP pointed here, then checks what arrived."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from collector.cli.check import (
    Baseline,
    Config,
    FailOnOption,
    FormatOption,
    Ignore,
    Output,
    Select,
    finish,
    read_report,
    without_accepted,
)
from collector.cli.common import FailOn, Format, UsageError, complain

_MEMORY_MB = 1_000


def capture(
    command: Annotated[
        list[str],
        typer.Argument(
            metavar="-- COMMAND...",
            help="An instrumented command: opentelemetry-instrument pytest, npm test, mvn verify.",
        ),
    ],
    save: Annotated[
        Path | None,
        typer.Option(help="Keep what arrived there (length-delimited OTLP, as `check` reads)."),
    ] = None,
    seconds: Annotated[
        float | None,
        typer.Option("--for", min=0.1, help="End the command after so many seconds."),
    ] = None,
    style: FormatOption = Format.TEXT,
    output: Output = None,
    fail_on: FailOnOption = FailOn.WARNING,
    select: Select = None,
    ignore: Ignore = None,
    config: Config = None,
    baseline: Baseline = None,
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
    raise typer.Exit(failed or found)


def _run(command: list[str], path: Path, seconds: float | None) -> int:
    from collector.capture import Receiver, environment, inherited, run

    try:
        with Receiver(path) as receiver:
            return run(command, environment(inherited(), receiver), seconds)
    except OSError as error:
        raise UsageError(f"cannot run {command[0]}: {error.strerror or error}") from None
