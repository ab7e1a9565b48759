//! Cache-aside as spans show it: the columns `ASIDE` of `detectors/kit/aside.py`, which defines them.

use crate::arrow::{Array, Values};
use crate::bits::{codes, gathered, Sparse};
use crate::columns::Bits;
use crate::constants::Constants;
use crate::forest::clipped;
use crate::reading::{Column, Flags, Table};

/// No row, no place.
const NOWHERE: u32 = u32::MAX;

struct Given<'a> {
    category: &'a [u8],
    status: &'a [u8],
    traits: &'a [u32],
    trace: &'a [u32],
    entry: &'a [u32],
    start: std::borrow::Cow<'a, [i64]>,
    entry_span: Column<'a, u64>,
    is_entry: Flags<'a>,
    system: Column<'a, u64>,
    operation: Column<'a, u64>,
    key: Column<'a, u64>,
    hit: Flags<'a>,
    http: Column<'a, i32>,
    path: Column<'a, u64>,
    entity: Column<'a, u64>,
    actor: Column<'a, u64>,
}

impl<'a> Given<'a> {
    fn of(table: &'a Table) -> Option<Self> {
        Some(Self {
            category: table.numbers("category")?.whole()?,
            status: table.numbers("status")?.whole()?,
            traits: table.numbers("traits")?.whole()?,
            trace: table.numbers("trace")?.whole()?,
            entry: table.numbers("entry")?.whole()?,
            start: clipped(table.numbers("start_ns")?.filled()),
            entry_span: table.numbers("entry_span")?,
            is_entry: table.flags("is_entry")?,
            system: table.numbers("system")?,
            operation: table.numbers("operation")?,
            key: table.numbers("key")?,
            hit: table.flags("hit")?,
            http: table.numbers("http_status")?,
            path: table.numbers("path")?,
            entity: table.numbers("entity")?,
            actor: table.numbers("actor")?,
        })
    }

    fn has(&self, row: usize, bit: u32) -> bool {
        self.traits[row] & bit != 0
    }

    fn looks_up(&self, row: usize, c: &Constants) -> bool {
        self.has(row, c.reads) && !self.has(row, c.fills)
    }
}

/// Rows in the order in which they happened, and where each stands in it.
///
/// Of commands that start at one time lookups come first, then the database, then the rest.
struct Order {
    rows: Vec<u32>,
    places: Vec<u32>,
}

impl Order {
    fn of(given: &Given<'_>, c: &Constants) -> Self {
        let stores = |row: usize| [c.cache, c.db].contains(&given.category[row]);
        let rank = |row: u32| match given.category[row as usize] {
            category if category == c.db => 1,
            _ if given.looks_up(row as usize, c) => 0,
            _ => 2,
        };
        let mut rows: Vec<u32> = (0..given.entry.len() as u32).collect();
        let mut places = rows.clone();
        let tied = |two: &[usize; 2]| {
            let [one, two] = *two;
            let same = given.start[one] == given.start[two] && given.trace[one] == given.trace[two];
            same && stores(one) && stores(two)
        };
        let mut begin = 0;
        for row in 1..=rows.len() {
            if row < rows.len() && tied(&[row - 1, row]) {
                continue;
            }
            if row - begin > 1 {
                rows[begin..row].sort_by_key(|row| rank(*row)); // equal ones stay as they are
                for place in begin..row {
                    places[rows[place] as usize] = place as u32;
                }
            }
            begin = row;
        }
        Self { rows, places }
    }
}

/// A successful cache command of an entry that has a span.
struct Command {
    place: u32,
    row: u32,
    entry: u32,
    /// 0 where it is masked or there are several.
    key: u64,
    lookup: bool,
    fill: bool,
    evict: bool,
}

/// What is told of an entry: rows of its spans, places of its commands, and how many.
#[derive(Clone)]
struct Entry {
    own: u32,
    first_lookup: u32,
    first_evict: u32,
    /// Places after the last ones, 0 where there is none.
    past_fill: u32,
    past_evict: u32,
    past_expire: u32,
    /// Whether it has a command at all.
    used: bool,
    bumped: bool,
    masked_lookup: bool,
    counts: [i64; 4],
}

const NO_COMMANDS: Entry = Entry {
    own: NOWHERE,
    first_lookup: NOWHERE,
    first_evict: NOWHERE,
    past_fill: 0,
    past_evict: 0,
    past_expire: 0,
    used: false,
    bumped: false,
    masked_lookup: false,
    counts: [0; 4],
};
const LOOKUPS: usize = 0;
const FILLS: usize = 1;
const VALUE_WRITES: usize = 2;
const EVICTIONS: usize = 3;

/// Cache commands in the order in which they happened, and their entries by number.
struct Commands {
    all: Vec<Command>,
    entries: Vec<Entry>,
}

impl Commands {
    fn of(given: &Given<'_>, order: &Order, c: &Constants) -> Self {
        let count = given
            .entry
            .iter()
            .max()
            .map_or(0, |last| *last as usize + 1);
        let mut entries = vec![NO_COMMANDS; count];
        let mut all = Vec::new();
        for (place, &number) in (0..).zip(&order.rows) {
            let row = number as usize;
            let entry = &mut entries[given.entry[row] as usize];
            if given.is_entry.known(row) == Some(true) {
                entry.own = number;
            }
            let told = given.category[row] == c.cache && given.status[row] != c.error;
            if !told || !given.entry_span.has(row) {
                continue;
            }
            let listed = given.has(row, c.listed);
            let command = Command {
                place,
                row: number,
                entry: given.entry[row],
                key: if listed { 0 } else { given.key.get(row) },
                lookup: given.looks_up(row, c),
                fill: given.has(row, c.fills),
                evict: given.has(row, c.evicts),
            };
            entry.add(&command);
            entry.bumped |= c.bumps.contains(&given.operation.get(row));
            if given.has(row, c.expires) {
                entry.past_expire = place + 1;
            }
            all.push(command);
        }
        let mut commands = Self { all, entries };
        commands.count_value_writes();
        commands
    }

    /// Fills but those of a visible key of which no lookup is seen.
    fn count_value_writes(&mut self) {
        let lookups = self.all.iter().filter(|c| c.lookup && c.key != 0);
        let mut looked: Vec<_> = lookups.map(|c| (c.entry, c.key)).collect();
        looked.sort_unstable();
        for command in self.all.iter().filter(|c| c.fill) {
            let entry = &mut self.entries[command.entry as usize];
            let seen = looked.binary_search(&(command.entry, command.key)).is_ok();
            let counts = command.key == 0 || entry.masked_lookup || seen;
            entry.counts[VALUE_WRITES] += i64::from(counts);
        }
    }
}

impl Entry {
    fn add(&mut self, command: &Command) {
        self.used = true;
        if command.lookup {
            self.first_lookup = self.first_lookup.min(command.place);
            self.masked_lookup |= command.key == 0;
            self.counts[LOOKUPS] += 1;
        }
        if command.fill {
            self.past_fill = command.place + 1;
            self.counts[FILLS] += 1;
        }
        if command.evict {
            self.first_evict = self.first_evict.min(command.place);
            self.past_evict = command.place + 1;
            self.counts[EVICTIONS] += 1;
        }
    }
}

/// Fills by entry, key and place; by place alone all of an entry.
struct Fills {
    by_place: Vec<(u32, u64, u32, u32)>,
    by_key: Vec<(u32, u64, u32, u32)>,
}

impl Fills {
    fn of(commands: &[Command]) -> Self {
        let fills = || commands.iter().filter(|c| c.fill);
        let any = fills().map(|c| (c.entry, 0, c.place, c.row));
        let mut by_place: Vec<_> = any.collect();
        let mut by_key: Vec<_> = fills().map(|c| (c.entry, c.key, c.place, c.row)).collect();
        by_place.sort_unstable();
        by_key.sort_unstable();
        Self { by_place, by_key }
    }

    /// Place and row of the first fill of an entry after a place, of the key where both show one.
    fn next(&self, entry: u32, key: u64, at: u32) -> Option<(u32, u32)> {
        if key == 0 {
            return first_after(&self.by_place, (entry, 0, at));
        }
        let masked = first_after(&self.by_key, (entry, 0, at));
        let same = first_after(&self.by_key, (entry, key, at));
        masked.into_iter().chain(same).min()
    }
}

fn first_after(fills: &[(u32, u64, u32, u32)], at: (u32, u64, u32)) -> Option<(u32, u32)> {
    let after = fills.partition_point(|(entry, key, place, _)| (*entry, *key, *place) <= at);
    let (entry, key, place, row) = fills.get(after)?;
    ((*entry, *key) == (at.0, at.1)).then_some((*place, *row))
}

/// What is told of the database reads that looked, by row; null of all other spans.
struct Reads {
    lookup_key: Sparse<u64>,
    /// Whether the lookup says if it hit, and whether it did.
    told: Bits,
    hit: Bits,
    expiry: Sparse<u8>,
}

impl Reads {
    fn of(given: &Given<'_>, order: &Order, commands: &Commands, c: &Constants) -> Self {
        let count = order.rows.len();
        let mut reads = Self {
            lookup_key: Sparse::new(count),
            told: Bits::none(count),
            hit: Bits::none(count),
            expiry: Sparse::new(count),
        };
        let fills = Fills::of(&commands.all);
        let mut told = vec![None; commands.entries.len()]; // the last lookup that tells anything
        let mut next = commands.all.iter().peekable();
        for (place, &number) in (0..).zip(&order.rows) {
            let row = number as usize;
            if let Some(command) = next.next_if(|command| command.place == place) {
                let telling = command.key != 0 || given.hit.known(row).is_some();
                if command.lookup && telling {
                    told[command.entry as usize] = Some(command);
                }
                continue;
            }
            let number = given.entry[row];
            let entry = &commands.entries[number as usize];
            let read = given.category[row] == c.db && given.has(row, c.reads);
            if !read || entry.first_lookup >= place {
                continue;
            }
            let before: Option<&Command> = told[number as usize];
            let key = before.map_or(0, |command| command.key);
            if key != 0 {
                reads.lookup_key.put(row, key);
            }
            if let Some(hit) = before.and_then(|b| given.hit.known(b.row as usize)) {
                reads.told.set(row);
                if hit {
                    reads.hit.set(row);
                }
            }
            if let Some((fill, filler)) = fills.next(number, key, place) {
                let expires = entry.past_expire > fill;
                let told = if expires {
                    c.some
                } else if shows_arguments(given, filler as usize, c) {
                    c.never
                } else {
                    c.unknown
                };
                reads.expiry.put(row, told);
            }
        }
        reads
    }
}

fn shows_arguments(given: &Given<'_>, row: usize, c: &Constants) -> bool {
    given.has(row, c.parameters) && !c.memcached.contains(&given.system.get(row))
}

/// The columns of structured spans in order; none where what is given is odd.
#[must_use]
pub fn aside(table: &Table, c: &Constants) -> Option<Array> {
    let given = Given::of(table)?;
    let order = Order::of(&given, c);
    let commands = Commands::of(&given, &order, c);
    let reads = Reads::of(&given, &order, &commands, c);
    let rows = table.len();
    let entries = &commands.entries;
    let counts = |name: &str, which: usize| {
        let counts: Vec<i64> = entries.iter().map(|entry| entry.counts[which]).collect();
        Array::new(name, Values::I64(gathered(&counts, given.entry)), None)
    };
    let own = |entry: &Entry| (entry.own != NOWHERE).then_some(entry.own as usize);
    let hash = |name: &str, column: Column<'_, u64>| {
        let known = |entry| own(entry).and_then(|row| column.known(row));
        let told: Vec<Option<u64>> = entries.iter().map(known).collect();
        codes(name, rows, |row| told[given.entry[row] as usize])
    };
    let succeeded = |row: usize| given.status[row] != c.error && given.http.get(row) < 400;
    let ok: Vec<_> = entries.iter().map(|e| own(e).map(succeeded)).collect();
    let [bumped, looked, refreshed, cleared, cleared_before] =
        flags(given.entry, &order, entries).map(Values::Bits);
    let Sparse {
        values: expiry,
        valid: filled,
    } = reads.expiry;
    let columns = vec![
        truths("entry_ok", rows, |row| ok[given.entry[row] as usize]),
        hash("entry_path", given.path),
        hash("entry_entity", given.entity),
        hash("entry_actor", given.actor),
        counts("lookups", LOOKUPS),
        counts("fills", FILLS),
        counts("value_writes", VALUE_WRITES),
        counts("evictions", EVICTIONS),
        Array::new("bumped", bumped, None),
        Array::new("looked", looked, None),
        reads.lookup_key.named("lookup_key"),
        Array::new("lookup_hit", Values::Bits(reads.hit), Some(reads.told)),
        Array::new("filled", Values::Bits(filled.clone()), None),
        Array::of_names("expiry", expiry, Some(filled), &c.expiries),
        Array::new("refreshed", refreshed, None),
        Array::new("cleared", cleared, None),
        Array::new("cleared_before", cleared_before, None),
    ];
    Some(Array::of_columns(rows, columns))
}

/// What the commands of its entry say to each row: `bumped`, `looked`, `refreshed`, `cleared` and
/// `cleared_before`.
fn flags(entry: &[u32], order: &Order, entries: &[Entry]) -> [Bits; 5] {
    let mut flags = [(); 5].map(|()| Bits::none(entry.len()));
    for (row, number) in entry.iter().enumerate() {
        let (entry, place) = (&entries[*number as usize], order.places[row]);
        if !entry.used {
            continue; // most have no cache command
        }
        let told = [
            entry.bumped,
            entry.first_lookup < place,
            entry.past_fill > place + 1,
            entry.past_evict > place + 1,
            entry.first_evict < place,
        ];
        for (bits, is) in flags.iter_mut().zip(told) {
            if is {
                bits.set(row);
            }
        }
    }
    flags
}

/// A column of truth values, some of them null.
fn truths(name: &str, rows: usize, truth: impl Fn(usize) -> Option<bool>) -> Array {
    let valid = Bits::of_rows(rows, |row| truth(row).is_some());
    let values = Bits::of_rows(rows, |row| truth(row).unwrap_or_default());
    Array::new(name, Values::Bits(values), Some(valid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tabled::{codes, constants, names, numbers, read, statuses, times, truths as known};

    #[test]
    fn a_read_between_lookup_and_fill_of_one_time_is_a_sandwich() {
        let c = constants();
        // The fill stands before the others, which start with it: it comes last all the same.
        let columns = vec![
            names("category", &[0, c.cache, c.db, c.cache, c.cache]),
            names("status", &[0; 5]),
            numbers("traits", &[0, c.fills, c.reads, c.reads, c.evicts]),
            numbers("trace", &[0; 5]),
            numbers("entry", &[0; 5]),
            times("start_ns", &[0, 1, 1, 1, 5]),
            codes("entry_span", &[1; 5]),
            known("is_entry", &[true, false, false, false, false]),
            codes("system", &[0; 5]),
            codes("operation", &[0; 5]),
            codes("key", &[0, 6, 0, 6, 6]),
            known("hit", &[false; 5]),
            statuses("http_status", &[404, 0, 0, 0, 0]),
            codes("path", &[31, 0, 0, 0, 0]),
            codes("entity", &[0; 5]),
            codes("actor", &[0; 5]),
        ];
        let table = read(Array::of_columns(5, columns));
        let told = read(aside(&table, &c).expect("no nulls"));
        let truth = |name: &str, row| told.flags(name).expect(name).known(row) == Some(true);
        let counts = ["lookups", "fills", "value_writes", "evictions"];
        let count = |name| told.numbers::<i64>(name).expect(name).get(2);
        assert_eq!(counts.map(count), [1; 4]);
        assert!(truth("looked", 2) && truth("filled", 2) && truth("refreshed", 2));
        assert!(!truth("looked", 3) && truth("looked", 1) && !truth("refreshed", 4));
        assert!(truth("cleared", 2) && !truth("cleared_before", 4) && !truth("entry_ok", 2));
        assert_eq!(
            told.numbers::<u64>("lookup_key")
                .expect("a column")
                .known(2),
            Some(6)
        );
        assert_eq!(
            told.numbers::<u64>("entry_path")
                .expect("a column")
                .known(4),
            Some(31)
        );
        let expiry = told.numbers::<u8>("expiry").expect("a column");
        assert_eq!((expiry.known(2), expiry.known(1)), (Some(c.unknown), None));
    }
}
