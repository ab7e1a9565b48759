"""What `serve` tells its libraries, and that the environment has the last word."""

from __future__ import annotations

import ctypes
import os
from types import SimpleNamespace

import pytest

from collector.before_imports import give_back, prepare

M_ARENA_MAX, M_MMAP, M_TOP_PAD, M_TRIM = -8, -3, -2, -1


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What glibc was told, in an environment that says nothing."""
    calls: list[tuple[int, int]] = []
    libc = SimpleNamespace(mallopt=lambda *call: calls.append(call))
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(os, "environ", {})
    return calls


def test_libraries_are_told(told: list[tuple[int, int]]) -> None:
    prepare()

    assert os.environ["POLARS_MAX_THREADS"] == "1"
    assert "narenas:1" in os.environ["_RJEM_MALLOC_CONF"]
    assert {parameter for parameter, _ in told} == {M_ARENA_MAX, M_MMAP, M_TOP_PAD, M_TRIM}
    assert dict(told)[M_ARENA_MAX] == 1
    assert dict(told)[M_MMAP] == dict(told)[M_TRIM] == 32 << 20


def test_the_environment_has_the_last_word(told: list[tuple[int, int]]) -> None:
    said = {"POLARS_MAX_THREADS": "4", "_RJEM_MALLOC_CONF": "narenas:9", "MALLOC_ARENA_MAX": "3"}
    os.environ.update(said)

    prepare()

    assert {name: os.environ[name] for name in said} == said
    assert {parameter for parameter, _ in told} == {M_MMAP, M_TOP_PAD, M_TRIM}


def test_another_c_library_is_left_alone(
    told: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(_: str) -> object:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)

    prepare()

    assert not told
    assert os.environ["GRPC_VERBOSITY"] == "NONE"


def test_what_was_freed_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    libc = SimpleNamespace(malloc_trim=asked.append)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)

    give_back()

    assert asked == [0]


def test_another_c_library_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[str] = []

    class Other:
        def __getattr__(self, name: str) -> None:
            looked_for.append(name)
            raise AttributeError(name)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Other())
    monkeypatch.setattr(os, "environ", {})

    give_back()
    prepare()

    assert looked_for == ["malloc_trim", "mallopt"]
    assert os.environ["POLARS_MAX_THREADS"] == "1"
