"""`spanlint rules`: the catalogue."""

from __future__ import annotations

import click

from collector.cli.common import table, write


@click.command
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def rules(as_json: bool) -> None:
    """List all rules: code, name, scope, what they find."""
    from collector.pages import pages

    rows = pages()
    if as_json:
        import json

        data = [
            {"code": p.code, "name": p.name, "scope": p.scope, "summary": p.summary} for p in rows
        ]
        write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        write(table(("code", "name", "scope", "finds"), [p.row for p in rows]))
