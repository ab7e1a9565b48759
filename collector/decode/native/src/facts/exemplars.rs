//! What is shown of the worst rows of a group: the fields of the column `exemplars`.

use super::spans::Spans;
use crate::arrow::{Array, Values};
use crate::columns::Bits;

/// A field: its name, and what it tells of a row.
pub struct Field<'a>(&'static str, Told<'a>);

/// What a field tells of a row, by the column that it becomes.
enum Told<'a> {
    Code(Box<dyn Fn(usize) -> Option<u64> + 'a>),
    Time(Box<dyn Fn(usize) -> Option<i64> + 'a>),
    Line(Box<dyn Fn(usize) -> Option<i32> + 'a>),
    Ids(Box<dyn Fn(usize) -> Vec<u64> + 'a>),
}

impl<'a> Field<'a> {
    /// Of ids and codes of texts.
    pub fn code(name: &'static str, tell: impl Fn(usize) -> Option<u64> + 'a) -> Self {
        Self(name, Told::Code(Box::new(tell)))
    }

    /// Of times and counts.
    pub fn time(name: &'static str, tell: impl Fn(usize) -> Option<i64> + 'a) -> Self {
        Self(name, Told::Time(Box::new(tell)))
    }

    /// Of lines.
    pub fn line(name: &'static str, tell: impl Fn(usize) -> Option<i32> + 'a) -> Self {
        Self(name, Told::Line(Box::new(tell)))
    }

    /// Of lists of ids.
    pub fn ids(name: &'static str, tell: impl Fn(usize) -> Vec<u64> + 'a) -> Self {
        Self(name, Told::Ids(Box::new(tell)))
    }

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

/// What exemplars begin with, given the score of what is shown and a span of it: trace and entry.
pub fn in_entry<'a>(
    spans: &'a Spans<'a>,
    score: impl Fn(usize) -> i64 + 'a,
    span: impl Fn(usize) -> usize + Copy + 'a,
) -> Vec<Field<'a>> {
    vec![
        Field::time("score", move |place| Some(score(place))),
        Field::code("trace_hi", move |place| Some(spans.trace_hi[span(place)])),
        Field::code("trace_lo", move |place| Some(spans.trace_lo[span(place)])),
        Field::code("entry_span", move |place| {
            spans.entry_span.known(span(place))
        }),
        Field::time("entry_start_ns", move |place| {
            Some(spans.entry_start_ns[span(place)])
        }),
        Field::time("entry_duration_ns", move |place| {
            Some(spans.entry_duration_ns[span(place)])
        }),
    ]
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
