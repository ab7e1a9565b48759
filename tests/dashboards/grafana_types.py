"""Holds the dashboards against Grafana's own TypeScript types, by the TypeScript compiler.

`.venv/bin/python tests/dashboards/grafana_types.py` needs node and npm, fetches `@grafana/schema` of
each major version, and ends with 1 when there is anything that the types do not know. The tests do
the same for 11.6 with what Python has (`test_generated.py`).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "dashboards" / "generated" / "grafana"
VERSIONS = ("12.4.11", "13.2.3")
TYPESCRIPT = "5.9.3"
KINDS = {
    "stat": "stat/panelcfg/x/StatPanelCfg",
    "timeseries": "timeseries/panelcfg/x/TimeSeriesPanelCfg",
    "bargauge": "bargauge/panelcfg/x/BarGaugePanelCfg",
    "table": "table/panelcfg/x/TablePanelCfg",
    "nodeGraph": "nodegraph/panelcfg/x/NodeGraphPanelCfg",
}
TSC = (
    "npx", "tsc", "--noEmit", "--strict", "--skipLibCheck", "--moduleResolution", "bundler",
    "--module", "esnext", "--target", "es2022", "check.ts",
)  # fmt: skip
BEYOND = (
    # A variable's query as Grafana shows it in its list, written by Grafana itself.
    "'\"definition\"' does not exist in type 'VariableModel'",
    # Of the data source, where the type knows those of all data sources only.
    "'\"expr\"' does not exist in type 'AnnotationQuery<DataQuery>'",
)
ENUMERATION = re.compile(r"declare enum (\w+) \{([^}]*)\}")


def typed() -> str:
    """Every dashboard, and what is set of each panel, as constants of Grafana's types."""
    lines = ["import type { Dashboard } from '@grafana/schema';"]
    lines += [
        f"import type * as {kind} from '@grafana/schema/dist/esm/raw/composable/{path}_types.gen';"
        for kind, path in KINDS.items()
    ]
    for path in sorted(FOLDER.glob("*.json")):
        board = json.loads(path.read_text("utf-8"))
        name = path.stem.replace("-", "_")
        lines.append(f"export const {name}: Dashboard = {json.dumps(board)};")
        for panel in board["panels"]:
            kind, constant = panel["type"], f"{name}_{panel['id']}"
            if kind != "row":
                options = json.dumps(panel["options"])
                lines.append(f"export const {constant}: Partial<{kind}.Options> = {options};")
            if kind == "timeseries":
                custom = json.dumps(panel["fieldConfig"]["defaults"]["custom"])
                lines.append(f"export const {constant}_f: timeseries.FieldConfig = {custom};")
    return "\n".join(lines)


def complaints(folder: Path, version: str) -> list[str]:
    """What the compiler says, less what is known to be beyond the schema."""
    packages = (f"@grafana/schema@{version}", f"typescript@{TYPESCRIPT}")
    npm = ("npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", ".", *packages)
    subprocess.run(npm, cwd=folder, check=True)
    for path in (folder / "node_modules" / "@grafana").rglob("*.d.ts"):
        path.write_text(ENUMERATION.sub(_as_union, path.read_text("utf-8")), "utf-8")
    (folder / "check.ts").write_text(typed(), "utf-8")
    said = subprocess.run(TSC, cwd=folder, capture_output=True, text=True, check=False).stdout
    return [
        line
        for line in said.splitlines()
        if "error TS" in line and not any(known in line for known in BEYOND)
    ]


def _as_union(enumeration: re.Match[str]) -> str:
    """A JSON value is never a member of an enumeration, but it may be the value of one."""
    name, members = enumeration[1], re.findall(r"(\w+) = ([^,\n]+)", enumeration[2])
    values = " | ".join(value for _, value in members)
    named = " ".join(f"type {member} = {value};" for member, value in members)
    return f"declare type {name} = {values}; export declare namespace {name} {{ {named} }}"


def main() -> int:
    wrong = 0
    for version in VERSIONS:
        with tempfile.TemporaryDirectory(prefix="spanlint-types-") as folder:
            found = complaints(Path(folder), version)
        wrong += len(found)
        print(f"@grafana/schema {version}: {len(found)} complaints", *found, sep="\n  ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
