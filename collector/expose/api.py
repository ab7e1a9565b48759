"""What people and programs ask of the admin port: findings, rules, visibility, and a page.

What is large is written in a thread: the event loop answers exporters meanwhile. Documents what
`admin` answers as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, Field

from collector.expose.admin import PLAIN, Answer
from collector.expose.page import POLICY, page
from collector.expose.source import Source
from collector.ledger import Case
from collector.report.model import finding_data, timestamp
from collector.version import VERSION
from detectors.kit.catalogue import rules
from detectors.kit.contract import Rule

State = Literal["new", "ongoing", "resolved", "regressed"]


class FindingModel(BaseModel):
    """A finding with its history and its words."""

    code: str
    rule: str
    severity: Literal["info", "warning", "critical"]
    scope: Literal["local", "trace", "fleet"]
    evidence: Literal["observed", "inferred"]
    service: str
    operation: str
    subject: str
    occurrences: int
    traces: int
    wasted_ms: float
    first_seen: str
    last_seen: str
    fingerprint: str
    exemplars: list[dict[str, Any]]
    details: dict[str, Any]
    state: State
    muted: str = Field(description="why it is muted; empty when it is not")
    changed: str = Field(description="when its state last changed")
    waterfall: list[dict[str, Any]] = Field(
        description="lines of the worst trace: depth, service, label, start_ns, duration_ns, "
        "count, mark (the fault itself)"
    )
    headline: str
    explanation: str
    fix: str


class RuleModel(BaseModel):
    """A rule that runs here."""

    code: str
    name: str
    scope: str
    summary: str


class VisibilityModel(BaseModel):
    """What a rule could see of a service at the last judgement."""

    code: str
    service: str
    state: Literal["seen", "blind", "below_threshold", "exempt"]
    reason: str
    reveal: str


def api(source: Source) -> FastAPI:
    """The API, its documentation and the page as an ASGI application."""
    app = FastAPI(
        title="spanlint",
        version=VERSION,
        description="Findings of a linter for running systems.",
        redoc_url=None,
    )
    for path, answer in PLAIN.items():
        _add_plain(app, path, answer, source)
    _add_api(app, source)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def people() -> HTMLResponse:
        snapshot = await source.snapshot()
        shown = await asyncio.to_thread(page, list(snapshot.cases), list(snapshot.visibility))
        return HTMLResponse(shown, headers={"content-security-policy": POLICY})

    return app


def _add_plain(
    app: FastAPI, path: str, answer: Callable[[Source, str], Awaitable[Answer]], source: Source
) -> None:
    title = (answer.__doc__ or "").rstrip(".")

    @app.get(path, response_class=Response, summary=title, name=path.strip("/"))
    async def plain(request: Request) -> Response:
        status, media, content = await answer(source, request.headers.get("accept", ""))
        return Response(content, status, media_type=media)


def _add_api(app: FastAPI, source: Source) -> None:
    @app.get("/api/v1/findings", summary="Findings, the worst first")
    async def findings(  # noqa: PLR0913 - filters
        code: Annotated[str | None, Query(description="code or prefix")] = None,
        service: str | None = None,
        severity: Literal["info", "warning", "critical"] | None = None,
        state: State | None = None,
        muted: Annotated[bool, Query(description="show muted ones too")] = False,  # noqa: FBT002
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    ) -> list[FindingModel]:
        cases = (await source.snapshot()).cases
        chosen = [
            case
            for case in cases
            if (code is None or case.finding.code.startswith(code))
            and (service is None or case.finding.service == service)
            and (severity is None or case.finding.severity == severity)
            and (state is None or case.state == state)
            and (muted or not case.muted)
        ]
        return await asyncio.to_thread(lambda: [as_model(case) for case in chosen[:limit]])

    @app.get("/api/v1/findings/{fingerprint}", summary="One finding")
    async def finding(fingerprint: str) -> FindingModel:
        for case in (await source.snapshot()).cases:
            if case.finding.fingerprint == fingerprint:
                return as_model(case)
        raise HTTPException(404, f"no finding {fingerprint!r}")

    @app.get("/api/v1/rules", summary="The rules that run here")
    async def all_rules() -> list[RuleModel]:
        return [
            RuleModel(code=r.code, name=r.name, scope=r.scope, summary=_summary(r))
            for r in source.rules
        ]

    @app.get("/api/v1/visibility", summary="What each rule could see of each service")
    async def visibility(
        code: str | None = None, service: str | None = None
    ) -> list[VisibilityModel]:
        return [
            VisibilityModel(
                code=v.code, service=v.service, state=v.state, reason=v.reason, reveal=v.reveal
            )
            for v in (await source.snapshot()).visibility
            if (code is None or v.code == code) and (service is None or v.service == service)
        ]


def as_model(case: Case) -> FindingModel:
    """A case in words and numbers."""
    finding = case.finding
    said = next(r for r in rules() if r.code == finding.code).explain(finding)
    data = finding_data(finding) | {
        "first_seen": timestamp(case.first_seen_ns),
        "last_seen": timestamp(case.last_seen_ns),
    }
    return FindingModel(
        **data,
        state=case.state,
        muted=case.muted,
        changed=timestamp(case.changed_ns),
        waterfall=[asdict(bar) for bar in finding.waterfall],
        headline=said.headline,
        explanation=said.evidence,
        fix=said.fix,
    )


def _summary(rule: Rule) -> str:
    return (type(rule).__doc__ or "").partition("\n")[0].partition(": ")[2].rstrip(".")
