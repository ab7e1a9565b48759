//! Rows brought together by their keys: what `group_by` and `agg` do in `detectors/facts`.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::exemplars::Field;
use super::patterns::{folded, Patterns};
use super::Seen;
use crate::arrow::{Array, Values};
use crate::columns::Bits;
use crate::constants::Constants;

/// What a column of a key holds.
pub enum Kind {
    /// codes of texts, ids, bits
    Code,
    /// times and counts
    Number,
    /// bins, of 16 bits
    Bin,
    /// classes, of 8 bits
    Class,
    /// bits of traits
    Traits,
    /// truth values
    Truth,
    /// names of a list, by number
    Name(fn(&Constants) -> &[String]),
}

/// What becomes of a measure when rows meet.
#[derive(Clone, Copy)]
pub enum Merge {
    /// added up
    Sum,
    /// the smallest stays
    Least,
    /// likewise, of those that are known; `NO_LEAST` for none
    LeastKnown,
    /// the largest stays
    Most,
    /// likewise, of those that are known; `NO_MOST` for none
    MostKnown,
}

/// Of a row without a time: any other is smaller.
pub const NO_LEAST: i64 = i64::MAX;
/// Of a row without a time: any other is larger.
pub const NO_MOST: i64 = i64::MIN;

/// The columns of a table but its exemplars: P keys that are the same for all rows of a pattern, R
/// that are a row's own, M measures.
pub struct Layout<const P: usize, const R: usize, const M: usize> {
    /// of patterns
    pub shared: [(&'static str, Kind); P],
    /// of rows
    pub own: [(&'static str, Kind); R],
    /// what is measured: sums, then what is least, then what is most
    pub measures: [(&'static str, Merge); M],
}

impl<const P: usize, const R: usize, const M: usize> Layout<P, R, M> {
    fn borders(&self) -> (usize, usize) {
        let rank = |(_, merge): &(&str, Merge)| *merge as usize;
        assert!(self.measures.is_sorted_by_key(rank));
        let before = |merge: Merge| {
            self.measures
                .partition_point(|one| rank(one) < merge as usize)
        };
        (before(Merge::Least), before(Merge::Most))
    }
}

/// A value of a key, none for null.
pub type Cell = Option<u64>;

/// What a column of a key holds, and the value of a group.
type Asked<'a> = (&'a Kind, Box<dyn Fn(u32) -> Cell + 'a>);

/// The kind of a pattern and the keys of a row, nulls as 0 and told by bits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key<const R: usize> {
    kind: u32,
    nulls: u32,
    values: [u64; R],
}

impl<const R: usize> Key<R> {
    #[inline(always)]
    #[allow(clippy::inline_always)] // which cells are never null is known where it is made
    fn of(kind: u32, own: [Cell; R]) -> Self {
        let values = own.map(Option::unwrap_or_default);
        let nulls = own.iter().rev().map(|cell| u32::from(cell.is_none()));
        let nulls = nulls.fold(0, |bits, is_null| bits << 1 | is_null);
        Self {
            kind,
            nulls,
            values,
        }
    }

    fn cell(&self, place: usize) -> Cell {
        (self.nulls >> place & 1 == 0).then_some(self.values[place])
    }

    #[inline]
    fn number(&self, seed: u64) -> u64 {
        let begin = u64::from(self.kind) << 32 | u64::from(self.nulls);
        self.values.chunks(2).fold(seed ^ begin, |number, pair| {
            folded(number ^ pair[0], pair.get(1).copied().unwrap_or(seed))
        })
    }
}

/// How many of the worst rows of a group are kept: `EXEMPLARS_KEPT` of `detectors/kit/contract.py`.
const KEPT: usize = 3;
const UNWANTED: u32 = u32::MAX;

/// Groups in the order in which their keys came first.
///
/// Numbers of keys are hashed with a seed of the process, so that nobody can make them collide.
pub struct Groups<'a, const P: usize, const R: usize, const M: usize> {
    layout: &'static Layout<P, R, M>,
    patterns: &'a Patterns,
    /// what patterns have in common for this table: which of `shared`
    kinds: Vec<u32>,
    shared: Vec<[Cell; P]>,
    seed: u64,
    places: HashTable<u32>,
    own: Vec<Key<R>>,
    measures: Vec<[i64; M]>,
    /// where sums end among measures, and what is least
    borders: (usize, usize),
    worst: Vec<Vec<u32>>,
}

impl<'a, const P: usize, const R: usize, const M: usize> Groups<'a, P, R, M> {
    /// None yet. `key` tells the shared keys of a row, none for one that the table does not want; it
    /// is asked of the first row of each pattern.
    pub fn new(
        layout: &'static Layout<P, R, M>,
        patterns: &'a Patterns,
        key: impl Fn(usize) -> Option<[Cell; P]>,
    ) -> Self {
        let mut shared = vec![];
        let mut known: HashMap<[Cell; P], u32> = HashMap::new();
        let mut kind_of = |row: &u32| {
            let Some(key) = key(*row as usize) else {
                return UNWANTED;
            };
            *known.entry(key).or_insert_with(|| {
                shared.push(key);
                shared.len() as u32 - 1
            })
        };
        let kinds = patterns.first.iter().map(&mut kind_of).collect();
        Self {
            layout,
            patterns,
            kinds,
            shared,
            seed: DefaultHashBuilder::default().hash_one(0),
            places: HashTable::new(),
            own: vec![],
            measures: vec![],
            borders: layout.borders(),
            worst: vec![],
        }
    }

    /// Rows that the table wants.
    pub fn wanted(&self) -> impl Iterator<Item = usize> + use<'a, P, R, M> {
        let (patterns, kinds) = (self.patterns, self.kinds.clone());
        let wanted = move |row: &usize| kinds[patterns.of[*row] as usize] != UNWANTED;
        (0..patterns.of.len()).filter(wanted)
    }

    /// Adds a row that is wanted to the group of its keys. Returns which group that is.
    #[inline(always)]
    #[allow(clippy::inline_always)] // likewise
    pub fn add(&mut self, row: usize, own: [Cell; R], measures: [i64; M]) -> usize {
        let kind = self.kinds[self.patterns.of[row] as usize];
        self.put(Key::of(kind, own), &measures)
    }

    fn put(&mut self, key: Key<R>, measures: &[i64; M]) -> usize {
        let number = key.number(self.seed);
        let keys = &self.own;
        let place = self
            .places
            .find(number, |place| keys[*place as usize] == key);
        let Some(place) = place.map(|place| *place as usize) else {
            return self.begin(number, key, measures);
        };
        self.merge(place, measures);
        place
    }

    #[inline]
    fn merge(&mut self, place: usize, measures: &[i64; M]) {
        let all = &mut self.measures[place];
        let (sums, leasts) = self.borders;
        for (all, one) in all[..sums].iter_mut().zip(&measures[..sums]) {
            *all = all.wrapping_add(*one);
        }
        for (all, one) in all[sums..leasts].iter_mut().zip(&measures[sums..leasts]) {
            *all = *one.min(all);
        }
        for (all, one) in all[leasts..].iter_mut().zip(&measures[leasts..]) {
            *all = *one.max(all);
        }
    }

    fn begin(&mut self, number: u64, key: Key<R>, measures: &[i64; M]) -> usize {
        let place = self.own.len();
        self.own.push(key);
        self.measures.push(*measures);
        let (keys, seed) = (&self.own, self.seed);
        let again = |place: &u32| keys[*place as usize].number(seed);
        self.places.insert_unique(number, place as u32, again);
        place
    }

    /// Shows a row of a group; the `KEPT` that come first by `order` stay.
    #[inline]
    pub fn show(&mut self, group: usize, row: usize, order: impl Fn(usize, usize) -> Ordering) {
        if self.worst.len() <= group {
            self.worst.resize(group + 1, vec![]);
        }
        let worst = &mut self.worst[group];
        let comes_first = |other: u32| order(other as usize, row) == Ordering::Less;
        if worst.len() == KEPT && comes_first(worst[KEPT - 1]) {
            return;
        }
        let place = worst.partition_point(|other| comes_first(*other));
        worst.insert(place, row as u32);
        worst.truncate(KEPT);
    }

    /// The facts: a row a group, in the order of its keys; columns in the order of the table.
    #[must_use]
    pub fn facts(&self, seen: &Seen<'_>) -> Array {
        self.with_exemplars(seen, &[])
    }

    /// The same with `exemplars`: what is told of the rows that were shown, the worst first.
    #[must_use]
    pub fn with_exemplars(&self, seen: &Seen<'_>, fields: &[Field<'_>]) -> Array {
        let order = self.order(seen);
        let columns = seen.columns.iter().map(|name| {
            let measured = |(one, _): &(&str, Merge)| one == name;
            match (
                self.key(name),
                self.layout.measures.iter().position(measured),
            ) {
                (Some(key), _) => key_column(name, &key, &order, seen.constants),
                (None, Some(place)) => self.measure_column(place, &order),
                (None, None) => self.exemplars(name, &order, fields),
            }
        });
        Array::of_columns(order.len(), columns.collect())
    }

    /// A key by name: what it holds, and how it is told of a group.
    fn key(&self, name: &str) -> Option<Asked<'_>> {
        let named = |(one, _): &(&str, Kind)| *one == name;
        if let Some(place) = self.layout.shared.iter().position(named) {
            let tell = move |group| self.shared[self.own[group as usize].kind as usize][place];
            return Some((&self.layout.shared[place].1, Box::new(tell)));
        }
        let place = self.layout.own.iter().position(named)?;
        let tell = move |group| self.own[group as usize].cell(place);
        Some((&self.layout.own[place].1, Box::new(tell)))
    }

    /// All groups by their keys, a null before every value; those of a sampled table as they came,
    /// for their order is another.
    fn order(&self, seen: &Seen<'_>) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.own.len() as u32).collect();
        if seen.level.is_some() {
            return order;
        }
        let keys: Vec<_> = seen
            .columns
            .iter()
            .filter_map(|name| self.key(name))
            .collect();
        order.sort_unstable_by(|one, other| {
            let mut each = keys.iter().map(|(kind, tell)| {
                let (one, other) = (tell(*one), tell(*other));
                match kind {
                    Kind::Number | Kind::Bin | Kind::Class => one
                        .map(|value| value as i64)
                        .cmp(&other.map(|value| value as i64)),
                    _ => one.cmp(&other),
                }
            });
            each.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        order
    }

    fn measure_column(&self, place: usize, order: &[u32]) -> Array {
        let (name, merge) = self.layout.measures[place];
        let none = match merge {
            Merge::Sum | Merge::Least | Merge::Most => None,
            Merge::LeastKnown => Some(NO_LEAST),
            Merge::MostKnown => Some(NO_MOST),
        };
        let measures = order
            .iter()
            .map(|group| self.measures[*group as usize][place]);
        let values: Vec<i64> = measures.collect();
        let valid = Bits::of_rows(values.len(), |row| Some(values[row]) != none);
        Array::new(name, Values::I64(values), Some(valid))
    }

    fn exemplars(&self, name: &str, order: &[u32], fields: &[Field<'_>]) -> Array {
        let mut offsets = vec![0];
        let mut rows = vec![];
        for group in order {
            rows.extend(self.worst.get(*group as usize).into_iter().flatten());
            offsets.push(rows.len() as i64);
        }
        let some = Bits::of_rows(order.len(), |row| offsets[row] < offsets[row + 1]);
        let told = fields.iter().map(|field| field.of(&rows)).collect();
        Array::of_lists(name, offsets, Values::Struct(rows.len(), told), Some(some))
    }
}

/// A column of the key of each group.
fn key_column(name: &str, (kind, tell): &Asked<'_>, order: &[u32], constants: &Constants) -> Array {
    let cells: Vec<Cell> = order.iter().map(|group| tell(*group)).collect();
    let valid = Bits::of_rows(cells.len(), |row| cells[row].is_some());
    let values = cells.iter().map(|cell| cell.unwrap_or_default());
    let values = match kind {
        Kind::Code => Values::U64(values.collect()),
        Kind::Number => Values::I64(values.map(|value| value as i64).collect()),
        Kind::Bin => Values::I16(values.map(|value| value as i16).collect()),
        Kind::Class => Values::I8(values.map(|value| value as i8).collect()),
        Kind::Traits => Values::U32(values.map(|value| value as u32).collect()),
        Kind::Truth => Values::Bits(values.map(|value| value != 0).collect()),
        Kind::Name(list) => {
            let numbers = values.map(|value| value as u8).collect();
            return Array::of_names(name, numbers, Some(valid), list(constants));
        }
    };
    Array::new(name, values, Some(valid))
}
