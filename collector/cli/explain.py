"""`spanlint explain CODE`: the page of a rule."""

from __future__ import annotations

import click

from collector.cli.common import UsageError, write


@click.command
@click.argument("code", help="Code or name of a rule: N101, n-plus-one-query.")
def explain(code: str) -> None:
    """Explain a rule: what it finds, why it matters, how it decides, its settings."""
    from collector.pages import as_text, pages

    known = pages()
    for page in known:
        if code.upper() == page.code or code.lower() == page.name:
            write(as_text(page))
            return
    raise UsageError(f"no rule {code!r}; known: {', '.join(p.code for p in known)}")
