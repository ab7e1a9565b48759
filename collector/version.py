"""The version of the installed distribution."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("spanlint")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


VERSION = _installed()
