"""Bytes to span columns: OTLP protobuf and OTLP/JSON, from requests and from files."""
