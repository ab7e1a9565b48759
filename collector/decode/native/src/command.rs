//! Cache commands to shapes, as `detectors/kit/shapes/cache.py` makes them.

use crate::ids::{is_id, ID};
use crate::words::{Commands, Lexicon, Sure, Unsure};

const MOST_ARGUMENTS: usize = 64;
const ARGUMENTS_WITH_TTL: usize = 4;
const TTL_OPTIONS: [&str; 4] = ["EX", "PX", "EXAT", "PXAT"];
const OTHERS: &str = " other argument";
const MOST_DIGITS: usize = 9;
const MOST_VERBS: usize = 64;

/// A cache command without its values.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct CacheShape {
    /// the command, of a pipeline each once; empty when there is none
    pub operation: String,
    /// the key as text
    pub key: Option<String>,
    /// the key with ids replaced
    pub template: Option<String>,
    /// what it is
    pub traits: i64,
    /// of a pipeline how many
    pub commands: usize,
}

struct Table<'t> {
    commands: &'t Commands,
    is_memcached: bool,
    lexicon: &'t Lexicon,
}

/// The shape of a statement that is not blank; `name` is the operation or the span's name.
pub fn shape_command(
    statement: &str,
    name: &str,
    system: &str,
    pipeline_length: usize,
    lexicon: &Lexicon,
) -> Sure<CacheShape> {
    let is_memcached = system == "memcached";
    let table = Table {
        commands: if is_memcached {
            &lexicon.memcached
        } else {
            &lexicon.redis
        },
        is_memcached,
        lexicon,
    };
    let text = statement.trim_matches(is_space);
    let mut lines: Vec<&str> = text
        .split(ends_line)
        .filter(|line| !is_blank(line))
        .collect();
    let first = *lines.first().ok_or(Unsure)?;
    let several_words = first
        .split(is_space)
        .filter(|w| !w.is_empty())
        .nth(1)
        .is_some();
    let own = if several_words { prefix(first)? } else { None };
    if let Some(behind) = own {
        lines[0] = first[behind..].trim_matches(is_space);
    }
    let mut looked_at = lines.iter().take(MOST_ARGUMENTS);
    let listed = lines.len() > 1 && looked_at.all(|line| table.is_command(line));
    if prefix(name)?.is_some() || own.is_some() || pipeline_length > 0 || listed {
        return table.pipeline(&lines, pipeline_length);
    }
    if lines.len() == 1 {
        return table.one(lines[0]);
    }
    table.one(&lines.join(" "))
}

/// Whitespace to Python.
#[must_use]
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

/// What Python's `splitlines` splits at.
fn ends_line(c: char) -> bool {
    matches!(c, '\n'..='\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// Where the word ends that announces a pipeline: `pipeline`, `redis.pipelined`, `multi get`.
fn prefix(text: &str) -> Sure<Option<usize>> {
    let bytes = text.as_bytes();
    let starts = |at: usize, word: &[u8]| {
        let head = bytes.get(at..at + word.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(word))
    };
    let at = 6 * usize::from(starts(0, b"redis."));
    if starts(at, b"pipeline") {
        let behind = at + 8 + usize::from(starts(at + 8, b"d"));
        return Ok((!word_follows(bytes, behind)?).then_some(behind));
    }
    if starts(0, b"multi") && !word_follows(bytes, 5)? {
        let rest = text[5..].trim_start_matches(is_space);
        let spaced = rest.len() + 5 < bytes.len();
        return Ok((spaced && word_follows(rest.as_bytes(), 0)?).then_some(5));
    }
    // Letters of other scripts that equal one of these in another case.
    let odd = bytes.iter().take(20).any(|b| *b >= 0x80);
    if odd && matches!(bytes[0], b'p' | b'P' | b'm' | b'M' | b'r' | b'R') {
        return Err(Unsure);
    }
    Ok(None)
}

fn word_follows(bytes: &[u8], at: usize) -> Sure<bool> {
    match bytes.get(at) {
        Some(0x80..) => Err(Unsure),
        Some(byte) => Ok(byte.is_ascii_alphanumeric() || *byte == b'_'),
        None => Ok(false),
    }
}

/// Visible or masked arguments of a command.
struct Arguments<'a> {
    /// the first of them
    words: Vec<&'a str>,
    /// of all, the hidden ones too
    count: usize,
}

fn arguments(text: &str) -> Sure<Arguments<'_>> {
    let (visible, hidden) = match others(text)? {
        Some((start, hidden)) => (&text[..start], hidden),
        None => (text, 0),
    };
    let mut words = Vec::new();
    let mut count = hidden;
    for word in visible.split(is_space).filter(|word| !word.is_empty()) {
        count += 1;
        if words.len() < MOST_ARGUMENTS {
            words.push(word);
        }
    }
    Ok(Arguments { words, count })
}

/// Where `[5 other arguments]` stands, and the number in it.
fn others(text: &str) -> Sure<Option<(usize, usize)>> {
    let mut from = 0;
    while let Some(found) = text[from..].find(OTHERS) {
        let end = from + found;
        let tail = &text[end + OTHERS.len()..];
        let head = &text.as_bytes()[..end];
        let digits = head
            .iter()
            .rev()
            .take_while(|b| b.is_ascii_digit())
            .take(MOST_DIGITS + 1);
        let start = end - digits.count();
        match head[..start].last() {
            Some(0x80..) => return Err(Unsure), // digits of other scripts
            Some(b'[')
                if (1..=MOST_DIGITS).contains(&(end - start))
                    && tail.strip_prefix('s').unwrap_or(tail).starts_with(']') =>
            {
                let hidden = text[start..end].parse().map_err(|_| Unsure)?;
                return Ok(Some((start - 1, hidden)));
            }
            _ => {}
        }
        from = end + OTHERS.len();
    }
    Ok(None)
}

impl Table<'_> {
    fn is_command(&self, line: &str) -> bool {
        let mut words = line.split(is_space).filter(|word| !word.is_empty());
        words
            .next()
            .is_some_and(|verb| self.commands.has(verb.as_bytes()))
    }

    fn one(&self, line: &str) -> Sure<CacheShape> {
        let line = line.trim_matches(is_space);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        if !verb.is_ascii() {
            return Err(Unsure);
        }
        let verb = if self.is_memcached {
            verb.to_ascii_lowercase()
        } else {
            verb.to_ascii_uppercase()
        };
        let bits = self.lexicon.bits;
        let mut traits = self.commands.traits(verb.as_bytes());
        let Arguments { words, count } = arguments(rest)?;
        let many = self.lexicon.many.has(verb.as_bytes())
            || (self.is_memcached && traits & bits.fill == 0);
        if many && count > 1 {
            traits &= !bits.single_key;
            if traits & bits.read != 0 {
                traits |= bits.listed;
            }
        }
        let is_option = |word: &&str| TTL_OPTIONS.iter().any(|o| word.eq_ignore_ascii_case(o));
        if verb == "SET" && (count >= ARGUMENTS_WITH_TTL || words.iter().skip(2).any(is_option)) {
            traits |= bits.expires;
        }
        if count > 0 {
            traits |= bits.parameters;
        }
        let keyed = traits & (bits.read | bits.write | bits.expires) != 0;
        let keys = if keyed {
            keys(&verb, &words, many && verb != "HMGET")
        } else {
            None
        };
        Ok(CacheShape {
            key: keys.map(|keys| keys.join(" ")),
            template: keys.map(|keys| self.templates(keys)),
            operation: verb,
            traits,
            commands: 1,
        })
    }

    fn templates(&self, keys: &[&str]) -> String {
        let mut templates: Vec<String> = Vec::with_capacity(keys.len());
        for key in keys {
            let template = self.template(key);
            if !templates.contains(&template) {
                templates.push(template);
            }
        }
        templates.join(" ")
    }

    /// A key with its ids replaced.
    fn template(&self, key: &str) -> String {
        let mut template = String::with_capacity(key.len());
        let mut before = "";
        for part in key.split_inclusive([':', '/', '|', '.', '#']) {
            let (bare, mark) = match part.as_bytes().last() {
                Some(b':' | b'/' | b'|' | b'.' | b'#') => part.split_at(part.len() - 1),
                _ => (part, ""),
            };
            let is_id = is_id(bare.trim_matches(['{', '}']), before, &self.lexicon.words);
            template.push_str(if is_id { ID } else { bare });
            template.push_str(mark);
            before = bare;
        }
        template
    }

    fn pipeline(&self, lines: &[&str], length: usize) -> Sure<CacheShape> {
        let bits = self.lexicon.bits;
        let mut whole = CacheShape {
            traits: bits.pipeline,
            commands: length.max(lines.len()).max(1),
            ..CacheShape::default()
        };
        let mut verbs: Vec<String> = Vec::new();
        for line in lines {
            let one = self.one(line)?;
            whole.traits |= one.traits;
            if !one.operation.is_empty() && !verbs.contains(&one.operation) {
                if verbs.len() == MOST_VERBS {
                    return Err(Unsure); // no client writes that
                }
                verbs.push(one.operation);
            }
            if whole.key.is_none() {
                (whole.key, whole.template) = (one.key, one.template);
            }
        }
        if whole.commands > 1 {
            whole.traits &= !bits.single_key;
        }
        whole.operation = verbs.join(" ");
        Ok(whole)
    }
}

/// The keys that a command names; None when they are masked.
fn keys<'a, 'w>(verb: &str, words: &'a [&'w str], many: bool) -> Option<&'a [&'w str]> {
    if words.is_empty() || matches!(verb, "EVAL" | "EVALSHA" | "FCALL") {
        return None;
    }
    let keys = if many { words } else { &words[..1] };
    let masked = keys.contains(&"?") || keys[0].starts_with('[');
    (!masked).then_some(keys)
}
