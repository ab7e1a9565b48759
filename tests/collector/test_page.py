"""The page for people: all that findings say, and nothing that spans wrote runs."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from typing import Any

import pytest

from support.running import Running, as_if_now, running, until
from support.sketch import Case, Line, request

EVIL = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "'-alert(3)-'",
    "</title></style><svg/onload=alert(4)>",
    "javascript:alert(5)",
    "&lt;b&gt;",
)


class Read(HTMLParser):
    """Tags, attributes and text of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str]] = set()
        self.open: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.add(tag)
        self.attributes |= {(name, value or "") for name, value in attrs}
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def send(service: Running, name: str, operation: str, statement: str) -> None:
    entry = Line(name, "work", 0, 120, [f"error.type={name}"])
    entry.children = [
        Line(name, "SELECT * FROM books", 1, 2, []),
        Line(name, statement, 8, 110, ["x12"]),
    ]
    sent = as_if_now(request(Case(f"{name} {operation}", [entry])))
    for span in sent.resource_spans[0].scope_spans[0].spans:
        if span.name == "work":
            span.name = operation
    assert service.send(sent.SerializeToString()).status_code == 200


def test_nothing_that_spans_say_runs() -> None:
    with running() as service:
        for number, evil in enumerate(EVIL):
            quoted = evil.replace('"', '""')
            send(
                service,
                f"svc{number}{evil}",
                f"op {evil}",
                f'SELECT * FROM "t{quoted}" WHERE id = %s',
            )
        until(lambda: len(service.findings()) == len(EVIL))
        answer = service.get("/")

    page = Read(answer.text)
    assert not page.tags & {"script", "img", "iframe", "object", "form", "input", "a"} - {"a"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert {v for n, v in page.attributes if n == "href"} == {
        "/api/v1/findings",
        "/docs",
        "/metrics",
    }
    for evil in EVIL[:-1]:
        assert evil in page.text or " ".join(evil.split()) in " ".join(page.text.split()), evil
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_it_shows_what_a_person_needs() -> None:
    with running() as service:
        assert "No findings so far" in service.get("/").text
        send(service, "shop", "GET /books", "SELECT * FROM authors WHERE id = %s")
        found = until(service.findings)[0]
        page = Read(service.get("/").text)

    words = " ".join(page.text.split())
    for said in (
        "1 active finding",
        "N101 n-plus-one-query",
        found["headline"],
        found["explanation"],
        found["fix"].replace("`", ""),
        found["exemplars"][0]["trace_id"],
        "SELECT authors ×12",
        "wasted in 1 request",
    ):
        assert " ".join(said.split()) in words, said
    assert "rect" in page.tags
    assert ("class", "mark") in page.attributes


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/v1/findings", "/openapi.json", "/docs"])
def test_every_page_is_there_before_anything_came(path: str) -> None:
    with running() as service:
        assert service.get(path).status_code == 200


def test_openapi_describes_what_is_served() -> None:
    with running() as service:
        send(service, "shop", "GET /books", "SELECT * FROM authors WHERE id = %s")
        found = until(service.findings)[0]
        document = service.get("/openapi.json").json()
        visible = service.get("/api/v1/visibility").json()

    schemas = document["components"]["schemas"]
    assert set(found) == set(schemas["FindingModel"]["properties"])
    assert set(visible[0]) == set(schemas["VisibilityModel"]["properties"])
    assert document["info"]["title"] == "spanlint"
    for path, methods in document["paths"].items():
        for method in methods.values():
            assert method["summary"], path
    parameters = {p["name"] for p in document["paths"]["/api/v1/findings"]["get"]["parameters"]}
    assert parameters == {"code", "service", "severity", "state", "muted", "limit"}


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("?severity=critical&state=new&code=N1&limit=1", 200),
        ("?severity=awful", 422),
        ("?state=gone", 422),
        ("?limit=0", 422),
    ],
)
def test_filters_are_checked(query: str, status: int) -> None:
    with running() as service:
        assert service.get(f"/api/v1/findings{query}").status_code == status


def test_filters_filter() -> None:
    with running() as service:
        for name in ("shop", "stock"):
            send(service, name, "GET /books", "SELECT * FROM authors WHERE id = %s")
        until(lambda: len(service.findings()) == 2)

        def asked(query: str) -> list[str]:
            return sorted(f["service"] for f in service.get(f"/api/v1/findings?{query}").json())

        assert asked("service=stock") == ["stock"]
        assert asked("code=N1") == ["shop", "stock"]
        assert asked("code=N2") == []
        assert asked("state=resolved") == []
        assert len(asked("limit=1")) == 1
        visible = service.get("/api/v1/visibility?service=stock&code=N101").json()
        assert [(v["service"], v["code"], v["state"]) for v in visible] == [
            ("stock", "N101", "seen")
        ]


def test_muted_findings_are_there_when_asked_for(tmp_path: Any) -> None:
    mute = [{"code": "N101", "service": "shop", "reason": "SHOP-1423", "expires": "2999-01-01"}]
    with running(mute=mute) as service:
        send(service, "shop", "GET /books", "SELECT * FROM authors WHERE id = %s")
        found = until(lambda: service.get("/api/v1/findings?muted=true").json())
        assert [f["muted"] for f in found] == ["SHOP-1423"]
        assert service.findings() == []
        labels = 'code="N101",service_name="shop",severity='
        active = [line for line in service.get("/metrics").text.splitlines() if labels in line]
        assert all(line.endswith(" 0.0") for line in active)
        assert "muted: SHOP-1423" in service.get("/").text


def test_times_are_written_in_utc() -> None:
    with running() as service:
        send(service, "shop", "GET /books", "SELECT * FROM authors WHERE id = %s")
        found = until(service.findings)[0]

    pattern = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert all(re.fullmatch(pattern, found[n]) for n in ("first_seen", "last_seen", "changed"))
    assert found["first_seen"][:10] in {
        time.strftime("%Y-%m-%d", time.gmtime(time.time() - s)) for s in (0, 60)
    }
