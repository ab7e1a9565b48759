//! Groups as columns: the facts of a table in canonical order.

use std::cmp::Ordering;

use super::exemplars::Field;
use super::groups::{Cell, Groups, Key, Kind, Merge, NONE, NO_LEAST, NO_MOST};
use super::mixed::{factor, ordered, sum};
use super::Seen;
use crate::arrow::{Array, Values};
use crate::columns::Bits;
use crate::constants::Constants;

/// Where a column is in its part of a layout.
enum Place {
    Shared(usize),
    Own(usize),
    Measure(usize),
}

/// What a column of a key holds, and the value of a group.
type Asked<'a> = (&'a Kind, Box<dyn Fn(u32) -> Cell + 'a>);

impl<const P: usize, const R: usize, const M: usize> Groups<'_, P, R, M> {
    /// The facts: a row a group, in the order of its keys; columns in the order of the table.
    #[must_use]
    pub fn facts(&self, seen: &Seen<'_>) -> Array {
        self.with_exemplars(seen, &[])
    }

    /// The same with `exemplars`: what is told of the rows that were shown, the worst first.
    #[must_use]
    pub fn with_exemplars(&self, seen: &Seen<'_>, fields: &[Field<'_>]) -> Array {
        let order = self.order(seen);
        let keys: Vec<&Key<R>> = order
            .iter()
            .map(|group| &self.own[*group as usize])
            .collect();
        let own = turned(&self.own, &order, |key| &key.values);
        let measures = turned(&self.measures, &order, |measures| measures);
        let columns = seen.columns.iter().map(|name| match self.column(name) {
            Some(Place::Shared(place)) => {
                let cells = keys.iter().map(|key| self.shared[key.kind as usize][place]);
                let cells: Vec<Cell> = cells.collect();
                let valid = Bits::of_rows(cells.len(), |row| cells[row].is_some());
                let values = cells.iter().map(|cell| cell.unwrap_or_default());
                let kind = &self.layout.shared[place].1;
                key_column(name, kind, values, valid, seen.constants)
            }
            Some(Place::Own(place)) => {
                let valid = Bits::of_rows(keys.len(), |row| keys[row].cell(place).is_some());
                let kind = &self.layout.own[place].1;
                key_column(
                    name,
                    kind,
                    own[place].iter().copied(),
                    valid,
                    seen.constants,
                )
            }
            Some(Place::Measure(place)) => {
                measure_column(name, self.layout.measures[place].1, &measures[place])
            }
            None => self.exemplars(name, &order, fields),
        });
        Array::of_columns(order.len(), columns.collect())
    }

    /// Where a column is by name.
    fn column(&self, name: &str) -> Option<Place> {
        let named = |(one, _): &(&str, Kind)| *one == name;
        let measured = |(one, _): &(&str, Merge)| *one == name;
        let shared = self.layout.shared.iter().position(named).map(Place::Shared);
        let own = self.layout.own.iter().position(named).map(Place::Own);
        let measure = self.layout.measures.iter().position(measured);
        shared.or(own).or(measure.map(Place::Measure))
    }

    /// The keys in their order in the table: what they hold, and how they are told of a group.
    fn keys(&self, seen: &Seen<'_>) -> Vec<Asked<'_>> {
        let key = |name: &String| -> Option<Asked<'_>> {
            match self.column(name)? {
                Place::Shared(place) => Some((
                    &self.layout.shared[place].1,
                    Box::new(move |group| {
                        self.shared[self.own[group as usize].kind as usize][place]
                    }),
                )),
                Place::Own(place) => Some((
                    &self.layout.own[place].1,
                    Box::new(move |group| self.own[group as usize].cell(place)),
                )),
                Place::Measure(_) => None,
            }
        };
        seen.columns.iter().filter_map(key).collect()
    }

    /// All groups by their keys, a null before every value; those of a sampled table by one number.
    fn order(&self, seen: &Seen<'_>) -> Vec<u32> {
        if seen.level.is_some() {
            return self.mixed_order(seen);
        }
        let mut order: Vec<u32> = (0..self.own.len() as u32).collect();
        let keys = self.keys(seen);
        order.sort_unstable_by(|one, other| {
            let mut each = keys.iter().map(|(kind, tell)| {
                let (one, other) = (tell(*one), tell(*other));
                match kind {
                    Kind::Number | Kind::Bin | Kind::Class => one
                        .map(|value| value as i64)
                        .cmp(&other.map(|value| value as i64)),
                    _ => one.cmp(&other),
                }
            });
            each.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
        });
        order
    }

    fn mixed_order(&self, seen: &Seen<'_>) -> Vec<u32> {
        let (mut shared, mut own, mut pane, mut count) = ([0; P], [0; R], 0, 0);
        for name in seen.columns {
            match self.column(name) {
                Some(Place::Shared(place)) => shared[place] = factor(count),
                Some(Place::Own(place)) => own[place] = factor(count),
                _ => continue,
            }
            count += 1;
        }
        if let Some(Place::Own(place)) = self.column("pane") {
            pane = place;
        }
        let sums = self
            .shared
            .iter()
            .map(|cells| sum(cells.iter().copied(), &shared));
        let sums: Vec<u64> = sums.collect();
        ordered(self.own.iter().map(|key| {
            let cells = (0..R).map(|place| key.cell(place));
            let whole = sums[key.kind as usize].wrapping_add(sum(cells, &own));
            (key.values[pane] as i64, whole)
        }))
    }

    fn exemplars(&self, name: &str, order: &[u32], fields: &[Field<'_>]) -> Array {
        let mut offsets = vec![0];
        let mut rows = vec![];
        for group in order {
            let worst = self.worst.get(*group as usize).into_iter().flatten();
            rows.extend(worst.copied().filter(|row| *row != NONE));
            offsets.push(rows.len() as i64);
        }
        let some = Bits::of_rows(order.len(), |row| offsets[row] < offsets[row + 1]);
        let told = fields.iter().map(|field| field.of(&rows)).collect();
        Array::of_lists(name, offsets, Values::Struct(rows.len(), told), Some(some))
    }
}

/// Some rows in an order, as columns; of a few rows at a time, so that each is read once.
fn turned<T, V: Copy, const N: usize>(
    rows: &[T],
    order: &[u32],
    values: impl Fn(&T) -> &[V; N],
) -> [Vec<V>; N] {
    let mut columns = std::array::from_fn(|_| Vec::with_capacity(order.len()));
    for some in order.chunks(64) {
        for (place, column) in columns.iter_mut().enumerate() {
            column.extend(some.iter().map(|row| values(&rows[*row as usize])[place]));
        }
    }
    columns
}

fn measure_column(name: &str, merge: Merge, values: &[i64]) -> Array {
    let none = match merge {
        Merge::Sum | Merge::Least | Merge::Most => None,
        Merge::LeastKnown => Some(NO_LEAST),
        Merge::MostKnown => Some(NO_MOST),
    };
    let valid = none.map(|none| Bits::of_rows(values.len(), |row| values[row] != none));
    Array::new(name, Values::I64(values.to_vec()), valid)
}

/// A column of the key of each group.
fn key_column(
    name: &str,
    kind: &Kind,
    values: impl Iterator<Item = u64>,
    valid: Bits,
    constants: &Constants,
) -> Array {
    let values = match kind {
        Kind::Code => Values::U64(values.collect()),
        Kind::Number => Values::I64(values.map(|value| value as i64).collect()),
        Kind::Bin => Values::I16(values.map(|value| value as i16).collect()),
        Kind::Class => Values::I8(values.map(|value| value as i8).collect()),
        Kind::Traits => Values::U32(values.map(|value| value as u32).collect()),
        Kind::Truth => Values::Bits(values.map(|value| value != 0).collect()),
        Kind::Name(list) => {
            let numbers = values.map(|value| value as u8).collect();
            return Array::of_names(name, numbers, Some(valid), list(constants));
        }
    };
    Array::new(name, values, Some(valid))
}
