"""Runs an app under `opentelemetry-instrument`, keeps what it exports, and has it judged."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from collector.decode.protobuf import ProtobufDecoder
from collector.demo.services import Telemetry, environment, instrumented
from detectors.kit.contract import Finding
from detectors.kit.texts import Texts
from support.judging import facts_of, judge_facts
from support.receiver import receiving

ROOT = Path(__file__).parents[2]
APP_S = 60


@dataclass(frozen=True)
class Found:
    """What of a finding an app's test pins down. `repeats`: the fewest and the most in one entry."""

    code: str
    operation: str
    subject: str
    repeats: tuple[int, int] = (10, 12)
    service: str = "shop"
    entries: int = 2


def record(app: str, *, new_conventions: bool, disabled: str = "", **variables: str) -> list[bytes]:
    """The OTLP bodies that `live.apps.<app>` exports from start to end."""
    with receiving() as receiver:
        variables |= {
            "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}",
            "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": disabled,
        }
        command = instrumented("shop", [sys.executable, "-m", f"live.apps.{app}"])
        ran = subprocess.run(
            command,
            env={**environment(Telemetry(receiver.endpoint, new_conventions)), **variables},
            capture_output=True,
            text=True,
            timeout=APP_S,
            check=False,
        )
        assert ran.returncode == 0, f"{app}:\n{ran.stdout[-2_000:]}\n{ran.stderr[-4_000:]}"
    assert receiver.bodies, f"{app} exported nothing:\n{ran.stderr[-4_000:]}"
    return receiver.bodies


def findings_of(bodies: list[bytes]) -> tuple[Finding, ...]:
    """What all rules say of the bodies, each trace whole."""
    texts = Texts()
    decode = ProtobufDecoder(texts)
    decoded = [decode(body) for body in bodies]
    assert not any(d.rejected for d in decoded)
    judgement = judge_facts(facts_of(pl.concat([d.frame for d in decoded]), texts))
    assert not judgement.failed
    return judgement.findings


def as_found(finding: Finding | Mapping[str, Any]) -> Found:
    """A finding, of the engine or of the API, as tests compare it."""
    data = finding if isinstance(finding, Mapping) else _plain(finding)
    details = data["details"]
    return Found(
        data["code"],
        data["operation"],
        data["subject"],
        (details["n_min"], details["n_max"]),
        data["service"],
        data["occurrences"],
    )


def _plain(finding: Finding) -> dict[str, Any]:
    names = ("code", "operation", "subject", "service", "occurrences", "details")
    return {name: getattr(finding, name) for name in names}
