"""`spanlint rules`: the catalogue."""

from __future__ import annotations

from typing import Annotated

import typer

from collector.cli.common import table, write


def rules(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
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
