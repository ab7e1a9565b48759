//! Answers of the reference that hold for all spans of a form (see `form`).

use crate::form::Own;
use crate::known::Known;

const MOST_KNOWN: usize = 16_384;
/// Marks a form whose answer did not show what was expected: its spans are asked for one by one.
const CLOSED: u64 = 1 << 8;

/// What is known of a form.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// the facets were appended
    All,
    /// not seen yet
    Nothing,
    /// spans of this form are on their own
    Closed,
}

/// Answers by form, in two bounded generations.
pub struct Forms {
    known: Known,
    /// places of what is own among the facets
    places: [usize; 4],
}

impl Forms {
    /// For rows of `width` facets.
    #[must_use]
    pub fn new(width: usize, places: [usize; 4]) -> Self {
        Self {
            known: Known::new(width + 1, MOST_KNOWN),
            places,
        }
    }

    /// Appends the facets of a span of this form.
    pub fn append(&mut self, form: u128, own: &Own, target: &mut Vec<u64>) -> Found {
        let start = target.len();
        if !self.known.append(form, target) {
            return Found::Nothing;
        }
        let mark = target.pop().unwrap_or(CLOSED);
        if mark == CLOSED {
            target.truncate(start);
            return Found::Closed;
        }
        self.fill(mark, own, &mut target[start..]);
        Found::All
    }

    fn fill(&self, mark: u64, own: &Own, row: &mut [u64]) {
        for (number, &place) in self.places.iter().enumerate() {
            if mark & (1 << number) != 0 {
                row[place] = own[number].unwrap_or_default();
            }
        }
    }

    /// Remembers the facets of a span of a form.
    ///
    /// They hold for others when what is hashed is what the span was expected to have, or nothing.
    pub fn learn(&mut self, form: u128, own: &Own, facets: &[u64]) {
        let mut mark = 0;
        for (number, &place) in self.places.iter().enumerate() {
            match facets[place] {
                0 => {}
                hash if own[number] == Some(hash) => mark |= 1 << number,
                _ => mark = CLOSED,
            }
            if mark == CLOSED {
                break;
            }
        }
        let mut row = facets.to_vec();
        row.push(mark);
        self.known.insert(form, &row);
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_own_is_filled_in() {
        let mut forms = Forms::new(5, [1, 2, 3, 4]);
        let mut row = Vec::new();
        let own = [Some(7), Some(8), None, None];
        assert_eq!(forms.append(1, &own, &mut row), Found::Nothing);
        forms.learn(1, &own, &[5, 7, 0, 0, 0]);
        let other = [Some(70), Some(80), None, None];
        assert_eq!(forms.append(1, &other, &mut row), Found::All);
        assert_eq!(row, [5, 70, 0, 0, 0]);
    }

    #[test]
    fn what_was_not_expected_closes_a_form() {
        let mut forms = Forms::new(5, [1, 2, 3, 4]);
        let own = [Some(7), None, None, None];
        forms.learn(1, &own, &[5, 9, 0, 0, 0]);
        let mut row = Vec::new();
        assert_eq!(forms.append(1, &own, &mut row), Found::Closed);
        assert!(row.is_empty());
    }
}
