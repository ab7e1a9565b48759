//! How often each identity of a database read ran: `detectors/facts/reads.py`.

use super::bins::pane;
use super::groups::{Groups, Kind, Layout, Merge};
use super::loads::{are_loads, identity, in_sample};
use super::once::Once;
use super::{cell, Seen};
use crate::arrow::Array;

static READS: Layout<4, 4, 8> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("shape", Kind::Code),
    ],
    own: [
        ("pane", Kind::Number),
        ("told", Kind::Name(|c| &c.told)),
        ("identity", Kind::Code),
        ("key", Kind::Code),
    ],
    measures: [
        ("executions", Merge::Sum),
        ("traces", Merge::Sum),
        ("behind", Merge::Sum),
        ("filled", Merge::Sum),
        ("missed", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
        ("level", Merge::Most),
    ],
};

/// A row per group of executions.
#[must_use]
pub fn reads(seen: &Seen<'_>) -> Array {
    let (spans, c, level) = (seen.spans, seen.constants, seen.level.unwrap_or(0));
    let key = |row: usize| {
        are_loads(spans, row, c).then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.entry_label.known(row),
            spans.shape.known(row),
        ])
    };
    let mut groups = Groups::new(&READS, seen.patterns, key);
    let mut once = Once::default();
    for row in groups.wanted().filter(|row| spans.entry_span.has(*row)) {
        let (told, identity) = identity(spans, row, c);
        if !in_sample(identity, level) {
            continue;
        }
        let key = spans.lookup_key.known(row);
        let kind = (
            spans.entry_label.get(row),
            spans.shape.get(row),
            identity,
            key,
        );
        let is_new = once.is_first(spans.trace[row], kind);
        let pane = pane(spans.entry_start_ns[row], 300);
        let missed = spans.lookup_hit.known(row) == Some(false);
        let measures = [
            1,
            i64::from(is_new),
            i64::from(spans.looked.is(row)),
            i64::from(spans.filled.is(row)),
            i64::from(missed),
            spans.start_ns[row],
            spans.start_ns[row],
            i64::from(level),
        ];
        groups.add(row, [cell(pane), cell(told), cell(identity), key], measures);
    }
    groups.facts(seen)
}
