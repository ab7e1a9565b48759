//! The messages of OTLP, as the reference decoder's own descriptors tell them.
//!
//! Most of a span is passed over, but it has to be passed over as strictly as the reference does:
//! a string that is not Unicode anywhere in a body makes the whole body another one.

use crate::wire::{text, Read, Reader, Unusual, FIXED32, FIXED64, LENGTH, VARINT};

const MAX_DEPTH: usize = 50;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// No field of this number.
    Unknown,
    /// A field whose encodings are many (packed numbers): left to the reference.
    Odd,
    /// A number of seven bits a byte.
    Varint,
    /// Eight bytes.
    Fixed64,
    /// Four bytes.
    Fixed32,
    /// Bytes.
    Bytes,
    /// UTF-8.
    Text,
    /// A message, by its number in the schema.
    Message(usize),
}

/// The fields of a message by number.
#[derive(Clone, Debug, Default)]
pub struct Message {
    fields: Vec<Field>,
}

impl Message {
    /// A message from (field number, what it holds).
    #[must_use]
    pub fn new(fields: &[(usize, Field)]) -> Self {
        let size = fields.iter().map(|&(number, _)| number + 1).max();
        let mut all = vec![Field::Unknown; size.unwrap_or(0)];
        for &(number, field) in fields {
            all[number] = field;
        }
        Self { fields: all }
    }

    fn field(&self, number: u32) -> Field {
        let found = self.fields.get(number as usize);
        found.copied().unwrap_or(Field::Unknown)
    }
}

/// Numbers of the messages that are read here, not only passed over.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// `ResourceSpans`.
    pub resource_spans: usize,
    /// `Resource`.
    pub resource: usize,
    /// `ScopeSpans`.
    pub scope_spans: usize,
    /// `InstrumentationScope`.
    pub scope: usize,
    /// `Span`.
    pub span: usize,
    /// `Event`.
    pub event: usize,
    /// `Link`.
    pub link: usize,
    /// `Status`.
    pub status: usize,
    /// `KeyValue`.
    pub pair: usize,
    /// `AnyValue`.
    pub value: usize,
}

/// All messages, and which of them are which.
#[derive(Clone, Debug)]
pub struct Schema {
    /// By number; 0 is the request itself.
    pub messages: Vec<Message>,
    /// Those that are read.
    pub known: Known,
}

impl Schema {
    /// Reads a whole message that nothing is wanted from.
    pub fn check(&self, message: usize, content: &[u8]) -> Read<()> {
        self.check_within(message, content, MAX_DEPTH)
    }

    fn check_within(&self, message: usize, content: &[u8], depth: usize) -> Read<()> {
        let mut reader = Reader::new(content);
        while let Some(tag) = reader.tag()? {
            self.pass_within(message, tag, &mut reader, depth)?;
        }
        Ok(())
    }

    /// Passes over one field of a message, whose tag was read.
    pub fn pass(&self, message: usize, tag: u32, reader: &mut Reader) -> Read<()> {
        self.pass_within(message, tag, reader, MAX_DEPTH)
    }

    fn pass_within(&self, message: usize, tag: u32, reader: &mut Reader, depth: usize) -> Read<()> {
        let wire = tag & 7;
        match (self.messages[message].field(tag >> 3), wire) {
            (Field::Unknown, _)
            | (Field::Varint, VARINT)
            | (Field::Fixed64, FIXED64)
            | (Field::Fixed32, FIXED32)
            | (Field::Bytes, LENGTH) => reader.skip(wire),
            (Field::Text, LENGTH) => text(reader.bytes()?).map(drop),
            (Field::Message(inner), LENGTH) if depth > 0 => {
                self.check_within(inner, reader.bytes()?, depth - 1)
            }
            _ => Err(Unusual),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        let fields = [(1, Field::Text), (2, Field::Message(0)), (3, Field::Odd)];
        let none = Known {
            resource_spans: 0,
            resource: 0,
            scope_spans: 0,
            scope: 0,
            span: 0,
            event: 0,
            link: 0,
            status: 0,
            pair: 0,
            value: 0,
        };
        Schema {
            messages: vec![Message::new(&fields)],
            known: none,
        }
    }

    #[test]
    fn strings_are_unicode_at_any_depth() {
        let schema = schema();
        assert_eq!(schema.check(0, &[0x12, 3, 0x0a, 1, b'a']), Ok(()));
        assert_eq!(schema.check(0, &[0x12, 3, 0x0a, 1, 0xff]), Err(Unusual));
    }

    #[test]
    fn fields_of_another_wire_type_are_unusual_and_unknown_ones_are_not() {
        let schema = schema();
        assert_eq!(schema.check(0, &[0x08, 1]), Err(Unusual));
        assert_eq!(schema.check(0, &[0x18, 1]), Err(Unusual));
        assert_eq!(schema.check(0, &[0x48, 1]), Ok(()));
    }

    #[test]
    fn nesting_is_bounded() {
        let mut body = Vec::new();
        for _ in 0..40 {
            let size = body.len() as u8;
            body.splice(0..0, [0x12, size]);
        }
        assert_eq!(schema().check(0, &body), Ok(()));
        for _ in 0..20 {
            let size = body.len() as u8;
            body.splice(0..0, [0x12, size]);
        }
        assert_eq!(schema().check(0, &body), Err(Unusual));
    }
}
