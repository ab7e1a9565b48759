//! Database reads of entries, and what tells one from another: `detectors/kit/loads.py`.

use super::patterns::{final_of, ODDS};
use super::spans::Spans;
use crate::constants::Constants;

/// As a number: the identity of what is only one, of rank 0.
const ALWAYS: u64 = 0x9E37_79B9_7F4A_7C15;
/// What stands for null in a mix: `_NULL` of `detectors/kit/sampling.py`.
pub const NULL: u64 = 0xC4CE_B9FE_1A85_EC53;

/// Whether all spans of a pattern are successful reads, where their entry has a span.
#[must_use]
pub fn are_loads(spans: &Spans<'_>, row: usize, c: &Constants) -> bool {
    let from_db = spans.category[row] == c.db;
    let is_read = match spans.work.known(row) {
        Some(work) => work == c.query || work == c.cache_read && from_db,
        None => false,
    };
    is_read && spans.shape.has(row) && !spans.failed.is(row)
}

/// What tells a read of a shape from others, by number, and which it is.
#[inline]
#[must_use]
pub fn identity(spans: &Spans<'_>, row: usize, c: &Constants) -> (u8, u64) {
    let values = spans.values.known(row);
    if let Some(values) = values {
        let is_constant = c.no_values.contains(&values);
        let identity = if is_constant {
            ALWAYS
        } else {
            mixed(Some(values))
        };
        (c.by_values, identity)
    } else if spans.entry_entity.has(row) {
        (c.by_path, mixed(spans.entry_path.known(row)))
    } else if let Some(actor) = spans.entry_actor.known(row) {
        (c.by_actor, mixed(Some(actor)))
    } else {
        (c.by_nothing, ALWAYS)
    }
}

/// `sampling.mix` of one column.
fn mixed(code: Option<u64>) -> u64 {
    final_of(code.unwrap_or(NULL).wrapping_mul(ODDS[0]))
}

/// Whether a subject is in the sample of a level: `sampling.in_sample`.
#[inline]
#[must_use]
pub fn in_sample(identity: u64, level: u32) -> bool {
    let rank = final_of((identity ^ ALWAYS).wrapping_mul(ODDS[2]));
    level == 0 || rank < 1 << (64 - level)
}
