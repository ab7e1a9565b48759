"""The `spanlint` command. Every command imports what it needs when it runs: help is instant."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer

from collector.cli import common

if TYPE_CHECKING:
    from collections.abc import Callable

COMMANDS = ("serve", "check", "capture", "doctor", "rules", "explain", "demo", "config")
_USAGE = 2
_INTERRUPTED = 130
"""What shells report for a program that SIGINT ended."""
_HELP = """A linter for running systems: names the anti-patterns in your OpenTelemetry spans.

Exit codes: 0 clean; 1 findings at or above --fail-on; 2 wrong usage, or something broke; 3 no
selected rule had usable spans (an empty recording is never green).
"""

app = typer.Typer(
    name="spanlint",
    help=_HELP,
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


@app.callback(help=_HELP)
def options(
    context: typer.Context,
    version: Annotated[  # noqa: ARG001 - its callback answers
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print and exit."),
    ] = False,
    debug: Annotated[  # noqa: ARG001 - read by `main`, which sees all errors
        bool, typer.Option("--debug", help="Show the traceback of errors.")
    ] = False,
) -> None:
    """What holds for every command; `--debug` is read by `main`."""
    # Polars reads it once, on import: a server leaves the cores to the services that it watches.
    common.use_threads(1 if context.invoked_subcommand == "serve" else os.cpu_count() or 1)


def _interruptible(command: Callable[..., Any]) -> Callable[..., Any]:
    """Ctrl-C is no finding: typer would exit with 1."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            raise SystemExit(_INTERRUPTED) from None

    return run


def _register() -> None:
    for name in COMMANDS:
        command = getattr(import_module(f"collector.cli.{name}"), name)
        # What follows `capture -- COMMAND` is the command's own.
        context = {"allow_interspersed_args": False} if name == "capture" else None
        app.command(name, context_settings=context)(_interruptible(command))


_register()


def main() -> None:
    """Runs a command. Whatever goes wrong is one line on stderr and exit code 2."""
    try:
        app()
    except BrokenPipeError:  # the reader of stdout went away, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_USAGE) from None
    except Exception as error:  # noqa: BLE001 - the last line of defence: told, never spilled
        _tell(error)
        raise SystemExit(_USAGE) from None


def _tell(error: Exception) -> None:
    # A plain ValueError is a defect of ours; its subclasses are about what was given.
    given = isinstance(error, (common.UsageError, OSError)) or (
        isinstance(error, ValueError) and type(error) is not ValueError
    )
    if "--debug" in sys.argv[1:]:
        traceback.print_exception(error)
    if given:
        common.complain(str(error))
    else:
        hint = "`spanlint --debug …` shows where"
        common.complain(f"internal error: {type(error).__name__}: {error} ({hint})")


if __name__ == "__main__":
    main()
