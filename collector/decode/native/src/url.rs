//! Paths and URLs to templates, as `detectors/kit/shapes/url.py` makes them.

use std::borrow::Cow;

use crate::ids::{is_id, tell_segment, Segment, ID};
use crate::words::{Lexicon, Sure, Unsure};

/// What stands between the parts of a hashed text.
pub const SEPARATOR: char = '\x1f';
const GRPC_HEALTH: &str = "grpc.health.v1.health";

/// Ids, one behind the other.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Ids {
    /// with separators between
    pub joined: String,
    /// how many
    pub count: usize,
}

impl Ids {
    fn push(&mut self, id: &str) {
        if self.count > 0 {
            self.joined.push(SEPARATOR);
        }
        self.joined.push_str(id);
        self.count += 1;
    }
}

/// A URL or path without its ids.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct UrlShape {
    /// path with ids replaced, then the query keys
    pub template: String,
    /// path segments that were replaced, then query values in the order of their sorted keys
    pub ids: Ids,
    /// lower case, with its port
    pub host: Option<String>,
    /// whether a query follows
    pub has_query: bool,
    /// whether it asks for a page of more
    pub paged: bool,
    /// whether it is a health check
    pub health: bool,
}

/// The template of an ASCII path, path with query, or URL.
pub fn template_path(text: &str, lexicon: &Lexicon) -> Sure<UrlShape> {
    if !text.is_ascii() {
        return Err(Unsure); // letters and digits of other scripts
    }
    let (host, path, query) = split(text);
    let mut shape = UrlShape {
        host,
        has_query: !query.is_empty(),
        ..UrlShape::default()
    };
    shape.template.reserve(text.len() + 8);
    mask_path(path, lexicon, &mut shape);
    shape.health = shape.ids.count == 0 && is_health(&shape.template, lexicon);
    if shape.has_query {
        mask_query(query, lexicon, &mut shape);
    }
    Ok(shape)
}

/// Host, path and query; credentials and the fragment are dropped.
fn split(text: &str) -> (Option<String>, &str, &str) {
    let rest = text.split_once('#').map_or(text, |(rest, _)| rest);
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let Some(behind) = behind_scheme(rest) else {
        return (None, rest, query);
    };
    let rest = &rest[behind..];
    let slash = rest.find('/');
    let (authority, path) = slash.map_or((rest, "/"), |at| rest.split_at(at));
    let host = authority.rsplit_once('@').map_or(authority, |(_, h)| h);
    let host = (!host.is_empty()).then(|| host.to_ascii_lowercase());
    (host, path, query)
}

fn behind_scheme(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    if !bytes.first()?.is_ascii_alphabetic() {
        return None;
    }
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"+.-".contains(b);
    let size = bytes.iter().take_while(|b| fits(b)).count();
    text[size..].starts_with("://").then_some(size + 3)
}

fn mask_path(path: &str, lexicon: &Lexicon, shape: &mut UrlShape) {
    let mut before = "";
    for (index, segment) in path.split('/').enumerate() {
        if index > 0 {
            shape.template.push('/');
        }
        let (plain, matrix) = segment.split_once(';').unwrap_or((segment, ""));
        let taken = match tell_segment(plain, before, &lexicon.words) {
            Segment::Word => {
                shape.template.push_str(plain);
                None
            }
            Segment::Call(name, inside) => {
                shape.template.extend([name, "(", ID, ")"]);
                Some(inside)
            }
            Segment::Id(id, tail) => {
                shape.template.extend([ID, tail]);
                Some(id)
            }
        };
        if let Some(id) = taken {
            shape.ids.push(id);
            let number = !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit());
            shape.paged |= number && before.eq_ignore_ascii_case("page");
        }
        if !matrix.is_empty() {
            shape.ids.push(matrix);
        }
        before = plain;
    }
}

fn is_health(template: &str, lexicon: &Lexicon) -> bool {
    let path = template.trim_end_matches('/');
    let last = path.rsplit_once('/').map_or(path, |(_, last)| last);
    lexicon.health.has_lower(last.as_bytes())
        || (template.len() >= GRPC_HEALTH.len()
            && template.to_ascii_lowercase().contains(GRPC_HEALTH))
}

fn mask_query<'a>(query: &'a str, lexicon: &Lexicon, shape: &mut UrlShape) {
    let mut parts: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
    parts.sort_unstable();
    let mut keys: Vec<Cow<'a, str>> = Vec::with_capacity(parts.len());
    for part in parts {
        let (mut key, mut value) = part.split_once('=').unwrap_or((part, ""));
        if key.len() == part.len() && is_id(key, "", &lexicon.words) {
            (key, value) = ("{}", key);
        }
        keys.push(without_index(key));
        shape.ids.push(value);
    }
    keys.sort_unstable();
    keys.dedup();
    let paging = |key: &Cow<str>| lexicon.paging.has_lower(key.as_bytes());
    shape.paged |= keys.iter().any(paging);
    for (index, key) in keys.iter().enumerate() {
        shape.template.push(if index == 0 { '?' } else { '&' });
        shape.template.push_str(key);
        if key != "{}" {
            shape.template.push_str("={}");
        }
    }
}

/// A key with `[]` for `[7]`.
fn without_index(key: &str) -> Cow<'_, str> {
    if !key.contains('[') {
        return Cow::Borrowed(key);
    }
    let mut plain = String::with_capacity(key.len());
    let mut left = key;
    while let Some((head, tail)) = left.split_once('[') {
        let digits = tail.bytes().take_while(u8::is_ascii_digit).count();
        plain.extend([head, "["]);
        left = if digits > 0 && tail[digits..].starts_with(']') {
            &tail[digits..]
        } else {
            tail
        };
    }
    plain.push_str(left);
    Cow::Owned(plain)
}

/// A span name with the ids of its words replaced.
pub fn templated_name<'a>(name: &'a str, lexicon: &Lexicon) -> Sure<Cow<'a, str>> {
    if !name.is_ascii() {
        return Err(Unsure);
    }
    if !name.bytes().any(|b| b.is_ascii_digit() || b == b'/') {
        return Ok(Cow::Borrowed(name));
    }
    let mut templated = String::with_capacity(name.len());
    for (index, word) in name.split(' ').enumerate() {
        if index > 0 {
            templated.push(' ');
        }
        templated.push_str(&template_path(word, lexicon)?.template);
    }
    Ok(Cow::Owned(templated))
}
