"""PostgreSQL and Redis for one run: private, on loopback and an ephemeral port, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

START_S = 30.0
_POLL_S = 0.05


class NotStarted(RuntimeError):  # noqa: N818 - reads as what happened
    """A server or service that is installed did not start; the message says why."""


def free_port() -> int:
    """A TCP port on loopback that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until(
    ready: Callable[[], bool], process: subprocess.Popen[Any], log: Path, limit_s: float = START_S
) -> None:
    """Return when `ready`; raises NotStarted with the end of `log` when the process ends first."""
    deadline = time.monotonic() + limit_s
    while not ready():
        if process.poll() is not None or time.monotonic() > deadline:
            tail = log.read_text(errors="replace")[-2_000:] if log.exists() else ""
            raise NotStarted(f"{process.args!r} did not start:\n{tail}")
        time.sleep(_POLL_S)


def listening(port: int) -> bool:
    """Whether somebody accepts connections on that port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(process: subprocess.Popen[Any], how: signal.Signals, grace_s: float = 10.0) -> None:
    """End a process that we started, gently, then for good."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def postgres_bin() -> Path | None:
    """The folder of initdb and postgres: of PATH, or where Debian puts them, the newest."""
    found = shutil.which("initdb")
    folders = [Path(found).parent, Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((f for f in folders if (f / "initdb").exists() and (f / "postgres").exists()), None)


def _unprivileged() -> dict[str, Any]:
    """Arguments for Popen: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name for entry in pwd.getpwall()}
    user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A fresh PostgreSQL; gives `postgresql://…` of its only database. Raises NotStarted."""
    binaries = postgres_bin()
    if binaries is None:
        raise NotStarted("PostgreSQL is not installed: no initdb found")
    account = _unprivileged()
    # not under `folder`: everything above the data must be open to the other user
    home = Path(tempfile.mkdtemp(prefix="spanlint-pg-"))
    try:
        if account:
            os.chown(home, account["user"], account["group"])
        _initialise(binaries, home, account)
        yield from _serve_postgresql(binaries, home, folder / "postgresql.log", account)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _initialise(binaries: Path, home: Path, account: dict[str, Any]) -> None:
    made = subprocess.run(
        [
            *(str(binaries / "initdb"), "-D", str(home / "data"), "-U", "spanlint"),
            *("-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"),
        ],
        cwd=home, capture_output=True, text=True, check=False, **account,
    )  # fmt: skip
    if made.returncode:
        raise NotStarted(f"initdb failed:\n{made.stderr[-2_000:]}")


def _serve_postgresql(
    binaries: Path, home: Path, log: Path, account: dict[str, Any]
) -> Iterator[str]:
    port = free_port()
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(home),
        "fsync": "off",
        "max_connections": "100",
    }
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(binaries / "postgres"), "-D", str(home / "data"), "-p", str(port), *flags],
            cwd=home, stdout=output, stderr=subprocess.STDOUT, start_new_session=True, **account,
        )  # fmt: skip
    try:
        # the port opens before recovery ends; the log says when it takes connections
        ready = b"ready to accept connections"
        wait_until(lambda: ready in log.read_bytes(), process, log)
        yield f"postgresql://spanlint@127.0.0.1:{port}/postgres"
    finally:
        stop(process, signal.SIGINT)


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """A fresh Redis that keeps nothing on disk; gives `redis://…`. Raises NotStarted."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise NotStarted("Redis is not installed: no redis-server in PATH")
    port, log = free_port(), folder / "redis.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        wait_until(lambda: listening(port), process, log)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        stop(process, signal.SIGTERM)
