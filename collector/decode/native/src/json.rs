//! JSON from its start to its end, one value after the other; nothing is built.
//!
//! Whoever reads says what comes next. What is no JSON, and what is JSON but seldom written, is
//! `Unusual`: the body is left to the reference decoder, which has the last word.

use crate::wire::{Read, Unusual};

const MAX_DEPTH: usize = 32;
/// Longer numbers may be more than a parser of 64 bits takes.
const MAX_DIGITS: usize = 20;

/// Reads a text that is known to be UTF-8.
pub struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Reader<'a> {
    /// A reader of one document.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// The first byte of the next value.
    pub fn peek(&mut self) -> Read<u8> {
        let left = self.text.get(self.at..).unwrap_or_default();
        let blank = left
            .iter()
            .position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'));
        self.at += blank.ok_or(Unusual)?;
        Ok(self.text[self.at])
    }

    /// Whether nothing but blanks is left.
    pub fn ended(&mut self) -> bool {
        self.peek().is_err()
    }

    fn take(&mut self, byte: u8) -> Read<bool> {
        let found = self.peek()? == byte;
        self.at += usize::from(found);
        Ok(found)
    }

    fn expect(&mut self, byte: u8) -> Read<()> {
        if self.take(byte)? {
            Ok(())
        } else {
            Err(Unusual)
        }
    }

    fn word(&mut self, word: &[u8]) -> Read<bool> {
        self.peek()?;
        let found = self.text[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        Ok(found)
    }

    /// Whether null comes next, which is passed over then.
    pub fn null(&mut self) -> Read<bool> {
        self.word(b"null")
    }

    /// `true` or `false`.
    pub fn boolean(&mut self) -> Read<bool> {
        if self.word(b"true")? {
            return Ok(true);
        }
        if self.word(b"false")? {
            return Ok(false);
        }
        Err(Unusual)
    }

    /// A string without escapes: a key, an id, a number.
    pub fn plain(&mut self) -> Read<&'a [u8]> {
        self.expect(b'"')?;
        let run = self.run()?;
        if self.text[self.at] != b'"' {
            return Err(Unusual);
        }
        self.at += 1;
        Ok(run)
    }

    /// What stands before the next quote or escape; there is one.
    fn run(&mut self) -> Read<&'a [u8]> {
        let left = &self.text[self.at..];
        let end = left.iter().position(|&b| SPECIAL[usize::from(b)]);
        let end = end.ok_or(Unusual)?;
        self.at += end;
        if left[end] < b' ' {
            return Err(Unusual); // no JSON: it has to be escaped
        }
        Ok(&left[..end])
    }

    /// Adds the content of a string.
    pub fn string(&mut self, out: &mut Vec<u8>) -> Read<()> {
        self.expect(b'"')?;
        loop {
            out.extend_from_slice(self.run()?);
            self.at += 1;
            if self.text[self.at - 1] == b'"' {
                return Ok(());
            }
            let escaped = self.escaped()?;
            let mut room = [0; 4];
            out.extend_from_slice(escaped.encode_utf8(&mut room).as_bytes());
        }
    }

    fn escaped(&mut self) -> Read<char> {
        let letter = *self.text.get(self.at).ok_or(Unusual)?;
        self.at += 1;
        Ok(match letter {
            b'"' | b'\\' | b'/' => char::from(letter),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.four()?;
                if (0xD800..0xDC00).contains(&high) && self.text[self.at..].starts_with(b"\\u") {
                    self.at += 2;
                    let low = self.four()?;
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(Unusual);
                    }
                    let both = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                    return char::from_u32(both).ok_or(Unusual);
                }
                char::from_u32(high).ok_or(Unusual)?
            }
            _ => return Err(Unusual),
        })
    }

    fn four(&mut self) -> Read<u32> {
        let digits = self.text.get(self.at..self.at + 4).ok_or(Unusual)?;
        self.at += 4;
        digits.iter().try_fold(0, |value, digit| {
            let digit = char::from(*digit).to_digit(16).ok_or(Unusual)?;
            Ok(value * 16 + digit)
        })
    }

    /// A number as it is written: an integer, or one with digits behind a point.
    pub fn number(&mut self) -> Read<&'a [u8]> {
        self.peek()?;
        let start = self.at;
        self.at += usize::from(self.text[self.at] == b'-');
        let whole = self.digits();
        let leading = self.text.get(self.at - whole) == Some(&b'0');
        if whole == 0 || (whole > 1 && leading) {
            return Err(Unusual);
        }
        let mut all = whole;
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            let behind = self.digits();
            if behind == 0 {
                return Err(Unusual);
            }
            all += behind;
        }
        if all > MAX_DIGITS || matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            return Err(Unusual);
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> usize {
        let left = self.text.get(self.at..).unwrap_or_default();
        let count = left.iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += count;
        count
    }

    /// Calls `each` where every element of an array begins.
    pub fn items(&mut self, mut each: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        self.inside(b'[', b']', |reader| each(reader))
    }

    /// Calls `each` where the value of every member of an object begins, with its key.
    pub fn members(&mut self, mut each: impl FnMut(&mut Self, &'a [u8]) -> Read<()>) -> Read<()> {
        self.inside(b'{', b'}', |reader| {
            let key = reader.plain()?;
            reader.expect(b':')?;
            each(reader, key)
        })
    }

    fn inside(
        &mut self,
        open: u8,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Read<()>,
    ) -> Read<()> {
        self.expect(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Unusual);
        }
        if !self.take(close)? {
            loop {
                each(self)?;
                if self.take(close)? {
                    break;
                }
                self.expect(b',')?;
            }
        }
        self.depth -= 1;
        Ok(())
    }

    /// Passes over a value that nobody reads.
    pub fn skip(&mut self) -> Read<()> {
        match self.peek()? {
            b'"' => self.string(&mut Vec::new()),
            b'{' => self.members(|reader, _| reader.skip()),
            b'[' => self.items(Self::skip),
            b'n' if self.null()? => Ok(()),
            b't' | b'f' => self.boolean().map(|_| ()),
            _ => self.number().map(|_| ()),
        }
    }
}

/// Bytes at which a run of a string's content ends.
const SPECIAL: [bool; 256] = {
    let mut found = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        found[byte] = true;
        byte += 1;
    }
    found[b'"' as usize] = true;
    found[b'\\' as usize] = true;
    found
};

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> Read<String> {
        let mut out = Vec::new();
        Reader::new(text.as_bytes()).string(&mut out)?;
        Ok(String::from_utf8(out).expect("whole characters"))
    }

    #[test]
    fn strings() {
        assert_eq!(string(r#""a\n\u00e9\ud83d\ude00/""#), Ok("a\né😀/".into()));
        for broken in [
            "\"a",
            "\"a\n\"",
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\x""#,
            r#""\u12"#,
            "a",
        ] {
            assert_eq!(string(broken), Err(Unusual), "{broken}");
        }
    }

    #[test]
    fn skipping() {
        let skipped = |text: &str| {
            let mut reader = Reader::new(text.as_bytes());
            reader.skip()?;
            Ok::<_, Unusual>(reader.ended())
        };
        for whole in [
            "{\"a\": [1, -2.5, {\"b\":null}], \"c\":true} ",
            "[]",
            "0",
            "\"\"",
        ] {
            assert_eq!(skipped(whole), Ok(true), "{whole}");
        }
        for broken in [
            "{\"a\" 1}",
            "[1,]",
            "01",
            "1.",
            "-",
            "nul",
            "{1:2}",
            "[1 2]",
            "1e9",
            "",
        ] {
            assert_eq!(skipped(broken), Err(Unusual), "{broken}");
        }
        assert_eq!(skipped("1 2"), Ok(false));
        assert_eq!(skipped(&"[".repeat(1_000)), Err(Unusual));
    }
}
