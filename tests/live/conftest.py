"""Servers for real services, one of each for the whole run, private and on ephemeral ports."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from collector.demo import backing
from support.mongo_stub import mongo_stub


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory):
    return tmp_path_factory.mktemp("servers")


@pytest.fixture(scope="session")
def postgres_server(folder) -> Iterator[str]:
    with backing.postgresql(folder) as url:
        yield url


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """A database of its own for a test."""
    import psycopg

    with psycopg.connect(postgres_server, autocommit=True) as admin:
        admin.execute("DROP DATABASE IF EXISTS test WITH (FORCE)")
        admin.execute("CREATE DATABASE test")
    yield postgres_server.removesuffix("postgres") + "test"


@pytest.fixture(scope="session")
def redis_url(folder) -> Iterator[str]:
    with backing.redis(folder) as url:
        yield url


@pytest.fixture(scope="session")
def memcached(folder) -> Iterator[str]:
    binary = shutil.which("memcached")
    assert binary, "memcached is not installed"
    port, log = backing.free_port(), folder / "memcached.log"
    command = [binary, "-l", "127.0.0.1", "-p", str(port), "-U", "0", "-u", "nobody"]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        backing.wait_until(lambda: backing.listening(port), process, log)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(scope="session")
def mongo_url() -> Iterator[str]:
    with mongo_stub() as url:
        yield url
