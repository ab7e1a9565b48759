//! Facts tables, one pass over the spans each: what `observe` of `detectors/facts/*.py` defines.
//!
//! A table is a file here as it is there. Each makes `groups` of the columns in `spans`, by what
//! `patterns` have in common and by what is a row's own, like `bins`, and shows `exemplars` of the
//! worst rows. Groups are `leaving` in canonical order, which for sampled tables is a `mixed` one.

pub mod attempts;
pub mod bins;
pub mod deliveries;
pub mod edges;
pub mod entities;
pub mod entries;
pub mod exemplars;
pub mod failures;
pub mod groups;
pub mod instances;
mod leaving;
pub mod links;
pub mod loads;
pub mod lookups;
pub mod mixed;
pub mod once;
pub mod patterns;
pub mod reads;
pub mod repeats;
pub mod repetition;
pub mod segments;
pub mod served;
pub mod sight;
pub mod spans;
pub mod touches;
pub mod tried;
pub mod writes;

use crate::arrow::Array;
use crate::constants::Constants;
use groups::Cell;
use patterns::Patterns;
use spans::Spans;

/// What a table is observed of.
pub struct Seen<'a> {
    /// repaired spans of whole traces
    pub spans: &'a Spans<'a>,
    /// theirs
    pub patterns: &'a Patterns,
    /// names, bits and codes
    pub constants: &'a Constants,
    /// of a sampled table: subjects that are not in the sample of this level are left out
    pub level: Option<u32>,
    /// the columns of the table, in their order
    pub columns: &'a [String],
}

/// Makes the facts of a table.
pub type Observer = fn(&Seen<'_>) -> Array;

/// All tables that are observed here.
pub const OBSERVERS: &[(&str, Observer)] = &[
    ("attempts", attempts::attempts),
    ("deliveries", deliveries::deliveries),
    ("edges", edges::edges),
    ("entities", entities::entities),
    ("entries", entries::entries),
    ("failures", failures::failures),
    ("instances", instances::instances),
    ("links", links::links),
    ("lookups", lookups::lookups),
    ("reads", reads::reads),
    ("repeats", repeats::repeats),
    ("segments", segments::segments),
    ("sight", sight::sight),
    ("touches", touches::touches),
    ("writes", writes::writes),
];

/// A value of a key that is never null.
#[inline]
#[allow(clippy::unnecessary_wraps)] // it stands among those that may be
fn cell(value: impl Value) -> Cell {
    Some(value.bits())
}

/// What a key can hold.
trait Value {
    /// As 64 bits.
    fn bits(self) -> u64;
}

macro_rules! values {
    ($($kind:ty)*) => {
        $(impl Value for $kind {
            #[inline]
            #[allow(clippy::cast_lossless)] // one of them is signed
            fn bits(self) -> u64 {
                self as u64
            }
        })*
    };
}

values!(bool u8 u32 u64 i64);
