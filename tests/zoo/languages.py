"""Services of the zoo in other languages: how an instance is started, under zero-code instrumentation.

Each folder of `polyglot/` holds one; its dependencies are installed by hand before it is played:

    cd tests/zoo/polyglot/node && npm ci
    ./dev zoo --record node_
"""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent / "polyglot"

COMMANDS = {
    "node": [
        "node",
        "--require",
        str(HERE / "node/node_modules/@opentelemetry/auto-instrumentations-node/dist/register.cjs"),
        str(HERE / "node/shop.js"),
    ],
}

VARIABLES = {
    # no detector that would put the command line of this machine into recordings
    "OTEL_NODE_RESOURCE_DETECTORS": "env,serviceinstance",
    "OTEL_NODE_DISABLED_INSTRUMENTATIONS": "fs,dns,net",
}
