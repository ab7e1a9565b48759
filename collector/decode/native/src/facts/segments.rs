//! What services do themselves: `detectors/facts/segments.py` and `detectors/kit/segments.py`.

use std::cmp::Reverse;

use super::bins::{fixed_log, pane};
use super::exemplars::{in_entry, Field};
use super::groups::{Groups, Kind, Layout, Merge};
use super::spans::Spans;
use super::{cell, Seen};
use crate::arrow::Array;

static SEGMENTS: Layout<3, 3, 12> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
    ],
    own: [
        ("pane", Kind::Number),
        ("ending", Kind::Code),
        ("ending_service", Kind::Code),
    ],
    measures: [
        ("entries", Merge::Sum),
        ("failed", Merge::Sum),
        ("own_ns", Merge::Sum),
        ("total_ns", Merge::Sum),
        ("own_log", Merge::Sum),
        ("own_log2", Merge::Sum),
        ("total_log", Merge::Sum),
        ("total_log2", Merge::Sum),
        ("steps", Merge::Sum),
        ("steps2", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
    ],
};

const NONE: u32 = u32::MAX;

/// An entry, and what is known by now of the spans that work for it.
#[derive(Clone, Copy)]
struct Segment {
    row: u32,
    /// calls out and local leaves
    steps: u32,
    last: u32,
    longest: u32,
    /// of the entry, covered by calls
    busy_ns: i64,
    /// up to where, from the start of the entry
    reached_ns: i64,
}

impl Segment {
    fn of(row: usize) -> Self {
        Self {
            row: row as u32,
            steps: 0,
            last: NONE,
            longest: NONE,
            busy_ns: 0,
            reached_ns: 0,
        }
    }

    /// A call out, which starts no sooner than those before it.
    fn call(&mut self, spans: &Spans<'_>, row: usize) {
        let entry = self.row as usize;
        let (whole, duration) = (spans.duration_ns[entry].max(0), spans.duration_ns[row]);
        let begin = spans.start_ns[row].wrapping_sub(spans.start_ns[entry]);
        let end = begin.wrapping_add(duration).clamp(0, whole);
        let begin = begin.clamp(0, whole).max(self.reached_ns);
        self.busy_ns += (end - begin).max(0);
        self.reached_ns = self.reached_ns.max(end);
        if self.longest == NONE || duration > spans.duration_ns[self.longest as usize] {
            self.longest = row as u32;
        }
    }

    fn own_ns(&self, spans: &Spans<'_>) -> i64 {
        spans.duration_ns[self.row as usize] - self.busy_ns
    }
}

/// A row per kind of segment; exemplars are the longest entries, each with its longest call.
#[must_use]
pub fn segments(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let (segments, places) = all(spans);
    let key = |row: usize| {
        let names = [&spans.service, &spans.environment, &spans.entry_label];
        let told = names.map(|column| column.known(row));
        spans.is_entry.is(row).then_some(told)
    };
    let mut groups = Groups::new(&SEGMENTS, seen.patterns, key);
    for segment in &segments {
        let row = segment.row as usize;
        let group = add(&mut groups, spans, segment, c.error);
        let rank = |row: usize| {
            let trace = (spans.trace_hi[row], spans.trace_lo[row]);
            (Reverse(spans.duration_ns[row]), trace, spans.span_id[row])
        };
        groups.show(group, row, |one, other| rank(one).cmp(&rank(other)));
    }
    let of_entry = |row: usize| &segments[places[spans.entry[row] as usize] as usize];
    let call = |row: usize| Some(of_entry(row).longest as usize).filter(|row| *row < spans.rows);
    // An entry is its own span, so these begin as all exemplars do.
    let mut fields = in_entry(spans, |row| spans.duration_ns[row], |row| row);
    fields.extend([
        Field::time("own_ns", |row| Some(of_entry(row).own_ns(spans))),
        Field::time("first_ns", |row| Some(spans.start_ns[call(row)?])),
        Field::time("last_ns", |row| Some(spans.end_ns(call(row)?))),
        Field::code("call_span", |row| Some(spans.span_id[call(row)?])),
        Field::code("label", |row| spans.label.known(call(row)?)),
        Field::code("callee", |row| spans.callee.known(call(row)?)),
        Field::time("server_ns", |row| spans.server_ns.known(call(row)?)),
    ]);
    groups.with_exemplars(seen, &fields)
}

fn add(
    groups: &mut Groups<'_, 3, 3, 12>,
    spans: &Spans<'_>,
    segment: &Segment,
    error: u8,
) -> usize {
    let row = segment.row as usize;
    let (start, duration) = (spans.start_ns[row], spans.duration_ns[row]);
    let last = (segment.last != NONE).then_some(segment.last as usize);
    let out = last.filter(|last| spans.outgoing.is(*last));
    let own = [
        cell(pane(start, 5)),
        last.and_then(|last| spans.label.known(last)),
        out.and_then(|out| spans.callee.known(out).or(spans.peer.known(out))),
    ];
    let failed = spans.status[row] == error || spans.http_status.get(row) >= 500;
    let (own_ns, steps) = (segment.own_ns(spans), i64::from(segment.steps));
    let (own_log, total_log) = (fixed_log(own_ns), fixed_log(duration));
    let measures = [
        1,
        i64::from(failed),
        own_ns,
        duration,
        own_log,
        own_log * own_log,
        total_log,
        total_log * total_log,
        steps,
        steps * steps,
        start,
        start,
    ];
    groups.add(row, own, measures)
}

/// The segments in the order of their entries, and the place of each by the number of its entry.
fn all(spans: &Spans<'_>) -> (Vec<Segment>, Vec<u32>) {
    let numbers = spans
        .entry
        .iter()
        .max()
        .map_or(0, |last| *last as usize + 1);
    let mut places = vec![NONE; numbers];
    let mut segments = vec![];
    for row in (0..spans.rows).filter(|row| spans.is_entry.is(*row)) {
        places[spans.entry[row] as usize] = segments.len() as u32;
        segments.push(Segment::of(row));
    }
    let inner = inner(spans);
    for row in (0..spans.rows).filter(|row| !spans.is_entry.is(*row)) {
        let place = places[spans.entry[row] as usize];
        let out = spans.outgoing.is(row);
        if place == NONE || inner[row] && !out {
            continue;
        }
        let segment = &mut segments[place as usize];
        segment.steps += 1;
        segment.last = row as u32;
        if out {
            segment.call(spans, row);
        }
    }
    (segments, places)
}

/// Whether a span is the parent of one that works for the same entry.
fn inner(spans: &Spans<'_>) -> Vec<bool> {
    let mut inner = vec![false; spans.rows];
    for (row, parent) in spans.parent_row.iter().enumerate() {
        if *parent >= 0 && !spans.is_entry.is(row) {
            let parent = *parent as usize;
            inner[parent] |= spans.entry[parent] == spans.entry[row];
        }
    }
    inner
}
