//! One answer for all spans that differ in numbers alone: ids in URLs, literals, cache keys.
//!
//! A run of digits that stands by itself is an id or a literal to the reference whatever its
//! digits are. So an answer holds for all spans of the same name and attributes but for such runs,
//! when no text that is kept shows them, and the hashes are made anew from texts with holes.
//! Lengths count, so that whatever is cut or bounded is so alike. Python makes the holes
//! (`collector/decode/holes.py`) and says when there cannot be any.

use crate::decoder::code;
use crate::known::HashedMap;

const FEWEST_DIGITS: usize = 4;
const LONGEST_TEXT: usize = 4_096;
const MOST_KNOWN: usize = 16_384;
/// A byte that is in no text: what is behind it was taken out.
const NO_TEXT: u8 = 0xff;

/// What of a text may have runs of digits taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// nothing
    Closed,
    /// all of it: statements, commands, parameters
    Whole,
    /// what is behind the host; a query only when it has one part, since parts are sorted
    Url,
}

/// A text with holes: pieces, and the numbers of the runs between them.
pub type Holed = (Vec<String>, Vec<usize>);

/// An answer for many spans.
pub struct General {
    facets: Vec<u64>,
    holed: Vec<(usize, Holed)>,
}

/// Answers by masked key; None where there can be none.
#[derive(Default)]
pub struct Generals {
    known: HashedMap<u128, Option<General>>,
}

impl Generals {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.known.clear();
    }

    /// Whether Python may be asked for an answer for many.
    #[must_use]
    pub fn is_open(&self, key: u128) -> bool {
        !self.known.contains_key(&key)
    }

    /// Remembers an answer, or that there is none.
    pub fn insert(&mut self, key: u128, facets: &[u64], holed: Option<Vec<(usize, Holed)>>) {
        if self.known.len() >= MOST_KNOWN {
            self.known.clear();
        }
        let facets = facets.to_vec();
        let general = holed.map(|holed| General { facets, holed });
        self.known.insert(key, general);
    }

    /// Appends the facets of a span with these runs of digits; false when they are not known.
    pub fn append(&self, key: u128, runs: &[&str], target: &mut Vec<u64>) -> bool {
        let Some(Some(general)) = self.known.get(&key) else {
            return false;
        };
        let at = target.len();
        target.extend_from_slice(&general.facets);
        let mut text = String::new();
        for (facet, (pieces, holes)) in &general.holed {
            text.clear();
            for (index, piece) in pieces.iter().enumerate() {
                text.push_str(piece);
                if let Some(run) = holes.get(index).and_then(|hole| runs.get(*hole)) {
                    text.push_str(run);
                }
            }
            target[at + facet] = code(&text);
        }
        true
    }
}

/// Appends a text with its runs of digits replaced by their lengths; collects the runs.
pub fn mask<'a>(text: &'a str, open: Open, target: &mut Vec<u8>, runs: &mut Vec<&'a str>) {
    let (start, end) = opening(text, open);
    let bytes = text.as_bytes();
    let mut copied = 0;
    let mut at = start;
    while at < end {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let size = bytes[at..end]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count();
        let behind = at + size;
        let stands_alone = (at == 0 || is_border(bytes[at - 1]))
            && bytes.get(behind).is_none_or(|b| is_border(*b));
        if size >= FEWEST_DIGITS && bytes[at] != b'0' && stands_alone {
            target.extend_from_slice(&bytes[copied..at]);
            target.push(NO_TEXT);
            target.extend_from_slice(&(size as u32).to_ne_bytes());
            runs.push(&text[at..behind]);
            copied = behind;
        }
        at = behind;
    }
    target.extend_from_slice(&bytes[copied..]);
}

/// From where to where runs are looked for.
fn opening(text: &str, open: Open) -> (usize, usize) {
    let size = text.len();
    if open == Open::Closed || size > LONGEST_TEXT {
        return (size, size);
    }
    if open == Open::Whole {
        return (0, size);
    }
    let host = text.find("://").map_or(0, |at| at + 3);
    let path = text[host..].find('/').map_or(size, |at| host + at);
    let end = text.find('#').unwrap_or(size);
    let query = text
        .find('?')
        .filter(|at| *at < end && text[*at..].contains('&'));
    let end = query.unwrap_or(end);
    (path.min(end), end)
}

/// What may stand beside a run: no letter, no other script, no point, no sign of a parameter.
fn is_border(byte: u8) -> bool {
    byte.is_ascii() && !byte.is_ascii_alphanumeric() && !b"_.$%[\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(text: &str, open: Open) -> Vec<&str> {
        let (mut target, mut runs) = (Vec::new(), Vec::new());
        mask(text, open, &mut target, &mut runs);
        runs
    }

    #[test]
    fn runs_that_stand_alone() {
        assert_eq!(
            runs("a = 12345 AND b = -6789", Open::Whole),
            ["12345", "6789"]
        );
        assert_eq!(
            runs("t1234 x.1234 123 0123 v1234 1234.5", Open::Whole),
            [""; 0]
        );
        assert_eq!(runs("http://h:8080/a/1234", Open::Url), ["1234"]);
        assert_eq!(runs("/a/1234?b=5678", Open::Url), ["1234", "5678"]);
        assert_eq!(runs("/a/1234?b=5678&c", Open::Url), ["1234"]);
        assert_eq!(runs("http://10.0.0.1234", Open::Url), [""; 0]);
    }

    #[test]
    fn texts_are_made_from_holes() {
        let mut generals = Generals::default();
        let holed = (vec!["user:".to_owned(), ":eur".to_owned()], vec![0]);
        generals.insert(1, &[7, 8], Some(vec![(1, holed)]));
        let mut row = Vec::new();
        assert!(generals.append(1, &["4711"], &mut row));
        assert_eq!(row, [7, code("user:4711:eur")]);
        generals.insert(2, &[7, 8], None);
        assert!(!generals.append(2, &["4711"], &mut row));
        assert!(!generals.is_open(2));
    }
}
