"""`./dev alerts`: the alert of a real shop arrives and resolves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_alert_arrives_and_the_fix_resolves_it() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "dashboards.watch"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        cwd=ROOT,
    )

    assert ran.returncode == 0, ran.stdout + ran.stderr
    told = ran.stdout
    assert told.index("FIRING  SpanlintRepeatedWork") < told.index("the fix is deployed")
    assert told.index("the fix is deployed") < told.index("RESOLVED  SpanlintRepeatedWork")
    assert "docs/rules/N101.md" in told
