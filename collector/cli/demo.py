"""`spanlint demo`: a small shop, instrumented by nothing but OpenTelemetry, and what is found."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.common import complain

_WRONG, _NOT_RUN = 1, 2


def demo(
    stay: Annotated[
        bool, typer.Option("--stay", help="Keep everything running until Ctrl-C.")
    ] = False,
    postgres: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="A PostgreSQL to use (postgresql://…); the tables go into a schema of their own, "
            "dropped at the end. Else one is started if installed, else SQLite.",
        ),
    ] = "",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of metrics and API; 0 for any that is free.")
    ] = 9777,
    requests: Annotated[
        int, typer.Option(min=1, max=1000, help="Requests to each form of each endpoint.")
    ] = 30,
    new_conventions: Annotated[
        bool,
        typer.Option("--new-conventions", help="Have the services use the new attribute names."),
    ] = False,
) -> None:
    """Run a small shop with good and bad endpoints under spanlint, and show what it finds.

    Three FastAPI services with SQLAlchemy, HTTP calls between them, Redis and Celery when
    redis-server is installed, run under `opentelemetry-instrument` and export to a spanlint of
    their own, all on loopback. Every endpoint exists in a bad and a good form. Exit code 0 when
    every bad form was found and no good one, 1 when not, 2 when the demo cannot run.
    """
    from collector.demo.backing import NotStarted
    from collector.demo.run import Plan
    from collector.demo.show import present

    plan = Plan(postgres, port, requests, new_conventions)
    try:
        right = present(plan, stay=stay)
    except NotStarted as error:
        complain(str(error))
        raise typer.Exit(_NOT_RUN) from None
    raise typer.Exit(0 if right else _WRONG)
