"""`spanlint demo`: a small shop, instrumented by nothing but OpenTelemetry, and what is found."""

from __future__ import annotations

import click

from collector.cli.common import complain

_WRONG, _NOT_RUN = 1, 2


@click.command
@click.option("--stay", is_flag=True, help="Keep everything running until Ctrl-C.")
@click.option(
    "--postgres",
    metavar="URL",
    default="",
    help="A PostgreSQL to use (postgresql://…); the tables go into a schema of their own, "
    "dropped at the end. Else one is started if installed, else SQLite.",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9777,
    show_default=True,
    help="Port of metrics and API; 0 for any that is free.",
)
@click.option(
    "--requests",
    type=click.IntRange(1, 1000),
    default=30,
    show_default=True,
    help="Requests to each form of each endpoint.",
)
@click.option(
    "--new-conventions", is_flag=True, help="Have the services use the new attribute names."
)
def demo(
    stay: bool,
    postgres: str,
    port: int,
    requests: int,
    new_conventions: bool,
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
        raise SystemExit(_NOT_RUN) from None
    raise SystemExit(0 if right else _WRONG)
