"""The process around the rules: receive -> decode -> window -> detect -> expose, and forward.

`receive/`   OTLP over gRPC and HTTP: bytes in, status out, sizes bounded.
`decode/`    bytes -> span columns; files -> bytes.
`handover.py` spans from the thread that decodes to the one that analyses (`analysis.py`):
`window/`    spans -> whole traces, closed on quiet, age or size.
`detect.py`  whole traces -> facts, merged by pane; judged at the pace of `pace.py`.
`ledger.py`  findings over time: new, ongoing, resolved, regressed; counters; sqlite.
`expose/`    Prometheus metrics, API and page.
`forward.py` the same bytes to one upstream.
`settings.py` file, environment and flags; `service.py` wires it all once; `cli/` the commands.
"""
