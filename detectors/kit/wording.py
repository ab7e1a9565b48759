"""Words that findings of the N family share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detectors.kit.contract import Finding


def times(details: Mapping[str, Any]) -> str:
    """`12 times`, or `8 to 40 times` when it varies."""
    low, high = details["n_min"], details["n_max"]
    return f"{low} times" if low == high else f"{low} to {high} times"


def growth(details: Mapping[str, Any]) -> str:
    """Whether the count grows with the data."""
    return "The count varies: it grows with the data." if details["grows_with_data"] else ""


def evidence_of(finding: Finding) -> str:
    """How often, how, and what that rests on."""
    d = finding.details
    mode = "at once" if d["mode"] == "parallel" else "one after the other"
    seen = f"In {d['entries']} of {d['entries_in_all']} requests, {mode}"
    within = f" under {d['helper']}" if d.get("helper") else ""
    return f"{seen}{within}; {finding.evidence}: {finding.evidence_reason}."
