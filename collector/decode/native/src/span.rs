//! One span, read once from front to back.

use crate::schema::Schema;
use crate::tables::{Name, Tables, BY_PREFIX};
use crate::values::{is_text, pair, Value};
use crate::wire::{Read, Reader, Unusual};

/// An attribute that is read: number and text of its name, and its value.
#[derive(Clone, Copy)]
pub struct Attribute<'a> {
    /// number of the name, `BY_PREFIX` for those read for their prefix
    pub name: Name,
    /// the name
    pub key: &'a [u8],
    /// the value
    pub value: Value<'a>,
}

/// The fields of a span; one is used for all spans of a body.
pub struct Span<'a> {
    /// `trace_id`
    pub trace_id: &'a [u8],
    /// `span_id`
    pub span_id: &'a [u8],
    /// `parent_span_id`
    pub parent: &'a [u8],
    /// `trace_state`
    pub trace_state: &'a str,
    /// `name`
    pub name: &'a str,
    /// `kind`, any number
    pub kind: i32,
    /// `start_time_unix_nano`
    pub start: u64,
    /// `end_time_unix_nano`
    pub end: u64,
    /// `flags`
    pub flags: u32,
    /// `status.code`, any number
    pub status: i32,
    /// those that are read, in order; of a name that comes twice both
    pub attributes: Vec<Attribute<'a>>,
    /// `links`, not yet read
    pub links: Vec<&'a [u8]>,
    events: Vec<&'a [u8]>,
    /// by name: one more than the place of its last attribute, 0 when there is none
    places: Vec<u32>,
}

impl<'a> Span<'a> {
    /// An empty one.
    #[must_use]
    pub fn new(names: usize) -> Self {
        Self {
            trace_id: b"",
            span_id: b"",
            parent: b"",
            trace_state: "",
            name: "",
            kind: 0,
            start: 0,
            end: 0,
            flags: 0,
            status: 0,
            attributes: Vec::new(),
            links: Vec::new(),
            events: Vec::new(),
            places: vec![0; names],
        }
    }

    fn clear(&mut self) {
        for attribute in &self.attributes {
            if attribute.name != BY_PREFIX {
                self.places[usize::from(attribute.name)] = 0;
            }
        }
        self.attributes.clear();
        self.links.clear();
        self.events.clear();
        (self.trace_id, self.span_id, self.parent) = (b"", b"", b"");
        (self.trace_state, self.name) = ("", "");
        (self.kind, self.status, self.flags) = (0, 0, 0);
        (self.start, self.end) = (0, 0);
    }

    /// Reads a span in place of the one before.
    pub fn read(&mut self, content: &'a [u8], schema: &Schema, tables: &Tables) -> Read<()> {
        self.clear();
        let mut reader = Reader::new(content);
        let mut status = None;
        while let Some(tag) = reader.tag()? {
            match tag {
                0x0a => self.trace_id = reader.bytes()?,
                0x12 => self.span_id = reader.bytes()?,
                0x1a => self.trace_state = reader.text()?,
                0x22 => self.parent = reader.bytes()?,
                0x2a => self.name = reader.text()?,
                0x30 => self.kind = reader.varint()? as i32,
                0x39 => self.start = reader.fixed64()?,
                0x41 => self.end = reader.fixed64()?,
                0x4a => self.attribute(reader.bytes()?, schema, tables)?,
                0x5a => self.events.push(reader.bytes()?),
                0x6a => self.links.push(reader.bytes()?),
                0x7a if status.is_none() => status = Some(reader.bytes()?),
                0x7a => return Err(Unusual), // two are merged
                0x85 => self.flags = reader.fixed32()?,
                _ => schema.pass(schema.known.span, tag, &mut reader)?,
            }
        }
        if let Some(content) = status {
            self.status = status_code(content, schema)?;
        }
        Ok(())
    }

    #[inline]
    fn attribute(&mut self, content: &'a [u8], schema: &Schema, tables: &Tables) -> Read<()> {
        let (key, value) = pair(schema, content)?;
        let name = if let Some(name) = tables.names.find(key) {
            name
        } else {
            is_text(key)?;
            if !tables.prefixes.iter().any(|p| key.starts_with(p)) {
                return Ok(());
            }
            BY_PREFIX
        };
        let Some(value) = value else {
            return Ok(());
        };
        self.attributes.push(Attribute { name, key, value });
        if name != BY_PREFIX {
            self.places[usize::from(name)] = self.attributes.len() as u32;
        }
        Ok(())
    }

    /// The value of an attribute.
    #[inline]
    #[must_use]
    pub fn get(&self, name: Name) -> Option<Value<'a>> {
        let place = self.places[usize::from(name)];
        (place > 0).then(|| self.attributes[place as usize - 1].value)
    }

    /// The value of the first of some attributes that is there.
    #[must_use]
    pub fn first_present(&self, names: &[Name]) -> Option<Value<'a>> {
        names.iter().find_map(|&name| self.get(name))
    }

    /// Checks the events; when they are `wanted`, the type of the last exception among them.
    pub fn exception(&self, schema: &Schema, wanted: bool) -> Read<Option<&'a str>> {
        let mut found = None;
        for content in &self.events {
            if wanted {
                found = exception_type(content, schema)?.or(found);
            } else {
                schema.check(schema.known.event, content)?;
            }
        }
        Ok(found)
    }
}

fn status_code(content: &[u8], schema: &Schema) -> Read<i32> {
    let mut reader = Reader::new(content);
    let mut code = 0;
    while let Some(tag) = reader.tag()? {
        match tag {
            0x18 => code = reader.varint()? as i32,
            _ => schema.pass(schema.known.status, tag, &mut reader)?,
        }
    }
    Ok(code)
}

/// The attribute `exception.type` of an event named `exception`, the last that is not empty.
fn exception_type<'a>(content: &'a [u8], schema: &Schema) -> Read<Option<&'a str>> {
    let mut reader = Reader::new(content);
    let (mut name, mut found) = ("", None);
    while let Some(tag) = reader.tag()? {
        match tag {
            0x12 => name = reader.text()?,
            0x1a => {
                let (key, value) = pair(schema, reader.bytes()?)?;
                is_text(key)?;
                if let (b"exception.type", Some(Value::Text(text))) = (key, value) {
                    found = Some(text).filter(|t| !t.is_empty()).or(found);
                }
            }
            _ => schema.pass(schema.known.event, tag, &mut reader)?,
        }
    }
    Ok(found.filter(|_| name == "exception"))
}

/// Trace id, in two halves, and span id of a link.
pub fn link(content: &[u8], schema: &Schema) -> Read<[u64; 3]> {
    let mut reader = Reader::new(content);
    let (mut trace_id, mut span_id): (&[u8], &[u8]) = (b"", b"");
    while let Some(tag) = reader.tag()? {
        match tag {
            0x0a => trace_id = reader.bytes()?,
            0x12 => span_id = reader.bytes()?,
            _ => schema.pass(schema.known.link, tag, &mut reader)?,
        }
    }
    let rest = trace_id.get(8..).unwrap_or(b"");
    Ok([big_endian(trace_id), big_endian(rest), big_endian(span_id)])
}

/// The first eight bytes, or as many as there are, as a number.
#[inline]
#[must_use]
pub fn big_endian(bytes: &[u8]) -> u64 {
    if let Some(whole) = bytes.first_chunk::<8>() {
        return u64::from_be_bytes(*whole);
    }
    bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte))
}
