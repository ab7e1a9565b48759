//! How often calls are tried: `detectors/facts/attempts.py` and `detectors/kit/attempts.py`.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::bins::{gap_bin, growth_bin, pane};
use super::exemplars::{in_entry, Field};
use super::groups::{Cell, Groups, Kind, Layout, Merge};
use super::spans::Spans;
use super::tried::{Sent, Tried};
use super::{cell, Seen};
use crate::arrow::Array;
use crate::constants::Constants;

static ATTEMPTS: Layout<5, 7, 12> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("category", Kind::Name(|c| &c.categories)),
        ("label", Kind::Code),
    ],
    own: [
        ("pane", Kind::Number),
        ("peer", Kind::Code),
        ("callee", Kind::Code),
        ("operation", Kind::Code),
        ("healthy", Kind::Truth),
        ("gap_bin", Kind::Bin),
        ("growth_bin", Kind::Bin),
    ],
    measures: [
        ("groups", Merge::Sum),
        ("traces", Merge::Sum),
        ("logical", Merge::Sum),
        ("lost", Merge::Sum),
        ("attempts", Merge::Sum),
        ("hidden", Merge::Sum),
        ("unseen", Merge::Sum),
        ("extra_ns", Merge::Sum),
        ("retries", Merge::Sum),
        ("gap_ns", Merge::Sum),
        ("first_ns", Merge::Least),
        ("last_ns", Merge::Most),
    ],
};

/// A row per kind of group and of gap; exemplars only of groups that were tried again.
#[must_use]
pub fn attempts(seen: &Seen<'_>) -> Array {
    let spans = seen.spans;
    let mut table = Attempts::of(seen);
    for trace in spans.traces() {
        table.trace(trace);
    }
    if (0..spans.rows).any(|row| spans.tries.get(row) > 1) {
        table.answers();
    }
    table.exemplars(seen)
}

/// The table as far as it is made, and the groups of calls that are shown.
struct Attempts<'a> {
    spans: &'a Spans<'a>,
    c: &'a Constants,
    groups: Groups<'a, 5, 7, 12>,
    tried: Vec<Tried>,
    /// of a trace, kept for the next
    calls: Vec<(Call, u32)>,
    /// what was counted for the trace
    counted: HashSet<[Cell; 8]>,
}

/// What makes calls of an entry one call: statement or URL, and values where they are visible.
type Call = (u32, Option<u64>, u64);

impl<'a> Attempts<'a> {
    fn of(seen: &Seen<'a>) -> Self {
        let (spans, c) = (seen.spans, seen.constants);
        let key = |row: usize| {
            let delivered = spans.kind[row] == c.consumer && spans.is_entry.is(row);
            let wanted = delivered && spans.category[row] == c.messaging;
            (wanted || spans.outgoing.is(row)).then(|| said(spans, row))
        };
        Self {
            spans,
            c,
            groups: Groups::new(&ATTEMPTS, seen.patterns, key),
            tried: vec![],
            calls: vec![],
            counted: HashSet::new(),
        }
    }

    fn trace(&mut self, trace: Range<usize>) {
        let (spans, c) = (self.spans, self.c);
        let mut calls = std::mem::take(&mut self.calls);
        let mut is_fine = true;
        for row in trace {
            if spans.outgoing.is(row) {
                let shape = spans.shape.known(row).or(spans.label.known(row));
                let values = spans.values.known(row).unwrap_or(1);
                calls.push(((spans.entry[row], shape, values), row as u32));
                is_fine &= !spans.failed.is(row);
            } else if spans.kind[row] == c.consumer && spans.is_entry.is(row) {
                self.delivery(row);
            }
        }
        calls.sort_unstable();
        let mut failing: Vec<Vec<usize>> = vec![];
        for same in calls.chunk_by(|(one, _), (other, _)| one == other) {
            if is_fine || same.iter().all(|(_, row)| !spans.failed.is(*row as usize)) {
                self.healthy(same);
            } else {
                failing.push(same.iter().map(|(_, row)| *row as usize).collect());
            }
        }
        failing.sort_unstable(); // the first of a kind is counted for the trace
        self.counted.clear();
        for rows in failing {
            self.failing(&rows);
        }
        calls.clear();
        self.calls = calls;
    }

    /// Calls of one group, none of which failed.
    fn healthy(&mut self, rows: &[(Call, u32)]) {
        for (place, (_, row)) in rows.iter().enumerate() {
            let (row, sent) = (*row as usize, Sent::of(self.spans, *row as usize, self.c));
            let (start, end) = (self.spans.start_ns[row], self.spans.end_ns(row));
            let (groups, logical) = (i64::from(place == 0), i64::from(sent.again == 0));
            let (sends, hidden) = (sent.sends, sent.sends - 1);
            let own = own(start, true);
            self.groups.add(
                row,
                own,
                [groups, 0, logical, 0, sends, hidden, 0, 0, 0, 0, start, end],
            );
        }
    }

    /// Calls of one group, some of which failed.
    fn failing(&mut self, rows: &[usize]) {
        let tried = Tried::of(self.spans, rows, self.c);
        let first = tried.first;
        let peer = self
            .spans
            .peer
            .known(first)
            .or(self.spans.system.known(first));
        let (callee, operation) = (tried.callee, tried.operation);
        let [service, environment, entry, category, label] = said(self.spans, first);
        let counted = [
            service,
            environment,
            entry,
            category,
            label,
            peer,
            callee,
            operation,
        ];
        let is_new = self.counted.insert(counted);
        let mut own = own(tried.first_ns, false);
        [own[1], own[2], own[3]] = [peer, callee, operation];
        let measures = [
            1,
            i64::from(is_new),
            tried.logical,
            tried.lost,
            tried.attempts,
            tried.hidden,
            tried.unseen,
            tried.extra_ns,
            0,
            0,
            tried.first_ns,
            tried.last_ns,
        ];
        let group = self.groups.add(first, own, measures);
        if tried.one_call && rows.len() > 1 {
            let times = rows
                .iter()
                .map(|row| (self.spans.start_ns[*row], self.spans.end_ns(*row), *row));
            self.gaps(times.collect());
        }
        if tried.attempts > tried.logical {
            self.tried.push(tried);
            let (spans, tried) = (self.spans, &self.tried);
            let order = |one: usize, other: usize| {
                rank(spans, &tried[one]).cmp(&rank(spans, &tried[other]))
            };
            self.groups.show(group, tried.len() - 1, order);
        }
    }

    /// A CONSUMER entry is a delivery; those that are no repetition are the logical calls.
    fn delivery(&mut self, row: usize) {
        let spans = self.spans;
        if spans.category[row] != self.c.messaging {
            return;
        }
        let (start, end) = (spans.start_ns[row], spans.end_ns(row));
        let again = spans.resends.get(row) > 0;
        let (logical, lost) = (i64::from(!again), i64::from(spans.failed.is(row)));
        let extra = if again { spans.duration_ns[row] } else { 0 };
        let own = own(start, false);
        let counts = [
            logical, logical, logical, lost, 1, 0, 0, extra, 0, 0, start, end,
        ];
        self.groups.add(row, own, counts);
    }

    /// What lies between the answers of calls that were sent several times.
    fn answers(&mut self) {
        let spans = self.spans;
        let mut answers: HashMap<usize, Vec<(i64, i64, usize)>> = HashMap::new();
        for row in (0..spans.rows).filter(|row| spans.kind[*row] == self.c.server) {
            let asked = usize::try_from(spans.parent_row[row]);
            let several = |row: &usize| spans.outgoing.is(*row) && spans.tries.get(*row) > 1;
            if let Some(asked) = asked.ok().filter(several) {
                let times = (spans.start_ns[row], spans.end_ns(row), asked);
                answers.entry(asked).or_default().push(times);
            }
        }
        for times in answers.into_values() {
            self.gaps(times);
        }
    }

    /// Attempts by start, end and the row that tells which call it is: a gap before each but one.
    fn gaps(&mut self, mut times: Vec<(i64, i64, usize)>) {
        times.sort_unstable();
        let mut before = None;
        for pair in times.windows(2) {
            let ((_, end, _), (start, _, row)) = (pair[0], pair[1]);
            let gap = (start - end).max(0);
            let mut own = own(start, false);
            own[5] = cell(gap_bin(gap));
            own[6] = before.map(|before| growth_bin(gap, before) as u64);
            self.groups
                .add(row, own, [0, 0, 0, 0, 0, 0, 0, 0, 1, gap, start, start]);
            before = Some(gap);
        }
    }

    fn exemplars(&self, seen: &Seen<'_>) -> Array {
        let (spans, tried) = (self.spans, &self.tried);
        let first = |place: usize| tried[place].first;
        let mut fields = in_entry(spans, |p| tried[p].attempts, first);
        fields.extend([
            Field::time("first_ns", |p| Some(tried[p].first_ns)),
            Field::time("last_ns", |p| Some(tried[p].last_ns)),
            Field::time("n", |p| Some(tried[p].attempts)),
            Field::code("label", |p| spans.label.known(first(p))),
            Field::ids("span_ids", |p| tried[p].span_ids.clone()),
        ]);
        self.groups.with_exemplars(seen, &fields)
    }
}

/// Who calls what.
fn said(spans: &Spans<'_>, row: usize) -> [Cell; 5] {
    [
        spans.service.known(row),
        spans.environment.known(row),
        spans.entry_label.known(row),
        cell(spans.category[row]),
        spans.label.known(row),
    ]
}

fn own(start_ns: i64, healthy: bool) -> [Cell; 7] {
    let (pane, healthy) = (cell(pane(start_ns, 5)), cell(healthy));
    [pane, None, None, None, healthy, None, None]
}

/// Most attempts first, equal ones in the order of what is shown of them.
fn rank(spans: &Spans<'_>, tried: &Tried) -> impl Ord {
    let first = tried.first;
    (
        Reverse(tried.attempts),
        (spans.trace_hi[first], spans.trace_lo[first]),
        spans.entry_span.known(first),
        (spans.entry_start_ns[first], spans.entry_duration_ns[first]),
        (tried.first_ns, tried.last_ns),
        spans.label.known(first),
    )
}
