"""From an OTLP request to findings, through the parts that the process uses."""

from __future__ import annotations

import polars as pl
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

from collector.decode.protobuf import decode_traces
from detectors.kit.contract import Context
from detectors.kit.engine import Facts, Judgement, default_settings, judge, observe
from detectors.kit.texts import Texts


def facts_of(spans: pl.DataFrame, texts: Texts) -> Facts:
    """Facts of span columns."""
    return observe(spans, texts.select)


def judge_facts(facts: Facts) -> Judgement:
    """What all rules, with their defaults, say of facts."""
    return judge(facts, Context(now_ns=0, start_ns=0, settings=default_settings))


def judge_request(request: ExportTraceServiceRequest) -> Judgement:
    """Bytes -> columns -> facts -> findings."""
    texts = Texts()
    decoded = decode_traces(request.SerializeToString(), texts)
    assert not decoded.rejected, decoded.rejected
    return judge_facts(facts_of(decoded.frame, texts))
