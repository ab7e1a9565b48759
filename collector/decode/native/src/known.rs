//! What was classified before: two bounded generations, so that what is in use stays.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// Keys are hashes already.
#[derive(Default)]
pub struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are numbers")
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }

    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

/// A map whose keys are hashes.
pub type HashedMap<K, V> = HashMap<K, V, BuildHasherDefault<Hashed>>;

const OFTEN: u8 = 4;

/// Tells keys that come often from those that come once or twice, for most of them.
pub struct Seen(Vec<(u64, u8)>);

impl Seen {
    /// Counts as many keys, a power of two, as long as no other takes their place.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self(vec![(0, 0); size])
    }

    /// Whether a key was here often enough; true once, then it is counted anew.
    pub fn often(&mut self, key: u128) -> bool {
        let mark = (key >> 64) as u64;
        let place = key as usize & (self.0.len() - 1);
        let (kept, times) = &mut self.0[place];
        if *kept != mark {
            (*kept, *times) = (mark, 0);
        }
        *times = (*times + 1) % OFTEN;
        *times == 0
    }
}

#[derive(Default)]
struct Generation {
    places: HashedMap<u128, usize>,
    values: Vec<u64>,
}

/// Rows of `width` numbers by key.
pub struct Known {
    width: usize,
    most: usize,
    young: Generation,
    old: Generation,
}

impl Known {
    /// Holds from `most` to twice as many rows.
    #[must_use]
    pub fn new(width: usize, most: usize) -> Self {
        Self {
            width,
            most,
            young: Generation::default(),
            old: Generation::default(),
        }
    }

    /// Appends the row of a key to `target`; false when it is not known.
    #[inline]
    pub fn append(&mut self, key: u128, target: &mut Vec<u64>) -> bool {
        if let Some(&at) = self.young.places.get(&key) {
            target.extend_from_slice(&self.young.values[at..at + self.width]);
            return true;
        }
        let Some(&at) = self.old.places.get(&key) else {
            return false;
        };
        let before = target.len();
        target.extend_from_slice(&self.old.values[at..at + self.width]);
        self.insert(key, &target[before..]);
        true
    }

    /// Remembers a row.
    pub fn insert(&mut self, key: u128, row: &[u64]) {
        if self.young.places.len() >= self.most {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.places.insert(key, self.young.values.len());
        self.young.values.extend_from_slice(row);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.young = Generation::default();
        self.old = Generation::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_come_often_are_told() {
        let mut seen = Seen::new(4);
        let key = |n: u128| n << 64 | n;
        let told: Vec<bool> = [1, 2, 1, 1, 2, 1, 1].map(|n| seen.often(key(n))).to_vec();
        assert_eq!(told, [false, false, false, false, false, true, false]);
        assert!(!seen.often(key(5))); // takes the place of 1
        assert!([1, 1, 1].iter().all(|n| !seen.often(key(*n))));
        assert!(seen.often(key(1)));
    }

    #[test]
    fn rows_in_use_stay_and_the_rest_is_bounded() {
        let mut known = Known::new(2, 3);
        let mut row = Vec::new();
        for key in 0..100u128 {
            assert!(!known.append(key, &mut row));
            known.insert(key, &[key as u64, 7]);
            assert!(known.append(0, &mut row));
        }
        assert_eq!(row.len(), 200);
        assert!(row.chunks(2).all(|pair| pair == [0, 7]));
        assert!(!known.append(50, &mut row));
        known.clear();
        assert!(!known.append(0, &mut row));
    }
}
