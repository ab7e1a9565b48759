"""`spanlint serve`: the process beside your services."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from collector.cli import common

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable


@click.command
@click.option("--config", help="YAML file with settings.")
@click.option("--otlp-grpc", help="Address of OTLP/gRPC.")
@click.option("--otlp-http", help="Address of OTLP/HTTP.")
@click.option("--admin", help="Address of metrics, API and page.")
@click.option("--forward", help="Upstream for the same bytes: http://… or grpc://host:port.")
@click.option("--state", help="sqlite file; findings and counters survive a restart.")
@click.option(
    "--service-graph/--no-service-graph",
    default=None,
    help="Export service graph metrics under Tempo's names.",
)
@click.option(
    "--red-metrics/--no-red-metrics",
    default=None,
    help="Export RED metrics under Tempo's names.",
)
def serve(config: str | None, **flags: str | bool | None) -> None:
    """Receive spans, forward them unchanged, show findings as metrics, API and page.

    Listens on loopback: OTLP/gRPC 4317, OTLP/HTTP 4318, admin 9777. All settings can stand in the
    file or in SPANLINT_… variables as well; `spanlint config` prints them. Ends on SIGTERM or
    Ctrl-C, after open traces were judged and the upstream has what it is owed.
    """
    from collector.before_imports import prepare
    from collector.undocumented import leave_out_docstrings

    prepare()
    leave_out_docstrings()
    import asyncio
    import logging
    import os

    from collector.service import Addresses, Service, StartError
    from collector.settings import load
    from collector.store import StateError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")

    def announce(at: Addresses) -> None:
        click.echo(f"OTLP/gRPC  {at.otlp_grpc or 'off'}", err=True)
        click.echo(
            f"OTLP/HTTP  http://{at.otlp_http}" if at.otlp_http else "OTLP/HTTP  off", err=True
        )
        pages = f"http://{at.admin}/  (metrics: /metrics, API: /docs)" if at.admin else "off"
        click.echo(f"findings   {pages}", err=True)

    try:
        service = Service(load(config, os.environ, flags))
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(service.run(announce))
    except (StartError, StateError) as error:
        raise common.UsageError(str(error)) from None


def _loop_factory() -> Callable[[], AbstractEventLoop] | None:
    """uvloop where it runs, else asyncio's own loop."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop
