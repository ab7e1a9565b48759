//! OTLP protobuf to the span columns of spanlint, equal to its reference decoder in Python.
//!
//! `decoder` walks the bytes of a request: `wire` reads fields, `schema` passes over what is not
//! wanted, `span` reads spans, `telling` their attributes, `values` single values. Rows gather in
//! `columns` and leave through `arrow`; or they wait, `packed`, in a `window` until their traces are
//! whole, and are written to columns then (`assembly`). What a span is (a statement, a request, a command) is told by
//! Python, once per pattern, and remembered in `answers`: in `known`, and in `forms` for all spans
//! that differ in what is only hashed. `form` writes what those have in common, by `url`, `ids`,
//! `command`, `document` and, for SQL, `lexer`, `lists` and `statement`. `python` is the door between
//! the two, `given` what comes through it at the start.
//! `transcode` makes plain protobuf of OTLP/JSON, which `json` reads.
//! What is done to whole traces later is here too: `structure`, `worked` and `aside` make columns of
//! columns, `suspects` finds rows to be repaired; `forest` is what these share, `reading` the other side
//! of `arrow`, `constants` what Python's tables say, `kernels` their door. `facts` are made of all these columns.
//! A body that is not plain protobuf is left to the reference, so errors are the reference's too.

/// Goes up whenever Python and this have to change together: what is handed over, asked or answered.
pub const INTERFACE: u32 = 5;

pub mod answers;
pub mod arrow;
pub mod aside;
pub mod assembly;
pub mod bits;
pub mod closed;
pub mod columns;
pub mod command;
pub mod constants;
pub mod decoder;
pub mod document;
pub mod facts;
pub mod forest;
pub mod form;
pub mod forms;
#[cfg(feature = "python")]
mod given;
pub mod held;
pub mod ids;
pub mod json;
#[cfg(feature = "python")]
mod kernels;
pub mod known;
pub mod lexer;
pub mod lists;
pub mod packed;
#[cfg(feature = "python")]
mod probe;
#[cfg(feature = "python")]
mod python;
pub mod reading;
pub mod schema;
pub mod span;
pub mod spool;
pub mod statement;
pub mod stored;
pub mod structure;
pub mod suspects;
#[cfg(test)]
mod tabled;
pub mod tables;
pub mod telling;
pub mod transcode;
pub mod url;
pub mod values;
pub mod window;
#[cfg(feature = "python")]
mod windowing;
pub mod wire;
pub mod words;
pub mod worked;
