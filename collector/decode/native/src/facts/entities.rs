//! Which instance served which entity: `detectors/facts/entities.py`.

use std::cmp::Reverse;
use std::ops::Range;

use super::bins::pane;
use super::exemplars::{in_entry, Field};
use super::groups::{Cell, Groups, Kind, Layout, Merge, NO_LEAST, NO_MOST};
use super::loads::in_sample;
use super::served::{read_alike, Reads, Role, Served};
use super::spans::Spans;
use super::{cell, Seen};
use crate::arrow::Array;

static ENTITIES: Layout<5, 7, 17> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("version", Kind::Code),
        ("instance", Kind::Code),
        ("entry_label", Kind::Code),
    ],
    own: [
        ("pane", Kind::Number),
        ("identity", Kind::Name(|c| &c.identities)),
        ("entity", Kind::Code),
        ("shape", Kind::Code),
        ("read_operation", Kind::Code),
        ("target", Kind::Code),
        ("predicate", Kind::Code),
    ],
    measures: [
        ("requests", Merge::Sum),
        ("ok", Merge::Sum),
        ("failed", Merge::Sum),
        ("broken", Merge::Sum),
        ("cached", Merge::Sum),
        ("created", Merge::Sum),
        ("spent_ns", Merge::Sum),
        ("first_ns", Merge::Least),
        ("first_ok_ns", Merge::LeastKnown),
        ("first_done_ns", Merge::LeastKnown),
        ("first_failed_ns", Merge::LeastKnown),
        ("created_ns", Merge::LeastKnown),
        ("last_ns", Merge::Most),
        ("level", Merge::Most),
        ("last_ok_ns", Merge::MostKnown),
        ("last_failed_ns", Merge::MostKnown),
        ("written_ns", Merge::MostKnown),
    ],
};
/// `spent_ns` among the measures.
const SPENT: usize = 6;

/// Rows of requests and of what they read, both per identity of the entry.
#[must_use]
pub fn entities(seen: &Seen<'_>) -> Array {
    let spans = seen.spans;
    let roles = Role::of_patterns(seen);
    let key = |row: usize| {
        roles[seen.patterns.of[row] as usize].is_served.then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.version.known(row),
            spans.instance.known(row),
            spans.entry_label.known(row),
        ])
    };
    let mut table = Entities {
        seen,
        groups: Groups::new(&ENTITIES, seen.patterns, key),
        shown: vec![],
    };
    // Each is told by two identities at most.
    let counts = |row: &&u32| {
        let role = roles[**row as usize];
        role.is_served || role.is_read
    };
    let count = seen.patterns.of.iter().filter(counts).count();
    table.groups.reserve((2 * count) >> seen.level.unwrap_or(0));
    let last = spans.entry.iter().max().copied().unwrap_or_default();
    let mut places = vec![None; last as usize + 1];
    let (mut served, mut reads) = (vec![], vec![]);
    for trace in spans.traces() {
        let role = |row: usize| roles[seen.patterns.of[row] as usize];
        table.trace(trace, role, &mut places, &mut served, &mut reads);
    }
    table.exemplars()
}

/// What an exemplar tells: of an entry, or of what it read one way.
struct Shown {
    entry: usize,
    first_ns: i64,
    last_ns: i64,
    n: i64,
    label: Cell,
}

struct Entities<'a> {
    seen: &'a Seen<'a>,
    groups: Groups<'a, 5, 7, 17>,
    shown: Vec<Shown>,
}

impl Entities<'_> {
    /// The entries of a trace. `places` are by number of an entry; the rest is room to work in.
    fn trace(
        &mut self,
        trace: Range<usize>,
        role: impl Fn(usize) -> Role,
        places: &mut [Option<u32>],
        served: &mut Vec<Served>,
        reads: &mut Vec<(u32, Cell, u32)>,
    ) {
        let spans = self.seen.spans;
        served.clear();
        reads.clear();
        let level = self.seen.level.unwrap_or(0);
        let wanted = |row: &usize| role(*row).is_served && !Served::is_left_out(spans, *row, level);
        for row in trace.clone().filter(wanted) {
            places[spans.entry[row] as usize] = Some(served.len() as u32);
            served.push(Served::of(spans, row, self.seen.constants));
        }
        if served.is_empty() {
            return;
        }
        for row in trace {
            let (role, Some(place)) = (role(row), places[spans.entry[row] as usize]) else {
                continue;
            };
            let entry = &mut served[place as usize];
            if role.is_command {
                entry.tell(spans.key.known(row), role.reads_one);
            }
            if role.is_read && entry.answered {
                let shape = spans.shape.known(row).or(spans.label.known(row));
                reads.push((place, shape, row as u32));
            }
        }
        reads.sort_unstable();
        let mut kinds = reads.chunk_by(read_alike).peekable();
        for (place, entry) in served.iter().enumerate() {
            let measures = self.measures(entry);
            let known = self.known(entry);
            self.request(entry, &known, measures);
            while let Some(rows) = kinds.next_if(|rows| rows[0].0 as usize == place) {
                self.read(entry, &known, measures, &Reads::of(spans, rows));
            }
        }
    }

    /// Identities of an entry that are in the sample, and the entity by each.
    fn known(&self, entry: &Served) -> [Option<(u8, u64)>; 3] {
        let (c, level) = (self.seen.constants, self.seen.level.unwrap_or(0));
        let known = [
            (c.of_actor, entry.actor),
            (c.of_path, entry.path),
            (c.of_key, entry.only_key()),
        ];
        known.map(|(identity, entity)| {
            let entity = entity.filter(|entity| in_sample(*entity, level))?;
            Some((identity, entity))
        })
    }

    fn request(&mut self, entry: &Served, known: &[Option<(u8, u64)>], mut measures: [i64; 17]) {
        let spans = self.seen.spans;
        let start_ns = spans.entry_start_ns[entry.row];
        let duration_ns = spans.entry_duration_ns[entry.row];
        measures[SPENT] = if entry.refused { duration_ns } else { 0 };
        for (identity, entity) in known.iter().flatten() {
            let mut own = [None; 7];
            own[..3].copy_from_slice(&said(start_ns, *identity, *entity));
            let group = self.groups.add(entry.row, own, measures);
            if entry.refused {
                let shown = Shown {
                    entry: entry.row,
                    first_ns: start_ns,
                    last_ns: start_ns.wrapping_add(duration_ns),
                    n: 1,
                    label: spans.entry_label.known(entry.row),
                };
                self.show(group, shown);
            }
        }
    }

    /// What an entry read one way.
    fn read(
        &mut self,
        entry: &Served,
        known: &[Option<(u8, u64)>],
        mut measures: [i64; 17],
        reads: &Reads,
    ) {
        let start_ns = self.seen.spans.entry_start_ns[entry.row];
        measures[SPENT] = reads.spent_ns;
        for (identity, entity) in known.iter().flatten() {
            let [pane, identity, entity] = said(start_ns, *identity, *entity);
            let [shape, operation, target, predicate] = reads.what;
            let own = [pane, identity, entity, shape, operation, target, predicate];
            let group = self.groups.add(entry.row, own, measures);
            let shown = Shown {
                entry: entry.row,
                first_ns: reads.first_ns,
                last_ns: reads.first_ns.wrapping_add(reads.spent_ns),
                n: reads.n,
                label: reads.label,
            };
            self.show(group, shown);
        }
    }

    /// What is added up of an entry, but the time that it spent.
    fn measures(&self, entry: &Served) -> [i64; 17] {
        let spans = self.seen.spans;
        let start = spans.entry_start_ns[entry.row];
        let end = start.wrapping_add(spans.entry_duration_ns[entry.row]);
        let (ok, failed) = (entry.answered, entry.refused);
        let (creates, writes) = (ok && entry.creating, ok && entry.writing);
        let least = |when: bool, time: i64| if when { time } else { NO_LEAST };
        let most = |when: bool, time: i64| if when { time } else { NO_MOST };
        [
            1,
            i64::from(ok),
            i64::from(failed),
            i64::from(failed && entry.broken),
            i64::from(entry.cached),
            i64::from(creates),
            0,
            start,
            least(ok, start),
            least(ok, end),
            least(failed, start),
            least(creates, end),
            start,
            i64::from(self.seen.level.unwrap_or(0)),
            most(ok, start),
            most(failed, start),
            most(writes, end),
        ]
    }

    fn show(&mut self, group: usize, shown: Shown) {
        self.shown.push(shown);
        let (spans, shown) = (self.seen.spans, &self.shown);
        let order =
            |one: usize, other: usize| rank(spans, &shown[one]).cmp(&rank(spans, &shown[other]));
        self.groups.show(group, shown.len() - 1, order);
    }

    fn exemplars(&self) -> Array {
        let (spans, shown) = (self.seen.spans, &self.shown);
        let entry = |place: usize| shown[place].entry;
        let score = |p: usize| spans.entry_start_ns[entry(p)].wrapping_neg();
        let mut fields = in_entry(spans, score, entry);
        fields.extend([
            Field::time("first_ns", |p| Some(shown[p].first_ns)),
            Field::time("last_ns", |p| Some(shown[p].last_ns)),
            Field::time("n", |p| Some(shown[p].n)),
            Field::code("label", |p| shown[p].label),
        ]);
        self.groups.with_exemplars(self.seen, &fields)
    }
}

/// The keys that all rows of an entry have by one identity.
fn said(start_ns: i64, identity: u8, entity: u64) -> [Cell; 3] {
    [cell(pane(start_ns, 60)), cell(identity), cell(entity)]
}

/// The earliest first, equal ones in the order of what is shown of them.
fn rank(spans: &Spans<'_>, shown: &Shown) -> impl Ord {
    let row = shown.entry;
    (
        Reverse(spans.entry_start_ns[row].wrapping_neg()),
        (spans.trace_hi[row], spans.trace_lo[row]),
        spans.entry_span.known(row),
        spans.entry_duration_ns[row],
        (shown.first_ns, shown.last_ns, shown.n),
        shown.label,
    )
}
