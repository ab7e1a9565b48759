"""Paths and URLs to templates: what is an id, and what is a word."""

from __future__ import annotations

import pytest

from detectors.kit.shapes.url import UrlShape, template_path

TEMPLATES = [
    ("/users/5/orders", "/users/{id}/orders", ("5",)),
    ("/users/-7", "/users/{id}", ("-7",)),
    ("/u/01234567-89ab-cdef-0123-456789abcdef/x", "/u/{id}/x",
     ("01234567-89ab-cdef-0123-456789abcdef",)),
    ("/f/01ARZ3NDEKTSV4RRFFQ69G5FAV", "/f/{id}", ("01ARZ3NDEKTSV4RRFFQ69G5FAV",)),
    ("/c/deadbeefdeadbeef", "/c/{id}", ("deadbeefdeadbeef",)),
    ("/t/dGhpc2lzYXRva2Vu", "/t/{id}", ("dGhpc2lzYXRva2Vu",)),
    ("/days/2024-01-02", "/days/{id}", ("2024-01-02",)),
    ("/items/item-4711", "/items/{id}", ("item-4711",)),
    ("/users/u5", "/users/{id}", ("u5",)),
    ("/users/user5", "/users/{id}", ("user5",)),
    ("/p/top-10-books", "/p/{id}", ("top-10-books",)),
    ("/who/a@b.com", "/who/{id}", ("a@b.com",)),
    ("/tags/caf%C3%A9", "/tags/{id}", ("caf%C3%A9",)),
    ("/doc/5.json", "/doc/{id}.json", ("5",)),
    ("/doc/5:archive", "/doc/{id}:archive", ("5",)),
    ("/odata/Users(5)", "/odata/Users({id})", ("5",)),
    ("/a;jsessionid=3F/b", "/a/b", ("jsessionid=3F",)),
    ("/x?b=2&a=1&b=3", "/x?a={}&b={}", ("1", "2", "3")),
    ("/x?filter[3]=y", "/x?filter[]={}", ("y",)),
    ("/x?1700000000", "/x?{}", ("1700000000",)),
    ("/x#part", "/x", ()),
    # words stay
    *((path, path, ()) for path in (
        "", "/", "/v1/v2.1/v2beta1", "/oauth2/token", "/s3/k8s/i18n/auth0", "/how-to-bake",
        "/getUserPreferencesByAccount", "/img/logo.png", "/users/{uid}", "/users/<int:uid>",
        "/users/:id", "/shop.Users/Get", "users/list/",
    )),
]  # fmt: skip


@pytest.mark.parametrize(("text", "template", "ids"), TEMPLATES)
def test_template(text: str, template: str, ids: tuple[str, ...]) -> None:
    got = template_path(text)
    assert (got.template, got.ids) == (template, ids)
    assert template_path(got.template).template == template


def test_url_gives_its_host_without_credentials() -> None:
    assert template_path("HTTP://user:pw@Shop.Example:8080/users/5?x=1#top") == UrlShape(
        "/users/{id}?x={}", ("5", "1"), "shop.example:8080", has_query=True, paged=False,
        health=False,
    )  # fmt: skip
    assert template_path("http://h").template == "/"
    assert template_path("/h").host is None


@pytest.mark.parametrize(
    ("text", "paged"),
    [
        ("/x?page=2", True),
        ("/x?Cursor=abc&limit=5", True),
        ("/x?page%5Bnumber%5D=2", False),
        ("/x?page[number]=2", True),
        ("/posts/page/3", True),
        ("/page/about", False),
        ("/x?id=5&limit=5", False),
    ],
)
def test_paging(text: str, paged: bool) -> None:
    assert template_path(text).paged is paged


@pytest.mark.parametrize(
    ("text", "health"),
    [
        *((path, True) for path in ("/healthz", "/livez/", "/actuator/health", "/status", "/ping")),
        ("http://h:1/metrics?x=1", True),
        ("/grpc.health.v1.Health/Check", True),
        ("/orders/5/status", False),
        ("/status/report", False),
        ("/healthy-food", False),
    ],
)
def test_health(text: str, health: bool) -> None:
    assert template_path(text).health is health
