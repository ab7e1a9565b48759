//! The same work within one entry: `detectors/facts/repeats.py`.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::bins::{count_bin, pane};
use super::exemplars::{in_entry, Field};
use super::groups::{Cell, Groups, Kind, Layout, Merge};
use super::patterns::Patterns;
use super::repetition::{class_of, Repetition};
use super::spans::Spans;
use super::{cell, Seen};
use crate::arrow::Array;
use crate::constants::Constants;

static REPEATS: Layout<10, 12, 12> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
        ("entry_kind", Kind::Name(|c| &c.kinds)),
        ("work", Kind::Name(|c| &c.works)),
        ("system", Kind::Code),
        ("operation", Kind::Code),
        ("target", Kind::Code),
        ("predicate", Kind::Code),
        ("shape", Kind::Code),
    ],
    own: [
        ("pane", Kind::Number),
        ("callee", Kind::Code),
        ("values", Kind::Name(|c| &c.valued)),
        ("mode", Kind::Name(|c| &c.modes)),
        ("transaction", Kind::Name(|c| &c.transactions)),
        ("form", Kind::Traits),
        ("attempts", Kind::Truth),
        ("failed_class", Kind::Class),
        ("interval_class", Kind::Class),
        ("spread_class", Kind::Class),
        ("idle_class", Kind::Class),
        ("n_bin", Kind::Number),
    ],
    measures: [
        ("entries", Merge::Sum),
        ("traces", Merge::Sum),
        ("repeats", Merge::Sum),
        ("spans", Merge::Sum),
        ("failed", Merge::Sum),
        ("busy_ns", Merge::Sum),
        ("wasted_ns", Merge::Sum),
        ("entry_ns", Merge::Sum),
        ("n_min", Merge::Least),
        ("first_ns", Merge::Least),
        ("n_max", Merge::Most),
        ("last_ns", Merge::Most),
    ],
};

const IDLE_PERCENT: [i64; 2] = [50, 80];

/// A row per kind of group of two or more.
#[must_use]
pub fn repeats(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let subjects = Subjects::of(spans, seen.patterns, c);
    let mut found: Vec<Loop> = vec![];
    for trace in spans.traces() {
        let begin = found.len();
        subjects.loops(spans, trace.clone(), c, &mut found);
        if found.len() > begin {
            look_around(spans, trace, &subjects, c, &mut found[begin..]);
        }
    }
    let mut groups = Groups::new(&REPEATS, seen.patterns, |row| key(spans, row, c));
    for (place, one) in found.iter().enumerate() {
        let group = one.add(&mut groups, spans);
        let rank = |place: usize| found[place].rank(spans);
        groups.show(group, place, |one, other| rank(one).cmp(&rank(other)));
    }
    exemplars(seen, &groups, &found)
}

fn exemplars(seen: &Seen<'_>, groups: &Groups<'_, 10, 12, 12>, found: &[Loop]) -> Array {
    let spans = seen.spans;
    let told = |place: usize| &found[place].told;
    let first = |place: usize| found[place].told.first;
    let source = |place: usize| found[place].source;
    let mut fields = in_entry(spans, |p| told(p).wasted_ns, first);
    fields.extend([
        Field::time("first_ns", |p| Some(told(p).first_ns)),
        Field::time("last_ns", |p| Some(told(p).last_ns)),
        Field::time("n", |p| Some(told(p).n)),
        Field::ids("span_ids", |p| told(p).span_ids.clone()),
        Field::code("label", |p| spans.label.known(first(p))),
        Field::code("helper", |p| found[p].helper(spans)),
        Field::code("callee_label", |p| told(p).callee_label),
        Field::code("source", |p| spans.label.known(source(p)?)),
        Field::time("source_start_ns", |p| Some(spans.start_ns[source(p)?])),
        Field::time("source_duration_ns", |p| {
            Some(spans.duration_ns[source(p)?])
        }),
        Field::code("code_file", |p| spans.code_file.known(first(p))),
        Field::line("code_line", |p| spans.code_line.known(first(p))),
    ]);
    groups.with_exemplars(seen, &fields)
}

/// Repeated work of an entry.
struct Loop {
    told: Repetition,
    /// the last different read that ended before it began
    source: Option<usize>,
    transaction: u8,
    idle_class: i64,
    /// of its trace, the first of its subject
    is_first: bool,
}

impl Loop {
    fn of(told: Repetition, c: &Constants) -> Self {
        Self {
            told,
            source: None,
            transaction: c.untold,
            idle_class: 0,
            is_first: false,
        }
    }

    fn add(&self, groups: &mut Groups<'_, 10, 12, 12>, spans: &Spans<'_>) -> usize {
        let (told, first) = (&self.told, self.told.first);
        let [failed, interval, spread] = told.classes;
        let own = [
            cell(pane(spans.entry_start_ns[first], 60)),
            told.callee,
            cell(told.values),
            cell(told.mode),
            cell(self.transaction),
            cell(told.form),
            cell(told.attempts),
            cell(failed),
            cell(interval),
            cell(spread),
            cell(self.idle_class),
            cell(count_bin(told.n)),
        ];
        let measures = [
            1,
            i64::from(self.is_first),
            told.n,
            told.spans,
            told.failed,
            told.busy_ns,
            told.wasted_ns,
            spans.entry_duration_ns[first],
            told.n,
            told.first_ns,
            told.n,
            told.last_ns,
        ];
        groups.add(first, own, measures)
    }

    /// The worst come first: by wasted time, equal ones in the order of what is shown of them.
    fn rank(&self, spans: &Spans<'_>) -> impl Ord {
        let first = self.told.first;
        (
            Reverse(self.told.wasted_ns),
            (spans.trace_hi[first], spans.trace_lo[first]),
            spans.entry_span.known(first),
            (spans.entry_start_ns[first], spans.entry_duration_ns[first]),
            (self.told.first_ns, self.told.last_ns, self.told.n),
            self.told.span_ids.clone(),
        )
    }

    /// The label of the span around the first repeat, unless that is the entry itself.
    fn helper(&self, spans: &Spans<'_>) -> Option<u64> {
        let above = usize::try_from(spans.parent_row[self.told.first]).ok()?;
        spans
            .label
            .known(above)
            .filter(|_| !spans.is_entry.is(above))
    }
}

/// Which work of which shape each pattern is: a number, `NONE` for none.
struct Subjects<'a> {
    patterns: &'a Patterns,
    numbers: Vec<u32>,
}

const NONE: u32 = u32::MAX;

/// A message's shape is its label.
fn shape(spans: &Spans<'_>, row: usize, c: &Constants) -> Option<u64> {
    let work = spans.work.known(row)?;
    let label = spans.label.known(row).filter(|_| work == c.publish);
    spans.shape.known(row).or(label)
}

fn key(spans: &Spans<'_>, row: usize, c: &Constants) -> Option<[Cell; 10]> {
    let shape = shape(spans, row, c)?;
    Some([
        spans.service.known(row),
        spans.environment.known(row),
        spans.entry_label.known(row),
        cell(spans.entry_kind[row]),
        cell(spans.work.get(row)),
        spans.system.known(row),
        spans.operation.known(row),
        spans.target.known(row),
        spans.predicate.known(row),
        Some(shape),
    ])
}

impl<'a> Subjects<'a> {
    fn of(spans: &Spans<'_>, patterns: &'a Patterns, c: &Constants) -> Self {
        let mut known = HashMap::new();
        let numbers = patterns.first.iter().map(|row| {
            let row = *row as usize;
            let Some(shape) = shape(spans, row, c) else {
                return NONE;
            };
            let next = known.len() as u32;
            *known.entry((spans.work.get(row), shape)).or_insert(next)
        });
        let numbers = numbers.collect();
        Self { patterns, numbers }
    }

    fn number(&self, row: usize) -> u32 {
        self.numbers[self.patterns.of[row] as usize]
    }

    /// Adds what is done twice or more in an entry of a trace.
    fn loops(&self, spans: &Spans<'_>, trace: Range<usize>, c: &Constants, found: &mut Vec<Loop>) {
        let rows = trace.filter(|row| self.number(*row) != NONE);
        let mut work: Vec<((u32, u32), u32)> = rows
            .map(|row| ((spans.entry[row], self.number(row)), row as u32))
            .collect();
        work.sort_unstable();
        for same in work.chunk_by(|(one, _), (other, _)| one == other) {
            if same.len() == 1 && spans.repeat[same[0].1 as usize] <= 1 {
                continue;
            }
            let rows: Vec<u32> = same.iter().map(|(_, row)| *row).collect();
            let told = Repetition::of(spans, &rows, c);
            if told.n >= 2 {
                found.push(Loop::of(told, c));
            }
        }
    }
}

/// What an entry with a loop has besides.
#[derive(Default)]
struct Around {
    /// reads by their end, start and label
    reads: Vec<(i64, i64, Option<u64>, usize)>,
    idle_class: i64,
    /// spans that begin or end transactions: how many, the earliest and the latest start
    borders: Option<(i64, i64, i64)>,
}

/// Tells of the loops of a trace what is around them in their entries.
fn look_around(
    spans: &Spans<'_>,
    trace: Range<usize>,
    subjects: &Subjects<'_>,
    c: &Constants,
    loops: &mut [Loop],
) {
    let entry_of = |one: &Loop| spans.entry[one.told.first];
    let mut around: HashMap<u32, Around> = HashMap::new();
    around.extend(loops.iter().map(|one| (entry_of(one), Around::default())));
    for row in trace {
        if let Some(entry) = around.get_mut(&spans.entry[row]) {
            entry.add(spans, row, subjects.number(row) != NONE, c);
        }
    }
    for entry in around.values_mut() {
        entry.reads.sort_unstable();
    }
    for one in loops.iter_mut() {
        let entry = &around[&entry_of(one)];
        let (first_ns, n) = (one.told.first_ns, one.told.n);
        let before = entry
            .reads
            .partition_point(|(end_ns, ..)| *end_ns <= first_ns);
        one.source = before.checked_sub(1).map(|place| entry.reads[place].3);
        one.idle_class = entry.idle_class;
        if let Some((count, opened, closed)) = entry
            .borders
            .filter(|_| spans.work.get(one.told.first) == c.write)
        {
            let holds = opened <= first_ns && closed >= first_ns && count < n;
            one.transaction = if holds { c.inside } else { c.outside };
        }
    }
    mark_first(spans, subjects, c, loops);
}

impl Around {
    fn add(&mut self, spans: &Spans<'_>, row: usize, is_shaped: bool, c: &Constants) {
        let (start, work) = (spans.start_ns[row], spans.work.get(row));
        if is_shaped && (work == c.query || work == c.call) {
            let label = spans.label.known(row);
            self.reads.push((spans.end_ns(row), start, label, row));
        }
        if spans.is_entry.is(row) {
            let own = spans.self_ns[row] * 100 / spans.duration_ns[row].max(1);
            self.idle_class = class_of(own, &IDLE_PERCENT);
        }
        if spans.category[row] == c.transaction {
            let (count, opened, closed) = self.borders.unwrap_or((0, start, start));
            self.borders = Some((count + 1, opened.min(start), closed.max(start)));
        }
    }
}

/// Each subject counts once for its trace, in the loop that began first.
fn mark_first(spans: &Spans<'_>, subjects: &Subjects<'_>, c: &Constants, loops: &mut [Loop]) {
    let rank = |one: &Loop| {
        let first = one.told.first;
        let shape = shape(spans, first, c);
        (
            one.told.first_ns,
            spans.entry[first],
            spans.work.get(first),
            shape,
        )
    };
    let mut order: Vec<usize> = (0..loops.len()).collect();
    order.sort_unstable_by_key(|place| rank(&loops[*place]));
    let mut seen = HashSet::new();
    for place in order {
        let first = loops[place].told.first;
        loops[place].is_first =
            seen.insert((spans.entry_label.known(first), subjects.number(first)));
    }
}
