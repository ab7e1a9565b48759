//! Commands of document stores as what their shape depends on, and their values.
//!
//! `detectors/kit/shapes/document.py` reads strings, numbers and brackets; its shapes show keys and
//! words, and of values only that they are there. Here the same tokens are written with values
//! masked and lists of them folded: equal forms have equal shapes.

use crate::statement::Statement;
use crate::url::SEPARATOR;
use crate::words::{Sure, Unsure};

const LONGEST_TEXT: usize = 16_384;
const LONGEST_COMMAND: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    /// a string, number or `?` that no colon follows
    Value = 1,
    /// one of those that is masked already
    Hidden,
    /// a list of values
    List,
    /// a string or word before a colon
    Key,
    /// another word
    Word,
    /// another character
    Mark,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    kind: Kind,
    raw: &'a str,
}

/// Reads a command; odd beginnings, of which the reference reads more than tokens, are left to it.
pub fn read_document(text: &str) -> Sure<Statement> {
    if text.len() > LONGEST_TEXT {
        return Err(Unsure);
    }
    let tokens = tokens(text)?;
    check_beginning(&tokens)?;
    let mut form = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < tokens.len() {
        if let Some(end) = list(&tokens, at) {
            form.push(Kind::List as u8);
            at = end;
            continue;
        }
        let Token { kind, raw } = tokens[at];
        form.push(kind as u8);
        if matches!(kind, Kind::Key | Kind::Word | Kind::Mark) {
            form.extend((raw.len() as u32).to_ne_bytes());
            form.extend(raw.as_bytes());
        }
        at += 1;
    }
    let literals = literals(&tokens);
    Ok(Statement { form, literals })
}

/// The name of the command, if it stands in front, and the first key are told from the raw text.
fn check_beginning(tokens: &[Token]) -> Sure<()> {
    let mut tokens = tokens.iter();
    let mut first = tokens.next();
    if let Some(token) = first.filter(|t| matches!(t.kind, Kind::Word | Kind::Key)) {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'.';
        let fits = token.raw.len() <= LONGEST_COMMAND && token.raw.bytes().all(plain);
        let quoted = token.raw.starts_with(['"', '\'']);
        if !quoted {
            if !fits || token.kind == Kind::Key {
                return Err(Unsure);
            }
            first = tokens.next();
        }
    }
    if first.is_some_and(|token| token.kind == Kind::Mark && token.raw == "{") {
        let next = tokens.next();
        if next.is_some_and(|token| matches!(token.kind, Kind::Word | Kind::Value | Kind::Hidden)) {
            return Err(Unsure);
        }
    }
    Ok(())
}

/// Where a list of visible values ends that begins here.
fn list(tokens: &[Token], start: usize) -> Option<usize> {
    let is_mark = |at: usize, mark: &str| {
        let token = tokens.get(at);
        token.is_some_and(|token| token.kind == Kind::Mark && token.raw == mark)
    };
    if !is_mark(start, "[") {
        return None;
    }
    let mut at = start + 1;
    while tokens.get(at)?.kind == Kind::Value {
        if is_mark(at + 1, "]") {
            return Some(at + 2);
        }
        if !is_mark(at + 1, ",") {
            return None;
        }
        at += 2;
    }
    None
}

/// All values; None when one is hidden.
fn literals(tokens: &[Token]) -> Option<String> {
    if tokens.iter().any(|token| token.kind == Kind::Hidden) {
        return None;
    }
    let mut joined = String::new();
    let values = tokens.iter().filter(|token| token.kind == Kind::Value);
    for (number, token) in values.enumerate() {
        if number > 0 {
            joined.push(SEPARATOR);
        }
        joined.push_str(token.raw);
    }
    Some(joined)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0x1c..=0x1f)
}

fn tokens(text: &str) -> Sure<Vec<Token<'_>>> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::with_capacity(text.len() / 4 + 4);
    let mut at = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if is_space(byte) {
            at += 1;
            continue;
        }
        let run = |from: usize, more: &[u8]| {
            let fits = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_' || more.contains(b);
            let size = bytes[from..].iter().take_while(|b| fits(b)).count();
            let follows = bytes.get(from + size).copied().unwrap_or(0);
            if follows < 0x80 {
                Ok(from + size)
            } else {
                Err(Unsure)
            }
        };
        let signed =
            matches!(byte, b'+' | b'-') && bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
        let (kind, end) = match byte {
            b'"' | b'\'' => (Kind::Value, closing(bytes, at)),
            b'?' => (Kind::Hidden, at + 1),
            b'0'..=b'9' => (Kind::Value, run(at + 1, b".+-")?),
            _ if signed => (Kind::Value, run(at + 2, b".+-")?),
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Word, run(at + 1, b".$")?),
            0x80.. => return Err(Unsure),
            _ => (Kind::Mark, at + 1),
        };
        let raw = &text[at..end];
        let can_be_key = kind == Kind::Word || matches!(byte, b'"' | b'\'');
        let kind = if can_be_key && colon_follows(bytes, end)? {
            Kind::Key
        } else if kind == Kind::Value && raw.trim_matches(['"', '\'']) == "?" {
            Kind::Hidden
        } else {
            kind
        };
        tokens.push(Token { kind, raw });
        at = end;
    }
    Ok(tokens)
}

/// Where a string ends: behind its closing quote, or with the text.
fn closing(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while at < bytes.len() {
        if bytes[at] == bytes[open] {
            return at + 1;
        }
        at += 1 + usize::from(bytes[at] == b'\\');
    }
    bytes.len()
}

fn colon_follows(bytes: &[u8], at: usize) -> Sure<bool> {
    match bytes[at..].iter().find(|b| !is_space(**b)) {
        Some(0x80..) => Err(Unsure),
        found => Ok(found == Some(&b':')),
    }
}
