"""Services of the zoo in other languages: how an instance is started, under zero-code instrumentation.

Each folder of `polyglot/` holds one. What it needs is fetched by `tests/languages`, whose folder
`ZOO_LANGUAGES` names; without it these services are not played.
"""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent / "polyglot"
FETCHED = "ZOO_LANGUAGES"

VARIABLES = {
    # no detector that would put the command line of this machine into recordings
    "node": {
        "OTEL_NODE_RESOURCE_DETECTORS": "env,serviceinstance",
        "OTEL_NODE_DISABLED_INSTRUMENTATIONS": "fs,dns,net",
    },
    "java": {
        "OTEL_JAVA_DISABLED_RESOURCE_PROVIDERS": ",".join(
            f"io.opentelemetry.instrumentation.resources.{name}ResourceProvider"
            for name in ("Process", "ProcessRuntime", "Host", "HostId", "Os")
        ),
    },
}
"""Framework of a part -> what its processes find in the environment besides."""


def available() -> bool:
    """Whether services in other languages can be started."""
    return bool(os.environ.get(FETCHED))


def command(framework: str) -> list[str]:
    """What starts an instance."""
    fetched = Path(os.environ[FETCHED])
    if framework == "node":
        modules = fetched / "node_modules"
        register = modules / "@opentelemetry/auto-instrumentations-node/dist/register.cjs"
        return ["node", "--require", str(register), str(HERE / "node/shop.js")]
    small = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xmx192m"]
    agent = f"-javaagent:{fetched}/jars/opentelemetry-javaagent.jar"
    return ["java", *small, agent, "-cp", f"{fetched}/classes:{fetched}/jars/*", "Shop"]
