//! OTLP/JSON to OTLP protobuf: of a request what the decoders read, and nothing else.
//!
//! Only what SDKs and the Collector write: ids in hex, 64-bit integers as digits, enums as numbers
//! or by their names. All else that the reference decoder reads (base64, `batches`, nested values)
//! and all that it refuses is left to it: None.
//! Source: opentelemetry-proto docs/specification.md, "OTLP/HTTP JSON Protobuf Encoding".

use crate::json::Reader;
use crate::wire::{Read, Unusual, FIXED64, LENGTH, VARINT};

const KINDS: [&[u8]; 6] = [
    b"SPAN_KIND_UNSPECIFIED",
    b"SPAN_KIND_INTERNAL",
    b"SPAN_KIND_SERVER",
    b"SPAN_KIND_CLIENT",
    b"SPAN_KIND_PRODUCER",
    b"SPAN_KIND_CONSUMER",
];
const STATUSES: [&[u8]; 3] = [
    b"STATUS_CODE_UNSET",
    b"STATUS_CODE_OK",
    b"STATUS_CODE_ERROR",
];
/// Of arrays the decoders take a thousand values, and cut texts.
const MAX_VALUES: usize = 1_000;
const MAX_TEXT_BYTES: usize = 1_000_000;

type Out<'o> = &'o mut Vec<u8>;

/// The request as protobuf; None when only the reference can read it.
#[must_use]
pub fn transcoded(body: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(body).ok()?;
    let mut out = Vec::with_capacity(body.len() / 2);
    let mut reader = Reader::new(body);
    request(&mut reader, &mut out).ok()?;
    reader.ended().then_some(out)
}

fn request(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"resourceSpans" => each(reader, seen.once(1)?, out, resource_spans),
        b"batches" | b"trace" | b"result" => Err(Unusual),
        _ => reader.skip(),
    })
}

fn resource_spans(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"resource" => one(reader, seen.once(1)?, out, resource),
        b"scopeSpans" => each(reader, seen.once(2)?, out, scope_spans),
        b"instrumentationLibrarySpans" => Err(Unusual),
        _ => reader.skip(),
    })
}

fn resource(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"attributes" => each(reader, seen.once(1)?, out, pair),
        _ => reader.skip(),
    })
}

fn scope_spans(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"scope" => one(reader, seen.once(1)?, out, scope),
        b"spans" => each(reader, seen.once(2)?, out, span),
        b"instrumentationLibrary" => Err(Unusual),
        _ => reader.skip(),
    })
}

fn scope(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"name" => one(reader, seen.once(1)?, out, Reader::string),
        _ => reader.skip(),
    })
}

fn span(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"traceId" => one(reader, seen.once(1)?, out, id::<16>),
        b"spanId" => one(reader, seen.once(2)?, out, id::<8>),
        b"traceState" => one(reader, seen.once(3)?, out, Reader::string),
        b"parentSpanId" => one(reader, seen.once(4)?, out, id::<8>),
        b"name" => one(reader, seen.once(5)?, out, Reader::string),
        b"kind" => number(reader, seen.once(6)?, out, |r| choice(r, &KINDS)),
        b"startTimeUnixNano" => time(reader, seen.once(7)?, out),
        b"endTimeUnixNano" => time(reader, seen.once(8)?, out),
        b"attributes" => each(reader, seen.once(9)?, out, pair),
        b"events" => each(reader, seen.once(11)?, out, event),
        b"links" => each(reader, seen.once(13)?, out, link),
        b"status" => one(reader, seen.once(15)?, out, status),
        b"flags" => fixed32(reader, seen.once(16)?, out),
        _ => reader.skip(),
    })
}

fn event(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"name" => one(reader, seen.once(2)?, out, Reader::string),
        b"attributes" => each(reader, seen.once(3)?, out, pair),
        _ => reader.skip(),
    })
}

fn link(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"traceId" => one(reader, seen.once(1)?, out, id::<16>),
        b"spanId" => one(reader, seen.once(2)?, out, id::<8>),
        _ => reader.skip(),
    })
}

fn status(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"code" => number(reader, seen.once(3)?, out, |r| choice(r, &STATUSES)),
        _ => reader.skip(),
    })
}

fn pair(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    reader.members(|reader, key| match key {
        b"key" => one(reader, seen.once(1)?, out, Reader::string),
        b"value" => one(reader, seen.once(2)?, out, value),
        _ => reader.skip(),
    })
}

/// An `AnyValue` of one kind.
fn value(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut kinds = 0;
    reader.members(|reader, key| {
        let known = matches!(
            key,
            b"stringValue" | b"boolValue" | b"intValue" | b"doubleValue" | b"arrayValue"
        );
        if !known {
            return match key {
                b"bytesValue" | b"kvlistValue" => Err(Unusual),
                _ => reader.skip(),
            };
        }
        if reader.null()? {
            return Ok(());
        }
        kinds += 1;
        if kinds > 1 {
            return Err(Unusual); // which one counts?
        }
        match key {
            b"doubleValue" => {
                let written = reader.number()?;
                let text = std::str::from_utf8(written).map_err(|_| Unusual)?;
                let value: f64 = text.parse().map_err(|_| Unusual)?;
                tag(out, 4, FIXED64);
                out.extend_from_slice(&value.to_le_bytes());
                Ok(())
            }
            b"arrayValue" => one(reader, 5, out, array),
            _ => scalar(reader, key, out),
        }
    })
}

fn scalar(reader: &mut Reader<'_>, key: &[u8], out: Out<'_>) -> Read<()> {
    match key {
        b"stringValue" => one(reader, 1, out, Reader::string),
        b"boolValue" => number(reader, 2, out, |r| r.boolean().map(u64::from)),
        b"intValue" => number(reader, 3, out, |r| {
            integer::<i64>(r).map(|value| value as u64)
        }),
        _ => Err(Unusual),
    }
}

/// An `ArrayValue` of texts, integers and truth values.
fn array(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let mut seen = Seen(0);
    let mut count = 0;
    reader.members(|reader, key| {
        if key != b"values" {
            return Err(Unusual);
        }
        each(reader, seen.once(1)?, out, |reader, out| {
            count += 1;
            let (mut kinds, start) = (0, out.len());
            reader.members(|reader, key| {
                kinds += 1;
                scalar(reader, key, out)
            })?;
            if kinds != 1 || count > MAX_VALUES || out.len() - start > MAX_TEXT_BYTES {
                return Err(Unusual);
            }
            Ok(())
        })
    })
}

/// The fields of an object that were seen: the same one twice is for the reference to judge.
struct Seen(u32);

impl Seen {
    fn once(&mut self, field: u32) -> Read<u32> {
        let bit = 1 << field;
        if self.0 & bit != 0 {
            return Err(Unusual);
        }
        self.0 |= bit;
        Ok(field)
    }
}

fn tag(out: Out<'_>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

fn varint(out: Out<'_>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// A field that has a length, from a value; nothing from null.
fn one<'a>(
    reader: &mut Reader<'a>,
    field: u32,
    out: Out<'_>,
    mut content: impl FnMut(&mut Reader<'a>, Out<'_>) -> Read<()>,
) -> Read<()> {
    if reader.null()? {
        return Ok(());
    }
    tag(out, field, LENGTH);
    let start = out.len();
    out.push(0); // most are shorter than 128 bytes
    content(reader, out)?;
    let size = out.len() - start - 1;
    if size < 0x80 {
        out[start] = size as u8;
        return Ok(());
    }
    let end = out.len();
    varint(out, size as u64); // behind, then in front
    let width = out.len() - end;
    let mut length = [0; 10];
    length[..width].copy_from_slice(&out[end..]);
    out.truncate(end);
    out.splice(start..=start, length[..width].iter().copied());
    Ok(())
}

/// A repeated field, from an array; nothing from null.
fn each<'a>(
    reader: &mut Reader<'a>,
    field: u32,
    out: Out<'_>,
    mut content: impl FnMut(&mut Reader<'a>, Out<'_>) -> Read<()>,
) -> Read<()> {
    if reader.null()? {
        return Ok(());
    }
    reader.items(|reader| {
        if reader.peek()? == b'n' {
            return Err(Unusual);
        }
        one(reader, field, out, &mut content)
    })
}

fn number<'a>(
    reader: &mut Reader<'a>,
    field: u32,
    out: Out<'_>,
    read: impl FnOnce(&mut Reader<'a>) -> Read<u64>,
) -> Read<()> {
    if !reader.null()? {
        let value = read(reader)?;
        tag(out, field, VARINT);
        varint(out, value);
    }
    Ok(())
}

fn time(reader: &mut Reader<'_>, field: u32, out: Out<'_>) -> Read<()> {
    if !reader.null()? {
        let value = integer::<u64>(reader)?;
        tag(out, field, FIXED64);
        out.extend_from_slice(&value.to_le_bytes());
    }
    Ok(())
}

fn fixed32(reader: &mut Reader<'_>, field: u32, out: Out<'_>) -> Read<()> {
    if !reader.null()? {
        let written = std::str::from_utf8(reader.number()?).map_err(|_| Unusual)?;
        let value: u32 = written.parse().map_err(|_| Unusual)?;
        tag(out, field, crate::wire::FIXED32);
        out.extend_from_slice(&value.to_le_bytes());
    }
    Ok(())
}

/// An integer, as a number or as its digits in a string.
fn integer<T: std::str::FromStr>(reader: &mut Reader<'_>) -> Read<T> {
    let written = if reader.peek()? == b'"' {
        reader.plain()?
    } else {
        reader.number()?
    };
    if written.first() == Some(&b'+') {
        return Err(Unusual);
    }
    let text = std::str::from_utf8(written).map_err(|_| Unusual)?;
    text.parse().map_err(|_| Unusual)
}

/// One of the names, as such or as its number.
fn choice(reader: &mut Reader<'_>, names: &[&[u8]]) -> Read<u64> {
    if reader.peek()? == b'"' {
        let name = reader.plain()?;
        let place = names.iter().position(|known| *known == name);
        return place.map(|place| place as u64).ok_or(Unusual);
    }
    let place: usize = integer(reader)?;
    if place < names.len() {
        Ok(place as u64)
    } else {
        Err(Unusual)
    }
}

/// The bytes of an id in hex; none of an empty one.
fn id<const SIZE: usize>(reader: &mut Reader<'_>, out: Out<'_>) -> Read<()> {
    let written = reader.plain()?;
    if !matches!(written.len(), n if n == 0 || n == 2 * SIZE) {
        return Err(Unusual);
    }
    for digits in written.chunks_exact(2) {
        let [high, low] = [digits[0], digits[1]].map(|d| char::from(d).to_digit(16));
        out.push((high.ok_or(Unusual)? << 4 | low.ok_or(Unusual)?) as u8);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::transcoded;

    #[test]
    fn what_is_written_is_the_same_message() {
        let span = r#"{"traceId":"000102030405060708090a0b0c0d0e0f","kind":"SPAN_KIND_SERVER",
            "name":"a\tb","startTimeUnixNano":"5","flags":257,"status":{"code":2},
            "attributes":[{"key":"n","value":{"intValue":"-1"}}],"droppedLinksCount":0}"#;
        let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
        let mut inner = vec![10, 16];
        inner.extend(0..16);
        inner.extend([48, 2, 42, 3, b'a', b'\t', b'b', 57, 5, 0, 0, 0, 0, 0, 0, 0]);
        inner.extend([133, 1, 1, 1, 0, 0, 122, 2, 24, 2]);
        inner.extend([74, 16, 10, 1, b'n', 18, 11, 24]);
        inner.extend([255; 9].iter().chain(&[1]));
        let size = inner.len() as u8;
        let mut expected = vec![10, size + 4, 18, size + 2, 18, size];
        expected.extend(inner);
        assert_eq!(transcoded(body.as_bytes()), Some(expected));
    }

    #[test]
    fn long_messages_have_long_lengths() {
        let name = "x".repeat(300);
        let body =
            format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"scope":{{"name":"{name}"}}}}]}}]}}"#);
        let found = transcoded(body.as_bytes()).expect("plain");
        assert_eq!(
            found[..12],
            [10, 181, 2, 18, 178, 2, 10, 175, 2, 10, 172, 2]
        );
        assert_eq!(found.len(), 12 + 300);
    }

    #[test]
    fn what_is_unusual_is_left() {
        for body in [
            "[]",
            "{} {}",
            r#"{"batches":[]}"#,
            r#"{"resourceSpans":[null]}"#,
            r#"{"resourceSpans":[],"resourceSpans":[]}"#,
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"AAECAwQFBgcICQoLDA0ODw=="}]}]}]}"#,
            r#"{"resourceSpans":[{"resource":{"attributes":[{"value":{"bytesValue":""}}]}}]}"#,
        ] {
            assert_eq!(transcoded(body.as_bytes()), None, "{body}");
        }
        assert_eq!(transcoded(b"{} "), Some(Vec::new()));
    }
}
