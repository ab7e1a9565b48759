//! Who calls whom: `detectors/facts/edges.py`.

use super::bins::{duration_bin, fixed_log, pane};
use super::groups::{Cell, Groups, Kind, Layout, Merge};
use super::spans::Spans;
use super::{cell, Seen};
use crate::arrow::Array;
use crate::constants::Constants;

static EDGES: Layout<11, 2, 10> = Layout {
    shared: [
        ("caller", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("callee", Kind::Code),
        ("instrumented", Kind::Truth),
        ("category", Kind::Name(|c| &c.categories)),
        ("label", Kind::Code),
        ("operation", Kind::Code),
        ("failed", Kind::Truth),
        ("unavailable", Kind::Truth),
        ("error_type", Kind::Code),
    ],
    own: [("pane", Kind::Number), ("bin", Kind::Bin)],
    measures: [
        ("calls", Merge::Sum),
        ("client_ns", Merge::Sum),
        ("server_ns", Merge::Sum),
        ("answers", Merge::Sum),
        ("spans", Merge::Sum),
        ("gap_ns", Merge::Sum),
        ("gap_log", Merge::Sum),
        ("gap_log2", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
    ],
};

/// A row per group of outgoing spans.
#[must_use]
pub fn edges(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let mut groups = Groups::new(&EDGES, seen.patterns, |row| key(spans, row, c));
    for row in groups.wanted() {
        let (start, duration) = (spans.start_ns[row], spans.duration_ns[row]);
        let own = [cell(pane(start, 5)), cell(duration_bin(duration))];
        let gap = gap_ns(spans, row);
        let log = fixed_log(gap);
        let measures = [
            i64::from(spans.repeat[row]),
            duration,
            spans.server_ns.get(row),
            i64::from(spans.servers.get(row)),
            1,
            gap,
            log,
            log.wrapping_mul(log),
            start,
            spans.end_ns(row),
        ];
        groups.add(row, own, measures);
    }
    groups.facts(seen)
}

fn key(spans: &Spans<'_>, row: usize, c: &Constants) -> Option<[Cell; 11]> {
    let answering = spans.callee.known(row);
    let callee = answering
        .or(spans.peer.known(row))
        .or(spans.system.known(row));
    if !spans.outgoing.is(row) || callee.is_none() {
        return None;
    }
    let label = spans.label.known(row);
    let unanswered = spans.unanswered(row, c.error);
    Some([
        spans.service.known(row),
        spans.environment.known(row),
        spans.entry_label.known(row),
        callee,
        cell(answering.is_some()),
        cell(spans.category[row]),
        label,
        spans.callee_label.known(row).or(label),
        cell(spans.failed.is(row)),
        cell(spans.unavailable(row)),
        spans.error_type.known(row).filter(|_| unanswered),
    ])
}

/// What the caller waited beyond the longest answer, as long as its entry lasted.
fn gap_ns(spans: &Spans<'_>, row: usize) -> i64 {
    let closed = spans.entry_start_ns[row].wrapping_add(spans.entry_duration_ns[row]);
    let waited = spans
        .end_ns(row)
        .min(closed)
        .wrapping_sub(spans.start_ns[row]);
    waited.wrapping_sub(spans.server_ns.get(row)).max(0)
}
