"""Repairs: one operation becomes one span, real repetition stays."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.kit.columns import SPAN_SCHEMA
from detectors.kit.repairs import MAX_ATTEMPTS, repair
from detectors.kit.structure import assemble
from detectors.kit.texts import code
from detectors.kit.traits import Trait
from support.frames import frame, span

Row = dict[str, Any]


def orm(span_id: int, at: tuple[int, int], parent: int | None = 1, **more: Any) -> Row:
    more = {"scope": "sqlalchemy", "shape": "SELECT ?", **more}
    return span(span_id, parent, at=at, category="db", kind="client", **more)


def driver(span_id: int, at: tuple[int, int], parent: int | None = 1, **more: Any) -> Row:
    return orm(span_id, at, parent, scope="psycopg", **more)


def http(span_id: int, parent: int | None = 1, **more: Any) -> Row:
    usual = {"category": "http", "kind": "client", "scope": "requests", "operation": "GET"}
    return span(span_id, parent, **{**usual, "peer": "stock:80", "at": (0, 10), **more})


def left(*rows: Row) -> tuple[list[int], dict[str, int]]:
    """Span ids that stay, and the counts without their prefix."""
    out, counts = repair(frame(*rows))
    return sorted(out["span_id"]), {k.removeprefix("repaired:"): v for k, v in counts.items()}


def cell(rows: list[Row], span_id: int, column: str) -> Any:
    out, _ = repair(frame(*rows))
    return out.filter(pl.col("span_id") == span_id)[column].item()


def test_clean_spans_stay_as_they_are() -> None:
    rows = [span(1, at=(0, 100)), orm(2, (1, 2)), orm(3, (3, 4)), http(4, at=(5, 6))]
    out, counts = repair(frame(*rows))
    assert out.equals(frame(*rows))
    assert counts == {}


def test_no_spans() -> None:
    out, counts = repair(frame())
    assert (out.height, counts) == (0, {})
    assert dict(out.schema) == SPAN_SCHEMA


def test_the_frame_that_is_given_is_not_changed() -> None:
    spans = frame(orm(2, (0, 9)), driver(3, (1, 8), values="a"), orm(4, (5, 6), traits=256))
    before = spans.clone()
    repair(spans)
    assert spans.equals(before)


class TestDuplicates:
    def test_one_copy_stays(self) -> None:
        assert left(span(1), span(1), span(1), span(2, 1)) == ([1, 2], {"duplicate": 2})

    def test_equal_ids_in_other_traces_are_no_copies(self) -> None:
        assert left(span(1, trace=1), span(1, trace=2)) == ([1, 1], {})

    @pytest.mark.parametrize("column", ["label", "service", "status", "links", "values"])
    def test_of_copies_that_differ_always_the_same_stays(self, column: str) -> None:
        values: dict[str, Any] = {"status": ("unset", "error"), "links": ([1, 2, 3], [4, 5, 6])}
        one, two = (span(1, **{column: v}) for v in values.get(column, ("x", "y")))
        assert repair(frame(one, two))[0].equals(repair(frame(two, one))[0])

    def test_the_earliest_then_longest_copy_stays(self) -> None:
        rows = [span(1, at=(5, 90)), span(1, at=(4, 6)), span(1, at=(4, 8))]
        assert repair(frame(*rows))[0]["duration_ns"].to_list() == [4]


class TestCycles:
    def test_the_earliest_span_loses_its_parent(self) -> None:
        out, counts = repair(frame(span(1, 2, at=(5, 6)), span(2, 1, at=(3, 4)), span(3, 1)))
        parents = dict(zip(out["span_id"], out["parent_span_id"], strict=True))
        assert parents == {1: 2, 2: None, 3: 1}
        assert counts == {"repaired:cycle": 1}

    def test_a_span_that_is_its_own_parent_becomes_a_root(self) -> None:
        out, counts = repair(frame(span(1, 1)))
        assert out["parent_span_id"].to_list() == [None]
        assert counts == {"repaired:cycle": 1}


class TestDroppedSpans:
    @pytest.mark.parametrize(
        ("trait", "reason"), [(Trait.NOISE, "asgi"), (Trait.LOCAL_STEP, "driver_step")]
    )
    def test_children_move_to_the_nearest_span_that_stays(self, trait: Trait, reason: str) -> None:
        rows = [
            span(1, kind="server"),
            span(2, 1, traits=int(trait)),
            span(3, 2, traits=int(trait)),
            span(4, 3),
        ]
        assert left(*rows) == ([1, 4], {reason: 2})
        assert cell(rows, 4, "parent_span_id") == 1

    def test_children_of_a_dropped_orphan_await_the_same_parent(self) -> None:
        rows = [span(2, 99, traits=int(Trait.NOISE)), span(3, 2), span(4, 99)]
        assert cell(rows, 3, "parent_span_id") == 99
        assert assemble(repair(frame(*rows))[0])["entry"].n_unique() == 1

    def test_children_of_a_dropped_root_are_roots(self) -> None:
        assert cell([span(2, traits=int(Trait.NOISE)), span(3, 2)], 3, "parent_span_id") is None


class TestOrmAndDriver:
    def test_siblings_count_once_with_the_orms_time_and_the_drivers_values(self) -> None:
        rows = [span(1), orm(2, (10, 20)), driver(3, (11, 19), values="7", rows=3)]
        assert left(*rows) == ([1, 2], {"orm_driver": 1})
        assert cell(rows, 2, "values") == code("7")
        assert cell(rows, 2, "rows") == 3
        assert cell(rows, 2, "duration_ns") == 10

    def test_what_the_orm_knows_itself_stays(self) -> None:
        rows = [orm(2, (10, 20), values="1"), driver(3, (11, 19), values="7")]
        assert cell(rows, 2, "values") == code("1")

    def test_sequential_queries(self) -> None:
        rows = [
            row
            for n in range(12)
            for row in (
                orm(10 + n, (n * 10, n * 10 + 9)),
                driver(50 + n, (n * 10 + 1, n * 10 + 8), values=f"{n}"),
            )
        ]
        assert left(*rows) == (list(range(10, 22)), {"orm_driver": 12})
        out, _ = repair(frame(*rows))
        assert out["values"].to_list() == [code(f"{n}") for n in range(12)]

    def test_parallel_queries(self) -> None:
        orms = [orm(10 + n, (n, 100 + n)) for n in range(5)]
        drivers = [driver(50 + n, (20 + n, 90 - n), values=f"{n}") for n in range(5)]
        assert left(*orms, *drivers) == ([10, 11, 12, 13, 14], {"orm_driver": 5})
        out, _ = repair(frame(*orms, *drivers))
        assert out["values"].to_list() == [code(f"{n}") for n in range(5)]

    def test_interleaved_shapes(self) -> None:
        rows = []
        for n in range(4):
            shape = "ab"[n % 2]
            rows += [
                orm(10 + n, (n * 10, n * 10 + 9), shape=shape),
                driver(50 + n, (n * 10 + 1, n * 10 + 8), shape=shape),
            ]
        assert left(*rows) == ([10, 11, 12, 13], {"orm_driver": 4})

    def test_a_driver_span_under_the_orm_span(self) -> None:
        rows = [span(1), orm(2, (0, 10)), driver(3, (1, 9), parent=2), span(4, 3)]
        assert left(*rows) == ([1, 2, 4], {"orm_driver": 1})
        assert cell(rows, 4, "parent_span_id") == 2

    def test_the_parent_is_the_orm_when_times_do_not_tell(self) -> None:
        for scopes in (("a", "b"), ("b", "a")):
            rows = [orm(2, (0, 9), scope=scopes[0]), orm(3, (0, 9), parent=2, scope=scopes[1])]
            assert left(*rows) == ([2], {"orm_driver": 1})
            assert cell(rows, 2, "parent_span_id") == 1

    def test_lost_spans_of_either_side(self) -> None:
        orms = [orm(10 + n, (n * 10, n * 10 + 9)) for n in range(6)]
        drivers = [driver(50 + n, (n * 10 + 1, n * 10 + 8)) for n in range(6)]
        assert left(*orms, *drivers[1:])[0] == [10, 11, 12, 13, 14, 15]
        assert left(*orms[1:], *drivers)[0] == [11, 12, 13, 14, 15, 50]

    def test_orphans_of_one_missing_span_are_siblings(self) -> None:
        assert left(orm(2, (0, 9), parent=99), driver(3, (1, 8), parent=99))[0] == [2]

    def test_equal_times_are_nested(self) -> None:
        rows = [orm(2, (0, 9)), driver(3, (0, 9)), orm(4, (20, 29)), driver(5, (21, 22))]
        assert left(*rows) == ([2, 4], {"orm_driver": 2})

    @pytest.mark.parametrize(
        "rows",
        [
            [orm(2, (0, 9)), driver(3, (10, 18))],
            [orm(2, (0, 9)), driver(3, (5, 18))],
            [orm(2, (0, 9)), driver(3, (1, 8), shape="SELECT 2")],
            [orm(2, (0, 9)), driver(3, (1, 8), service="other")],
            [orm(2, (0, 9)), driver(3, (1, 8), parent=5)],
            [orm(2, (0, 9)), orm(3, (1, 8))],
            [orm(2, (0, 9)), driver(3, (1, 8), trace=2)],
            [orm(2, (0, 9)), driver(3, (1, 8), parent=None)],
            [orm(2, (0, 9), shape=None), driver(3, (1, 8), shape=None)],
        ],
        ids=[
            "one after the other",
            "overlapping",
            "other statement",
            "other service",
            "other parent",
            "one scope",
            "other trace",
            "a root",
            "no statement visible",
        ],
    )
    def test_what_is_no_pair_stays(self, rows: list[Row]) -> None:
        assert left(*rows)[1] == {}

    def test_an_orm_call_that_sends_many_statements_is_not_one_of_them(self) -> None:
        drivers = [driver(10 + n, (n * 10, n * 10 + 9)) for n in range(12)]
        assert left(orm(2, (0, 200)), *drivers)[1] == {}


FETCH: Row = {"traits": int(Trait.CURSOR | Trait.READ), "scope": "asyncpg"}


class TestCursors:
    def test_fetches_become_one_query(self) -> None:
        rows = [orm(n, (n * 10, n * 10 + 5), **FETCH) for n in range(2, 53)]
        rows[30] |= {"status": "error", "error_type": code("Boom")}
        assert left(span(1), *rows) == ([1, 2], {"cursor": 50})
        assert cell(rows, 2, "duration_ns") == 505
        assert cell(rows, 2, "repeat") == 1
        assert cell(rows, 2, "status") == "error"
        assert cell(rows, 2, "error_type") == code("Boom")

    @pytest.mark.parametrize(
        "other", [{"shape": "b"}, {"parent": 9}, {"trace": 2}, {"service": "x"}, {"values": "2"}]
    )
    def test_cursors_of_different_queries_stay_apart(self, other: Row) -> None:
        rows = [orm(2, (0, 5), **FETCH), orm(3, (6, 7), **{**FETCH, **other})]
        assert left(*rows) == ([2, 3], {})

    def test_get_more_continues_the_find(self) -> None:
        mongo = {"system": "mongodb", "target": "users", "scope": "pymongo", "traits": 1}
        more = {**mongo, "shape": "getMore", "traits": int(Trait.CURSOR | Trait.READ)}
        rows = [
            orm(2, (0, 5), **mongo, shape="find"),
            orm(3, (10, 15), **more),
            orm(4, (20, 25), **more),
            orm(5, (30, 35), **mongo, shape="find"),
            orm(6, (40, 45), **more),
            orm(7, (50, 55), **{**more, "target": "orders"}),
            orm(8, (60, 65), **{**more, "target": "orders"}),
        ]
        assert left(*rows) == ([2, 5, 7], {"cursor": 4})
        assert cell(rows, 2, "duration_ns") == 25
        assert cell(rows, 5, "duration_ns") == 15
        assert cell(rows, 7, "duration_ns") == 15


class TestNestedClients:
    def test_the_outer_span_stays_and_takes_the_children(self) -> None:
        rows = [
            span(1),
            http(2),
            http(3, 2, scope="urllib3"),
            http(4, 3, scope="http.client"),
            span(5, 4, service="stock", kind="server"),
        ]
        assert left(*rows) == ([1, 2, 5], {"nested_client": 2})
        assert cell(rows, 5, "parent_span_id") == 2

    def test_transport_of_an_aws_call_and_its_attempts(self) -> None:
        outer = http(2, category="rpc", operation="GetItem", scope="botocore")
        inner = [http(10 + n, 2, scope="urllib3") for n in range(MAX_ATTEMPTS)]
        assert left(outer, *inner)[0] == [2]
        assert left(outer, *inner, http(40, 2, scope="urllib3"))[1] == {}

    def test_what_is_not_visible_does_not_differ(self) -> None:
        assert left(http(2, peer=None), http(3, 2, scope="urllib3"))[0] == [2]

    @pytest.mark.parametrize(
        "inner",
        [
            {"service": "other"},
            {"scope": "requests"},
            {"peer": "else:80"},
            {"operation": "POST"},
            {"kind": "server"},
            {"category": "db"},
        ],
    )
    def test_other_work_under_a_call_stays(self, inner: Row) -> None:
        assert left(http(2), http(3, 2) | {"scope": code("urllib3")} | _coded(inner))[1] == {}

    def test_a_call_under_a_server_span_stays(self) -> None:
        assert left(span(1, kind="server", category="http"), http(2))[1] == {}


def _coded(row: Row) -> Row:
    plain = ("kind", "category")
    return {k: v if k in plain else code(v) for k, v in row.items()}


ROWS = st.builds(
    lambda i, p, b, d, kw: span(i, p, at=(b, b + d), **kw),
    st.integers(1, 9),
    st.none() | st.integers(1, 9),
    st.integers(0, 6),
    st.integers(0, 6),
    st.fixed_dictionaries(
        {
            "service": st.sampled_from("ab"),
            "scope": st.sampled_from("xyz"),
            "kind": st.sampled_from(("server", "client", "internal")),
            "category": st.sampled_from(("db", "http", "internal")),
            "system": st.sampled_from(("mongodb", None)),
            "shape": st.sampled_from(("s", "t", None)),
            "status": st.sampled_from(("unset", "error")),
            "values": st.sampled_from(("1", "2", None)),
            "traits": st.sampled_from(
                [0, 0, 0, *(int(t) for t in (Trait.NOISE, Trait.LOCAL_STEP, Trait.READ))]
                + [int(Trait.CURSOR | Trait.READ)]
            ),
        }
    ),
)


@given(st.lists(ROWS, min_size=1, max_size=25), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(rows: list[Row], random: Any) -> None:
    once, counts = repair(frame(*rows))
    again, other_counts = repair(frame(*random.sample(rows, len(rows))))
    assert again.equals(once)
    assert other_counts == counts
    changed = sum(n for k, n in counts.items() if k != "repaired:cycle")
    assert once.height == len(rows) - changed


@given(st.lists(ROWS, min_size=1, max_size=25))
def test_traces_do_not_influence_each_other(rows: list[Row]) -> None:
    twin = [{**r, "trace_lo": 2} for r in rows]
    alone, both = repair(frame(*rows))[0], repair(frame(*rows, *twin))[0]
    assert both.filter(pl.col("trace_lo") == 1).equals(alone)
    assert both.filter(pl.col("trace_lo") == 2).drop("trace_lo").equals(alone.drop("trace_lo"))


@given(st.lists(ROWS, min_size=1, max_size=25))
def test_parents_of_repaired_spans_make_no_cycle(rows: list[Row]) -> None:
    out, _ = repair(frame(*rows))
    assert "repaired:cycle" not in repair(out)[1]
