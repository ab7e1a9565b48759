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

/// `_ODD` of `detectors/kit/sampling.py`.
pub const ODDS: [u64; 3] = [
    0xFF51_AFD7_ED55_8CCD,
    0xC4CE_B9FE_1A85_EC53,
    0xBF58_476D_1CE4_E5B9,
];

/// `_final` of `detectors/kit/sampling.py`: the last step of a mix.
#[inline]
#[must_use]
pub fn final_of(value: u64) -> u64 {
    (value ^ (value >> 32)).wrapping_mul(ODDS[0])
}

/// A number that both go into, by both halves of a product.
#[inline]
#[must_use]
pub fn folded(one: u64, other: u64) -> u64 {
    let whole = u128::from(one ^ ODDS[1]) * u128::from(other ^ ODDS[2]);
    (whole as u64) ^ (whole >> 64) as u64
}

/// A number for each row, made of all columns.
///
/// Equal patterns have equal numbers, and others have others, as surely as codes tell texts apart:
/// both are 64 bits. The seed is the process's own, so that nobody can prepare two that collide.
fn numbers(spans: &Spans<'_>, seed: u64) -> Vec<u64> {
    let named = spans.named();
    let mut numbers = Vec::with_capacity(spans.rows);
    for begin in (0..spans.rows).step_by(64) {
        let len = (spans.rows - begin).min(64);
        let columns = named.map(|column| column.words(begin, len));
        for place in 0..len {
            // Codes are never 0, which stands for null.
            let code = |(values, valid): &(&[u64], u64)| {
                values[place] & (valid >> place & 1).wrapping_neg()
            };
            let number = columns.chunks(2).fold(seed, |number, pair| {
                folded(number ^ code(&pair[0]), pair.get(1).map_or(seed, code))
            });
            numbers.push(with_small(spans, begin + place, number));
        }
    }
    numbers
}

/// Mixes in what takes few bits.
#[inline]
fn with_small(spans: &Spans<'_>, row: usize, number: u64) -> u64 {
    let status = |column: &Column<'_, i32>| {
        u64::from(column.get(row) as u32) | u64::from(column.has(row)) << 32
    };
    let names = [spans.kind, spans.status, spans.category, spans.entry_kind];
    let names = names.map(|column| column[row]);
    let flags = [&spans.is_entry, &spans.outgoing, &spans.failed];
    let flags = flags
        .iter()
        .fold(0, |bits, flag| bits << 1 | u64::from(flag.is(row)));
    let work = u64::from(spans.work.get(row)) << 1 | u64::from(spans.work.has(row));
    let small = u64::from(u32::from_le_bytes(names)) | flags << 32 | work << 40;
    let http = status(&spans.http_status) ^ u64::from(spans.traits[row]) << 33;
    folded(folded(number ^ small, http), status(&spans.rpc_status))
}

impl Patterns {
    /// Of all spans.
    #[must_use]
    pub fn of(spans: &Spans<'_>) -> Self {
        let seed = DefaultHashBuilder::default().hash_one(0);
        Self::of_numbers(&numbers(spans, seed))
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
