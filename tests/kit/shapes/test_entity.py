"""Which thing a request is about, in the route dialects of the frameworks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.kit.shapes.entity import entity_of


@pytest.mark.parametrize(
    ("path", "route", "entity"),
    [
        ("/carts/5", "/carts/{cart_id}", "/carts/5"),
        ("/carts/5/items", "/carts/{cart_id}/items", "/carts/5"),
        ("/carts/5/items?limit=3#top", "/carts/<int:cart_id>/items", "/carts/5"),
        ("/carts/5/items/7", "/carts/:cart/items/:item", "/carts/5/items/7"),
        ("/carts/5", "/carts/:id(.:format)", "/carts/5"),
        ("/carts/5/items", "/carts/:id/items(.:format)", "/carts/5"),
        ("/carts/5/", "carts/<int:uid>/", "/carts/5"),
        ("/carts/abc/", r"^carts/(?P<slug>[^/]+)/$", "/carts/abc"),
        ("/carts/5", "/carts/[id]", "/carts/5"),
        ("/shop/carts/5/items", "/carts/{id}/items", "/shop/carts/5"),
        ("/files/a/b/c.txt", "/files/*", "/files/a/b/c.txt"),
        ("/carts", "/carts", None),
        ("/cart?id=5", "/cart", "/cart?id=5"),
        ("/", None, None),
        ("/carts/5/items", None, "/carts/5"),
        ("/carts", None, None),
        ("/users/0b5ac1d2-9f3e-4c57-8c7e-21a6f0f1d9aa/orders", None,
         "/users/0b5ac1d2-9f3e-4c57-8c7e-21a6f0f1d9aa"),
        ("", "/carts/{id}", None),
    ],
)  # fmt: skip
def test_the_path_is_cut_after_the_last_parameter(
    path: str, route: str | None, entity: str | None
) -> None:
    assert entity_of(path, route) == entity


@given(path=st.text(max_size=80), route=st.none() | st.text(max_size=80))
def test_nothing_upsets_it(path: str, route: str | None) -> None:
    found = entity_of(path, route)

    assert found is None or found
