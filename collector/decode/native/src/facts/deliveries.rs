//! How often each message is delivered: `detectors/facts/deliveries.py`.

use std::cmp::Reverse;

use super::bins::pane;
use super::exemplars::{in_entry, Field};
use super::groups::{Cell, Groups, Kind, Layout, Merge};
use super::loads::{in_sample, NULL};
use super::patterns::{final_of, ODDS};
use super::spans::Spans;
use super::{cell, Seen};
use crate::arrow::Array;
use crate::constants::Constants;

static DELIVERIES: Layout<3, 2, 6> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
    ],
    own: [("pane", Kind::Number), ("message", Kind::Code)],
    measures: [
        ("deliveries", Merge::Sum),
        ("failed", Merge::Sum),
        ("spent_ns", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
        ("level", Merge::Most),
    ],
};

/// A row per message; exemplars are the longest deliveries that failed.
#[must_use]
pub fn deliveries(seen: &Seen<'_>) -> Array {
    let (spans, c, level) = (seen.spans, seen.constants, seen.level.unwrap_or(0));
    let key = |row: usize| {
        let names = [&spans.service, &spans.environment, &spans.entry_label];
        let is_delivery = spans.kind[row] == c.consumer && spans.is_entry.is(row);
        is_delivery.then_some(names.map(|name| name.known(row)))
    };
    let mut groups = Groups::new(&DELIVERIES, seen.patterns, key);
    let broken = broken(seen);
    for row in groups.wanted().filter(|row| spans.resends.get(*row) == 0) {
        let Some(message) = message(spans, row, c).filter(|message| in_sample(*message, level))
        else {
            continue;
        };
        let (start, duration) = (spans.start_ns[row], spans.duration_ns[row]);
        let failed = spans.failed.is(row) || broken.binary_search(&spans.entry[row]).is_ok();
        let measures = [
            1,
            i64::from(failed),
            if failed { duration } else { 0 },
            start,
            spans.end_ns(row),
            i64::from(level),
        ];
        let group = groups.add(row, [cell(pane(start, 5)), cell(message)], measures);
        if failed {
            groups.show(group, row, |one, other| {
                rank(spans, one).cmp(&rank(spans, other))
            });
        }
    }
    exemplars(seen, &groups)
}

/// Deliveries in which a call failed, by the numbers of their entries.
fn broken(seen: &Seen<'_>) -> Vec<u32> {
    let (spans, c) = (seen.spans, seen.constants);
    let is_broken = |row: &u32| {
        let row = *row as usize;
        let calls = spans.outgoing.is(row) && spans.failed.is(row);
        calls && spans.entry_kind[row] == c.consumer
    };
    let patterns: Vec<bool> = seen.patterns.first.iter().map(is_broken).collect();
    let rows = seen.patterns.of.iter().zip(spans.entry);
    let entries = rows.filter(|(pattern, _)| patterns[**pattern as usize]);
    let mut entries: Vec<u32> = entries.map(|(_, entry)| *entry).collect();
    entries.sort_unstable();
    entries
}

/// The message that was delivered, where it is known which span sent it.
fn message(spans: &Spans<'_>, row: usize, c: &Constants) -> Cell {
    let linked = match spans.links.get(row) {
        Some([_, _, span]) => Some(*span),
        _ => None,
    };
    let parent = usize::try_from(spans.parent_row[row]);
    let by_parent = parent.is_ok_and(|parent| spans.kind[parent] == c.producer);
    let of_parent = spans.parent_span_id.known(row);
    let sent = linked.or(of_parent.filter(|_| by_parent || spans.remote_parent.is(row)))?;
    let id = spans.message_id.known(row).unwrap_or(NULL);
    let [sent, id] = [sent.wrapping_mul(ODDS[0]), id.wrapping_mul(ODDS[1])];
    Some(final_of(sent.wrapping_add(id)))
}

/// The longest first, equal ones in the order of what is shown of them.
fn rank(spans: &Spans<'_>, row: usize) -> impl Ord {
    (
        Reverse(spans.duration_ns[row]),
        (spans.trace_hi[row], spans.trace_lo[row]),
        (spans.span_id[row], spans.start_ns[row]),
        spans.label.known(row),
    )
}

fn exemplars(seen: &Seen<'_>, groups: &Groups<'_, 3, 2, 6>) -> Array {
    let spans = seen.spans;
    // An entry is its own span, so these begin as all exemplars do.
    let mut fields = in_entry(spans, |row| spans.duration_ns[row], |row| row);
    fields.extend([
        Field::time("first_ns", |row| Some(spans.start_ns[row])),
        Field::time("last_ns", |row| Some(spans.end_ns(row))),
        Field::time("n", |_| Some(1)),
        Field::code("label", |row| spans.label.known(row)),
        Field::ids("span_ids", |row| vec![spans.span_id[row]]),
    ]);
    groups.with_exemplars(seen, &fields)
}
