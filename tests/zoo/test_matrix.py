"""The matrix from files: what must be found is found in each recording, and nothing else."""

from __future__ import annotations

import pytest

from zoo.catalogue import FORMS, LIVE, SHARED, Row, row_of, shared_rows
from zoo.matrix import FAMILIES, Result, compare, judge, present, tally
from zoo.recording import dress_of

RECORDED = {
    **{form.name: (row_of(form), LIVE) for form in FORMS},
    **{f"shared:{row.name}": (row, SHARED) for row in shared_rows()},
}


@pytest.fixture(scope="module")
def results() -> dict[str, Result]:
    return {
        name: compare(row, 1, judge(folder / f"{row.name}.jsonl.gz"))
        for name, (row, folder) in RECORDED.items()
    }


@pytest.mark.parametrize("name", RECORDED)
def test_what_is_wrong_is_found_and_nothing_else(name: str, results: dict[str, Result]) -> None:
    result = results[name]
    assert [str(w) for w in result.misses] == []
    assert [str(a) for a in result.alarms] == []


def test_every_rule_that_exists_has_a_bad_form() -> None:
    expected = {code for row, _ in RECORDED.values() for e in row.expects for code in e.codes}
    assert {c for c in present() if c[0] in FAMILIES} <= expected


def test_every_recording_is_a_row_and_every_row_a_recording() -> None:
    rows: dict[object, set[str]] = {LIVE: set(), SHARED: set()}
    for row, folder in RECORDED.values():
        rows[folder].add(f"{row.name}.jsonl.gz")
    for folder, names in rows.items():
        assert {path.name for path in folder.glob("*.jsonl.gz")} == names


def test_bad_forms_have_an_expectation_and_good_ones_none() -> None:
    rows: list[Row] = [row for row, _ in RECORDED.values()]
    assert all(bool(row.expects) == (row.kind == "bad") for row in rows)


def test_a_form_that_did_nothing_would_be_a_miss(results: dict[str, Result]) -> None:
    row = RECORDED["task_lazy"][0]
    assert len(compare(row, 1, []).misses) == len(row.expects) == 1
    assert tally([compare(row, 1, [])])["N101"]["miss"] == 1


def test_every_form_is_seen_in_every_dress_by_five_seeds() -> None:
    assert all(len({dress_of(form, seed) for seed in range(5)}) == 5 for form in FORMS)
