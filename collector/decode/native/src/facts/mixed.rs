//! The order of sampled tables, by one number made of all keys: `mix_all` and `_order` of
//! `detectors/kit`.

use super::groups::Cell;
use super::loads::NULL;
use super::patterns::{final_of, ODDS};

/// What each key is multiplied by: `_POWERS` of `detectors/kit/sampling.py`, by its place.
#[must_use]
pub fn factor(place: usize) -> u64 {
    ODDS[0].wrapping_pow(place as u32 + 1)
}

/// What some cells add to the number of a row.
#[inline]
#[must_use]
pub fn sum(cells: impl Iterator<Item = Cell>, factors: &[u64]) -> u64 {
    let terms = cells
        .zip(factors)
        .map(|(cell, factor)| cell.unwrap_or(NULL).wrapping_mul(*factor));
    terms.fold(0, u64::wrapping_add)
}

/// Places of rows by pane, then by number, of panes and sums of all keys.
#[must_use]
pub fn ordered(rows: impl Iterator<Item = (i64, u64)>) -> Vec<u32> {
    let numbered = rows.zip(0u32..);
    let mut places: Vec<(i64, u64, u32)> = numbered
        .map(|((pane, sum), place)| (pane, final_of(sum), place))
        .collect();
    places.sort_unstable();
    places.into_iter().map(|(.., place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_the_order_of_panes_and_of_their_numbers() {
        let rows = [(60, 1), (0, 5), (0, 2), (-60, 9), (0, 2)];
        let mut wanted: Vec<usize> = (0..5).collect();
        wanted.sort_by_key(|place| (rows[*place].0, final_of(rows[*place].1)));
        let found = ordered(rows.into_iter()).into_iter();
        assert!(found.map(|place| place as usize).eq(wanted));
    }

    #[test]
    fn a_null_has_a_number_of_its_own() {
        let factors = [factor(0), factor(1)];
        let of = |cells: [Cell; 2]| sum(cells.into_iter(), &factors);
        assert_eq!(of([Some(1), Some(0)]), ODDS[0]);
        assert_ne!(of([Some(1), None]), of([Some(1), Some(0)]));
        assert_ne!(of([Some(1), Some(2)]), of([Some(2), Some(1)]));
    }
}
