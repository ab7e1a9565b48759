//! Columns taken over by the Arrow C stream interface, zero copies.
//!
//! The other side of `arrow`, whose structs and rules it uses: what is taken over is released once.
//! Whoever hands a stream over vouches for its buffers; layout, length and alignment are looked at.

mod columns;

use std::ffi::{c_char, CStr};
use std::mem::MaybeUninit;
use std::slice;

use crate::arrow::{ArrowArray, ArrowArrayStream, ArrowSchema};
use columns::Packed;
pub use columns::{Column, Flags, Lists};

/// Columns of one length, by name.
pub struct Table {
    names: Vec<(Vec<u8>, Vec<u8>)>,
    batch: Option<ArrowArray>,
}

// It owns what the array points to, and gives out nothing that can be written to.
unsafe impl Send for Table {}
unsafe impl Sync for Table {}

impl Drop for Table {
    fn drop(&mut self) {
        if let Some(batch) = &mut self.batch {
            if let Some(release) = batch.release {
                // It was taken over, so releasing it is ours.
                unsafe { release(batch) }
            }
        }
    }
}

/// The format of lists, whose offsets have 64 bits. That of their items follows in `Table`.
const LISTS: &[u8] = b"+L";

/// A number of a column, and how its format says so.
pub trait Number: Copy + Default {
    /// of the Arrow C data interface
    const FORMAT: &'static [u8];
}

macro_rules! numbers {
    ($($kind:ty: $format:literal),*) => {
        $(impl Number for $kind { const FORMAT: &'static [u8] = $format; })*
    };
}

numbers!(u64: b"L", i64: b"l", u32: b"I", i32: b"i", u8: b"C");

impl Table {
    /// Takes over a stream of one batch; none where it has several, or columns of another kind.
    ///
    /// # Safety
    /// The stream is as the specification says, and released or owned by the caller.
    pub unsafe fn of(stream: &mut ArrowArrayStream) -> Option<Self> {
        // Each struct is written by its maker before it is read, and released once.
        unsafe {
            let mut schema = MaybeUninit::<ArrowSchema>::zeroed();
            if stream.get_schema?(stream, schema.as_mut_ptr()) != 0 {
                return None;
            }
            let mut schema = schema.assume_init();
            let names = names_of(&schema);
            if let Some(release) = schema.release {
                release(&raw mut schema);
            }
            let next = || {
                let mut array = MaybeUninit::<ArrowArray>::zeroed();
                let failed = stream.get_next?(stream, array.as_mut_ptr()) != 0;
                let array = array.assume_init();
                Some((!failed && array.release.is_some()).then_some(array))
            };
            Self::of_batches(names?, next)
        }
    }

    /// Of columns and what gives batches, until none is left.
    fn of_batches(
        names: Vec<(Vec<u8>, Vec<u8>)>,
        mut next: impl FnMut() -> Option<Option<ArrowArray>>,
    ) -> Option<Self> {
        let batch = next()?;
        let table = Self { names, batch };
        let rest = Self {
            names: vec![],
            batch: next()?,
        };
        let batch = table.batch.as_ref()?;
        let plain = batch.offset == 0 && batch.n_children as usize == table.names.len();
        (rest.batch.is_none() && plain).then_some(table)
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.length as usize)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A column of numbers; none where it is missing or of another kind.
    #[must_use]
    pub fn numbers<T: Number>(&self, name: &str) -> Option<Column<'_, T>> {
        let (array, valid) = self.child(name, T::FORMAT)?;
        let values = unsafe { buffer::<T>(array, 1, array.offset as usize + self.len())? };
        let values = &values[array.offset as usize..];
        Some(Column { values, valid })
    }

    /// A column of truth values; none where it is missing or of another kind.
    #[must_use]
    pub fn flags(&self, name: &str) -> Option<Flags<'_>> {
        let (array, valid) = self.child(name, b"b")?;
        let bits = unsafe { packed(array, 1)? };
        Some(Flags { bits, valid })
    }

    /// A column of lists of numbers; none where it is missing or of another kind.
    #[must_use]
    pub fn lists<T: Number>(&self, name: &str) -> Option<Lists<'_, T>> {
        let (array, valid) = self.child(name, &[LISTS, T::FORMAT].concat())?;
        // Whoever says that these are lists has one child; the batch owns both buffers.
        let items = unsafe { &**array.children };
        let len = (items.offset + items.length) as usize;
        let numbers = unsafe { buffer::<T>(items, 1, len)? };
        let offsets = unsafe { buffer::<i64>(array, 1, array.offset as usize + self.len() + 1)? };
        (items.null_count == 0).then_some(Lists {
            offsets: &offsets[array.offset as usize..],
            items: &numbers[items.offset as usize..],
            valid,
        })
    }

    fn child(&self, name: &str, format: &[u8]) -> Option<(&ArrowArray, Option<Packed<'_>>)> {
        let batch = self.batch.as_ref()?;
        let named = |(n, f): &(Vec<u8>, Vec<u8>)| n == name.as_bytes() && f == format;
        let place = self.names.iter().position(named)?;
        // There are as many children as names, and each has the length of the batch.
        let array = unsafe { &**batch.children.add(place) };
        if array.length != batch.length || array.n_buffers != 2 {
            return None;
        }
        let valid = unsafe {
            match array.null_count {
                0 => None,
                _ if (*array.buffers).is_null() => None,
                _ => Some(packed(array, 0)?),
            }
        };
        Some((array, valid))
    }
}

/// A buffer of an array, as so many numbers.
unsafe fn buffer<T>(array: &ArrowArray, place: usize, len: usize) -> Option<&[T]> {
    if len == 0 {
        return Some(&[]);
    }
    // The array owns its buffers for as long as it is borrowed.
    let start = unsafe { (*array.buffers.add(place)).cast::<T>() };
    if start.is_null() || !start.is_aligned() {
        return None;
    }
    Some(unsafe { slice::from_raw_parts(start, len) })
}

unsafe fn packed(array: &ArrowArray, place: usize) -> Option<Packed<'_>> {
    let offset = array.offset as usize;
    let bytes = (offset + array.length as usize).div_ceil(8);
    let bytes = unsafe { buffer(array, place, bytes)? };
    Some(Packed { bytes, offset })
}

/// Names and formats of the columns of a batch.
unsafe fn names_of(schema: &ArrowSchema) -> Option<Vec<(Vec<u8>, Vec<u8>)>> {
    let text = |start: *const c_char| -> Vec<u8> {
        if start.is_null() {
            return vec![];
        }
        unsafe { CStr::from_ptr(start).to_bytes().to_vec() }
    };
    if text(schema.format) != b"+s" {
        return None;
    }
    let children = (0..schema.n_children as usize).map(|place| {
        let child = unsafe { &**schema.children.add(place) };
        let mut format = text(child.format);
        if format == LISTS {
            format.extend(text(unsafe { (**child.children).format }));
        }
        (text(child.name), format)
    });
    Some(children.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrow::{stream_of, Array, Values};
    use crate::columns::Bits;

    fn taken(columns: Vec<Array>, len: usize) -> Option<Table> {
        let mut stream = stream_of(Array::of_columns(len, columns));
        unsafe { Table::of(&mut stream) }
    }

    #[test]
    fn what_is_handed_over_is_read() {
        let valid: Bits = [true, false, true].into_iter().collect();
        let bits: Bits = [false, true, true].into_iter().collect();
        let table = taken(
            vec![
                Array::new("id", Values::U64(vec![5, 6, 7]), Some(valid)),
                Array::new("at", Values::I64(vec![-1, 0, 1]), None),
                Array::of_names("kind", vec![0, 1, 0], None, &["a".into(), "b".into()]),
                Array::new("hit", Values::Bits(bits), None),
            ],
            3,
        );
        let table = table.expect("one batch");
        assert_eq!(table.len(), 3);
        let id = table.numbers::<u64>("id").expect("a column");
        assert_eq!(id.filled(), &[5, 0, 7][..]);
        assert_eq!((id.known(1), id.known(2)), (None, Some(7)));
        assert!(id.whole().is_none());
        let at = table.numbers::<i64>("at").expect("a column");
        assert_eq!(at.whole(), Some(&[-1, 0, 1][..]));
        let kind = table.numbers::<u8>("kind").expect("a column");
        assert_eq!(kind.whole(), Some(&[0, 1, 0][..]));
        let hit = table.flags("hit").expect("a column");
        assert_eq!((hit.known(0), hit.known(2)), (Some(false), Some(true)));
    }

    #[test]
    fn lists_are_read_as_they_are() {
        let valid: Bits = [true, false, true].into_iter().collect();
        let ids = Values::U64(vec![5, 6, 7]);
        let lists = Array::of_lists("ids", vec![0, 2, 2, 3], ids, Some(valid));
        let table = taken(vec![lists], 3).expect("one batch");
        let ids = table.lists::<u64>("ids").expect("a column");
        let found = [0, 1, 2].map(|row| ids.get(row));
        assert_eq!(found, [Some(&[5, 6][..]), None, Some(&[7][..])]);
        assert!(table.lists::<i64>("ids").is_none());
        assert!(table.numbers::<u64>("ids").is_none());
    }

    #[test]
    fn what_is_missing_or_of_another_kind_is_none() {
        let table = taken(vec![Array::new("id", Values::U64(vec![]), None)], 0);
        let table = table.expect("one batch");
        assert!(table.is_empty());
        assert!(table.numbers::<u64>("id").is_some());
        assert!(table.numbers::<i64>("id").is_none());
        assert!(table.numbers::<u64>("it").is_none());
        assert!(table.flags("id").is_none());
    }
}
