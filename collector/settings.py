"""Settings: defaults, then one YAML file, then `SPANLINT_…` variables, then flags.

Each field carries its unit and sentence; the docs and `spanlint config` read them from here. Knobs
of rules are declared by the rules themselves. An unknown name is an error that lists those known.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from detectors.kit.catalogue import rules
from detectors.kit.contract import Finding, Rule
from detectors.kit.knobs import SettingsError, override

MIB = 1024 * 1024
PREFIX = "SPANLINT_"
_DECODERS = ("auto", "native", "reference")
_MOST = 1e12
"""Of any number: an endless time would be waited for for ever."""
_LAST_PORT = 65_535


def option(
    default: Any,
    help: str,  # noqa: A002 - it is the help
    unit: str = "",
    *,
    low: float = 0,
    kind: str = "",
) -> Any:
    """A field with its sentence, the least of a number, and what a text or list must hold."""
    meta = {"help": help, "unit": unit, "low": low, "kind": kind}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=meta)
    return field(default=default, metadata=meta)


@dataclass(frozen=True, slots=True)
class Mute:
    """Findings that are not shown as active: which, why, until when."""

    reason: str
    code: str = ""
    service: str = ""
    operation: str = ""
    fingerprint: str = ""
    expires: str = ""

    def covers(self, finding: Finding, today: dt.date) -> bool:
        """Whether the finding is muted today."""
        if self.expires and dt.date.fromisoformat(str(self.expires)) < today:
            return False
        pairs = (
            (self.code, finding.code),
            (self.service, finding.service),
            (self.operation, finding.operation),
            (self.fingerprint, finding.fingerprint),
        )
        return all(not wanted or wanted == actual for wanted, actual in pairs)


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a process."""

    otlp_grpc: str = option(
        "127.0.0.1:4317", "address of OTLP/gRPC; empty for none", kind="address"
    )
    otlp_http: str = option(
        "127.0.0.1:4318", "address of OTLP/HTTP; empty for none", kind="address"
    )
    admin: str = option(
        "127.0.0.1:9777", "address of metrics, API and page; empty for none", kind="address"
    )
    forward: str = option("", "upstream for the same bytes: http://…, https://…, grpc://host:port")
    forward_headers: dict[str, str] = option({}, "headers sent to the upstream", kind="texts")
    forward_queue_bytes: int = option(64 * MIB, "requests that may wait for the upstream", "bytes")
    state: str = option("", "sqlite file for findings and counters; empty: kept in memory")
    quiet_s: float = option(10.0, "a trace is closed when no span of it came for so long", "s")
    max_age_s: float = option(60.0, "or when its first span came so long ago", "s")
    max_spans: int = option(50_000, "or when it has so many spans", "spans", low=1)
    max_rows: int = option(1_000_000, "spans held before more are refused", "spans", low=1)
    max_skew_s: float = option(600.0, "event time is held so close to arrival", "s")
    judge_interval_s: float = option(5.0, "least time between judgements", "s", low=0.01)
    horizon_s: float = option(900.0, "how far back a judgement looks", "s", low=1)
    max_body_bytes: int = option(20 * MIB, "largest request, also when inflated", "bytes", low=1)
    max_pending_bytes: int = option(64 * MIB, "requests that wait to be decoded", "bytes", low=1)
    grace_s: float = option(10.0, "time to finish after SIGTERM", "s")
    service_graph: bool = option(default=False, help="export traces_service_graph_* as Tempo does")
    red_metrics: bool = option(
        default=False, help="export traces_spanmetrics_* as Tempo does; retries, caches, instances"
    )
    max_series: int = option(
        5_000, "series per metric; the rest is counted as `other`", "series", low=1
    )
    actor_attributes: list[str] = option(
        [], "attributes that name the actor, before user.id …", kind="texts"
    )
    decoder: str = option(
        "auto",
        "of protobuf: native, reference, or auto, the native one where it is built",
        kind="decoder",
    )
    select: list[str] = option([], "codes or prefixes of rules to run; empty: all", kind="texts")
    ignore: list[str] = option([], "codes or prefixes of rules not to run", kind="texts")
    rules: dict[str, Any] = option({}, "knobs by code, with `overrides` by service and operation")
    mute: list[dict[str, Any]] = option([], "findings to mute: reason, expires, code, service …")

    def lookup(self, rule: Rule, service: str, operation: str) -> Any:
        """The rule's knobs in force for a service and operation; later overrides win."""
        found = dict(self.rules.get(rule.code, {}))
        overrides = found.pop("overrides", [])
        settings = override(rule.Settings(), found, f"rules.{rule.code}")
        for entry in overrides:
            wanted = {k: entry[k] for k in ("service", "operation") if k in entry}
            actual = {"service": service, "operation": operation}
            if all(actual[k] == v for k, v in wanted.items()):
                changes = {k: v for k, v in entry.items() if k not in actual}
                settings = override(settings, changes, f"rules.{rule.code}.overrides")
        return settings

    def selected(self) -> tuple[Rule, ...]:
        """The rules to run."""
        return choose(self.select, self.ignore)

    def mutes(self) -> tuple[Mute, ...]:
        """The mute list."""
        return tuple(Mute(**m) for m in self.mute)


def choose(select: list[str], ignore: list[str]) -> tuple[Rule, ...]:
    """Rules by code or prefix; raises SettingsError for one that names no rule."""
    known = rules()
    for wanted in (*select, *ignore):
        if not any(r.code.startswith(wanted.upper()) for r in known):
            codes = ", ".join(r.code for r in known)
            raise SettingsError(f"no rule begins with {wanted!r}; known: {codes}")
    return tuple(
        r
        for r in known
        if (not select or any(r.code.startswith(s.upper()) for s in select))
        and not any(r.code.startswith(i.upper()) for i in ignore)
    )


def load(
    path: str | None, environ: Mapping[str, str], flags: Mapping[str, Any] | None = None
) -> Settings:
    """Settings in force; raises SettingsError that names where a wrong one stands."""
    values: dict[str, Any] = {}
    if path:
        values |= _checked(_read(path), path)
    from_environ = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX)
    }
    values |= _checked({k: _parsed(k, v) for k, v in from_environ.items()}, "environment")
    values |= _checked({k: v for k, v in (flags or {}).items() if v is not None}, "command line")
    settings = Settings(**values)
    _check_rules(settings)
    return settings


def _read(path: str) -> dict[str, Any]:
    try:
        found = yaml.safe_load(Path(path).read_text("utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}") from None
    except (yaml.YAMLError, ValueError) as error:  # a UnicodeDecodeError is a ValueError
        raise SettingsError(f"{path}: {error}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise SettingsError(f"{path}: wanted `name: value` lines")
    return found


def _checked(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    known = {f.name: f for f in fields(Settings)}
    for name, value in values.items():
        if name not in known:
            names = ", ".join(known)
            raise SettingsError(f"{where}: unknown setting {name!r}; known: {names}")
        wanted = type(_default(known[name]))
        fits = isinstance(value, (int, float)) if wanted is float else isinstance(value, wanted)
        if not fits or (isinstance(value, bool) and wanted is not bool):
            raise SettingsError(f"{where}: {name} must be {wanted.__name__}, not {value!r}")
        if right := _wanted_instead(value, known[name].metadata):
            raise SettingsError(f"{where}: {name} must be {right}, not {value!r}")
    return dict(values)


def _wanted_instead(value: Any, meta: Mapping[str, Any]) -> str:
    """What a value of the right type should have been; empty when it is that."""
    if isinstance(value, (int, float)):
        fits = meta["low"] <= value <= _MOST  # written so that nan does not fit
        return "" if fits else f"a number from {meta['low']:g} on"
    if meta["kind"] == "texts":
        held = value.values() if isinstance(value, dict) else value
        return "" if all(isinstance(v, str) for v in held) else "texts"
    if meta["kind"] == "decoder":
        return "" if value in _DECODERS else f"one of {', '.join(_DECODERS)}"
    if meta["kind"] == "address" and value:
        host, _, port = value.rpartition(":")
        # gRPC takes 99999 for a port, modulo 65536.
        fits = bool(host) and port.isascii() and port.isdigit() and int(port) <= _LAST_PORT
        return "" if fits else "host:port"
    return ""


def _default(known: Any) -> Any:
    return known.default_factory() if callable(known.default_factory) else known.default


def _parsed(name: str, text: str) -> Any:
    """A variable as YAML reads it, but text where text is wanted."""
    default = getattr(_DEFAULTS, name, None)
    if isinstance(default, str):
        return text
    if isinstance(default, list) and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def _check_rules(settings: Settings) -> None:
    """Fails at start on what would fail at the first judgement."""
    codes = {r.code: r for r in rules()}
    for code, knobs in settings.rules.items():
        if code not in codes:
            raise SettingsError(f"rules: no rule {code!r}; known: {', '.join(codes)}")
        if not isinstance(knobs, dict) or not isinstance(knobs.get("overrides", []), list):
            raise SettingsError(f"rules.{code}: wanted knobs and a list `overrides`")
        for entry in knobs.get("overrides", []):
            if not isinstance(entry, dict) or not {"service", "operation"} & set(entry):
                raise SettingsError(f"rules.{code}.overrides: each needs a service or an operation")
            changes = {k: v for k, v in entry.items() if k not in ("service", "operation")}
            override(codes[code].Settings(), changes, f"rules.{code}.overrides")
        settings.lookup(codes[code], "", "")
    choose(settings.select, settings.ignore)
    for entry in settings.mute:
        _check_mute(entry)


def _check_mute(entry: Any) -> None:
    names = ", ".join(f.name for f in fields(Mute))
    if not isinstance(entry, dict) or "reason" not in entry:
        raise SettingsError(f"mute: each entry needs a `reason`; known: {names}")
    unknown = set(entry) - {f.name for f in fields(Mute)}
    if unknown:
        raise SettingsError(f"mute: unknown {sorted(unknown)}; known: {names}")
    for name in set(entry) - {"expires"}:
        if not isinstance(entry[name], str):
            raise SettingsError(f"mute: {name} must be str, not {entry[name]!r}")
    try:
        dt.date.fromisoformat(str(entry.get("expires", "2000-01-01")))
    except ValueError:
        raise SettingsError(f"mute: expires must be a date, not {entry['expires']!r}") from None


_DEFAULTS = Settings()
