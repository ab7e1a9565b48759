"""The `spanlint` command. Every command imports what it needs when it runs: help is instant."""

from __future__ import annotations

import functools
import os
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

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


class _InOrder(click.Group):
    """Lists commands by how soon they are wanted, where click goes by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All commands."""
        return list(self.commands)


def _version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted:
        from collector.version import VERSION

        click.echo(f"spanlint {VERSION}")
        context.exit()


@click.group("spanlint", cls=_InOrder, help=_HELP)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_version,
    help="Print and exit.",
)
@click.option(
    "--debug",
    is_flag=True,
    expose_value=False,  # read by `main`, which sees all errors
    help="Show the traceback of errors.",
)
@click.pass_context
def app(context: click.Context) -> None:
    """What holds for every command."""
    # Polars reads it once, on import: a server leaves the cores to the services that it watches.
    common.use_threads(1 if context.invoked_subcommand == "serve" else os.cpu_count() or 1)


def _interruptible(command: Callable[..., Any]) -> Callable[..., Any]:
    """Ctrl-C is no finding: click would exit with 1. Nor is a reader that went away."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            raise SystemExit(_INTERRUPTED) from None
        except BrokenPipeError:  # the reader of stdout went away, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(_USAGE) from None

    return run


def _register() -> None:
    for name in COMMANDS:
        command: click.Command = getattr(import_module(f"collector.cli.{name}"), name)
        if command.callback is not None:
            command.callback = _interruptible(command.callback)
        app.add_command(command)


_register()


def main() -> None:
    """Runs a command. Whatever goes wrong is one line on stderr and exit code 2."""
    try:
        app()
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
