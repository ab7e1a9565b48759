"""`spanlint config`: the settings in force, each with where it comes from."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from collector.cli.common import PATH, load_settings, write

if TYPE_CHECKING:
    from pathlib import Path


@click.command
@click.option("--config", "path", type=PATH, help="Configuration file (YAML).")
@click.option("--validate", is_flag=True, help="Print nothing; exit 2 when something is wrong.")
def config(path: Path | None, validate: bool) -> None:
    """Print the settings in force and where each comes from, or only validate them."""
    settings = load_settings(path)
    if not validate:
        write(as_yaml(settings, path, os.environ))


def as_yaml(settings: Any, path: Path | None, environ: Any) -> str:
    """A configuration file that gives these settings; a comment behind each says its origin."""
    from dataclasses import fields

    import yaml

    from collector.settings import PREFIX

    named = (yaml.safe_load(path.read_text("utf-8")) or {}) if path is not None else {}
    parts = []
    for field in fields(settings):
        variable = f"{PREFIX}{field.name.upper()}"
        origin = "default"
        if field.name in named:
            origin = str(path)
        if variable in environ:
            origin = variable
        value = {field.name: getattr(settings, field.name)}
        if field.name == "forward_headers":  # they carry tokens, and this is printed into logs
            value = {field.name: dict.fromkeys(settings.forward_headers, "(not shown)")}
        text = yaml.safe_dump(value, allow_unicode=True, sort_keys=True, default_flow_style=False)
        first, _, rest = text.rstrip("\n").partition("\n")
        parts.append(
            f"# {field.metadata['help']} ({origin})\n{first}\n" + (f"{rest}\n" * bool(rest))
        )
    return "".join(parts)
