"""Bytes to span columns: OTLP protobuf and OTLP/JSON, from requests and from files.

`protobuf` is the reference decoder, `native/` the fast one in Rust with its Python side `bridge`;
`choice` says which is used. `rows`, `telling` and `classify` say what a span becomes.
"""
