//! What the attributes of a span tell: columns of their own, and the key of its classification.

use std::borrow::Cow;

use crate::decoder::code;
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
            let plain = route.replace("(.:format)", "");
            if let Some(entity) = entity_behind(&path, after_parameter(&plain)) {
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
#[must_use]
pub fn is_routed(span: &Span, tables: &Tables) -> bool {
    span.kind == tables.server && span.get(tables.route).is_some()
}

/// Path and query of a request, whichever attributes carry them; the longer of two.
pub fn path_of<'a>(span: &Span<'a>, tables: &Tables) -> Told<Cow<'a, str>> {
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
///
/// `after`: how many segments follow the last parameter; None when there is none.
#[must_use]
pub fn entity_behind(path: &str, after: Option<usize>) -> Option<Cow<'_, str>> {
    let whole = path.split_once('#').map_or(path, |(whole, _)| whole);
    let (bare, query) = whole.split_once('?').unwrap_or((whole, ""));
    let Some(after) = after else {
        return (!query.is_empty()).then_some(Cow::Borrowed(whole));
    };
    let segments: Vec<&str> = bare.split('/').filter(|s| !s.is_empty()).collect();
    let kept = &segments[..segments.len().saturating_sub(after)];
    let join = |entity: String, segment: &&str| entity + "/" + segment;
    let entity = kept.iter().fold(String::new(), join);
    (!entity.is_empty()).then_some(Cow::Owned(entity))
}

/// How many segments follow the last parameter of a route or template; None when it has none.
#[must_use]
pub fn after_parameter(template: &str) -> Option<usize> {
    let segments = template.trim_matches(['^', '$']).split('/');
    let mut filled = segments.filter(|s| !s.is_empty()).rev();
    filled.position(|s| s.starts_with(':') || s.contains(|c| "{}<>[]()*".contains(c)))
}

/// Writes what a classification depends on. Equal bytes mean equal facets, never the reverse.
pub fn key(span: &Span, tables: &Tables, target: &mut Vec<u8>) {
    write_text(target, span.name);
    target.extend(span.kind.to_ne_bytes());
    if is_routed(span, tables) {
        write_of(span, &tables.routed, target);
        return;
    }
    for attribute in &span.attributes {
        if attribute.name == BY_PREFIX || !tables.ignored[usize::from(attribute.name)] {
            write_attribute(target, attribute);
        }
    }
    write_addresses(span, tables, target);
    let mut statuses = tables.statuses.iter().filter_map(|&name| span.get(name));
    if statuses.any(may_be_missing) {
        write_of(span, &tables.statuses, target);
    }
}

/// Writes addresses where nothing else names the other side.
pub fn write_addresses(span: &Span, tables: &Tables, target: &mut Vec<u8>) {
    if span.kind != tables.server && span.first_present(&tables.peers).is_none() {
        write_of(span, &tables.addresses, target);
    }
}

/// Writes all that tells the other side. A port alone tells nothing: of clients it is any number.
pub fn write_peers(span: &Span, tables: &Tables, target: &mut Vec<u8>) {
    let before = target.len();
    write_of(span, &tables.peers, target);
    write_addresses(span, tables, target);
    if target.len() > before {
        write_of(span, &tables.reads.ports, target);
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

/// Writes those of some attributes that are there.
pub fn write_of(span: &Span, names: &[Name], target: &mut Vec<u8>) {
    for &name in names {
        if let Some(value) = span.get(name) {
            let key = b"";
            write_attribute(target, &Attribute { name, key, value });
        }
    }
}

/// Writes an attribute.
pub fn write_attribute(target: &mut Vec<u8>, attribute: &Attribute) {
    target.extend(attribute.name.to_ne_bytes());
    if attribute.name == BY_PREFIX {
        target.extend((attribute.key.len() as u32).to_ne_bytes());
        target.extend(attribute.key);
    }
    match attribute.value {
        Value::Text(text) => {
            target.push(0);
            write_text(target, text);
        }
        Value::Flag(said) => target.extend([1, u8::from(said)]),
        Value::Int(number) => {
            target.push(2);
            target.extend(number.to_ne_bytes());
        }
        Value::Double(number) => {
            target.push(3);
            target.extend(number.to_bits().to_ne_bytes());
        }
        Value::Other(content) => {
            target.push(4);
            target.extend((content.len() as u32).to_ne_bytes());
            target.extend(content);
        }
    }
}

fn write_text(target: &mut Vec<u8>, text: &str) {
    target.extend((text.len() as u32).to_ne_bytes());
    target.extend(text.as_bytes());
}
