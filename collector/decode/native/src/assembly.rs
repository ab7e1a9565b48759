//! Packed rows to columns, in any order.
//!
//! Some rows at a time, which stay in the cache nearest to the core while each column takes its part of
//! them.

use crate::arrow::{Array, Values};
use crate::columns::{Bits, Group, NULL};
use crate::packed::{flags, kind, remote_parent, status, told, Chunk, Plan, Source, HEAD, MARKS};
use crate::tables::{Column, Layout};

/// Rows dealt at a time: as many as a word has bits.
const BLOCK: usize = 64;

/// A row: number of its chunk and within it.
pub type Place = (u32, u32);

/// The rows at some places as columns; `chunk` gives a chunk by number.
#[must_use]
pub fn assembled<'a>(plan: &Plan, places: &[Place], chunk: impl Fn(u32) -> &'a Chunk) -> Array {
    let columns = plan.columns.iter().enumerate();
    let room = places.len();
    let mut building: Vec<Building> = columns
        .map(|(n, column)| Building::new(column, plan.null(n), room))
        .collect();
    let mut dealt = Dealt::new(plan);
    let mut rows = Vec::with_capacity(BLOCK);
    for some in places.chunks(BLOCK) {
        rows.clear();
        rows.extend(some.iter().map(|&(number, row)| {
            let chunk = chunk(number);
            let words = chunk.row(row);
            (words, &chunk.groups[(words[MARKS] >> 32) as usize])
        }));
        dealt.deal(&rows);
        for (building, source) in building.iter_mut().zip(&plan.sources) {
            let values = rows.iter();
            match *source {
                Source::Word(place) => building.extend(values.map(|(words, _)| words[place])),
                Source::Kind => building.extend(values.map(|(words, _)| kind(words))),
                Source::Status => building.extend(values.map(|(words, _)| status(words))),
                Source::Flags => building.extend(values.map(|(words, _)| flags(words))),
                Source::RemoteParent => {
                    building.extend(values.map(|(words, _)| remote_parent(words)));
                }
                Source::Group(place) => building.extend(values.map(|(_, group)| group[place])),
                Source::Told(bit) => {
                    building.valid.extend_word(dealt.told[bit], rows.len());
                    building.put(dealt.values[bit][..rows.len()].iter().copied());
                }
                Source::Links => {}
            }
        }
    }
    let columns = building.into_iter().zip(&plan.sources);
    let columns = columns.map(|(building, source)| match source {
        Source::Links => links(&building.name, places, &chunk),
        _ => building.finished(),
    });
    Array::of_columns(places.len(), columns.collect())
}

/// The told values of a block, by bit.
struct Dealt {
    values: Vec<[u64; BLOCK]>,
    nulls: Vec<u64>,
    /// which rows have a value
    told: [u64; BLOCK],
}

impl Dealt {
    fn new(plan: &Plan) -> Self {
        let nulls: Vec<u64> = plan.told_nulls().collect();
        Self {
            values: vec![[0; BLOCK]; nulls.len()],
            nulls,
            told: [0; BLOCK],
        }
    }

    fn deal(&mut self, rows: &[(&[u64], &Group)]) {
        for (values, null) in self.values.iter_mut().zip(&self.nulls) {
            values.fill(*null);
        }
        self.told = [0; BLOCK];
        for (n, (words, _)) in rows.iter().enumerate() {
            let mut bits = told(words);
            self.told[n] = bits;
            for &value in &words[HEAD..] {
                self.values[bits.trailing_zeros() as usize][n] = value;
                bits &= bits - 1;
            }
        }
        transpose(&mut self.told);
    }
}

/// Bit c of word r becomes bit r of word c: halves change places, then halves of these.
///
/// Source: H. S. Warren, Hacker's Delight, 2nd edition, section 7-3.
fn transpose(words: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, u64::MAX >> 32);
    while width > 0 {
        let mut row = 0;
        while row < 64 {
            let changed = (words[row] >> width ^ words[row + width]) & mask;
            words[row] ^= changed << width;
            words[row + width] ^= changed;
            row = (row + width + 1) & !width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

fn links<'a>(name: &str, places: &[Place], chunk: &impl Fn(u32) -> &'a Chunk) -> Array {
    let mut offsets = Vec::with_capacity(places.len() + 1);
    offsets.push(0i64);
    let mut items = Vec::new();
    let mut valid = Bits::default();
    for &(number, row) in places {
        let before = items.len();
        chunk(number)
            .links(row)
            .for_each(|ids| items.extend_from_slice(ids));
        valid.push(items.len() > before);
        offsets.push(items.len() as i64);
    }
    Array::of_lists(name, offsets, Values::U64(items), Some(valid))
}

/// A column that grows.
struct Building {
    name: String,
    values: Values,
    categories: Vec<String>,
    null: Option<u64>,
    valid: Bits,
}

impl Building {
    fn new(column: &Column, null: Option<u64>, room: usize) -> Self {
        let mut categories = Vec::new();
        let values = match &column.layout {
            Layout::U64 => Values::U64(Vec::with_capacity(room)),
            Layout::I64 => Values::I64(Vec::with_capacity(room)),
            Layout::U32 => Values::U32(Vec::with_capacity(room)),
            Layout::I32 => Values::I32(Vec::with_capacity(room)),
            Layout::Bool => Values::Bits(Bits::default()),
            Layout::List => Values::Struct(0, vec![]), // laid out by themselves
            Layout::Enum(names) => {
                categories.clone_from(names);
                Values::U8(Vec::with_capacity(room))
            }
        };
        Self {
            name: column.name.clone(),
            values,
            categories,
            null,
            valid: Bits::default(),
        }
    }

    fn extend(&mut self, values: impl Iterator<Item = u64> + Clone) {
        if let Some(null) = self.null {
            self.valid.extend(values.clone().map(|v| v != null));
        }
        self.put(values);
    }

    /// Adds values, but not whether there are any.
    fn put(&mut self, values: impl Iterator<Item = u64>) {
        match &mut self.values {
            Values::U64(all) => all.extend(values),
            Values::I64(all) => all.extend(values.map(|v| v as i64)),
            Values::U32(all) => all.extend(values.map(|v| v as u32)),
            Values::I32(all) => all.extend(values.map(|v| v as i32)),
            Values::U8(all) => all.extend(values.map(|v| if v == NULL { 0 } else { v as u8 })),
            Values::Bits(all) => all.extend(values.map(|v| v == 1)),
            _ => {}
        }
    }

    fn finished(self) -> Array {
        let valid = self.null.map(|_| self.valid);
        match self.values {
            Values::U8(values) => Array::of_names(&self.name, values, valid, &self.categories),
            values => Array::new(&self.name, values, valid),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_change_rows_for_columns() {
        let before: [u64; 64] =
            std::array::from_fn(|n| (n as u64 + 3).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut after = before;
        transpose(&mut after);
        for (row, word) in before.iter().enumerate() {
            for (column, other) in after.iter().enumerate() {
                assert_eq!(other >> row & 1, word >> column & 1);
            }
        }
    }
}
