"""`spanlint doctor`: what each rule can see of each service, and what would let it see more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from collector.cli.check import config_option, read_report
from collector.cli.common import UsageError, complain, table, write

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detectors.kit.contract import Visibility

_TIMEOUT_S = 10.0
_BROKEN, _NOTHING = 2, 3
_FIRST = ("blind", "below_threshold", "exempt", "seen")


@click.command
@click.argument(
    "paths", metavar="FILE|DIR|-...", nargs=-1, help="Recordings, as `check` takes them."
)
@click.option("--url", help="Ask a running `serve` instead: http://localhost:9777.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@config_option
def doctor(
    paths: Sequence[str],
    url: str | None,
    as_json: bool,
    config: Path | None,
) -> None:
    """Say for each service and rule whether it can see, why not, and which setting reveals it.

    Exit codes: 0 something can be judged; 2 wrong usage or a broken file; 3 nothing can.
    """
    if bool(paths) == bool(url):
        raise UsageError("doctor wants recordings, or --url of a running `spanlint serve`")
    rows, errors = _asked(url) if url else _read(paths, config)
    for error in errors:
        complain(error)
    write(_as_json(rows) if as_json else as_text(rows))
    from collector.report.model import usable

    code = _BROKEN if errors else 0 if any(usable(row) for row in rows) else _NOTHING
    raise SystemExit(code)


def _read(
    paths: Sequence[str], config: Path | None
) -> tuple[tuple[Visibility, ...], Sequence[str]]:
    report = read_report(paths, (), (), config, 1_000)
    return report.visibility, report.errors


def _asked(url: str) -> tuple[tuple[Visibility, ...], Sequence[str]]:
    import httpx

    from detectors.kit.contract import Visibility

    try:
        answer = httpx.get(f"{url.rstrip('/')}/api/v1/visibility", timeout=_TIMEOUT_S)
        answer.raise_for_status()
        found: Any = answer.json()
        rows = found["visibility"] if isinstance(found, dict) else found
        names = ("code", "service", "state", "reason", "reveal")
        return tuple(Visibility(*(row[name] for name in names)) for row in rows), ()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UsageError(f"cannot ask {url}: {error}") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{url} does not answer as spanlint does: {error!r}") from None


def _as_json(rows: Sequence[Visibility]) -> str:
    import dataclasses

    data = {"visibility": [dataclasses.asdict(row) for row in rows]}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def as_text(rows: Sequence[Visibility]) -> str:
    """A table for each service, the blind rules first; under it, what would reveal more."""
    from collector.report.clean import clean

    if not rows:
        return "nothing to look at: there are no spans\n"
    parts = []
    for service in sorted({row.service for row in rows}):
        mine = [row for row in rows if row.service == service]
        mine.sort(key=lambda row: (_FIRST.index(row.state), row.code, row.reason))
        lines = [(row.code, row.state.replace("_", " "), row.reason) for row in mine]
        parts.append(f"{clean(service)}\n" + _indented(table(("rule", "state", "why"), lines)))
        reveals: dict[str, list[str]] = {}
        for row in mine:
            if row.state == "blind" and row.reveal:
                reveals.setdefault(row.reveal, []).append(row.code)
        for reveal, codes in reveals.items():
            parts.append(f"  to reveal {', '.join(codes)}: {reveal}\n")
        parts.append("\n")
    return "".join(parts).removesuffix("\n")


def _indented(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())
