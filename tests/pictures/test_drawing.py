"""Dashboards drawn in a real browser from a real Prometheus; and the pictures of the docs."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pictures import parts
from pictures.browser import Page, browser
from pictures.drawing import BOARDS, WIDTH, Look, drawn, small
from support.watched import Watched, watched

DOCS = Path(__file__).parents[2] / "docs"
MOST_BYTES = 300_000
PATIENCE_S = 90


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    with watched(tmp_path_factory.mktemp("watched")) as found:
        assert found.prometheus.wait_for('count(spanlint_finding_active{code="N101"})', PATIENCE_S)
        assert found.prometheus.wait_for(
            "sum(rate(traces_service_graph_request_failed_total[1m])) > 0", PATIENCE_S
        )
        yield found


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, str]]:
    folder, site = tmp_path_factory.mktemp("chromium"), tmp_path_factory.mktemp("page")
    with browser(folder) as opened:
        yield opened, parts.page(site)


def look(running: Watched) -> Look:
    """Up to the last scrape: a busy machine may be late for the next."""
    (last,) = running.prometheus.wait_for("timestamp(up == 1)", PATIENCE_S)
    return Look(running.prometheus.url, running.started, float(last["value"][1]))


def texts(page: Page, selector: str) -> list[str]:
    return page.run(f"[...document.querySelectorAll('{selector}')].map((e) => e.textContent)")


@pytest.mark.parametrize("name", BOARDS)
def test_every_panel_is_drawn(name: str, running: Watched, page: tuple[Page, str]) -> None:
    opened, url = page
    png, told = drawn(opened, url, BOARDS[name], look(running))

    wanted = [p["title"] for p in BOARDS[name]["panels"]]
    assert [panel["title"] for panel in told] == wanted
    assert texts(opened, ".panel h2") == [p["title"] for p in told if p["type"] != "row"]
    assert len(texts(opened, ".panel")) == len(texts(opened, ".panel h2"))
    shown = [p for p in told if p["type"] != "row" and p["series"]]
    assert len(shown) > len(wanted) / 2
    assert opened.complaints == []
    assert size(png)[0] == WIDTH


def test_findings_are_read_as_grafana_shows_them(running: Watched, page: tuple[Page, str]) -> None:
    opened, url = page
    drawn(opened, url, BOARDS["findings"], look(running))

    headings = texts(opened, ".panel.table th")
    cells = texts(opened, ".panel.table td")
    assert headings[:4] == ["Severity", "Rule", "Name", "Service"]
    assert {"warning", "N101", "n-plus-one-query", "GET /books"} <= set(cells)
    assert any(re.fullmatch(r"[\d.]+ (ms|s|mins)", cell) for cell in cells)
    colored = opened.run("document.querySelectorAll('td.colored').length")
    assert colored


def test_the_service_graph_has_its_edges(running: Watched, page: tuple[Page, str]) -> None:
    opened, url = page
    drawn(opened, url, BOARDS["failures"], look(running))

    names = texts(opened, "svg text")
    assert {"shop", "catalogue"} <= set(names)
    assert any(re.search(r"req/s, .* % failed", name) for name in names)


def test_a_small_picture_has_the_same_size_and_fewer_bytes(page: tuple[Page, str]) -> None:
    opened, url = page
    opened.open(url, 400, 300)
    opened.run("document.body.style.background = 'linear-gradient(red, blue)'")
    png = opened.picture(400, 300)

    squeezed = small(opened, url, png)

    assert size(squeezed) == size(png) == (400, 300)
    assert squeezed[25] == 3, "with a palette"


def test_an_archive_that_is_not_what_was_pinned_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(parts, "_fetched", lambda *_: b"something else")

    with pytest.raises(RuntimeError, match="not what was pinned"):
        parts.archive(parts.PACKAGES[0])
    assert not list(tmp_path.rglob("*.tgz"))


@pytest.mark.parametrize("path", sorted((DOCS / "pictures").glob("*.png")), ids=lambda p: p.stem)
def test_pictures_of_the_docs_are_small(path: Path) -> None:
    assert path.stat().st_size <= MOST_BYTES
    assert size(path.read_bytes())[0] == WIDTH


def test_each_dashboard_has_its_picture_and_the_docs_show_it() -> None:
    shown = (DOCS / "dashboards.md").read_text()
    for name in BOARDS:
        assert (DOCS / "pictures" / f"{name}.png").exists()
        assert f"(pictures/{name}.png)" in shown


def size(png: bytes) -> Any:
    return struct.unpack_from(">II", png, 16)
