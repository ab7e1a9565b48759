"""Paths and URLs to templates."""

from __future__ import annotations

from detectors.kit.shapes.model import UrlShape

__all__ = ["UrlShape", "template_path"]


def template_path(path_or_url: str) -> UrlShape:
    """The template of a path, a path with query, or an absolute URL."""
    path, _, query = path_or_url.partition("?")
    return UrlShape(path, (), None, bool(query), paged=False, health=False)
