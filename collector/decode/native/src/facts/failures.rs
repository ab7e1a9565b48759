//! Calls in trouble: `detectors/facts/failures.py`.

use std::cmp::Reverse;

use super::bins::{fine_bin, pane};
use super::exemplars::{in_entry, Field};
use super::groups::{Cell, Groups, Kind, Layout, Merge};
use super::spans::Spans;
use super::{cell, Seen};
use crate::arrow::Array;
use crate::constants::Constants;

static FAILURES: Layout<12, 3, 6> = Layout {
    shared: [
        ("caller", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("category", Kind::Name(|c| &c.categories)),
        ("label", Kind::Code),
        ("verb", Kind::Code),
        ("callee", Kind::Code),
        ("answer", Kind::Code),
        ("failed", Kind::Truth),
        ("unavailable", Kind::Truth),
        ("unanswered", Kind::Truth),
        ("error_type", Kind::Code),
    ],
    own: [
        ("pane", Kind::Number),
        ("bin", Kind::Bin),
        ("overrun_bin", Kind::Bin),
    ],
    measures: [
        ("calls", Merge::Sum),
        ("traces", Merge::Sum),
        ("client_ns", Merge::Sum),
        ("overrun_ns", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
    ],
};
/// Calls that are fine but last as long are kept too: `LONG_NS`.
const LONG_NS: i64 = 5_000_000_000;

/// A row per group of calls that failed or lasted long; exemplars are the longest.
#[must_use]
pub fn failures(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let mut groups = Groups::new(&FAILURES, seen.patterns, |row| key(spans, row, c));
    let mut traces = vec![]; // the last one of each group
    let troubled = |row: &usize| spans.failed.is(*row) || spans.duration_ns[*row] >= LONG_NS;
    for row in groups.wanted().filter(troubled) {
        let (start, duration) = (spans.start_ns[row], spans.duration_ns[row]);
        let overrun = overrun_ns(spans, row, c);
        let own = [
            cell(pane(start, 60)),
            cell(fine_bin(duration)),
            overrun.map(|overrun| fine_bin(overrun) as u64),
        ];
        let overrun = overrun.unwrap_or_default();
        let end = spans.end_ns(row);
        let group = groups.add(row, own, [1, 0, duration, overrun, start, end]);
        traces.resize(traces.len().max(group + 1), None);
        if traces[group].replace(spans.trace[row]) != Some(spans.trace[row]) {
            groups.count(group, 1);
        }
        groups.show(group, row, |one, other| {
            rank(spans, one).cmp(&rank(spans, other))
        });
    }
    groups.with_exemplars(seen, &fields(spans))
}

fn key(spans: &Spans<'_>, row: usize, c: &Constants) -> Option<[Cell; 12]> {
    let (peer, system) = (spans.peer.known(row), spans.system.known(row));
    let failed = spans.failed.is(row);
    spans.outgoing.is(row).then(|| {
        [
            spans.service.known(row),
            spans.environment.known(row),
            spans.entry_label.known(row),
            cell(spans.category[row]),
            spans.label.known(row),
            spans.operation.known(row),
            spans.callee.known(row).or(peer).or(system),
            spans.callee_label.known(row),
            cell(failed),
            cell(spans.unavailable(row)),
            cell(spans.unanswered(row, c.error)),
            spans.error_type.known(row).filter(|_| failed),
        ]
    })
}

/// How long the callee works on after a caller that heard nothing gave up.
fn overrun_ns(spans: &Spans<'_>, row: usize, c: &Constants) -> Option<i64> {
    let answered = spans.answer_end_ns.known(row)?;
    let overrun = answered.wrapping_sub(spans.end_ns(row));
    (spans.unanswered(row, c.error) && overrun > 0).then_some(overrun)
}

/// From the start of a call to the later end of both sides.
fn extent_ns(spans: &Spans<'_>, row: usize) -> i64 {
    let end = spans.end_ns(row);
    let last = spans
        .answer_end_ns
        .known(row)
        .map_or(end, |one| one.max(end));
    last.wrapping_sub(spans.start_ns[row])
}

/// The longest first, equal ones in the order of what is shown of them.
fn rank(spans: &Spans<'_>, row: usize) -> impl Ord {
    (
        Reverse(extent_ns(spans, row)),
        (spans.trace_hi[row], spans.trace_lo[row]),
        spans.entry_span.known(row),
        (spans.entry_start_ns[row], spans.entry_duration_ns[row]),
        (spans.start_ns[row], spans.end_ns(row)),
        spans.span_id[row],
    )
}

fn fields<'a>(spans: &'a Spans<'a>) -> Vec<Field<'a>> {
    let mut fields = in_entry(spans, |row| extent_ns(spans, row), |row| row);
    fields.extend([
        Field::time("first_ns", |row| Some(spans.start_ns[row])),
        Field::time("last_ns", |row| Some(spans.end_ns(row))),
        Field::code("call_span", |row| Some(spans.span_id[row])),
        Field::time("n", |_| Some(1)),
        Field::code("label", |row| spans.label.known(row)),
        Field::code("entry_label", |row| spans.entry_label.known(row)),
        Field::code("answer", |row| spans.callee_label.known(row)),
        Field::code("answer_span", |row| spans.answer_span.known(row)),
        Field::time("answer_start_ns", |row| spans.answer_start_ns.known(row)),
        Field::time("answer_end_ns", |row| spans.answer_end_ns.known(row)),
        Field::ids("span_ids", |row| vec![spans.span_id[row]]),
    ]);
    fields
}
