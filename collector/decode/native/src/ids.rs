//! Which part of a path or a key is an id, as `detectors/kit/shapes/ids.py` tells it.

use crate::words::Words;

/// What stands for an id.
pub const ID: &str = "{id}";

const LONGEST_WORD: usize = 64;
const LONGEST_PLAIN_TOKEN: usize = 20;
const SHORTEST_HEX: usize = 16;
const LONGEST_EXTENSION: usize = 5;

fn is_separator(byte: u8) -> bool {
    b"-_.~+,=:".contains(&byte)
}

/// `v1`, `v1.2`, `v2beta1`.
fn is_version(text: &[u8]) -> bool {
    let Some((b'v' | b'V', mut left)) = text.split_first() else {
        return false;
    };
    let number = |left: &[u8]| left.iter().take_while(|b| b.is_ascii_digit()).count();
    let first = number(left);
    if !(1..=3).contains(&first) {
        return false;
    }
    left = &left[first..];
    while let Some((b'.', rest)) = left.split_first() {
        let next = number(rest);
        if !(1..=3).contains(&next) {
            return false;
        }
        left = &rest[next..];
    }
    if left.is_empty() {
        return true;
    }
    let mut marks = [b"alpha".as_slice(), b"beta", b"rc"].into_iter();
    marks.any(|mark| {
        let head = left.get(..mark.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(mark))
            && left[mark.len()..].iter().all(u8::is_ascii_digit)
    })
}

/// A long run of letters that changes case like dice, not like camelCase.
fn is_random(token: &[u8]) -> bool {
    if token.len() >= SHORTEST_HEX && token.iter().all(u8::is_ascii_hexdigit) {
        return true;
    }
    token.len() >= LONGEST_PLAIN_TOKEN && turns(token) as f64 > 0.3 * token.len() as f64
}

/// Pairs of a lower and an upper case letter, none of which overlaps another.
fn turns(token: &[u8]) -> usize {
    let (mut found, mut at) = (0, 0);
    while at + 1 < token.len() {
        let (a, b) = (token[at], token[at + 1]);
        let turned = (a.is_ascii_lowercase() && b.is_ascii_uppercase())
            || (a.is_ascii_uppercase() && b.is_ascii_lowercase());
        found += usize::from(turned);
        at += 1 + usize::from(turned);
    }
    found
}

/// Whether a token without separators belongs to the interface.
fn is_word(token: &[u8], before: &str, words: &Words) -> bool {
    if token.is_empty() {
        return true;
    }
    let digits = token.iter().filter(|b| b.is_ascii_digit()).count();
    if digits == 0 {
        return !is_random(token);
    }
    if words.has_lower(token) || is_version(token) {
        return true;
    }
    let Some((last, letters)) = token.split_last() else {
        return true;
    };
    let numbered =
        last.is_ascii_digit() && letters.len() >= 3 && letters.iter().all(u8::is_ascii_alphabetic);
    numbered && !starts_alike(before, letters)
}

/// Whether a text starts with letters, whatever their case.
fn starts_alike(text: &str, letters: &[u8]) -> bool {
    if text.is_ascii() {
        let head = text.as_bytes().get(..letters.len());
        return head.is_some_and(|head| head.eq_ignore_ascii_case(letters));
    }
    let lower = text.to_lowercase();
    let head = lower.as_bytes().get(..letters.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(letters))
}

/// Whether a path segment or part of a key is an id; `before` precedes it.
#[must_use]
pub fn is_id(segment: &str, before: &str, words: &Words) -> bool {
    let bytes = segment.as_bytes();
    match bytes.first() {
        None | Some(b'{' | b'<' | b':' | b'*') => return false,
        Some(_) => {}
    }
    if bytes.len() > LONGEST_WORD || bytes.iter().any(|b| matches!(b, b'@' | b'%' | 0x80..)) {
        return true;
    }
    if is_version(bytes) {
        return false;
    }
    let mut tokens = bytes.split(|b| is_separator(*b));
    !tokens.all(|token| is_word(token, before, words))
}

/// What an ASCII segment of a path is made of.
pub enum Segment<'a> {
    /// a word of the interface
    Word,
    /// `Users(5)`: the name, and the id in parentheses
    Call(&'a str, &'a str),
    /// an id, and what stays behind it: `.json`, `:archive`
    Id(&'a str, &'a str),
}

/// Tells a path segment; `before` precedes it.
#[must_use]
pub fn tell_segment<'a>(segment: &'a str, before: &str, words: &Words) -> Segment<'a> {
    let bytes = segment.as_bytes();
    if bytes.len() <= LONGEST_WORD && !bytes.contains(&b'@') {
        if let Some((name, inside)) = call(segment) {
            return Segment::Call(name, inside);
        }
        for at in [file(bytes), verb(bytes)].into_iter().flatten() {
            let (head, tail) = segment.split_at(at);
            if !is_version(bytes) && is_id(head, before, words) {
                return Segment::Id(head, tail);
            }
        }
    }
    if is_id(segment, before, words) {
        return Segment::Id(segment, "");
    }
    Segment::Word
}

/// `name(inside)`, neither of them empty.
fn call(segment: &str) -> Option<(&str, &str)> {
    let inside = segment.strip_suffix(')')?;
    let (name, inside) = inside.split_once('(')?;
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let plain = !name.is_empty() && name.bytes().all(is_name);
    let closed = !inside.is_empty() && !inside.contains(['(', ')']);
    (plain && closed).then_some((name, inside))
}

/// Where a file's extension begins.
fn file(bytes: &[u8]) -> Option<usize> {
    let point = bytes.iter().rposition(|b| *b == b'.')?;
    let (first, rest) = bytes[point + 1..].split_first()?;
    let fits = first.is_ascii_alphabetic()
        && rest.len() < LONGEST_EXTENSION
        && rest.iter().all(u8::is_ascii_alphanumeric);
    (fits && point > 0 && !bytes[..point].contains(&b'\n')).then_some(point)
}

/// Where a custom verb (`5:archive`) begins.
fn verb(bytes: &[u8]) -> Option<usize> {
    let colon = bytes.iter().position(|b| *b == b':')?;
    let rest = &bytes[colon + 1..];
    let fits = colon > 0 && !rest.is_empty() && rest.iter().all(u8::is_ascii_alphabetic);
    fits.then_some(colon)
}
