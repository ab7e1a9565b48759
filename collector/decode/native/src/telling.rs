//! What the attributes of a span tell: columns of their own, and the key of its classification.

use std::borrow::Cow;

use crate::decoder::code;
use crate::general::{mask, Open};
use crate::span::{Attribute, Span};
use crate::tables::{Extra, Name, Tables, BY_PREFIX};
use crate::values::{
    flag, is_blank, number, share_ppm, threshold_ppm, written, Odd, Told, Value, MAX_TEXT_BYTES,
};

/// `STATUS_CODE_ERROR`
pub const ERROR: i32 = 2;
const INT32: i64 = i32::MAX as i64;
const MISSING: i64 = 404;

/// The value of a column.
pub enum Column<'t> {
    /// a number, or a hash whose text is nobody's business
    Number(u64),
    /// a text that is kept
    Text(&'t str),
}

/// Tells the columns that need no classification. Odd: the reference has to tell them all.
pub fn extras<'a>(
    span: &Span<'a>,
    exception: Option<&'a str>,
    tables: &Tables,
    mut tell: impl FnMut(Extra, Column),
) -> Result<(), Odd> {
    let names = |extra: Extra| tables.extras[extra as usize].as_slice();
    let first = |extra: Extra| span.first_present(names(extra));
    let count = |extra: Extra, high| first(extra).map_or(Ok(None), |v| number(v, high));
    let mut tell_number = |extra: Extra, told: Option<i64>| {
        if let Some(value) = told {
            tell(extra, Column::Number(value as u64));
        }
        told
    };
    let http = tell_number(Extra::HttpStatus, count(Extra::HttpStatus, 999)?);
    let rpc = tell_number(
        Extra::RpcStatus,
        rpc_status(first(Extra::RpcStatus), tables)?,
    );
    tell_number(Extra::Rows, count(Extra::Rows, i64::MAX)?);
    tell_number(Extra::Resends, count(Extra::Resends, INT32)?);
    tell_number(Extra::CodeLine, count(Extra::CodeLine, INT32)?);
    let hit = first(Extra::Hit).map_or(Ok(None), flag)?;
    tell_number(Extra::Hit, hit.map(i64::from));
    tell_number(Extra::SamplePpm, sample_ppm(span, names(Extra::SamplePpm)));
    for extra in [Extra::Actor, Extra::MessageId] {
        if let Some(value) = first_filled(span, names(extra)) {
            tell(extra, Column::Number(code(&written(value)?)));
        }
    }
    if let Some(value) = first_filled(span, names(Extra::CodeFile)) {
        tell(Extra::CodeFile, Column::Text(&written(value)?));
    }
    if let Some(error) = error_type(span, first(Extra::ErrorType), exception, http, rpc)? {
        tell(Extra::ErrorType, Column::Text(&error));
    }
    if is_routed(span, tables) {
        if let Some(path) = path_of(span, tables)? {
            tell(Extra::Path, Column::Number(code(&path)));
            let route = match span.get(tables.route) {
                Some(Value::Text(route)) if !route.is_empty() => route,
                _ => return Err(Odd),
            };
            if let Some(entity) = entity_of(&path, route) {
                tell(Extra::Entity, Column::Number(code(&entity)));
            }
        }
    }
    Ok(())
}

fn first_filled<'a>(span: &Span<'a>, names: &[Name]) -> Option<Value<'a>> {
    let mut values = names.iter().filter_map(|&name| span.get(name));
    values.find(|value| !is_blank(*value))
}

/// The gRPC status code; new conventions write its name.
fn rpc_status(value: Option<Value>, tables: &Tables) -> Told<i64> {
    match value {
        None => Ok(None),
        Some(Value::Text(name)) if tables.grpc.contains_key(name) => {
            Ok(tables.grpc.get(name).copied())
        }
        Some(value) => number(value, INT32),
    }
}

fn sample_ppm(span: &Span, names: &[Name]) -> Option<i64> {
    let told = threshold_ppm(span.trace_state).unwrap_or_else(|| {
        let mut values = names.iter().filter_map(|&name| span.get(name));
        values.find_map(share_ppm)
    });
    told.map(|ppm| ppm as i64)
}

/// `error.type`, else the exception's, else the status code of a span in error.
fn error_type<'a>(
    span: &Span<'a>,
    said: Option<Value<'a>>,
    exception: Option<&'a str>,
    http: Option<i64>,
    rpc: Option<i64>,
) -> Told<Cow<'a, str>> {
    match said {
        None | Some(Value::Text("") | Value::Flag(false) | Value::Int(0)) => {}
        Some(value) => return written(value).map(Some),
    }
    if let Some(exception) = exception {
        return written(Value::Text(exception)).map(Some);
    }
    if span.status != ERROR {
        return Ok(None);
    }
    let http = http.filter(|status| *status >= 400);
    let rpc = rpc.filter(|status| *status != 0);
    Ok(match (http, rpc) {
        (Some(status), _) => Some(Cow::Owned(status.to_string())),
        (None, Some(status)) => Some(Cow::Owned(format!("grpc {status}"))),
        (None, None) => None,
    })
}

/// Whether only the path of a request is its own: classification does not look at it.
fn is_routed(span: &Span, tables: &Tables) -> bool {
    span.kind == tables.server && span.get(tables.route).is_some()
}

/// Path and query of a request, whichever attributes carry them; the longer of two.
fn path_of<'a>(span: &Span<'a>, tables: &Tables) -> Told<Cow<'a, str>> {
    let names = &tables.path;
    let text = |name: Name| -> Told<&'a str> {
        match span.get(name) {
            None => Ok(None),
            Some(Value::Text(text)) if text.len() <= MAX_TEXT_BYTES => {
                Ok(Some(text).filter(|t| !t.is_empty()))
            }
            Some(_) => Err(Odd),
        }
    };
    if let Some(path) = text(names.path)? {
        return Ok(Some(match text(names.query)? {
            Some(query) => Cow::Owned(format!("{path}?{query}")),
            None => Cow::Borrowed(path),
        }));
    }
    let target = text(names.target)?;
    let url = match text(names.urls[0])? {
        Some(url) => Some(url),
        None => text(names.urls[1])?,
    };
    let Some(url) = url else {
        return Ok(target.map(Cow::Borrowed));
    };
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let rest = if rest.is_empty() { url } else { rest };
    let from_url = rest.find('/').map_or("/", |slash| &rest[slash..]);
    let target = target.unwrap_or("");
    let longer = from_url.chars().count() > target.chars().count();
    Ok(Some(Cow::Borrowed(if longer { from_url } else { target })))
}

/// Which thing a request is about, as `detectors/kit/shapes/entity.py` tells it.
fn entity_of<'a>(path: &'a str, route: &str) -> Option<Cow<'a, str>> {
    let whole = path.split_once('#').map_or(path, |(whole, _)| whole);
    let (bare, query) = whole.split_once('?').unwrap_or((whole, ""));
    let Some(after) = after_parameter(route) else {
        return (!query.is_empty()).then_some(Cow::Borrowed(whole));
    };
    let segments: Vec<&str> = bare.split('/').filter(|s| !s.is_empty()).collect();
    let kept = &segments[..segments.len().saturating_sub(after)];
    let join = |entity: String, segment: &&str| entity + "/" + segment;
    let entity = kept.iter().fold(String::new(), join);
    (!entity.is_empty()).then_some(Cow::Owned(entity))
}

/// How many segments follow the last parameter of a route; None when it has none.
fn after_parameter(route: &str) -> Option<usize> {
    let plain = route.replace("(.:format)", "");
    let segments = plain.trim_matches(['^', '$']).split('/');
    let mut filled = segments.filter(|s| !s.is_empty()).rev();
    filled.position(|s| s.starts_with(':') || s.contains(|c| "{}<>[]()*".contains(c)))
}

/// What takes the parts of a key.
trait Sink<'a> {
    fn bytes(&mut self, bytes: &[u8]);
    fn text(&mut self, text: &'a str, open: Open);
}

/// Takes everything as it is.
struct Exact<'t>(&'t mut Vec<u8>);

impl<'a> Sink<'a> for Exact<'_> {
    #[inline]
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    fn text(&mut self, text: &'a str, _: Open) {
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Takes numbers out.
struct Masked<'t, 'a>(&'t mut Vec<u8>, &'t mut Vec<&'a str>);

impl<'a> Sink<'a> for Masked<'_, 'a> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &'a str, open: Open) {
        mask(text, open, self.0, self.1);
    }
}

/// Writes what a classification depends on. Equal bytes mean equal facets, never the reverse.
pub fn key(span: &Span, tables: &Tables, target: &mut Vec<u8>) {
    write_key(span, tables, &mut Exact(target));
}

/// Likewise, without the numbers that make no other pattern; those are collected.
pub fn masked_key<'a>(
    span: &Span<'a>,
    tables: &Tables,
    target: &mut Vec<u8>,
    runs: &mut Vec<&'a str>,
) {
    write_key(span, tables, &mut Masked(target, runs));
}

fn write_key<'a>(span: &Span<'a>, tables: &Tables, target: &mut impl Sink<'a>) {
    write_text(target, span.name, Open::Closed);
    target.bytes(&span.kind.to_ne_bytes());
    if is_routed(span, tables) {
        write_of(span, tables, &tables.routed, target);
        return;
    }
    for attribute in &span.attributes {
        if attribute.name == BY_PREFIX || !tables.ignored[usize::from(attribute.name)] {
            write_attribute(target, attribute, tables);
        }
    }
    if span.kind != tables.server && span.first_present(&tables.peers).is_none() {
        write_of(span, tables, &tables.addresses, target);
    }
    let mut statuses = tables.statuses.iter().filter_map(|&name| span.get(name));
    if statuses.any(may_be_missing) {
        write_of(span, tables, &tables.statuses, target);
    }
}

/// Whether a status is, or for all that is known here may be, that of what is not there.
fn may_be_missing(status: Value) -> bool {
    match status {
        Value::Int(number) => number == MISSING,
        Value::Text(text) => text.is_empty() || text == "404",
        Value::Flag(_) => false,
        Value::Double(_) | Value::Other(_) => true,
    }
}

fn write_of<'a>(span: &Span<'a>, tables: &Tables, names: &[Name], target: &mut impl Sink<'a>) {
    for &name in names {
        if let Some(value) = span.get(name) {
            let key = b"";
            write_attribute(target, &Attribute { name, key, value }, tables);
        }
    }
}

fn write_attribute<'a>(target: &mut impl Sink<'a>, attribute: &Attribute<'a>, tables: &Tables) {
    target.bytes(&attribute.name.to_ne_bytes());
    let mut open = Open::Closed;
    if attribute.name == BY_PREFIX {
        target.bytes(&(attribute.key.len() as u32).to_ne_bytes());
        target.bytes(attribute.key);
    } else {
        open = tables.open[usize::from(attribute.name)];
    }
    match attribute.value {
        Value::Text(text) => {
            target.bytes(&[0]);
            write_text(target, text, open);
        }
        Value::Flag(said) => target.bytes(&[1, u8::from(said)]),
        Value::Int(number) => {
            target.bytes(&[2]);
            target.bytes(&number.to_ne_bytes());
        }
        Value::Double(number) => {
            target.bytes(&[3]);
            target.bytes(&number.to_bits().to_ne_bytes());
        }
        Value::Other(content) => {
            target.bytes(&[4]);
            target.bytes(&(content.len() as u32).to_ne_bytes());
            target.bytes(content);
        }
    }
}

fn write_text<'a>(target: &mut impl Sink<'a>, text: &'a str, open: Open) {
    target.bytes(&(text.len() as u32).to_ne_bytes());
    target.text(text, open);
}
