//! Rows of spans on their way to columns.

use crate::tables::{Extra, Layout, EXTRAS};

/// Codes of service, namespace, environment, version and instance.
pub const RESOURCE: [&str; 5] = [
    "service",
    "service_namespace",
    "environment",
    "version",
    "instance",
];
/// What follows them in a `Group`.
pub const SCOPE: &str = "scope";
/// Null where 0 is a value.
pub const NULL: u64 = u64::MAX;
/// Rows that room is kept for.
const MOST_ROOM: usize = 4_096;
/// Flag: it is told whether the parent is remote.
pub const HAS_REMOTE: u32 = 1 << 8;
/// Flag: it is.
pub const IS_REMOTE: u32 = 1 << 9;

/// Codes of a resource and a scope; 0 is null.
pub type Group = [u64; 6];

/// What a span tells in any case.
pub struct Row {
    /// trace id, in two halves
    pub trace: [u64; 2],
    /// span id
    pub span_id: u64,
    /// parent's id, 0 for none
    pub parent: u64,
    /// number of its resource and scope
    pub group: u32,
    /// number of its kind
    pub kind: u8,
    /// since 1970
    pub start_ns: i64,
    /// never negative
    pub duration_ns: i64,
    /// number of its status
    pub status: u8,
    /// as received
    pub flags: u32,
}

/// Rows of a body.
#[derive(Default)]
pub struct Batch {
    /// What each tells in any case.
    pub rows: Vec<Row>,
    /// By row and facet: codes, of which 0 is null, and numbers, of which `NULL` is.
    pub facets: Vec<u64>,
    /// By `Extra`: rows with a value, and the value.
    pub extras: [Vec<(u32, u64)>; EXTRAS.len()],
    /// Resources with scopes that rows stand under.
    pub groups: Vec<Group>,
    /// Links and the rows that they are of, ascending.
    pub links: Vec<(u32, [u64; 3])>,
}

impl Batch {
    /// Takes all rows out; room for the next ones stays, within bounds.
    pub fn clear(&mut self) {
        let width = self.facets.len() / self.rows.len().max(1);
        self.rows.clear();
        self.rows.shrink_to(MOST_ROOM);
        self.facets.clear();
        self.facets.shrink_to(MOST_ROOM * width);
        for extra in &mut self.extras {
            extra.clear();
            extra.shrink_to(MOST_ROOM);
        }
        self.groups.clear();
        self.links.clear();
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row, but for its facets.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds the value of a column.
    pub fn tell(&mut self, extra: Extra, row: u32, value: u64) {
        self.extras[extra as usize].push((row, value));
    }

    /// Adds a link of a row, which may have more.
    pub fn link(&mut self, row: u32, ids: [u64; 3]) {
        self.links.push((row, ids));
    }
}

/// What stands for null in a column that attributes tell.
#[must_use]
pub fn null_of(layout: &Layout) -> u64 {
    if *layout == Layout::U64 {
        0
    } else {
        NULL
    }
}

/// Truth values, eight a byte, the first in the lowest bit.
#[derive(Default, Clone)]
pub struct Bits {
    /// the bytes
    pub bytes: Vec<u8>,
    /// how many values
    pub len: usize,
    /// how many of them are true
    pub ones: usize,
}

impl Bits {
    /// Adds one.
    #[inline]
    pub fn push(&mut self, bit: bool) {
        if self.len % 8 == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.len % 8);
        }
        self.len += 1;
        self.ones += usize::from(bit);
    }
}

impl Bits {
    /// Adds the lowest bits of a word, after full bytes.
    pub fn extend_word(&mut self, word: u64, count: usize) {
        debug_assert!(self.len % 8 == 0 && word.checked_shr(count as u32).unwrap_or(0) == 0);
        let bytes = word.to_le_bytes();
        self.bytes.extend_from_slice(&bytes[..count.div_ceil(8)]);
        self.len += count;
        self.ones += word.count_ones() as usize;
    }
}

impl Extend<bool> for Bits {
    fn extend<I: IntoIterator<Item = bool>>(&mut self, bits: I) {
        let mut bits = bits.into_iter();
        while self.len % 8 > 0 {
            let Some(bit) = bits.next() else { return };
            self.push(bit);
        }
        let (mut byte, mut count) = (0, 0);
        for bit in bits {
            byte |= u8::from(bit) << count;
            count += 1;
            if count == 8 {
                self.bytes.push(byte);
                self.ones += byte.count_ones() as usize;
                self.len += 8;
                (byte, count) = (0, 0);
            }
        }
        if count > 0 {
            self.bytes.push(byte);
            self.ones += byte.count_ones() as usize;
            self.len += count;
        }
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut all = Self::default();
        all.extend(bits);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_from_the_lowest() {
        let bits: Bits = (0..10).map(|n| n % 3 == 0).collect();
        assert_eq!(bits.bytes, [0b0100_1001, 0b10]);
        assert_eq!((bits.len, bits.ones), (10, 4));
    }

    #[test]
    fn bits_that_come_together_are_those_that_come_alone() {
        let values: Vec<u64> = (0..29).collect();
        for before in 0..9 {
            let mut together: Bits = (0..before).map(|n| n % 2 == 0).collect();
            let mut alone = together.clone();
            together.extend(values.iter().map(|v| v % 3 == 0));
            for v in &values {
                alone.push(v % 3 == 0);
            }
            assert_eq!(together.bytes, alone.bytes);
            assert_eq!((together.len, together.ones), (alone.len, alone.ones));
        }
    }
}
