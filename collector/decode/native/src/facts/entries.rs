//! How often operations ran: `detectors/facts/entries.py`.

use super::bins::{duration_bin, pane};
use super::groups::{Groups, Kind, Layout, Merge};
use super::{cell, Seen};
use crate::arrow::Array;

static ENTRIES: Layout<6, 2, 4> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("version", Kind::Code),
        ("entry_label", Kind::Code),
        ("entry_kind", Kind::Name(|c| &c.kinds)),
        ("outcome", Kind::Name(|c| &c.outcomes)),
    ],
    own: [("pane", Kind::Number), ("bin", Kind::Bin)],
    measures: [
        ("entries", Merge::Sum),
        ("duration_ns", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
    ],
};

/// A row per group of entries.
#[must_use]
pub fn entries(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let key = |row: usize| {
        let http = spans.http_status.get(row);
        let outcome = if spans.status[row] == c.error || http >= 500 {
            c.in_error
        } else if http >= 400 {
            c.client_error
        } else {
            c.fine
        };
        spans.is_entry.is(row).then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.version.known(row),
            spans.entry_label.known(row),
            cell(spans.entry_kind[row]),
            cell(outcome),
        ])
    };
    let mut groups = Groups::new(&ENTRIES, seen.patterns, key);
    for row in groups.wanted() {
        let (start, duration) = (spans.start_ns[row], spans.duration_ns[row]);
        let own = [cell(pane(start, 60)), cell(duration_bin(duration))];
        groups.add(row, own, [1, duration, start, start]);
    }
    groups.facts(seen)
}
