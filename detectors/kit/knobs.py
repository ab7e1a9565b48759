"""Knobs of rules: declared once, in the rule's own `Settings` dataclass.

A knob carries its default, unit, sentence and range; the configuration file, the command line's
`explain`, the docs and the validation all read it from there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


class SettingsError(ValueError):
    """A setting that is unknown, of the wrong type or out of range; says what is known."""


@dataclass(frozen=True, slots=True)
class Knob:
    """What is known of a field of a `Settings` dataclass."""

    name: str
    default: Any
    help: str
    unit: str
    low: float
    high: float


def knob(
    default: Any,
    help: str,  # noqa: A002 - it is the help
    *,
    unit: str = "",
    low: float = 0,
    high: float = 1e18,
) -> Any:
    """A dataclass field that is a knob."""
    return field(default=default, metadata={"help": help, "unit": unit, "low": low, "high": high})


def knobs(settings: type[Any]) -> tuple[Knob, ...]:
    """The knobs that a rule's `Settings` declares."""
    return tuple(
        Knob(
            f.name,
            f.default,
            f.metadata["help"],
            f.metadata["unit"],
            f.metadata["low"],
            f.metadata["high"],
        )
        for f in fields(settings)
    )


def override(settings: Any, changes: Mapping[str, Any], where: str) -> Any:
    """`settings` with `changes`; raises SettingsError naming `where` and the known knobs."""
    known = {k.name: k for k in knobs(type(settings))}
    for name, value in changes.items():
        if name not in known:
            raise SettingsError(f"{where}: unknown setting {name!r}; known: {', '.join(known)}")
        _check(known[name], value, where)
    return replace(settings, **changes)


def _check(knob: Knob, value: Any, where: str) -> None:
    wanted = type(knob.default)
    fits = isinstance(value, (int, float)) if wanted is float else isinstance(value, wanted)
    if not fits or (isinstance(value, bool) and wanted is not bool):
        raise SettingsError(f"{where}: {knob.name} must be {wanted.__name__}, not {value!r}")
    if isinstance(value, (int, float)) and not knob.low <= value <= knob.high:
        raise SettingsError(
            f"{where}: {knob.name}={value} is outside {knob.low:g} to {knob.high:g}"
        )
