//! Entries that serve an entity, and what they read for it: `_served` and `_reads` of
//! `detectors/facts/entities.py`.

use super::groups::Cell;
use super::loads::in_sample;
use super::spans::Spans;
use super::Seen;
use crate::constants::Constants;

/// What spans of a pattern are to the table.
#[derive(Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // a span may be several
pub struct Role {
    /// an entry of a known instance that is asked by a client
    pub is_served: bool,
    /// a command to a cache
    pub is_command: bool,
    /// one that reads one key
    pub reads_one: bool,
    /// a read of a backend
    pub is_read: bool,
}

impl Role {
    /// That of each pattern.
    #[must_use]
    pub fn of_patterns(seen: &Seen<'_>) -> Vec<Self> {
        let firsts = seen.patterns.first.iter();
        firsts
            .map(|row| Self::of(seen.spans, *row as usize, seen.constants))
            .collect()
    }

    fn of(spans: &Spans<'_>, row: usize, c: &Constants) -> Self {
        let (kind, category, traits) = (spans.kind[row], spans.category[row], spans.traits[row]);
        let is_entry = spans.is_entry.is(row);
        let for_client = spans.entry_kind[row] == c.server;
        let is_command = for_client && category == c.cache;
        let is_healthy = traits & c.health == 0;
        let asks = kind == c.client || kind == c.internal;
        let reads = match spans.work.known(row) {
            Some(work) if work == c.call => traits & c.reads != 0 || category == c.rpc,
            work => work == Some(c.query),
        };
        Self {
            is_served: is_entry && kind == c.server && spans.instance.has(row) && is_healthy,
            is_command,
            reads_one: is_command && traits & c.single_key != 0 && traits & c.reads != 0,
            is_read: for_client && asks && !is_entry && reads,
        }
    }
}

/// The keys of all cache commands of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    None,
    One(u64),
    Several,
}

/// An entry.
#[allow(clippy::struct_excessive_bools)] // it is asked one by one
pub struct Served {
    /// of its span
    pub row: usize,
    /// who asks
    pub actor: Cell,
    /// what for
    pub path: Cell,
    keys: Keys,
    /// it read a shared cache
    pub cached: bool,
    /// with success
    pub answered: bool,
    /// as one whose state is elsewhere
    pub refused: bool,
    /// by an error, where it is refused
    pub broken: bool,
    /// POST, PUT or PATCH
    pub creating: bool,
    /// these or DELETE
    pub writing: bool,
}

impl Served {
    /// That of a span, without its commands.
    #[must_use]
    pub fn of(spans: &Spans<'_>, row: usize, c: &Constants) -> Self {
        let is_in = |methods: &[u64]| {
            let operation = spans.operation.known(row);
            operation.is_some_and(|operation| methods.contains(&operation))
        };
        Self {
            row,
            actor: spans.actor.known(row),
            path: spans.entity.known(row),
            keys: Keys::None,
            cached: false,
            answered: spans.answered(row, c.error),
            refused: spans.refused(row, c.error),
            broken: spans.http_status.known(row).unwrap_or(500) >= 500,
            creating: is_in(&c.creating),
            writing: is_in(&c.writing),
        }
    }

    /// Whether the entry is surely not in the sample of a level, whatever its commands are.
    #[must_use]
    pub fn is_left_out(spans: &Spans<'_>, row: usize, level: u32) -> bool {
        let (actor, path) = (spans.actor.known(row), spans.entity.known(row));
        let known = actor.is_some() || path.is_some();
        let sampled = |entity: u64| in_sample(entity, level);
        level > 0 && known && !actor.is_some_and(sampled) && !path.is_some_and(sampled)
    }

    /// Adds a cache command.
    pub fn tell(&mut self, key: Cell, reads_one: bool) {
        self.cached |= reads_one;
        self.keys = match (self.keys, key) {
            (Keys::None, Some(key)) => Keys::One(key),
            (Keys::One(one), Some(key)) if one == key => Keys::One(one),
            _ => Keys::Several,
        };
    }

    /// The one key of all cache commands, where nothing else is known of the entry.
    #[must_use]
    pub fn only_key(&self) -> Cell {
        match self.keys {
            Keys::One(key) if self.actor.is_none() && self.path.is_none() => Some(key),
            _ => None,
        }
    }
}

/// Reads of one kind in an entry.
pub struct Reads {
    /// shape, operation, target and predicate
    pub what: [Cell; 4],
    /// time that they took
    pub spent_ns: i64,
    /// earliest start
    pub first_ns: i64,
    /// how many
    pub n: i64,
    /// the smallest
    pub label: Cell,
}

/// Whether two reads, by entry, shape and row, are of one kind.
#[must_use]
pub fn read_alike(one: &(u32, Cell, u32), other: &(u32, Cell, u32)) -> bool {
    (one.0, one.1) == (other.0, other.1)
}

impl Reads {
    /// Of their rows.
    #[must_use]
    pub fn of(spans: &Spans<'_>, reads: &[(u32, Cell, u32)]) -> Self {
        let rows = || reads.iter().map(|(.., row)| *row as usize);
        let smallest = |column: &dyn Fn(usize) -> Cell| rows().filter_map(column).min();
        Self {
            what: [
                reads[0].1,
                smallest(&|row| spans.operation.known(row)),
                smallest(&|row| spans.target.known(row)),
                smallest(&|row| spans.predicate.known(row)),
            ],
            spent_ns: rows().map(|row| spans.duration_ns[row]).sum(),
            first_ns: rows()
                .map(|row| spans.start_ns[row])
                .min()
                .unwrap_or_default(),
            n: reads.len() as i64,
            label: smallest(&|row| spans.label.known(row)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bare() -> Served {
        Served {
            row: 0,
            actor: None,
            path: None,
            keys: Keys::None,
            cached: false,
            answered: true,
            refused: false,
            broken: false,
            creating: false,
            writing: false,
        }
    }

    #[test]
    fn a_key_tells_an_entity_where_all_commands_have_it() {
        let mut entry = bare();
        assert_eq!(entry.only_key(), None);
        entry.tell(Some(7), false);
        assert_eq!((entry.only_key(), entry.cached), (Some(7), false));
        entry.tell(Some(7), true);
        assert_eq!((entry.only_key(), entry.cached), (Some(7), true));
        entry.tell(None, false);
        assert_eq!(entry.only_key(), None);
        entry.tell(Some(7), false);
        assert_eq!(entry.only_key(), None);
    }

    #[test]
    fn who_asks_is_told_before_a_key() {
        let mut entry = bare();
        entry.actor = Some(3);
        entry.tell(Some(7), true);
        assert_eq!(entry.only_key(), None);
    }
}
