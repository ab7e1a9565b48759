//! What operations do with caches: `detectors/facts/lookups.py`.

use super::bins::pane;
use super::groups::{Groups, Kind, Layout, Merge};
use super::{cell, Seen};
use crate::arrow::Array;

static LOOKUPS: Layout<6, 1, 4> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("system", Kind::Code),
        ("cache", Kind::Code),
        ("role", Kind::Name(|c| &c.roles)),
    ],
    own: [("pane", Kind::Number)],
    measures: [
        ("commands", Merge::Sum),
        ("hits", Merge::Sum),
        ("misses", Merge::Sum),
        ("last_ns", Merge::Most),
    ],
};

/// A row per group of cache commands of entries that have a span, but those that failed.
#[must_use]
pub fn lookups(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let key = |row: usize| {
        let traits = spans.traits[row];
        let is_command = traits & (c.reads | c.writes | c.fills | c.evicts) != 0;
        let is_fine = spans.status[row] != c.error;
        let role = if traits & c.fills != 0 {
            c.fill
        } else if traits & c.reads != 0 {
            c.read
        } else if traits & c.evicts != 0 {
            c.evict
        } else {
            c.other
        };
        (spans.category[row] == c.cache && is_command && is_fine).then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.entry_label.known(row),
            spans.system.known(row),
            spans.target.known(row),
            cell(role),
        ])
    };
    let mut groups = Groups::new(&LOOKUPS, seen.patterns, key);
    for row in groups.wanted().filter(|row| spans.entry_span.has(*row)) {
        let hit = spans.hit.known(row);
        let [hits, misses] = [Some(true), Some(false)].map(|told| i64::from(hit == told));
        let own = [cell(pane(spans.start_ns[row], 60))];
        groups.add(row, own, [1, hits, misses, spans.end_ns(row)]);
    }
    groups.facts(seen)
}
