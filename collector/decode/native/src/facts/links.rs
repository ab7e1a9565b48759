//! Which database reads operations make, and how they stand to caches: `detectors/facts/links.py`.

use std::cmp::Reverse;

use super::bins::{duration_bin, pane};
use super::exemplars::{in_entry, Field};
use super::groups::{Cell, Groups, Kind, Layout, Merge};
use super::loads::are_loads;
use super::once::Once;
use super::{cell, Seen};
use crate::arrow::Array;

static LINKS: Layout<4, 8, 19> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("entry_kind", Kind::Name(|c| &c.kinds)),
    ],
    own: [
        ("pane", Kind::Number),
        ("system", Kind::Code),
        ("operation", Kind::Code),
        ("target", Kind::Code),
        ("predicate", Kind::Code),
        ("shape", Kind::Code),
        ("form", Kind::Traits),
        ("bin", Kind::Bin),
    ],
    measures: [
        ("entries", Merge::Sum),
        ("ok", Merge::Sum),
        ("looked", Merge::Sum),
        ("value_writes", Merge::Sum),
        ("fills", Merge::Sum),
        ("evictions", Merge::Sum),
        ("traces", Merge::Sum),
        ("executions", Merge::Sum),
        ("behind", Merge::Sum),
        ("filled", Merge::Sum),
        ("lasting", Merge::Sum),
        ("unknown_expiry", Merge::Sum),
        ("keyed", Merge::Sum),
        ("missed", Merge::Sum),
        ("found", Merge::Sum),
        ("duration_ns", Merge::Sum),
        ("entry_ns", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
    ],
};

/// A row per read of an operation and per operation; exemplars are the slowest executions.
#[must_use]
pub fn links(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let firsts = seen.patterns.first.iter();
    let loads: Vec<bool> = firsts
        .map(|row| are_loads(spans, *row as usize, c))
        .collect();
    let key = |row: usize| {
        let wanted = spans.is_entry.is(row) || are_loads(spans, row, c);
        wanted.then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.entry_label.known(row),
            cell(spans.entry_kind[row]),
        ])
    };
    let mut table = Links {
        seen,
        groups: Groups::new(&LINKS, seen.patterns, key),
        of_entry: Once::default(),
        of_trace: Once::default(),
    };
    for row in table.groups.wanted() {
        if spans.is_entry.is(row) {
            table.operation(row);
        }
        if loads[seen.patterns.of[row] as usize] && spans.entry_span.has(row) {
            table.read(row);
        }
    }
    exemplars(seen, &table.groups)
}

struct Links<'a> {
    seen: &'a Seen<'a>,
    groups: Groups<'a, 4, 8, 19>,
    of_entry: Once<(u32, u64)>,
    of_trace: Once<(u64, u64)>,
}

impl Links<'_> {
    /// The operation itself.
    fn operation(&mut self, row: usize) {
        let spans = self.seen.spans;
        let (start, looked) = (spans.start_ns[row], spans.lookups[row] > 0);
        let mut own = [None; 8];
        own[0] = cell(pane(start, 60));
        let mut measures = [0; 19];
        measures[0] = 1;
        measures[1] = i64::from(spans.entry_ok.is(row));
        measures[2] = i64::from(looked);
        measures[3] = if looked { spans.value_writes[row] } else { 0 };
        measures[4] = spans.fills[row];
        measures[5] = spans.evictions[row];
        [measures[17], measures[18]] = [start, start];
        self.groups.add(row, own, measures);
    }

    fn read(&mut self, row: usize) {
        let spans = self.seen.spans;
        let measures = self.measures(row);
        let group = self.groups.add(row, self.key(row), measures);
        let rank = |row: usize| {
            let trace = (spans.trace_hi[row], spans.trace_lo[row]);
            let span = (spans.start_ns[row], spans.span_id[row]);
            (
                Reverse(spans.duration_ns[row]),
                trace,
                spans.entry_span.get(row),
                span,
            )
        };
        let order = |one: usize, other: usize| rank(one).cmp(&rank(other));
        self.groups.show(group, row, order);
    }

    fn key(&self, row: usize) -> [Cell; 8] {
        let (spans, c) = (self.seen.spans, self.seen.constants);
        let form = spans.traits[row] & (c.locking | c.volatile | c.parameters);
        [
            cell(pane(spans.entry_start_ns[row], 60)),
            spans.system.known(row),
            spans.operation.known(row),
            spans.target.known(row),
            spans.predicate.known(row),
            spans.shape.known(row),
            cell(form),
            cell(duration_bin(spans.duration_ns[row])),
        ]
    }

    /// An entry counts in one of its executions of a read, a trace in one of an operation.
    fn measures(&mut self, row: usize) -> [i64; 19] {
        let (spans, c) = (self.seen.spans, self.seen.constants);
        let (trace, shape) = (spans.trace[row], spans.shape.get(row));
        let once = self.of_entry.is_first(trace, (spans.entry[row], shape));
        let of_trace = (spans.entry_label.get(row), shape);
        let looked = once && spans.lookups[row] > 0;
        let (expiry, hit) = (spans.expiry.known(row), spans.lookup_hit.known(row));
        [
            i64::from(once),
            i64::from(once && spans.entry_ok.is(row)),
            i64::from(looked),
            if looked { spans.value_writes[row] } else { 0 },
            0,
            0,
            i64::from(self.of_trace.is_first(trace, of_trace)),
            1,
            i64::from(spans.looked.is(row)),
            i64::from(spans.filled.is(row)),
            i64::from(expiry == Some(c.never)),
            i64::from(expiry == Some(c.unknown)),
            i64::from(spans.lookup_key.has(row)),
            i64::from(hit == Some(false)),
            i64::from(hit == Some(true)),
            spans.duration_ns[row],
            if once {
                spans.entry_duration_ns[row]
            } else {
                0
            },
            spans.start_ns[row],
            spans.end_ns(row),
        ]
    }
}

fn exemplars(seen: &Seen<'_>, groups: &Groups<'_, 4, 8, 19>) -> Array {
    let spans = seen.spans;
    let mut fields = in_entry(spans, |row| spans.duration_ns[row], |row| row);
    fields.extend([
        Field::time("first_ns", |row| Some(spans.start_ns[row])),
        Field::time("last_ns", |row| Some(spans.end_ns(row))),
        Field::ids("span_ids", |row| vec![spans.span_id[row]]),
        Field::code("label", |row| spans.label.known(row)),
        Field::code("code_file", |row| spans.code_file.known(row)),
        Field::line("code_line", |row| spans.code_line.known(row)),
    ]);
    groups.with_exemplars(seen, &fields)
}
