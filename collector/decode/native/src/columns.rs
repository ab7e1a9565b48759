//! Rows of spans on their way to columns.

use crate::arrow::{Array, Values};
use crate::tables::{Column, Extra, Layout, Tables, EXTRAS};

/// Codes of service, namespace, environment, version and instance.
pub const RESOURCE: [&str; 5] = [
    "service",
    "service_namespace",
    "environment",
    "version",
    "instance",
];
/// What follows them in a `Group`.
pub const SCOPE: &str = "scope";
/// Null where 0 is a value.
pub const NULL: u64 = u64::MAX;
/// Rows that room is made for before they come.
const MOST_ROOM: usize = 4_096;
/// Flag: it is told whether the parent is remote.
pub const HAS_REMOTE: u32 = 1 << 8;
/// Flag: it is.
pub const IS_REMOTE: u32 = 1 << 9;

/// Codes of a resource and a scope; 0 is null.
pub type Group = [u64; 6];

/// What a span tells in any case.
pub struct Row {
    /// trace id, in two halves
    pub trace: [u64; 2],
    /// span id
    pub span_id: u64,
    /// parent's id, 0 for none
    pub parent: u64,
    /// number of its resource and scope
    pub group: u32,
    /// number of its kind
    pub kind: u8,
    /// since 1970
    pub start_ns: i64,
    /// never negative
    pub duration_ns: i64,
    /// number of its status
    pub status: u8,
    /// as received
    pub flags: u32,
}

/// Rows of one or more bodies.
#[derive(Default)]
pub struct Batch {
    /// What each tells in any case.
    pub rows: Vec<Row>,
    /// By row and facet: codes, of which 0 is null, and numbers, of which `NULL` is.
    pub facets: Vec<u64>,
    /// By `Extra`: rows with a value, and the value.
    pub extras: [Vec<(u32, u64)>; EXTRAS.len()],
    /// Resources with scopes that rows stand under.
    pub groups: Vec<Group>,
    /// Links and the rows that they are of, ascending.
    pub links: Vec<(u32, [u64; 3])>,
}

impl Batch {
    /// An empty one with room for as many rows again, within bounds.
    #[must_use]
    pub fn emptied(&self) -> Self {
        let rows = self.rows.len().min(MOST_ROOM);
        let width = self.facets.len() / self.rows.len().max(1);
        Self {
            rows: Vec::with_capacity(rows),
            facets: Vec::with_capacity(rows * width),
            ..Self::default()
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row, but for its facets.
    pub fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Adds the value of a column.
    pub fn tell(&mut self, extra: Extra, row: u32, value: u64) {
        self.extras[extra as usize].push((row, value));
    }

    /// Adds a link of a row, which may have more.
    pub fn link(&mut self, row: u32, ids: [u64; 3]) {
        self.links.push((row, ids));
    }

    /// Takes back all rows from `rows` on.
    pub fn truncate(&mut self, rows: usize, groups: usize, width: usize) {
        self.rows.truncate(rows);
        self.groups.truncate(groups);
        self.facets.truncate(rows * width);
        for extra in &mut self.extras {
            extra.retain(|&(row, _)| (row as usize) < rows);
        }
        self.links.retain(|&(row, _)| (row as usize) < rows);
    }

    /// The columns of a frame.
    #[must_use]
    pub fn arrays(&self, tables: &Tables) -> Vec<Array> {
        let columns = tables.columns.iter();
        columns.map(|c| self.array(c, &tables.facets)).collect()
    }

    fn array(&self, column: &Column, facets: &[String]) -> Array {
        let name = column.name.as_str();
        let at = facets.iter().position(|f| f == name);
        let extra = EXTRAS.iter().find(|(told, _)| *told == name);
        match (name, at, extra) {
            (_, Some(at), extra) => self.facet(column, at, facets.len(), extra.map(|e| e.1)),
            (_, None, Some(&(_, extra))) => self.extra(column, extra),
            ("links", ..) => self.links(column),
            ("remote_parent", ..) => self.remote_parent(column),
            _ => self.plain(column),
        }
    }

    fn plain(&self, column: &Column) -> Array {
        let row = |value: fn(&Row) -> u64| self.rows.iter().map(value).collect();
        let name = column.name.as_str();
        let group = RESOURCE.iter().chain([&SCOPE]).position(|g| *g == name);
        let (values, null) = match name {
            _ if group.is_some() => {
                let at = group.unwrap_or_default();
                let of = |row: &Row| self.groups[row.group as usize][at];
                (self.rows.iter().map(of).collect(), Some(0))
            }
            "trace_hi" => (row(|r| r.trace[0]), None),
            "trace_lo" => (row(|r| r.trace[1]), None),
            "span_id" => (row(|r| r.span_id), None),
            "parent_span_id" => (row(|r| r.parent), Some(0)),
            "kind" => (row(|r| u64::from(r.kind)), None),
            "status" => (row(|r| u64::from(r.status)), None),
            "start_ns" => (row(|r| r.start_ns as u64), None),
            "duration_ns" => (row(|r| r.duration_ns as u64), None),
            "flags" => (row(|r| u64::from(r.flags)), None),
            other => unreachable!("a column without a source was let in: {other}"),
        };
        laid_out(column, values, null)
    }

    fn facet(&self, column: &Column, at: usize, width: usize, over: Option<Extra>) -> Array {
        let mut values: Vec<u64> = self
            .facets
            .iter()
            .skip(at)
            .step_by(width)
            .copied()
            .collect();
        if let Some(extra) = over {
            for &(row, value) in &self.extras[extra as usize] {
                values[row as usize] = value;
            }
        }
        laid_out(column, values, Some(null_of(&column.layout)))
    }

    fn extra(&self, column: &Column, extra: Extra) -> Array {
        let null = null_of(&column.layout);
        let mut values = vec![null; self.rows.len()];
        for &(row, value) in &self.extras[extra as usize] {
            values[row as usize] = value;
        }
        laid_out(column, values, Some(null))
    }

    fn remote_parent(&self, column: &Column) -> Array {
        let said = |row: &Row| match row.flags {
            flags if flags & HAS_REMOTE == 0 => NULL,
            flags => u64::from(flags & IS_REMOTE != 0),
        };
        laid_out(column, self.rows.iter().map(said).collect(), Some(NULL))
    }

    fn links(&self, column: &Column) -> Array {
        let mut offsets = vec![0i64];
        let mut items = Vec::with_capacity(self.links.len() * 3);
        let mut valid = Bits::default();
        let mut links = self.links.iter().peekable();
        for row in 0..self.rows.len() as u32 {
            let before = items.len();
            while let Some((_, ids)) = links.next_if(|(of, _)| *of == row) {
                items.extend_from_slice(ids);
            }
            valid.push(items.len() > before);
            offsets.push(items.len() as i64);
        }
        Array::of_lists(&column.name, offsets, Values::U64(items), Some(valid))
    }
}

/// What stands for null in a column that attributes tell.
#[must_use]
pub fn null_of(layout: &Layout) -> u64 {
    if *layout == Layout::U64 {
        0
    } else {
        NULL
    }
}

fn laid_out(column: &Column, values: Vec<u64>, null: Option<u64>) -> Array {
    let valid = null.map(|null| values.iter().map(|&v| v != null).collect());
    let values = match &column.layout {
        Layout::U64 => Values::U64(values),
        Layout::I64 => Values::I64(values.into_iter().map(|v| v as i64).collect()),
        Layout::U32 => Values::U32(values.into_iter().map(|v| v as u32).collect()),
        Layout::I32 => Values::I32(values.into_iter().map(|v| v as i32).collect()),
        Layout::Enum(names) => {
            let values = values.into_iter().map(|v| v as u8).collect();
            return Array::of_names(&column.name, values, None, names);
        }
        Layout::Bool => Values::Bits(values.into_iter().map(|v| v == 1).collect()),
        Layout::List => unreachable!("lists are laid out by themselves"),
    };
    Array::new(&column.name, values, valid)
}

/// Truth values, eight a byte, the first in the lowest bit.
#[derive(Default, Clone)]
pub struct Bits {
    /// the bytes
    pub bytes: Vec<u8>,
    /// how many values
    pub len: usize,
    /// how many of them are true
    pub ones: usize,
}

impl Bits {
    /// Adds one.
    #[inline]
    pub fn push(&mut self, bit: bool) {
        if self.len % 8 == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (self.len % 8);
        }
        self.len += 1;
        self.ones += usize::from(bit);
    }
}

impl Extend<bool> for Bits {
    fn extend<I: IntoIterator<Item = bool>>(&mut self, bits: I) {
        let mut bits = bits.into_iter();
        while self.len % 8 > 0 {
            let Some(bit) = bits.next() else { return };
            self.push(bit);
        }
        let (mut byte, mut count) = (0, 0);
        for bit in bits {
            byte |= u8::from(bit) << count;
            count += 1;
            if count == 8 {
                self.bytes.push(byte);
                self.ones += byte.count_ones() as usize;
                self.len += 8;
                (byte, count) = (0, 0);
            }
        }
        if count > 0 {
            self.bytes.push(byte);
            self.ones += byte.count_ones() as usize;
            self.len += count;
        }
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(bits: I) -> Self {
        let mut all = Self::default();
        all.extend(bits);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_packed_from_the_lowest() {
        let bits: Bits = (0..10).map(|n| n % 3 == 0).collect();
        assert_eq!(bits.bytes, [0b0100_1001, 0b10]);
        assert_eq!((bits.len, bits.ones), (10, 4));
    }

    #[test]
    fn bits_that_come_together_are_those_that_come_alone() {
        let values: Vec<u64> = (0..29).collect();
        for before in 0..9 {
            let mut together: Bits = (0..before).map(|n| n % 2 == 0).collect();
            let mut alone = together.clone();
            together.extend(values.iter().map(|v| v % 3 == 0));
            for v in &values {
                alone.push(v % 3 == 0);
            }
            assert_eq!(together.bytes, alone.bytes);
            assert_eq!((together.len, together.ones), (alone.len, alone.ones));
        }
    }
}
