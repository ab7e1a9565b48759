//! OTLP protobuf to the span columns of spanlint, equal to its reference decoder in Python.
//!
//! `decoder` walks the bytes of a request: `wire` reads fields, `schema` passes over what is not
//! wanted, `span` reads spans, `telling` their attributes, `values` single values. Rows gather in
//! `columns` and leave through `arrow`. What texts mean (statements, URLs, commands) is told by
//! Python, once per pattern, and remembered in `known` and, for spans that differ in numbers, `general`; `python` is the door between the two.
//! A body that is not plain protobuf is left to the reference, so errors are the reference's too.

pub mod arrow;
pub mod columns;
pub mod decoder;
pub mod general;
pub mod known;
#[cfg(feature = "python")]
mod python;
pub mod schema;
pub mod span;
pub mod tables;
pub mod telling;
pub mod values;
pub mod wire;
