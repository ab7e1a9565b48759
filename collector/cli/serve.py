"""`spanlint serve`: the process beside your services."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from collector.cli import common

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable


def serve(
    config: Annotated[str | None, typer.Option(help="YAML file with settings.")] = None,
    otlp_grpc: Annotated[str | None, typer.Option(help="Address of OTLP/gRPC.")] = None,
    otlp_http: Annotated[str | None, typer.Option(help="Address of OTLP/HTTP.")] = None,
    admin: Annotated[str | None, typer.Option(help="Address of metrics, API and page.")] = None,
    forward: Annotated[
        str | None, typer.Option(help="Upstream for the same bytes: http://… or grpc://host:port.")
    ] = None,
    state: Annotated[
        str | None, typer.Option(help="sqlite file; findings and counters survive a restart.")
    ] = None,
    service_graph: Annotated[
        bool | None, typer.Option(help="Export service graph metrics under Tempo's names.")
    ] = None,
    red_metrics: Annotated[
        bool | None, typer.Option(help="Export RED metrics under Tempo's names.")
    ] = None,
) -> None:
    """Receive spans, forward them unchanged, show findings as metrics, API and page.

    Listens on loopback: OTLP/gRPC 4317, OTLP/HTTP 4318, admin 9777. All settings can stand in the
    file or in SPANLINT_… variables as well; `spanlint config` prints them. Ends on SIGTERM or
    Ctrl-C, after open traces were judged and the upstream has what it is owed.
    """
    from collector.before_imports import prepare

    prepare()
    import asyncio
    import logging
    import os

    from collector.service import Addresses, Service, StartError
    from collector.settings import load
    from collector.store import StateError

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    flags = {
        "otlp_grpc": otlp_grpc,
        "otlp_http": otlp_http,
        "admin": admin,
        "forward": forward,
        "state": state,
        "service_graph": service_graph,
        "red_metrics": red_metrics,
    }

    def announce(at: Addresses) -> None:
        typer.echo(f"OTLP/gRPC  {at.otlp_grpc or 'off'}", err=True)
        typer.echo(
            f"OTLP/HTTP  http://{at.otlp_http}" if at.otlp_http else "OTLP/HTTP  off", err=True
        )
        pages = f"http://{at.admin}/  (metrics: /metrics, API: /docs)" if at.admin else "off"
        typer.echo(f"findings   {pages}", err=True)

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
