//! Which processes serve which operations: `detectors/facts/instances.py`.

use super::bins::pane;
use super::groups::{Groups, Kind, Layout, Merge};
use super::{cell, Seen};
use crate::arrow::Array;

static INSTANCES: Layout<5, 1, 7> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("version", Kind::Code),
        ("instance", Kind::Code),
        ("entry_label", Kind::Code),
    ],
    own: [("pane", Kind::Number)],
    measures: [
        ("requests", Merge::Sum),
        ("ok", Merge::Sum),
        ("failed", Merge::Sum),
        ("actors", Merge::Sum),
        ("entities", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
    ],
};

/// A row per group of SERVER entries.
#[must_use]
pub fn instances(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let key = |row: usize| {
        let serves = spans.is_entry.is(row) && spans.kind[row] == c.server;
        serves.then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.version.known(row),
            spans.instance.known(row),
            spans.entry_label.known(row),
        ])
    };
    let mut groups = Groups::new(&INSTANCES, seen.patterns, key);
    for row in groups.wanted() {
        let start = spans.start_ns[row];
        let told = [
            spans.answered(row, c.error),
            spans.refused(row, c.error),
            spans.actor.has(row),
            spans.entity.has(row),
        ];
        let [ok, failed, actors, entities] = told.map(i64::from);
        let own = [cell(pane(start, 60))];
        groups.add(row, own, [1, ok, failed, actors, entities, start, start]);
    }
    groups.facts(seen)
}
