"""memcached and RabbitMQ for one run, as `collector.demo.backing` starts PostgreSQL and Redis."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from collector.demo.backing import NotStarted, free_port, listening, stop, wait_until

PATIENCE_S = 120.0
"""For what starts: many do at once, on machines that have other things to do as well."""
_STARTED = b"Server startup complete"


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotStarted(f"{name} is not in PATH; `./dev servers` unpacks it")
    return found


@contextmanager
def memcached(folder: Path) -> Iterator[str]:
    """A fresh memcached; gives host:port. Raises NotStarted."""
    port, log = free_port(), folder / "memcached.log"
    command = [_program("memcached"), "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait_until(lambda: listening(port), process, log)
        yield f"127.0.0.1:{port}"
    finally:
        stop(process, signal.SIGTERM)


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """A fresh RabbitMQ with no plugins; gives `amqp://…`. Raises NotStarted."""
    home = folder / "rabbitmq"
    home.mkdir()
    port, log = free_port(), folder / "rabbitmq.log"
    variables = _rabbitmq_environment(home, port)
    # Erlang leaves a port mapper behind for ever, unless it finds one: this one ends with us
    mapper = subprocess.Popen([_program("epmd")], env=variables)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [_program("rabbitmq-server")],
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: _STARTED in log.read_bytes(), process, log, PATIENCE_S)
        yield f"amqp://guest:guest@127.0.0.1:{port}/"
    finally:
        stop(process, signal.SIGTERM, grace_s=20.0)
        stop(mapper, signal.SIGTERM)


def _rabbitmq_environment(home: Path, port: int) -> dict[str, str]:
    (home / "plugins").write_text("[].")
    return {
        **os.environ,
        "HOME": str(home),  # the cookie is kept there
        "ERL_EPMD_PORT": str(free_port()),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_BASE": str(home),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(home / "none"),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_NODENAME": f"zoo{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        # two schedulers of our own machine would be busy for a broker that idles
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
    }
