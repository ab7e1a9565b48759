//! What spans have in common: service and operation, what is called and how that ended.
//!
//! There are some thousand patterns where there are a hundred thousand spans. Whatever a table asks of
//! these columns alone it asks once per pattern, of the first span that has it.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::spans::Spans;
use crate::reading::Column;

/// Which pattern each span has, and which span had each pattern first.
pub struct Patterns {
    /// of each row
    pub of: Vec<u32>,
    /// of each pattern
    pub first: Vec<u32>,
}

const ODD: u64 = 0x9E37_79B9_7F4A_7C15;

/// A number that both halves of a product go into.
#[inline]
#[must_use]
pub fn folded(one: u64, other: u64) -> u64 {
    let whole = u128::from(one ^ ODD) * u128::from(other | 1);
    (whole as u64) ^ (whole >> 64) as u64
}

/// Mixes columns into a number for each row, one column at a time: rows do not wait for each other.
///
/// Equal patterns have equal numbers, and others have others, as surely as codes tell texts apart:
/// both are 64 bits. The seed is the process's own, so that nobody can prepare two that collide.
struct Mixed(Vec<u64>);

impl Mixed {
    #[inline]
    fn add(number: &mut u64, value: u64) {
        *number = folded(*number ^ value, 0xA076_1D64_78BD_642F);
    }

    /// Codes are never 0, which stands for null.
    fn codes(&mut self, column: &Column<'_, u64>) {
        let Some(values) = column.whole() else {
            return self.nullable(column);
        };
        for (number, value) in self.0.iter_mut().zip(values) {
            Self::add(number, *value);
        }
    }

    fn nullable(&mut self, column: &Column<'_, u64>) {
        for (place, numbers) in self.0.chunks_mut(64).enumerate() {
            let (values, valid) = column.words(place * 64, numbers.len());
            for (place, (number, value)) in numbers.iter_mut().zip(values).enumerate() {
                let is_valid = (valid >> place & 1).wrapping_neg();
                Self::add(number, value & is_valid);
            }
        }
    }

    /// What takes few bits, as one value.
    fn small(&mut self, spans: &Spans<'_>) {
        let status = |column: &Column<'_, i32>, row| {
            u64::from(column.get(row) as u32) | u64::from(column.has(row)) << 32
        };
        for (row, number) in self.0.iter_mut().enumerate() {
            let names = [spans.kind, spans.status, spans.category, spans.entry_kind];
            let names = names.map(|column| column[row]);
            let flags = [&spans.is_entry, &spans.outgoing, &spans.failed];
            let flags = flags
                .iter()
                .fold(1, |bits, flag| bits << 1 | u64::from(flag.is(row)));
            let work = u64::from(spans.work.get(row)) << 1 | u64::from(spans.work.has(row));
            Self::add(
                number,
                u64::from(u32::from_le_bytes(names)) | flags << 32 | work << 40,
            );
            let http = status(&spans.http_status, row);
            Self::add(number, http ^ u64::from(spans.traits[row]) << 33);
            Self::add(number, status(&spans.rpc_status, row));
        }
    }
}

impl Patterns {
    /// Of all spans.
    #[must_use]
    pub fn of(spans: &Spans<'_>) -> Self {
        let seed = DefaultHashBuilder::default().hash_one(0);
        let mut mixed = Mixed(vec![seed; spans.rows]);
        for column in spans.named() {
            mixed.codes(column);
        }
        mixed.small(spans);
        Self::of_numbers(&mixed.0)
    }

    fn of_numbers(numbers: &[u64]) -> Self {
        let mut first: Vec<u32> = vec![];
        let mut places: HashTable<u32> = HashTable::new();
        let number_of = |first: &[u32], place: u32| numbers[first[place as usize] as usize];
        let mut of = Vec::with_capacity(numbers.len());
        for (row, number) in numbers.iter().enumerate() {
            let found = places.find(*number, |place| number_of(&first, *place) == *number);
            of.push(found.copied().unwrap_or_else(|| {
                let place = first.len() as u32;
                first.push(row as u32);
                places.insert_unique(*number, place, |place| number_of(&first, *place));
                place
            }));
        }
        Self { of, first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_told_by_the_first_row_that_has_it() {
        let patterns = Patterns::of_numbers(&[7, 9, 7, 7, 8, 9]);
        assert_eq!(patterns.of, [0, 1, 0, 0, 2, 1]);
        assert_eq!(patterns.first, [0, 1, 4]);
    }
}
