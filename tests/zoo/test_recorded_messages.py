"""Deliveries of one message are told by what sent it, whether by parent or by link."""

from __future__ import annotations

import polars as pl
import pytest

from detectors.kit.contract import Finding
from zoo.catalogue import LIVE
from zoo.test_cuts import recorded, verdicts

REQUEUED = ("task_requeued", "task_requeued_linked")


def storms(parts: list[pl.DataFrame], name: str) -> list[Finding]:
    judgement = verdicts(parts, recorded(LIVE / f"{name}.jsonl.gz")[1])
    assert not judgement.failed
    return [f for f in judgement.findings if f.code == "F102"]


@pytest.mark.parametrize("name", REQUEUED)
def test_a_message_that_comes_again_and_again_is_one_call(name: str) -> None:
    spans, _ = recorded(LIVE / f"{name}.jsonl.gz")
    (storm,) = storms([spans], name)
    assert (storm.service, storm.operation) == ("worker", "run charge_or_requeue")
    # four threads hold a message each while payment is down
    assert storm.details["logical"] == storm.details["lost"] == 4
    assert storm.details["amplification"] > 20
    assert storm.details["attempts"] == storm.occurrences > 80


def test_linked_deliveries_are_traces_of_their_own() -> None:
    """Otherwise the tests below would show nothing of links."""
    spans, _ = recorded(LIVE / "task_requeued_linked.jsonl.gz")
    runs = spans.filter(pl.col("kind") == "consumer")
    assert runs["links"].list.len().unique().to_list() == [3]
    assert runs["parent_span_id"].null_count() == runs.height
    assert runs.select("trace_hi", "trace_lo").is_unique().all()


@pytest.mark.parametrize("name", REQUEUED)
def test_deliveries_that_are_observed_apart_meet(name: str) -> None:
    spans, _ = recorded(LIVE / f"{name}.jsonl.gz")
    apart = [spans.filter(pl.col("trace_hi") % 5 == n) for n in range(5)]
    assert storms(apart, name) == storms([spans], name)


def test_without_links_nobody_knows() -> None:
    spans, _ = recorded(LIVE / "task_requeued_linked.jsonl.gz")
    bare = spans.with_columns(links=pl.lit(None, spans.schema["links"]))
    assert storms([bare], "task_requeued_linked") == []


def test_messages_of_one_batch_are_told_by_their_ids() -> None:
    """One span that sends many messages is the link of all of them."""
    name = "task_requeued_linked"
    spans, _ = recorded(LIVE / f"{name}.jsonl.gz")
    one = pl.lit([1, 2, 3], spans.schema["links"])
    batch = spans.with_columns(links=pl.when(pl.col("links").is_not_null()).then(one))
    (of_batch,), (storm,) = storms([batch], name), storms([spans], name)
    assert of_batch.details["logical"] == storm.details["logical"]
    assert of_batch.details["amplification"] == storm.details["amplification"]
