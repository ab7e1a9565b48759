//! What is shown of the worst rows of a group: the fields of the column `exemplars`.

use crate::arrow::{Array, Values};
use crate::columns::Bits;

/// A field: its name, and what it tells of a row.
pub struct Field<'a>(pub &'static str, pub Told<'a>);

/// What a field tells of a row, by the column that it becomes.
pub enum Told<'a> {
    /// ids and codes of texts
    Code(&'a dyn Fn(usize) -> Option<u64>),
    /// times and counts
    Time(&'a dyn Fn(usize) -> Option<i64>),
    /// lines
    Line(&'a dyn Fn(usize) -> Option<i32>),
    /// lists of ids
    Ids(&'a dyn Fn(usize) -> Vec<u64>),
}

impl Field<'_> {
    /// The field of some rows.
    #[must_use]
    pub fn of(&self, rows: &[u32]) -> Array {
        let rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
        let Self(name, told) = self;
        match told {
            Told::Code(tell) => column(name, &rows, tell, Values::U64),
            Told::Time(tell) => column(name, &rows, tell, Values::I64),
            Told::Line(tell) => column(name, &rows, tell, Values::I32),
            Told::Ids(tell) => {
                let mut offsets = vec![0];
                let mut ids = vec![];
                for row in rows {
                    ids.extend(tell(row));
                    offsets.push(ids.len() as i64);
                }
                Array::of_lists(name, offsets, Values::U64(ids), None)
            }
        }
    }
}

fn column<T: Copy + Default>(
    name: &str,
    rows: &[usize],
    tell: impl Fn(usize) -> Option<T>,
    values: fn(Vec<T>) -> Values,
) -> Array {
    let told: Vec<Option<T>> = rows.iter().map(|row| tell(*row)).collect();
    let valid = Bits::of_rows(told.len(), |row| told[row].is_some());
    let known = told.into_iter().map(Option::unwrap_or_default);
    Array::new(name, values(known.collect()), Some(valid))
}
