"""Files of every format, whole and broken."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
import zstandard
from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from polars.testing import assert_frame_equal

from collector.decode.errors import BrokenFile
from collector.decode.files import expand, read_files, total_bytes
from collector.decode.protobuf import decode_traces
from decode.making import request_of
from detectors.kit.texts import Texts
from support.otlp import as_json
from support.sketch import read_cases, request

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = read_cases(Path(__file__).parents[1] / "detectors" / "n_plus_one_query.trace")[:5]
REQUESTS = [request(case) for case in CASES]


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def delimited(messages: list[bytes]) -> bytes:
    return b"".join(struct.pack(">I", len(m)) + m for m in messages)


JSON_LINES = b"".join(as_json(r) + b"\n" for r in REQUESTS)
PROTOBUFS = [r.SerializeToString() for r in REQUESTS]
FORMATS: dict[str, bytes] = {
    "json lines": JSON_LINES,
    "json lines without a last newline": JSON_LINES.rstrip(b"\n"),
    "json lines with blank lines": JSON_LINES.replace(b"\n", b"\r\n\r\n"),
    "json lines gzip": gzip.compress(JSON_LINES),
    "json lines zstd": zstd(JSON_LINES),
    "two gzip members": gzip.compress(JSON_LINES[:500]) + gzip.compress(JSON_LINES[500:]),
    "protobuf": b"".join(PROTOBUFS),
    "protobuf gzip": gzip.compress(b"".join(PROTOBUFS)),
    "length-delimited": delimited(PROTOBUFS),
    "length-delimited zstd messages": delimited([zstd(p) for p in PROTOBUFS]),
    "length-delimited gzip": gzip.compress(delimited(PROTOBUFS)),
    "length-delimited json": delimited([as_json(r) for r in REQUESTS]),
}


def expected(bodies: list[bytes] = PROTOBUFS) -> pl.DataFrame:
    texts = Texts()
    return pl.concat([decode_traces(body, texts).frame for body in bodies])


def read(*paths: Path | str) -> pl.DataFrame:
    frames = [d.frame for d in read_files([str(p) for p in paths], Texts())]
    return pl.concat(frames) if frames else pl.DataFrame()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_spans(name: str, tmp_path: Path) -> None:
    file = tmp_path / "spans"
    file.write_bytes(FORMATS[name])

    assert_frame_equal(read(file), expected())


def test_one_document_over_many_lines(tmp_path: Path) -> None:
    whole = ExportTraceServiceRequest()
    for r in REQUESTS:
        whole.resource_spans.extend(r.resource_spans)
    file = tmp_path / "spans.json"
    file.write_bytes(as_json(whole, indent=2))

    assert_frame_equal(read(file), expected())


@pytest.mark.parametrize("wrap", ['{"trace": %s}', '{"result": %s}'])
def test_documents_of_query_apis(wrap: str, tmp_path: Path) -> None:
    file = tmp_path / "spans.json"
    file.write_text(wrap % as_json(REQUESTS[0]).decode())

    assert_frame_equal(read(file), decode_traces(PROTOBUFS[0], Texts()).frame)


def test_tempo_batches_with_base64_ids_and_enum_names(tmp_path: Path) -> None:
    import json

    document = MessageToDict(REQUESTS[0])  # plain protobuf JSON: base64 ids, names of enums
    file = tmp_path / "tempo.json"
    file.write_text(json.dumps({"batches": document["resourceSpans"]}))

    assert_frame_equal(read(file), decode_traces(PROTOBUFS[0], Texts()).frame)


def test_folders_are_walked_in_order(tmp_path: Path) -> None:
    for index, body in enumerate(PROTOBUFS):
        (tmp_path / f"sub{index % 2}").mkdir(exist_ok=True)
        (tmp_path / f"sub{index % 2}" / f"{index}.pb").write_bytes(body)
    (tmp_path / ".hidden").write_bytes(b"not spans")

    assert [Path(p).name for p in expand([str(tmp_path)])] == [
        "0.pb",
        "2.pb",
        "4.pb",
        "1.pb",
        "3.pb",
    ]
    assert total_bytes([str(tmp_path)]) == sum(map(len, PROTOBUFS))
    assert read(tmp_path).height == expected().height


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(FORMATS["length-delimited"])

    monkeypatch.setattr("sys.stdin", Stdin)

    assert_frame_equal(read("-"), expected())


def test_progress_reaches_the_size_of_all_files(tmp_path: Path) -> None:
    told: list[int] = []
    for index in range(2):
        (tmp_path / f"{index}.jsonl").write_bytes(JSON_LINES)

    list(read_files([str(tmp_path)], Texts(), progress=told.append))

    assert told == sorted(told)
    assert told[-1] == total_bytes([str(tmp_path)])


def test_protobuf_that_begins_like_json(tmp_path: Path) -> None:
    file = tmp_path / "spans.pb"
    bodies = (request_of([{"name": "n" * size}]).SerializeToString() for size in range(1, 200))
    file.write_bytes(next(body for body in bodies if body.startswith(b"\n{")))

    assert read(file).height == 1


@pytest.mark.parametrize("content", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf\n", b"{}\n"])
def test_an_empty_file_has_no_spans(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.write_bytes(content)

    assert sum(d.frame.height for d in read_files([str(file)], Texts())) == 0


BROKEN: dict[str, tuple[bytes, Callable[[int], bool]]] = {
    "json cut in the last line": (JSON_LINES[:-200], lambda at: at == len(JSON_LINES) - 200),
    "json with garbage in a line": (
        JSON_LINES + b'{"resourceSpans": [oops]}\n',
        lambda at: at == len(JSON_LINES) + 19,
    ),
    "gzip cut": (gzip.compress(JSON_LINES)[:-40], lambda at: at > 0),
    "zstd cut": (zstd(JSON_LINES)[:-40], lambda at: at > 0),
    "zstd of another frame": (zstd(JSON_LINES)[:60] + b"\xff" * 400, lambda at: at > 0),
    "protobuf cut": (b"".join(PROTOBUFS)[:-7], lambda at: at == sum(map(len, PROTOBUFS)) - 7),
    "message cut": (
        delimited(PROTOBUFS)[:-5],
        lambda at: at == len(delimited(PROTOBUFS)) - 5,
    ),
    "length cut": (
        delimited(PROTOBUFS) + b"\0\0",
        lambda at: at == len(delimited(PROTOBUFS)),
    ),
    "no spans at all": (b"\xff\xd8\xff\xe0 a picture", lambda at: at == 0),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_with_the_byte(name: str, tmp_path: Path) -> None:
    body, is_at = BROKEN[name]
    file = tmp_path / "broken"
    file.write_bytes(body)

    with pytest.raises(BrokenFile) as caught:
        list(read_files([str(file)], Texts()))

    assert caught.value.path == str(file)
    assert is_at(caught.value.offset), caught.value
    assert str(file) in str(caught.value)


def test_what_came_before_the_break_is_read(tmp_path: Path) -> None:
    file = tmp_path / "broken"
    file.write_bytes(JSON_LINES[:-200])
    read_so_far: list[pl.DataFrame] = []

    with pytest.raises(BrokenFile):
        read_so_far.extend(d.frame for d in read_files([str(file)], Texts()))

    assert_frame_equal(pl.concat(read_so_far), expected(PROTOBUFS[:-1]))


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(read_files([str(tmp_path / "nowhere")], Texts()))
