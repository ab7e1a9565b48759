"""Writes the pages that are generated: `python -m collector.docs`.

docs/rules/ from the docstrings and knobs of rules, docs/cli.md from the commands, docs/settings.md
from the settings, docs/metrics.md from the metrics, docs/check.schema.json from the types of the
JSON report, and the table of rules in the README. A test rebuilds all of them and compares.
"""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from click import Choice, Command, Option, Parameter

from collector.pages import Page, as_markdown, bounds, pages

_NOTE = "<!-- written by `python -m collector.docs`, held by a test -->"
_README_TABLE = re.compile(r"(<!-- rules:.*?-->\n).*?(<!-- /rules -->)", re.DOTALL)


def generated(root: Path) -> dict[Path, str]:
    """Every generated file under the repository `root`, and what must be in it."""
    shown = pages()
    files = {root / "docs" / "rules" / f"{p.code}.md": as_markdown(p) for p in shown}
    files[root / "docs" / "rules" / "README.md"] = _index(shown)
    files[root / "docs" / "cli.md"] = cli_page()
    files[root / "docs" / "settings.md"] = settings_page(shown)
    files[root / "docs" / "metrics.md"] = metrics_page()
    files[root / "docs" / "check.schema.json"] = _schema()
    readme = root / "README.md"
    table = _table(shown, "docs/rules/")
    files[readme] = _README_TABLE.sub(
        lambda found: f"{found[1]}{table}{found[2]}", readme.read_text("utf-8")
    )
    return files


def _index(shown: tuple[Page, ...]) -> str:
    return f"# Rules\n\n{_NOTE}\n\n{_table(shown, '')}"


def _table(shown: tuple[Page, ...], folder: str) -> str:
    rows = [
        f"| [{p.code}]({folder}{p.code}.md) | {p.name} | {p.scope} | {p.summary} |\n" for p in shown
    ]
    return "| code | name | scope | finds |\n|---|---|---|---|\n" + "".join(rows)


def _schema() -> str:
    from collector.report.schema import schema

    return json.dumps(schema(), indent=2) + "\n"


def settings_page(shown: tuple[Page, ...]) -> str:
    """All settings of the process, then the knobs of rules."""
    from collector.settings import PREFIX, Settings

    defaults = Settings()
    lines = [
        "# Settings",
        "",
        _NOTE,
        "",
        "One YAML file (`--config`), then environment variables, then flags; later ones win. An",
        "unknown name is an error that lists the known ones. `spanlint config` prints what is in",
        "force and where it comes from.",
        "",
        "| setting | variable | default | unit | meaning |",
        "|---|---|---|---|---|",
    ]
    for field in fields(Settings):
        meta = field.metadata
        default = json.dumps(getattr(defaults, field.name), ensure_ascii=False)
        variable = f"{PREFIX}{field.name.upper()}"
        cells = (f"`{field.name}`", f"`{variable}`", f"`{default}`", meta["unit"], meta["help"])
        lines.append(f"| {' | '.join(cells)} |")
    lines += ["", "## Knobs of rules", "", *_EXAMPLE.splitlines(), ""]
    lines += ["| rule | knob | default | unit | values | meaning |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {p.code} | `{k.name}` | `{k.default}` | {k.unit} | {bounds(k)} | {k.help} |"
        for p in shown
        for k in p.knobs
    ]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric family with its type, labels and meaning."""
    from collector.expose import metrics

    named = [
        *((name, "counter", *told) for name, told in metrics.COUNTERS.items()),
        *((name, "gauge", *told) for name, told in metrics.GAUGES.items()),
        *((name, "gauge", text, ()) for name, text in metrics.PLAIN_GAUGES.items()),
        *((name, "histogram", *told) for name, told in metrics.HISTOGRAMS.items()),
        (metrics.STAGES[0], "summary", *metrics.STAGES[1:]),
    ]
    lines = ["# Metrics", "", _NOTE, "", *_METRICS.strip().splitlines(), ""]
    lines += ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{name}` | {kind} | {', '.join(f'`{label}`' for label in labels)} | {text} |"
        for name, kind, text, labels in sorted(named)
    ]
    return "\n".join(lines) + "\n"


_METRICS = """
`GET /metrics` on the admin port, in Prometheus' text format; as OpenMetrics, with `trace_id`
exemplars, when the scrape asks for it. No counter ever goes down, restarts included, when `state`
is set. A metric has at most `max_series` label sets; what is over is counted, as `other` where it
can be added up. `traces_…` are there with `service_graph` and `red_metrics`, under the names that
Tempo uses. The process's own `process_…` metrics are those of every Prometheus client.
"""

_EXAMPLE = """
Under `rules`, by code; `overrides` hold for a service, an operation or both, and later ones win:

```yaml
rules:
  N101:
    min_repeats: 8
    overrides:
      - {service: reports, min_repeats: 50}
      - {service: shop, operation: GET /books, min_repeats: 3}
```
"""


def cli_page() -> str:
    """Every command with its arguments, options and defaults, read from the functions' types."""
    from collector.cli.main import app

    lines = ["# Commands", "", _NOTE, "", _plain(app.help), "", *_parameters(app)]
    for name, command in app.commands.items():
        lines += ["", f"## spanlint {name}", "", _plain(command.help), "", *_parameters(command)]
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str | None) -> str:
    """A docstring as paragraphs."""
    paragraphs = (text or "").strip().split("\n\n")
    return "\n\n".join(" ".join(p.split()) for p in paragraphs)


def _parameters(command: Command) -> list[str]:
    """A table of the parameters of a command."""
    rows = []
    for parameter in command.params:
        cells = (_named(parameter), parameter.help or "", _choices(parameter), _default(parameter))
        rows.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return ["| | | values | default |", "|---|---|---|---|", *rows] if rows else []


def _named(parameter: Parameter) -> str:
    if isinstance(parameter, Option):
        return ", ".join(f"`{name}`" for name in parameter.opts)
    return f"`{parameter.metavar or str(parameter.name).upper()}`"


def _choices(parameter: Parameter) -> str:
    values = parameter.type.choices if isinstance(parameter.type, Choice) else ()
    return " or ".join(f"`{value}`" for value in values)


def _default(parameter: Parameter) -> str:
    value = parameter.to_info_dict()["default"]
    return "" if value in (None, False, "") else f"`{value}`"


def main() -> None:
    """Writes all generated files of the checkout that this module is in."""
    for path, text in generated(Path(__file__).parents[1]).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")


if __name__ == "__main__":
    main()
