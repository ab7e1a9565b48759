//! Columns as they are read: numbers, truth values and lists, and which rows have one.

use std::borrow::Cow;

use super::Number;

/// Bits that are packed from the lowest.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) offset: usize,
}

impl Packed<'_> {
    /// One of them.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> bool {
        let place = self.offset + row;
        self.bytes[place / 8] >> (place % 8) & 1 == 1
    }

    /// Those from a row on, as many as there are up to 64, the first as the lowest bit.
    #[inline]
    fn word(&self, row: usize) -> u64 {
        let (first, shift) = ((self.offset + row) / 8, (self.offset + row) % 8);
        let mut bytes = [0; 16];
        let found = &self.bytes[first..self.bytes.len().min(first + 9)];
        bytes[..found.len()].copy_from_slice(found);
        (u128::from_le_bytes(bytes) >> shift) as u64
    }
}

/// The numbers of a column, and where it has one.
#[derive(Clone, Copy)]
pub struct Column<'a, T> {
    pub(super) values: &'a [T],
    pub(super) valid: Option<Packed<'a>>,
}

impl<'a, T: Number> Column<'a, T> {
    /// Without nulls.
    #[cfg(test)]
    #[must_use]
    pub fn of(values: &'a [T]) -> Self {
        let valid = None;
        Self { values, valid }
    }

    /// Whether a row has a number.
    #[inline]
    #[must_use]
    pub fn has(&self, row: usize) -> bool {
        self.valid.is_none_or(|valid| valid.get(row))
    }

    /// The number of a row, null as 0.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> T {
        if self.has(row) {
            self.values[row]
        } else {
            T::default()
        }
    }

    /// The number of a row, if it has one.
    #[inline]
    #[must_use]
    pub fn known(&self, row: usize) -> Option<T> {
        self.has(row).then(|| self.values[row])
    }

    /// All numbers, nulls as 0.
    #[must_use]
    pub fn filled(&self) -> Cow<'a, [T]> {
        match self.valid {
            None => Cow::Borrowed(self.values),
            Some(_) => (0..self.values.len()).map(|row| self.get(row)).collect(),
        }
    }

    /// All numbers where none is null.
    #[must_use]
    pub fn whole(&self) -> Option<&'a [T]> {
        self.valid.is_none().then_some(self.values)
    }

    /// Up to 64 numbers from a row on, and for each whether it is none of a null, as a bit.
    #[inline]
    #[must_use]
    pub fn words(&self, row: usize, len: usize) -> (&'a [T], u64) {
        let valid = self.valid.map_or(u64::MAX, |valid| valid.word(row));
        (&self.values[row..row + len], valid)
    }

    /// Whether any is null.
    #[must_use]
    pub fn nullable(&self) -> bool {
        self.valid.is_some()
    }
}

/// The truth values of a column, and where it has one.
#[derive(Clone, Copy)]
pub struct Flags<'a> {
    pub(super) bits: Packed<'a>,
    pub(super) valid: Option<Packed<'a>>,
}

impl Flags<'_> {
    /// The value of a row, if it has one.
    #[inline]
    #[must_use]
    pub fn known(&self, row: usize) -> Option<bool> {
        let known = self.valid.is_none_or(|valid| valid.get(row));
        known.then(|| self.bits.get(row))
    }

    /// Whether a row has the value true.
    #[inline]
    #[must_use]
    pub fn is(&self, row: usize) -> bool {
        self.known(row).unwrap_or_default()
    }
}

/// Lists of a column without nulls among their items, and where it has one.
#[derive(Clone, Copy)]
pub struct Lists<'a, T> {
    pub(super) offsets: &'a [i64],
    pub(super) items: &'a [T],
    pub(super) valid: Option<Packed<'a>>,
}

impl<'a, T> Lists<'a, T> {
    /// The list of a row, if it has one.
    #[inline]
    #[must_use]
    pub fn get(&self, row: usize) -> Option<&'a [T]> {
        let known = self.valid.is_none_or(|valid| valid.get(row));
        let range = self.offsets[row] as usize..self.offsets[row + 1] as usize;
        known.then(|| self.items.get(range)).flatten()
    }
}
