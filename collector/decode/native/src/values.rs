//! Attribute values, and what columns make of them.
//!
//! Python reads numbers out of texts, texts out of lists and more; what is not plain is `Odd` here
//! and told by the reference decoder, span by span.

use std::borrow::Cow;

use crate::schema::Schema;
use crate::wire::{text, Read, Reader, Unusual};

/// Longer texts are cut by the reference.
pub const MAX_TEXT_BYTES: usize = 1_000_000;

/// The reference has to say what this span tells.
#[derive(Debug, PartialEq, Eq)]
pub struct Odd;

/// What a column is told: a value, null, or nobody here knows.
pub type Told<T> = Result<Option<T>, Odd>;

/// One `AnyValue` that is not empty.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `string_value`
    Text(&'a str),
    /// `bool_value`
    Flag(bool),
    /// `int_value`
    Int(i64),
    /// `double_value`
    Double(f64),
    /// Bytes, lists and maps: the `AnyValue` as it came.
    Other(&'a [u8]),
}

/// Key and value of a `KeyValue`; None for an empty value, which is no attribute at all.
#[inline]
pub fn pair<'a>(schema: &Schema, content: &'a [u8]) -> Read<(&'a [u8], Option<Value<'a>>)> {
    let mut reader = Reader::new(content);
    let mut key: &[u8] = b"";
    let mut value = None;
    while let Some(tag) = reader.tag()? {
        match tag {
            0x0a => key = reader.bytes()?,
            0x12 if value.is_none() => value = Some(any_value(schema, reader.bytes()?)?),
            0x12 => return Err(Unusual), // two are merged
            _ => schema.pass(schema.known.pair, tag, &mut reader)?,
        }
    }
    Ok((key, value.flatten()))
}

#[inline]
fn any_value<'a>(schema: &Schema, content: &'a [u8]) -> Read<Option<Value<'a>>> {
    let mut reader = Reader::new(content);
    let Some(tag) = reader.tag()? else {
        return Ok(None);
    };
    let value = match tag {
        0x0a => Value::Text(reader.text()?),
        0x10 => Value::Flag(reader.varint()? != 0),
        0x18 => Value::Int(reader.varint()? as i64),
        0x21 => Value::Double(f64::from_bits(reader.fixed64()?)),
        0x2a | 0x32 | 0x3a => {
            schema.pass(schema.known.value, tag, &mut reader)?;
            Value::Other(content)
        }
        _ => return Err(Unusual),
    };
    // The last of several counts, or they are merged.
    if reader.tag()?.is_some() {
        return Err(Unusual);
    }
    Ok(Some(value))
}

/// Whether a key is Unicode; only of those that are not known one has to ask.
#[inline]
pub fn is_text(key: &[u8]) -> Read<()> {
    text(key).map(drop)
}

/// A whole number from 0 to `high`.
pub fn number(value: Value, high: i64) -> Told<i64> {
    let whole = match value {
        Value::Flag(_) => None,
        Value::Int(number) => Some(number),
        Value::Double(number) => whole(number),
        Value::Text(written) => digits(written)?,
        Value::Other(_) => return Err(Odd),
    };
    Ok(whole.filter(|number| (0..=high).contains(number)))
}

fn whole(number: f64) -> Option<i64> {
    let limit = 9_223_372_036_854_775_808.0; // 2^63
    (number.abs() < limit).then(|| number.trunc() as i64)
}

/// Python reads ` +1_000 ` too, and digits of other scripts.
fn digits(written: &str) -> Told<i64> {
    let bytes = written.as_bytes();
    if bytes.is_empty() || !bytes.iter().any(|b| b.is_ascii_digit() || *b >= 0x80) {
        return Ok(None);
    }
    if bytes.len() > 18 || !bytes.iter().all(u8::is_ascii_digit) {
        return Err(Odd);
    }
    Ok(written.parse().ok())
}

/// A truth value: booleans, `true` and `false`, counts.
pub fn flag(value: Value) -> Told<bool> {
    match value {
        Value::Flag(said) => Ok(Some(said)),
        Value::Int(count) => Ok(Some(count > 0)),
        Value::Double(count) => Ok(Some(count > 0.0)),
        Value::Text(word) if word.eq_ignore_ascii_case("true") => Ok(Some(true)),
        Value::Text(word) if word.eq_ignore_ascii_case("false") => Ok(Some(false)),
        Value::Text(_) => Ok(None),
        Value::Other(_) => Err(Odd),
    }
}

/// A value as Python writes it.
pub fn written(value: Value<'_>) -> Result<Cow<'_, str>, Odd> {
    match value {
        Value::Text(text) if text.len() <= MAX_TEXT_BYTES => Ok(Cow::Borrowed(text)),
        Value::Int(number) => Ok(Cow::Owned(number.to_string())),
        Value::Flag(said) => Ok(Cow::Borrowed(if said { "True" } else { "False" })),
        _ => Err(Odd),
    }
}

/// Whether a value counts as nothing where columns are coalesced: only the empty text does.
#[must_use]
pub fn is_blank(value: Value) -> bool {
    matches!(value, Value::Text(""))
}

/// Sampling probability in parts per million from a value that is one.
#[must_use]
pub fn share_ppm(value: Value) -> Option<u64> {
    let share = match value {
        Value::Flag(said) => f64::from(u8::from(said)),
        Value::Int(number @ 0..=1) => f64::from(number as u8),
        Value::Double(number) => number,
        _ => return None,
    };
    (0.0..=1.0).contains(&share).then(|| ppm(share))
}

fn ppm(share: f64) -> u64 {
    (share * 1e6).round_ties_even() as u64
}

/// Sampling probability in parts per million from a W3C trace state, `ot=th:…`.
///
/// The outer None: the trace state says nothing, and attributes are asked.
pub fn threshold_ppm(trace_state: &str) -> Option<Option<u64>> {
    if !trace_state.contains("th:") {
        return None;
    }
    for vendor in trace_state.split(',') {
        let vendor = vendor.trim_matches(is_python_space);
        let (name, fields) = vendor.split_once('=').unwrap_or((vendor, ""));
        if name == "ot" {
            let found = fields.split(';').find_map(|f| f.strip_prefix("th:"));
            if let Some(threshold) = found {
                return Some(probability_ppm(threshold));
            }
        }
    }
    None
}

fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\x1c'..='\x1f').contains(&c)
}

fn probability_ppm(threshold: &str) -> Option<u64> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    if threshold.is_empty() || threshold.len() > 14 || !threshold.bytes().all(is_hex) {
        return None;
    }
    let left_out = 4 * (14 - threshold.len() as u32);
    let rejected = u64::from_str_radix(threshold, 16).ok()? << left_out;
    Some(ppm(1.0 - rejected as f64 / (1u64 << 56) as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(number(Value::Int(200), 999), Ok(Some(200)));
        assert_eq!(number(Value::Int(1000), 999), Ok(None));
        assert_eq!(number(Value::Int(-1), 999), Ok(None));
        assert_eq!(number(Value::Double(3.7), 999), Ok(Some(3)));
        assert_eq!(number(Value::Double(-0.7), 999), Ok(Some(0)));
        assert_eq!(number(Value::Double(f64::NAN), 999), Ok(None));
        assert_eq!(number(Value::Double(9.3e18), i64::MAX), Ok(None));
        assert_eq!(number(Value::Flag(true), 999), Ok(None));
        assert_eq!(number(Value::Text("007"), 999), Ok(Some(7)));
        assert_eq!(number(Value::Text("many"), 999), Ok(None));
        assert_eq!(number(Value::Text(" 7"), 999), Err(Odd));
    }

    #[test]
    fn thresholds() {
        assert_eq!(threshold_ppm("a=b"), None);
        assert_eq!(threshold_ppm("a=b, ot=rv:1;th:c"), Some(Some(250_000)));
        assert_eq!(threshold_ppm("ot=th:0"), Some(Some(1_000_000)));
        assert_eq!(threshold_ppm("ot=th:zz"), Some(None));
        assert_eq!(threshold_ppm("x=th:8"), None);
    }
}
