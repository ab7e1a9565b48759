"""The page for people: findings by cost, drawn and explained. One HTML document, no scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from collector.ledger import Case
from collector.report.phrases import count, duration
from collector.version import VERSION
from detectors.kit.catalogue import rules
from detectors.kit.contract import Bar, Visibility

_CODE = re.compile("`([^`]+)`")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
"""Content-Security-Policy of the page: should an escape be forgotten, nothing runs all the same."""
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --bar: #5b8def; --mark: #e5484d; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.3rem; margin: 0; } h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
header { display: flex; justify-content: space-between; align-items: baseline; gap: 1rem; }
nav a { margin-left: 1rem; }
article { border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0; }
article.gone { opacity: .6; }
article h3 { margin: 0 0 .25rem; font-size: 1rem; overflow-wrap: anywhere; }
.tag { border-radius: 4px; padding: .1rem .45rem; font-size: .8rem; font-weight: 600; }
.critical { background: #e5484d; color: #fff; } .warning { background: #f5a524; color: #000; }
.info { background: #5b8def; color: #fff; } .state { background: var(--soft); }
.where { color: GrayText; margin: 0 0 .75rem; overflow-wrap: anywhere; }
.row { display: grid; grid-template-columns: 22rem 1fr 6rem; gap: .75rem; align-items: center; }
.row span { font: 13px/1.9 ui-monospace, monospace; white-space: nowrap; overflow: hidden;
  text-overflow: ellipsis; }
.row .time { text-align: right; } svg { width: 100%; height: 12px; display: block; }
rect { fill: var(--bar); } rect.mark { fill: var(--mark); }
.fix { border-left: 3px solid #30a46c; padding-left: .75rem; margin-bottom: 0; }
code { font: 13px ui-monospace, monospace; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .3rem .5rem;
  border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
@media (max-width: 40rem) { .row { grid-template-columns: 1fr 6rem; } .row svg { grid-row: 2; } }
"""


def page(cases: Sequence[Case], visibility: Sequence[Visibility]) -> str:
    """The page as HTML; everything that came from spans is escaped."""
    active = sum(c.active for c in cases)
    blind = [v for v in visibility if v.state == "blind"]
    body = "".join(_case(case) for case in cases) or (
        "<p>No findings so far. Traces are judged once they are quiet.</p>"
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>spanlint: {active} findings</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="30"><style>{_STYLE}</style></head><body>
<header><h1>spanlint <small>{escape(VERSION)}</small></h1><nav><a href="/api/v1/findings">API</a>
<a href="/docs">OpenAPI</a><a href="/metrics">metrics</a></nav></header>
<h2>{active} active finding{"" if active == 1 else "s"}</h2>{body}
{_blind(blind)}</body></html>"""


def _case(case: Case) -> str:
    finding = case.finding
    said = next(r for r in rules() if r.code == finding.code).explain(finding)
    state = "muted: " + case.muted if case.muted else case.state
    traces = ", ".join(f"<code>{e.trace_id}</code>" for e in finding.exemplars)
    return f"""<article class="{"" if case.active else "gone"}">
<p><span class="tag {finding.severity}">{finding.severity}</span>
<span class="tag state">{escape(state)}</span> <b>{finding.code}</b> {escape(finding.rule)}</p>
<h3>{escape(said.headline)}</h3>
<p class="where">{escape(finding.service)} · {escape(finding.operation)} ·
{duration(finding.wasted_ns)} wasted in {count(finding.occurrences, "request")}</p>
{_waterfall(finding.waterfall)}
<p>{escape(said.evidence)}</p><p>Traces: {traces}</p>
<p class="fix">{_with_code(said.fix)}</p></article>"""


def _with_code(text: str) -> str:
    """Escaped, with what stands in backticks set as code."""
    return _CODE.sub(r"<code>\1</code>", escape(text))


def _waterfall(bars: Sequence[Bar]) -> str:
    """Bars on one scale; each is at least visible."""
    end = max((b.start_ns + b.duration_ns for b in bars), default=0) or 1
    begin = min((b.start_ns for b in bars), default=0)
    scale = 1000 / max(end - begin, 1)
    rows = []
    for bar in bars:
        label = f"{bar.label} ×{bar.count}" if bar.count > 1 else bar.label
        left, width = (bar.start_ns - begin) * scale, max(bar.duration_ns * scale, 3)
        mark = ' class="mark"' if bar.mark else ""
        rows.append(
            f'<div class="row"><span style="padding-left:{bar.depth}rem" title="{escape(label)}">'
            f"{escape(label)}</span>"
            f'<svg viewBox="0 0 1000 12" preserveAspectRatio="none" aria-hidden="true">'
            f'<rect x="{left:.1f}" y="1" width="{width:.1f}" height="10" rx="2"{mark}/></svg>'
            f'<span class="time">{duration(bar.duration_ns)}</span></div>'
        )
    return "".join(rows)


def _blind(rows: Sequence[Visibility]) -> str:
    if not rows:
        return ""
    lines = "".join(
        f"<tr><td>{escape(v.code)}</td><td>{escape(v.service)}</td><td>{escape(v.reason)}</td>"
        f"<td>{escape(v.reveal)}</td></tr>"
        for v in rows
    )
    return (
        "<h2>Blind</h2><p>Rules that cannot judge a service, and what would let them.</p>"
        f"<table><tr><th>rule</th><th>service</th><th>why</th><th>what reveals it</th></tr>{lines}"
        "</table>"
    )
