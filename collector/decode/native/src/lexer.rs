//! SQL text to tokens, as `detectors/kit/shapes/lexer.py` makes them.
//!
//! Only what can stand in statements of applications; for letters of other scripts outside of
//! literals, dollar quotes and other rarities the reference is asked.

use crate::words::{Dialect, Lexicon, Sure, Unsure};

/// What a token is; spaces and comments are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// a name or keyword
    Word = 1,
    /// a quoted name
    Quoted,
    /// a literal
    Value,
    /// a number
    Number,
    /// a placeholder
    Param,
    /// everything else
    Symbol,
}

impl Kind {
    /// Whether it is a value, visible or not.
    #[must_use]
    pub fn is_value(self) -> bool {
        matches!(self, Self::Value | Self::Number | Self::Param)
    }
}

/// One token.
#[derive(Debug, Clone, Copy)]
pub struct Token<'a> {
    /// what it is
    pub kind: Kind,
    /// as written, of numbers with their sign
    pub raw: &'a str,
    /// whether space or a comment precedes
    pub spaced: bool,
}

impl Token<'_> {
    /// Whether it is this symbol.
    #[must_use]
    pub fn is(&self, symbol: &str) -> bool {
        self.kind == Kind::Symbol && self.raw == symbol
    }

    /// Whether it is this word, whatever its case.
    #[must_use]
    pub fn is_word(&self, word: &str) -> bool {
        self.kind == Kind::Word && self.raw.eq_ignore_ascii_case(word)
    }
}

/// The dialect of a statement; for an unknown system what the text itself gives away.
pub fn dialect_of(text: &str, system: &str, lexicon: &Lexicon) -> Sure<Dialect> {
    if !system.is_ascii() {
        return Err(Unsure);
    }
    let known = lexicon.dialects.get(system).copied();
    let mut dialect = known.or_else(|| lexicon.dialects.get(&system.to_ascii_lowercase()).copied());
    let dialect = dialect.get_or_insert_with(|| Dialect {
        backslash: text.contains("\\'"),
        text_in_double_quotes: text.contains('`'),
        ..Dialect::default()
    });
    if dialect.text_in_double_quotes && has_ansi_quotes(text)? {
        dialect.text_in_double_quotes = false;
    }
    Ok(*dialect)
}

/// Whether a double-quoted name stands where only a table can.
fn has_ansi_quotes(text: &str) -> Sure<bool> {
    const LONGEST: usize = 7; // a letter, and UPDATE
    for (at, _) in text.match_indices('"') {
        let before = text[..at].trim_end_matches(crate::command::is_space);
        if before.len() == at {
            continue;
        }
        let tail = &before.as_bytes()[before.len().saturating_sub(LONGEST)..];
        if !tail.is_ascii() {
            return Err(Unsure);
        }
        let word = tail.rsplit(|b| !is_w(*b)).next().unwrap_or_default();
        let words = ["FROM", "JOIN", "INTO", "UPDATE"];
        if words
            .iter()
            .any(|w| word.eq_ignore_ascii_case(w.as_bytes()))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

/// `\w`
fn is_w(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

struct Lexer<'a, 't> {
    text: &'a str,
    bytes: &'a [u8],
    dialect: Dialect,
    lexicon: &'t Lexicon,
    spaced: bool,
    tokens: Vec<Token<'a>>,
    /// whether the last token is a sign that may belong to the number behind it
    signed: bool,
}

/// The tokens of a statement, without spaces and comments, signs joined with their numbers.
pub fn lex<'a>(text: &'a str, system: &str, lexicon: &Lexicon) -> Sure<Vec<Token<'a>>> {
    let mut lexer = Lexer {
        text,
        bytes: text.as_bytes(),
        dialect: dialect_of(text, system, lexicon)?,
        lexicon,
        spaced: false,
        tokens: Vec::with_capacity(text.len() / 6 + 4),
        signed: false,
    };
    let mut at = 0;
    while at < lexer.bytes.len() {
        at = lexer.read(at)?;
    }
    Ok(lexer.tokens)
}

impl Lexer<'_, '_> {
    fn byte(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    fn before(&self, at: usize) -> u8 {
        at.checked_sub(1).map_or(0, |at| self.bytes[at])
    }

    /// Where a run of fitting ASCII ends; letters of other scripts right behind it are not told.
    fn run(&self, at: usize, fits: impl Fn(u8) -> bool) -> Sure<usize> {
        let left = &self.bytes[at..];
        let end = at + left.iter().position(|b| !fits(*b)).unwrap_or(left.len());
        if self.byte(end) >= 0x80 {
            return Err(Unsure);
        }
        Ok(end)
    }

    fn take(&mut self, kind: Kind, start: usize, end: usize) -> usize {
        let mut token = Token {
            kind,
            raw: &self.text[start..end],
            spaced: self.spaced,
        };
        if kind == Kind::Number && self.signed && !self.spaced {
            let sign = self.tokens.pop();
            if let Some(sign) = sign {
                if self.is_unary() {
                    token.raw = &self.text[start - 1..end];
                    token.spaced = sign.spaced;
                } else {
                    self.tokens.push(sign);
                }
            }
        }
        self.signed = kind == Kind::Symbol && matches!(token.raw, "+" | "-");
        self.tokens.push(token);
        self.spaced = false;
        end
    }

    /// Whether a sign behind the last token belongs to the number behind it.
    fn is_unary(&self) -> bool {
        let Some(before) = self.tokens.last() else {
            return true;
        };
        match before.kind {
            Kind::Number => true,
            Kind::Word => self.lexicon.before_operand.has_upper(before.raw.as_bytes()),
            Kind::Symbol => !matches!(before.raw, ")" | "]"),
            _ => false,
        }
    }

    fn pass(&mut self, end: usize) -> usize {
        self.spaced = true;
        self.signed = false;
        end
    }

    /// Reads what begins at a byte; where the next begins.
    fn read(&mut self, at: usize) -> Sure<usize> {
        let next = self.byte(at + 1);
        match self.bytes[at] {
            b' ' | b'\t'..=b'\r' | 0x1c..=0x1f => Ok(self.pass(at + 1)),
            byte if is_start(byte) => self.word(at, at),
            b',' | b'(' | b')' | b'=' | b';' | b'*' => Ok(self.take(Kind::Symbol, at, at + 1)),
            b'0'..=b'9' | b'.' => self.number(at),
            b'\'' => Ok(self.quoted(at, at, Kind::Value, self.dialect.backslash)),
            b'"' if self.dialect.text_in_double_quotes => {
                Ok(self.quoted(at, at, Kind::Value, true))
            }
            b'"' | b'`' => Ok(self.quoted(at, at, Kind::Quoted, false)),
            b'?' | b'%' | b'$' | b':' | b'@' => self.placeholder(at),
            b'-' if next == b'-' => self.dashes(at),
            b'/' if next == b'*' => {
                let end = self.text[at + 2..].find("*/");
                Ok(self.pass(end.map_or(self.bytes.len(), |end| at + end + 4)))
            }
            b'#' => self.hash(at),
            b'[' => self.bracket(at),
            b'{' if is_start(next) || next >= 0x80 => Err(Unsure), // ClickHouse's parameters
            0x80.. => Err(Unsure),
            _ => Ok(self.symbol(at)),
        }
    }

    /// A word that begins at `start`, its letters at `at`; it may be the prefix of a literal.
    fn word(&mut self, start: usize, at: usize) -> Sure<usize> {
        let mut end = self.run(at + 1, |b| is_w(b) || b == b'$')?;
        if !self.dialect.hash_comment {
            while self.byte(end) == b'#' && (is_w(self.byte(end + 1)) || self.byte(end + 1) == b'$')
            {
                end = self.run(end + 1, |b| is_w(b) || b == b'$')?;
            }
            if self.byte(end) == b'#' && self.byte(end + 1) >= 0x80 {
                return Err(Unsure);
            }
        }
        let quoted = self.byte(end) == b'\'';
        let joined = self.byte(end) == b'&' && matches!(self.byte(end + 1), b'\'' | b'"');
        if !quoted && !joined {
            return Ok(self.take(Kind::Word, start, end));
        }
        let prefix = self.bytes[start..end].to_ascii_lowercase();
        match prefix.as_slice() {
            b"u" if joined => Err(Unsure),
            b"q" | b"nq" if quoted && self.dialect.q_quotes => Err(Unsure),
            b"e" if quoted => Ok(self.quoted(start, end, Kind::Value, true)),
            [b'n' | b'b' | b'x' | b'r'] | [b'_', b'a'..=b'z', ..]
                if quoted && prefix.iter().all(|b| is_w(*b)) =>
            {
                Ok(self.quoted(start, end, Kind::Value, self.dialect.backslash))
            }
            _ => Ok(self.take(Kind::Word, start, end)),
        }
    }

    /// A literal or name from `start` on whose quote stands at `open`; the end of text closes it.
    fn quoted(&mut self, start: usize, open: usize, kind: Kind, backslash: bool) -> usize {
        let quote = self.bytes[open];
        let size = self.bytes.len();
        let mut at = open + 1;
        while at < size {
            let byte = self.bytes[at];
            if byte == quote {
                if self.byte(at + 1) != quote {
                    return self.take(kind, start, at + 1);
                }
                at += 1;
            } else if byte == b'\\' && backslash {
                at += 1;
            }
            at += 1;
        }
        self.take(kind, start, size)
    }

    fn number(&mut self, at: usize) -> Sure<usize> {
        let before = self.before(at);
        let next = self.byte(at + 1);
        if self.bytes[at] == b'.' {
            let follows = is_w(before) || b"\"`])?".contains(&before);
            if follows || !next.is_ascii_digit() {
                if next >= 0x80 {
                    return Err(Unsure);
                }
                return Ok(self.take(Kind::Symbol, at, at + 1));
            }
        } else if before == b'.' {
            return self.word(at, at); // a name of its own, no prefix of a literal
        }
        let mut end = self.run(at + 1, |b| is_w(b) || b == b'.')?;
        if matches!(self.bytes[end - 1], b'e' | b'E') && matches!(self.byte(end), b'+' | b'-') {
            let exponent = self.run(end + 1, |b| b.is_ascii_digit())?;
            if exponent > end + 1 {
                end = exponent;
            }
        }
        Ok(self.take(Kind::Number, at, end))
    }

    fn placeholder(&mut self, at: usize) -> Sure<usize> {
        let next = self.byte(at + 1);
        let before = self.before(at);
        let end = match self.bytes[at] {
            b'?' => Some(self.run(at + 1, |b| b.is_ascii_digit())?),
            b'%' => self.percent(at, next, before)?,
            b'$' if next.is_ascii_digit() => Some(self.run(at + 1, |b| b.is_ascii_digit())?),
            b'$' if is_start(next) => {
                let end = self.run(at + 1, is_w)?;
                if self.byte(end) == b'$' {
                    return Err(Unsure); // $tag$
                }
                Some(end)
            }
            b'$' if next == b'$' => return Err(Unsure),
            b':' if is_w(before) || matches!(before, b':' | b'?') => None,
            b':' if next.is_ascii_digit() => Some(self.run(at + 1, |b| b.is_ascii_digit())?),
            b':' if is_start(next) => Some(self.run(at + 1, is_w)?),
            b'@' if next == b'@' => {
                let third = self.byte(at + 2);
                if third >= 0x80 {
                    return Err(Unsure);
                }
                if is_w(third) {
                    return self.word(at, at + 2);
                }
                None
            }
            b'@' if is_w(before) || matches!(before, b'@' | b'?') => None,
            b'@' if is_start(next) => Some(self.run(at + 1, |b| is_w(b) || b"$#".contains(&b))?),
            _ => None,
        };
        if let Some(end) = end {
            return Ok(self.take(Kind::Param, at, end));
        }
        if next >= 0x80 {
            return Err(Unsure);
        }
        Ok(self.symbol(at))
    }

    /// `%s`, `%(name)s`, `%b` and `%t`.
    fn percent(&self, at: usize, next: u8, before: u8) -> Sure<Option<usize>> {
        let type_at = match next {
            b'(' => {
                let inside = self.run(at + 2, |b| b < 0x80 && !b"()'\"?".contains(&b))?;
                if self.byte(inside) != b')' {
                    return Ok(None);
                }
                inside + 1
            }
            b's' | b'S' => at + 1,
            b'b' | b't' | b'B' | b'T' if !is_w(before) && !b")?".contains(&before) => at + 1,
            _ => return Ok(None),
        };
        let is_type = matches!(
            self.byte(type_at).to_ascii_lowercase(),
            b's' | b'd' | b'i' | b'f' | b'b' | b't'
        );
        match self.byte(type_at + 1) {
            0x80.. => Err(Unsure),
            behind => Ok((is_type && !is_w(behind)).then_some(type_at + 1)),
        }
    }

    fn dashes(&mut self, at: usize) -> Sure<usize> {
        let behind = &self.bytes[at + 2..];
        let is_comment = match behind.first() {
            _ if !self.dialect.hash_comment => true,
            None => true,
            Some(0x80..) => return Err(Unsure),
            Some(byte) => {
                matches!(byte, b' ' | b'\t'..=b'\r' | 0x1c..=0x1f | b'#')
                    || behind.starts_with(b"/*")
                    || behind.starts_with(b"--")
            }
        };
        if !is_comment {
            return Ok(self.symbol(at));
        }
        Ok(self.pass(self.line_end(at)))
    }

    fn line_end(&self, at: usize) -> usize {
        let mut left = self.bytes[at..].iter();
        let size = left.position(|b| matches!(b, b'\r' | b'\n'));
        size.map_or(self.bytes.len(), |size| at + size)
    }

    /// A comment, or one or two `#` before a name.
    fn hash(&mut self, at: usize) -> Sure<usize> {
        if self.dialect.hash_comment {
            return Ok(self.pass(self.line_end(at)));
        }
        let name = at + 1 + usize::from(self.byte(at + 1) == b'#');
        match self.byte(name) {
            0x80.. => Err(Unsure),
            byte if is_w(byte) => self.word(at, name),
            _ => Ok(self.symbol(at)),
        }
    }

    fn bracket(&mut self, at: usize) -> Sure<usize> {
        if self.dialect.brackets {
            let mut end = at + 1;
            loop {
                match self.text[end..].find(']') {
                    None => return Ok(self.take(Kind::Quoted, at, self.bytes.len())),
                    Some(size) if self.byte(end + size + 1) == b']' => end += size + 2,
                    Some(size) => return Ok(self.take(Kind::Quoted, at, end + size + 1)),
                }
            }
        }
        let (before, next) = (self.before(at), self.byte(at + 1));
        let is_index = is_w(before) || b"])\"?".contains(&before);
        if !is_index && next >= 0x80 {
            return Err(Unsure);
        }
        if !is_index && is_start(next) {
            let end = self.run(at + 2, |b| is_w(b) || b" $".contains(&b))?;
            if self.byte(end) == b']' {
                return Ok(self.take(Kind::Quoted, at, end + 1));
            }
        }
        Ok(self.take(Kind::Symbol, at, at + 1))
    }

    fn symbol(&mut self, at: usize) -> usize {
        const LONG: [&[u8]; 13] = [
            b"::", b":=", b"<=>", b"<=", b">=", b"<>", b"!=", b"||", b"->>", b"->", b"!~*", b"!~",
            b"~*",
        ];
        let left = &self.bytes[at..];
        let long = LONG.into_iter().find(|symbol| left.starts_with(symbol));
        self.take(Kind::Symbol, at, at + long.map_or(1, <[u8]>::len))
    }
}
