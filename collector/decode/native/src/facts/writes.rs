//! What services write: `detectors/facts/writes.py`.

use super::bins::pane;
use super::groups::{Groups, Kind, Layout, Merge};
use super::once::Once;
use super::{cell, Seen};
use crate::arrow::Array;

static WRITES: Layout<7, 1, 8> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("system", Kind::Code),
        ("namespace", Kind::Code),
        ("target", Kind::Code),
        ("operation", Kind::Code),
    ],
    own: [("pane", Kind::Number)],
    measures: [
        ("writes", Merge::Sum),
        ("failed", Merge::Sum),
        ("traces", Merge::Sum),
        ("refreshed", Merge::Sum),
        ("cleared", Merge::Sum),
        ("cleared_before", Merge::Sum),
        ("bumped", Merge::Sum),
        ("last_ns", Merge::Most),
    ],
};

/// A row per group of database writes.
#[must_use]
pub fn writes(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let key = |row: usize| {
        let is_write = spans.category[row] == c.db && spans.traits[row] & c.writes != 0;
        is_write.then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.entry_label.known(row),
            spans.system.known(row),
            spans.namespace.known(row),
            spans.target.known(row),
            spans.operation.known(row),
        ])
    };
    let mut groups = Groups::new(&WRITES, seen.patterns, key);
    let mut once = Once::default();
    for row in groups.wanted() {
        let named = [&spans.entry_label, &spans.target, &spans.operation];
        let is_new = once.is_first(spans.trace[row], named.map(|column| column.known(row)));
        let flags = [
            &spans.failed,
            &spans.refreshed,
            &spans.cleared,
            &spans.cleared_before,
            &spans.bumped,
        ];
        let flags = flags.map(|flag| i64::from(flag.is(row)));
        let [failed, refreshed, cleared, before, bumped] = flags;
        let (writes, traces) = (i64::from(spans.repeat[row]), i64::from(is_new));
        let own = [cell(pane(spans.entry_start_ns[row], 60))];
        let measures = [
            writes,
            failed,
            traces,
            refreshed,
            cleared,
            before,
            bumped,
            spans.end_ns(row),
        ];
        groups.add(row, own, measures);
    }
    groups.facts(seen)
}
