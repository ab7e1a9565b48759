"""The `spanlint` command. Every command imports what it needs when it runs: help is instant."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import typer

from collector.cli import common

COMMANDS = ("serve", "check", "capture", "doctor", "rules", "explain", "demo", "config")
_USAGE = 2

app = typer.Typer(
    name="spanlint",
    help="A linter for running systems: names the anti-patterns in your OpenTelemetry spans.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from collector.version import VERSION

        typer.echo(f"spanlint {VERSION}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print and exit."),
    ] = False,
) -> None:
    """A linter for running systems: names the anti-patterns in your OpenTelemetry spans."""


def _register() -> None:
    for name in COMMANDS:
        module = f"collector.cli.{name}"
        if find_spec(module) is None:
            continue
        settings = (
            {"allow_interspersed_args": False, "ignore_unknown_options": False}
            if name == "capture"
            else None
        )
        app.command(name, context_settings=settings)(getattr(import_module(module), name))


_register()


def main() -> None:
    """Runs a command. What the caller got wrong is one line on stderr and exit code 2."""
    try:
        app()
    except BrokenPipeError:  # the reader of stdout went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_USAGE) from None
    except (common.UsageError, ValueError, OSError) as error:
        if isinstance(error, ValueError) and type(error) is ValueError:
            raise  # a defect of ours; only its subclasses are about what was given
        common.complain(str(error))
        raise SystemExit(_USAGE) from None


if __name__ == "__main__":
    main()
