"""What stands around reads and writes in caches, against the same said one command at a time."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.kit.answers import tell_work
from detectors.kit.aside import ASIDE, look_aside
from detectors.kit.loads import TELLING, identified, loads
from detectors.kit.sampling import ALWAYS
from detectors.kit.structure import assemble
from detectors.kit.texts import code
from detectors.kit.traits import Trait
from support.frames import frame, span

LOOKUP = Trait.READ | Trait.SINGLE_KEY | Trait.PARAMETERS
FILL = Trait.WRITE | Trait.FILL | Trait.PARAMETERS
ROLES = {
    "look": ("cache", LOOKUP),
    "mget": ("cache", Trait.READ | Trait.LISTED | Trait.PARAMETERS),
    "fill": ("cache", FILL),
    "fill_ex": ("cache", FILL | Trait.EXPIRES),
    "bare": ("cache", Trait.WRITE | Trait.FILL),
    "evict": ("cache", Trait.WRITE | Trait.EVICT),
    "expire": ("cache", Trait.EXPIRES),
    "read": ("db", Trait.READ | Trait.PARAMETERS),
    "write": ("db", Trait.WRITE),
}
LOOKS = ("look", "mget")
COMMAND = st.tuples(
    st.sampled_from(list(ROLES)),
    st.sampled_from([None, "a", "b"]),
    st.sampled_from([None, True, False]),
)


def entry(number: int, commands: list[tuple[Any, ...]], **columns: Any) -> list[dict[str, Any]]:
    """An entry with its commands, one after the other."""
    first = (number + 1) * 1_000
    rows = [span(first, None, kind="server", trace=number + 1, at=(0, 10_000), **columns)]
    for place, (role, key, hit) in enumerate(commands, 1):
        category, traits = ROLES[role]
        rows.append(
            span(
                first + place,
                first,
                kind="client",
                trace=number + 1,
                at=(place * 10, place * 10 + 5),
                category=category,
                traits=int(traits),
                key=key if category == "cache" else None,
                hit=hit if role == "look" else None,
                shape="select" if category == "db" else "command",
                system="redis" if category == "cache" else "postgresql",
                target="products",
            )
        )
    return rows


def one_by_one(commands: list[tuple[Any, ...]], place: int) -> dict[str, Any]:
    """What is said of the command at `place`, looked up the slow way."""
    before, after = commands[:place], commands[place + 1 :]
    looks = [(k, h) if r == "look" else (None, None) for r, k, h in before if r in LOOKS]
    telling = [(k, h) for k, h in looks if k is not None or h is not None]
    key, hit = telling[-1] if telling else (None, None)
    fills = [
        (r, i)
        for i, (r, k, _) in enumerate(after)
        if r in ("fill", "fill_ex", "bare") and (key is None or k is None or k == key)
    ]
    expiry = None
    if looks and fills:
        role, at = fills[0]
        later = any(r in ("expire", "fill_ex") for r, _, _ in after[at:])
        expiry = "some" if later else "unknown" if role == "bare" else "none"
    return {
        "looked": bool(looks),
        "lookup_key": code(key) if key else None,
        "lookup_hit": hit,
        "filled": expiry is not None,
        "expiry": expiry,
    }


@settings(max_examples=150)
@given(st.lists(st.lists(COMMAND, max_size=8), min_size=1, max_size=4))
def test_reads_know_what_stands_around_them(entries: list[list[tuple[Any, ...]]]) -> None:
    rows = [row for i, commands in enumerate(entries) for row in entry(i, commands)]

    found = look_aside(assemble(frame(*rows))).rows_by_key(["span_id"], named=True)

    for number, commands in enumerate(entries):
        for place, (role, _, _) in enumerate(commands):
            (row,) = found[(number + 1) * 1_000 + place + 1]
            expected = one_by_one(commands, place)
            if role == "read":
                assert {name: row[name] for name in expected} == expected
            after, before = commands[place + 1 :], commands[:place]
            assert row["cleared"] == any(r == "evict" for r, _, _ in after)
            assert row["cleared_before"] == any(r == "evict" for r, _, _ in before)
            assert row["refreshed"] == any(r in ("fill", "fill_ex", "bare") for r, _, _ in after)
            assert row["lookups"] == sum(r in LOOKS for r, _, _ in commands)


def test_fills_of_keys_that_nobody_looked_up_are_no_value_writes() -> None:
    commands = [("look", "a", None), ("fill", "a", None), ("fill", "b", None)]

    (first, *_) = look_aside(assemble(frame(*entry(0, commands)))).to_dicts()

    assert (first["fills"], first["value_writes"]) == (2, 1)


def test_identities_are_told_by_values_then_path_then_who_asks() -> None:
    read = [("read", None, None)]
    rows = [
        *entry(0, read, entity="/p/1", path="/p/1?x=1", actor="me"),
        *entry(1, read, actor="me"),
        *entry(2, read),
    ]
    valued = entry(3, read, entity="/p/1", path="/p/1")
    valued[1]["values"] = code("7")
    constant = entry(4, read, entity="/p/1", path="/p/1")
    constant[1]["values"] = code("")

    spans = look_aside(tell_work(assemble(frame(*rows, *valued, *constant))))
    found = identified(loads(spans, TELLING)).select("told", "identity")

    assert found["told"].to_list() == ["path", "actor", "nothing", "values", "values"]
    assert [i == ALWAYS for i in found["identity"]] == [False, False, True, False, True]


def test_nothing_has_the_columns_too() -> None:
    empty = look_aside(assemble(frame()))

    assert {c.name: c.dtype for c in ASIDE}.items() <= dict(empty.schema).items()


def test_commands_that_start_in_one_tick_are_a_sandwich() -> None:
    """Clocks that tick by the millisecond; the longer command would come first otherwise."""
    rows = entry(0, [("look", None, None), ("read", None, None), ("fill", None, None)])
    ticking = [rows[0], *({**row, "start_ns": row["start_ns"]} for row in rows[1:])]
    for row, duration in zip(ticking[1:], (1, 8, 2), strict=True):
        row["start_ns"], row["duration_ns"] = rows[1]["start_ns"], duration
    found = look_aside(assemble(frame(*ticking))).rows_by_key(["span_id"], named=True)

    (read,) = found[1_002]
    assert (read["looked"], read["filled"]) == (True, True)
    (look,) = found[1_001]
    assert not look["looked"]
