//! Protobuf on the wire, the plain part of it.
//!
//! What is broken and what is legal but never written (groups, overlong numbers, fields of another
//! wire type) is `Unusual`: the body is left to the reference decoder, which has the last word.

/// The body is not plain: the reference decoder has to read it.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusual;

/// The result of reading.
pub type Read<T> = Result<T, Unusual>;

/// Wire type of varints.
pub const VARINT: u32 = 0;
/// Wire type of eight bytes.
pub const FIXED64: u32 = 1;
/// Wire type of whatever has a length.
pub const LENGTH: u32 = 2;
/// Wire type of four bytes.
pub const FIXED32: u32 = 5;

const MAX_VARINT_BYTES: usize = 10;
const MAX_TAG: u64 = u32::MAX as u64;
const MAX_LENGTH: u64 = i32::MAX as u64;

/// Reads a message from its start to its end.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    left: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of one message.
    #[must_use]
    pub fn new(message: &'a [u8]) -> Self {
        Self { left: message }
    }

    /// The tag of the next field, None at the end of the message.
    #[inline]
    pub fn tag(&mut self) -> Read<Option<u32>> {
        let Some(&first) = self.left.first() else {
            return Ok(None);
        };
        if (8..0x80).contains(&first) {
            self.left = &self.left[1..];
            return Ok(Some(u32::from(first)));
        }
        let tag = self.shortest_varint()?;
        if !(8..=MAX_TAG).contains(&tag) {
            return Err(Unusual);
        }
        Ok(Some(tag as u32))
    }

    /// A number as it may be written: overlong too, as far as 64 bits go.
    #[inline]
    pub fn varint(&mut self) -> Read<u64> {
        if let Some((&first, rest)) = self.left.split_first() {
            if first < 0x80 {
                self.left = rest;
                return Ok(u64::from(first));
            }
        }
        self.long_varint()
    }

    fn long_varint(&mut self) -> Read<u64> {
        let mut value = 0u64;
        for (index, &byte) in self.left.iter().take(MAX_VARINT_BYTES).enumerate() {
            if index + 1 == MAX_VARINT_BYTES && byte > 1 {
                return Err(Unusual);
            }
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                self.left = &self.left[index + 1..];
                return Ok(value);
            }
        }
        Err(Unusual)
    }

    /// A number in as few bytes as it takes; parsers differ about others in tags and lengths.
    fn shortest_varint(&mut self) -> Read<u64> {
        let before = self.left;
        let value = self.varint()?;
        let size = before.len() - self.left.len();
        if size > 1 && before[size - 1] == 0 {
            return Err(Unusual);
        }
        Ok(value)
    }

    /// The content of a field with a length.
    #[inline]
    pub fn bytes(&mut self) -> Read<&'a [u8]> {
        let size = match self.left.first() {
            Some(&first) if first < 0x80 => {
                self.left = &self.left[1..];
                usize::from(first)
            }
            _ => {
                let size = self.shortest_varint()?;
                if size > MAX_LENGTH {
                    return Err(Unusual);
                }
                size as usize
            }
        };
        let (content, rest) = self.left.split_at_checked(size).ok_or(Unusual)?;
        self.left = rest;
        Ok(content)
    }

    /// The content of a string field.
    #[inline]
    pub fn text(&mut self) -> Read<&'a str> {
        text(self.bytes()?)
    }

    /// Eight bytes, little-endian.
    #[inline]
    pub fn fixed64(&mut self) -> Read<u64> {
        let (content, rest) = self.left.split_first_chunk::<8>().ok_or(Unusual)?;
        self.left = rest;
        Ok(u64::from_le_bytes(*content))
    }

    /// Four bytes, little-endian.
    #[inline]
    pub fn fixed32(&mut self) -> Read<u32> {
        let (content, rest) = self.left.split_first_chunk::<4>().ok_or(Unusual)?;
        self.left = rest;
        Ok(u32::from_le_bytes(*content))
    }

    /// Passes over a field that nobody knows.
    pub fn skip(&mut self, wire: u32) -> Read<()> {
        match wire {
            VARINT => self.varint().map(drop),
            FIXED64 => self.fixed64().map(drop),
            LENGTH => self.bytes().map(drop),
            FIXED32 => self.fixed32().map(drop),
            _ => Err(Unusual),
        }
    }
}

/// Bytes as text; nearly all of it is ASCII, and short.
#[inline]
pub fn text(bytes: &[u8]) -> Read<&str> {
    // The standard check is faster on long texts, and this loop on those of a few words; both
    // refuse the same bytes, since what is not ASCII goes to it.
    std::str::from_utf8(bytes).map_err(|_| Unusual)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length() {
        for (bytes, value) in [
            (&[0x00][..], Ok(0)),
            (&[0x96, 0x01], Ok(150)),
            (&[0x80, 0x00], Ok(0)),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
                Ok(u64::MAX),
            ),
            (
                &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02],
                Err(Unusual),
            ),
            (&[0x80], Err(Unusual)),
            (&[], Err(Unusual)),
        ] {
            assert_eq!(Reader::new(bytes).varint(), value);
        }
    }

    #[test]
    fn tags_and_lengths_are_written_in_the_fewest_bytes() {
        assert_eq!(Reader::new(&[0x85, 0x01]).tag(), Ok(Some(133)));
        assert_eq!(Reader::new(&[0x8a, 0x00]).tag(), Err(Unusual));
        assert_eq!(Reader::new(&[0x02]).tag(), Err(Unusual));
        assert_eq!(Reader::new(&[]).tag(), Ok(None));
        assert_eq!(Reader::new(&[0x81, 0x00, b'a']).bytes(), Err(Unusual));
        assert_eq!(Reader::new(&[2, b'a']).bytes(), Err(Unusual));
        assert_eq!(Reader::new(&[1, b'a', 9]).bytes(), Ok(&b"a"[..]));
    }

    #[test]
    fn groups_are_left_to_the_reference() {
        assert_eq!(Reader::new(&[0]).skip(3), Err(Unusual));
        assert_eq!(Reader::new(&[0]).skip(4), Err(Unusual));
    }
}
