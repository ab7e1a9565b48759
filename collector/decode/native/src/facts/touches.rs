//! What happened to each thing, event by event: `detectors/facts/touches.py`.

use super::bins::pane;
use super::groups::{Groups, Kind, Layout, Merge};
use super::loads::{are_loads, identity, in_sample};
use super::{cell, Seen};
use crate::arrow::Array;

static TOUCHES: Layout<3, 12, 3> = Layout {
    shared: [
        ("service", Kind::Code),
        ("environment", Kind::Code),
        ("entry_label", Kind::Code),
    ],
    own: [
        ("pane", Kind::Number),
        ("thing", Kind::Code),
        ("kind", Kind::Name(|c| &c.touched)),
        ("target", Kind::Code),
        ("shape", Kind::Code),
        ("told", Kind::Name(|c| &c.told)),
        ("identity", Kind::Code),
        ("at_ns", Kind::Number),
        ("trace_hi", Kind::Code),
        ("trace_lo", Kind::Code),
        ("entry_span", Kind::Code),
        ("span_id", Kind::Code),
    ],
    measures: [
        ("duration_ns", Merge::Sum),
        ("filled", Merge::Sum),
        ("level", Merge::Most),
    ],
};

/// A row per event: a span may load or write, and be an entry that looks.
#[must_use]
pub fn touches(seen: &Seen<'_>) -> Array {
    let (spans, c) = (seen.spans, seen.constants);
    let of_first = |is: &dyn Fn(usize) -> bool| -> Vec<bool> {
        let firsts = seen.patterns.first.iter();
        firsts.map(|row| is(*row as usize)).collect()
    };
    let loads = of_first(&|row| are_loads(spans, row, c));
    let writes = of_first(&|row| {
        spans.category[row] == c.db && spans.traits[row] & c.writes != 0 && !spans.failed.is(row)
    });
    let key = |row: usize| {
        let pattern = seen.patterns.of[row] as usize;
        let wanted = loads[pattern] || writes[pattern] || spans.is_entry.is(row);
        wanted.then_some([
            spans.service.known(row),
            spans.environment.known(row),
            spans.entry_label.known(row),
        ])
    };
    let mut table = Touches {
        seen,
        groups: Groups::new(&TOUCHES, seen.patterns, key),
    };
    for row in table.groups.wanted() {
        let pattern = seen.patterns.of[row] as usize;
        if loads[pattern] && spans.looked.is(row) && spans.entry_span.has(row) {
            table.load(row);
        }
        if spans.lookups[row] > 0 && spans.is_entry.is(row) {
            table.look(row);
        }
        if writes[pattern] {
            table.write(row);
        }
    }
    table.groups.facts(seen)
}

/// What an event has beside its span and entry.
#[derive(Default)]
struct Event {
    thing: u64,
    kind: u8,
    target: Option<u64>,
    shape: Option<u64>,
    /// what tells the identity of a load, and which it is
    told: Option<(u8, u64)>,
    at_ns: i64,
    filled: bool,
}

struct Touches<'a> {
    seen: &'a Seen<'a>,
    groups: Groups<'a, 3, 12, 3>,
}

impl Touches<'_> {
    /// A database read after a cache read, whose identity is known.
    fn load(&mut self, row: usize) {
        let (spans, c) = (self.seen.spans, self.seen.constants);
        let (told, identity) = identity(spans, row, c);
        if told == c.by_nothing {
            return;
        }
        let event = Event {
            thing: spans.entry_entity.known(row).unwrap_or(identity),
            kind: c.load,
            target: spans.target.known(row),
            shape: spans.shape.known(row),
            told: Some((told, identity)),
            at_ns: spans.start_ns[row],
            filled: spans.filled.is(row),
        };
        self.add(row, &event);
    }

    /// An entry about a thing that reads the cache.
    fn look(&mut self, row: usize) {
        let (spans, c) = (self.seen.spans, self.seen.constants);
        if let Some(thing) = spans.entity.known(row) {
            let event = Event {
                thing,
                kind: c.look,
                at_ns: spans.start_ns[row],
                ..Event::default()
            };
            self.add(row, &event);
        }
    }

    /// A database write of an entry about a thing.
    fn write(&mut self, row: usize) {
        let (spans, c) = (self.seen.spans, self.seen.constants);
        if let (Some(thing), true) = (spans.entry_entity.known(row), spans.target.has(row)) {
            let event = Event {
                thing,
                kind: c.wrote,
                target: spans.target.known(row),
                at_ns: spans.end_ns(row),
                ..Event::default()
            };
            self.add(row, &event);
        }
    }

    fn add(&mut self, row: usize, event: &Event) {
        let (spans, level) = (self.seen.spans, self.seen.level.unwrap_or(0));
        if !in_sample(event.thing, level) {
            return;
        }
        let own = [
            cell(pane(event.at_ns, 60)),
            cell(event.thing),
            cell(event.kind),
            event.target,
            event.shape,
            event.told.map(|(told, _)| u64::from(told)),
            event.told.map(|(_, identity)| identity),
            cell(event.at_ns),
            cell(spans.trace_hi[row]),
            cell(spans.trace_lo[row]),
            spans.entry_span.known(row),
            cell(spans.span_id[row]),
        ];
        let filled = i64::from(event.filled);
        self.groups
            .add(row, own, [spans.duration_ns[row], filled, i64::from(level)]);
    }
}
