//! Rows brought together by their keys: what `group_by` and `agg` do in `detectors/facts`.

use std::cmp::Ordering;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::patterns::{folded, Patterns};
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

/// The kind of a pattern and the keys of a row, nulls as 0 and told by bits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key<const R: usize> {
    pub(super) kind: u32,
    nulls: u32,
    pub(super) values: [u64; R],
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

    pub(super) fn cell(&self, place: usize) -> Cell {
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
/// Of a place for a row that is shown: there is none.
pub(super) const NONE: u32 = u32::MAX;

/// Groups in the order in which their keys came first.
///
/// Numbers of keys are hashed with a seed of the process, so that nobody can make them collide.
pub struct Groups<'a, const P: usize, const R: usize, const M: usize> {
    pub(super) layout: &'static Layout<P, R, M>,
    patterns: &'a Patterns,
    /// what patterns have in common for this table: which of `shared`
    kinds: Vec<u32>,
    pub(super) shared: Vec<[Cell; P]>,
    seed: u64,
    places: HashTable<u32>,
    pub(super) own: Vec<Key<R>>,
    pub(super) measures: Vec<[i64; M]>,
    /// where sums end among measures, and what is least
    borders: (usize, usize),
    /// rows that are shown, `NONE` behind them
    pub(super) worst: Vec<[u32; KEPT]>,
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

    /// Adds one to a measure of a group, by its place: for what is told by the group.
    pub fn count(&mut self, group: usize, place: usize) {
        self.measures[group][place] += 1;
    }

    /// Makes room for so many groups: a table of tens of thousands is not copied as it grows.
    pub fn reserve(&mut self, count: usize) {
        let (keys, seed) = (&self.own, self.seed);
        let again = |place: &u32| keys[*place as usize].number(seed);
        self.places.reserve(count, again);
        self.own.reserve(count);
        self.measures.reserve(count);
        self.worst.reserve(count);
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
            self.worst.resize(group + 1, [NONE; KEPT]);
        }
        let worst = &mut self.worst[group];
        let comes_first = |other: &u32| *other != NONE && order(*other as usize, row).is_lt();
        let place = worst.iter().take_while(|other| comes_first(other)).count();
        if place < KEPT {
            worst[place..].rotate_right(1);
            worst[place] = row as u32;
        }
    }
}
