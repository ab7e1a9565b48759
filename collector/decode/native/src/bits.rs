//! Columns of many rows at once, bit by bit.

use std::collections::HashSet;

use crate::arrow::{Array, Values};
use crate::columns::Bits;
use crate::reading::Column;

impl Bits {
    /// One of each row up to `len`.
    #[must_use]
    pub fn of_rows(len: usize, mut bit: impl FnMut(usize) -> bool) -> Self {
        let mut bytes = Vec::with_capacity(len.div_ceil(8) + 7);
        let mut ones = 0;
        for begin in (0..len).step_by(64) {
            let end = len.min(begin + 64);
            let word = (begin..end).fold(0u64, |word, row| {
                word | u64::from(bit(row)) << (row - begin)
            });
            ones += word.count_ones() as usize;
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        bytes.truncate(len.div_ceil(8));
        Self { bytes, len, ones }
    }

    /// None of so many.
    #[must_use]
    pub fn none(len: usize) -> Self {
        let bytes = vec![0; len.div_ceil(8)];
        Self {
            bytes,
            len,
            ones: 0,
        }
    }

    /// Sets one that was not set.
    #[inline]
    pub fn set(&mut self, row: usize) {
        self.bytes[row / 8] |= 1 << (row % 8);
        self.ones += 1;
    }
}

/// Numbers that columns hold.
pub trait Held: Copy + Default {
    /// A column of them.
    fn values(numbers: Vec<Self>) -> Values;
}

macro_rules! held {
    ($($kind:ty: $values:path),*) => {
        $(impl Held for $kind {
            fn values(numbers: Vec<Self>) -> Values {
                $values(numbers)
            }
        })*
    };
}

held!(u64: Values::U64, i64: Values::I64, u32: Values::U32, u8: Values::U8);

/// A column that is null in most rows.
pub struct Sparse<T> {
    /// 0 where it is null
    pub values: Vec<T>,
    /// where it is not
    pub valid: Bits,
}

impl<T: Held> Sparse<T> {
    /// One without any value.
    #[must_use]
    pub fn new(rows: usize) -> Self {
        Self {
            values: vec![T::default(); rows],
            valid: Bits::none(rows),
        }
    }

    /// The value of a row that had none.
    #[inline]
    pub fn put(&mut self, row: usize, value: T) {
        self.values[row] = value;
        self.valid.set(row);
    }

    /// The column.
    #[must_use]
    pub fn named(self, name: &str) -> Array {
        Array::new(name, T::values(self.values), Some(self.valid))
    }
}

/// A column of codes, some of them null.
pub fn codes(name: &str, rows: usize, code: impl Fn(usize) -> Option<u64>) -> Array {
    let valid = Bits::of_rows(rows, |row| code(row).is_some());
    let values = (0..rows).map(|row| code(row).unwrap_or_default());
    Array::new(name, Values::U64(values.collect()), Some(valid))
}

/// The values of columns, each once. Most occur again and again: few are more than looked at.
#[must_use]
pub fn distinct(columns: &[Column<'_, u64>], rows: usize) -> Vec<u64> {
    const PLACES: usize = 1 << 12;
    let mut last = vec![0; PLACES];
    let mut found = HashSet::new();
    for column in columns {
        for value in (0..rows).filter_map(|row| column.known(row)) {
            let place = &mut last[(value >> 52) as usize % PLACES];
            if *place != value || value == 0 {
                *place = value;
                found.insert(value);
            }
        }
    }
    found.into_iter().collect()
}

/// The values of some rows.
#[must_use]
pub fn gathered<T: Copy>(column: &[T], rows: &[u32]) -> Vec<T> {
    rows.iter().map(|row| column[*row as usize]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_packed_as_if_pushed_one_by_one() {
        for len in [0, 1, 8, 63, 64, 65, 200] {
            let bit = |row: usize| row % 3 == 0 || row % 7 == 1;
            let (many, one): (Bits, Bits) = (Bits::of_rows(len, bit), (0..len).map(bit).collect());
            assert_eq!(many.bytes, one.bytes);
            assert_eq!((many.len, many.ones), (one.len, one.ones));
        }
    }
}
