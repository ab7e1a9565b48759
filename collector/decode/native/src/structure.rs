//! Assembles traces: the columns `STRUCTURE` of `detectors/kit/structure.py`, which defines them.

use std::borrow::Cow;

use crate::arrow::{Array, Values};
use crate::bits::{codes, gathered};
use crate::columns::Bits;
use crate::constants::Constants;
use crate::forest::{cycle_cuts, downwards, Ids, Parents, MAX_TIME_NS, NONE};
use crate::reading::{Column, Table};

const MAX_DEPTH: u32 = 65_535;

/// What structure is made of, beside `Ids`.
struct Given<'a> {
    ids: Ids<'a>,
    span: &'a [u64],
    service: Cow<'a, [u64]>,
    label: Column<'a, u64>,
    kind: &'a [u8],
    status: &'a [u8],
    start: &'a [i64],
    duration: &'a [i64],
}

impl<'a> Given<'a> {
    fn of(table: &'a Table) -> Option<Self> {
        Some(Self {
            ids: Ids::of(table)?,
            span: table.numbers("span_id")?.whole()?,
            service: table.numbers("service")?.filled(),
            label: table.numbers("label")?,
            kind: table.numbers("kind")?.whole()?,
            status: table.numbers("status")?.whole()?,
            start: table.numbers("start_ns")?.whole()?,
            duration: table.numbers("duration_ns")?.whole()?,
        })
    }
}

/// Who stands above each row, in which sense.
struct Above {
    parent: Vec<i32>,
    root: Vec<u32>,
    depth: Vec<u32>,
    /// Topmost row of the service before a SERVER or CONSUMER span.
    top: Vec<u32>,
    /// Service of the nearest ancestor in another service.
    caller: Vec<Option<u64>>,
    /// Rows whose parent and entry are not there.
    orphan: Vec<bool>,
}

/// Entries: their rows, their numbers, and what is told of those whose span is missing.
struct Entries {
    row: Vec<u32>,
    number: Vec<u32>,
    /// By number: first start and last end of the spans. Empty where no span is missing.
    extent: Vec<(i64, i64)>,
}

/// The columns `STRUCTURE`, in order; none where rows are not in order or odd.
#[must_use]
pub fn structure(table: &Table, constants: &Constants) -> Option<Array> {
    let given = Given::of(table)?;
    if !given.ids.in_order() {
        return None;
    }
    let mut parent = Parents::of(&given.ids).rows;
    for row in cycle_cuts(&parent) {
        parent[row as usize] = NONE;
    }
    let above = stand(&given, parent, constants);
    let entries = entries(&given, &above);
    let mut columns = vec![numbers("trace", traces(&given.ids))];
    columns.extend(entry_columns(&given, &above, &entries, constants));
    let self_ns = self_ns(&given.ids, &above.parent);
    let origins = error_origins(&given, &above.parent, constants.error);
    let depth = above.depth.iter().map(|d| (*d).min(MAX_DEPTH) as u16);
    columns.extend([
        numbers("root", above.root),
        Array::new("depth", Values::U16(depth.collect()), None),
        Array::new("parent_row", Values::I32(above.parent), None),
        Array::new("self_ns", Values::I64(self_ns), None),
        codes("caller", table.len(), |row| above.caller[row]),
        Array::new("error_origin", Values::Bits(origins), None),
    ]);
    Some(Array::of_columns(table.len(), columns))
}

fn numbers(name: &str, values: Vec<u32>) -> Array {
    Array::new(name, Values::U32(values), None)
}

fn traces(ids: &Ids<'_>) -> Vec<u32> {
    let mut traces = Vec::with_capacity(ids.span.len());
    for (number, run) in ids.runs().enumerate() {
        traces.resize(run.end, number as u32);
    }
    traces
}

fn stand(given: &Given<'_>, parent: Vec<i32>, constants: &Constants) -> Above {
    let own = || (0..parent.len() as u32).collect::<Vec<u32>>();
    let (mut root, mut top) = (own(), own());
    let mut depth = vec![0; parent.len()];
    let mut caller = vec![None; parent.len()];
    let mut orphan = vec![false; parent.len()];
    downwards(&parent, |row| {
        let serves = constants.serves(given.kind[row]);
        let Ok(above) = usize::try_from(parent[row]) else {
            orphan[row] = !serves && given.ids.above.has(row);
            return;
        };
        root[row] = root[above];
        depth[row] = depth[above] + 1;
        if given.service[above] != given.service[row] {
            caller[row] = Some(given.service[above]);
            return;
        }
        caller[row] = caller[above];
        if !serves {
            top[row] = top[above];
        }
    });
    Above {
        parent,
        root,
        depth,
        top,
        caller,
        orphan,
    }
}

fn entries(given: &Given<'_>, above: &Above) -> Entries {
    let mut row = above.top.clone();
    let some_missing = above.orphan.contains(&true);
    if some_missing {
        let first = first_of_group(given, &above.orphan);
        for top in &mut row {
            *top = first[*top as usize];
        }
    }
    let mut own = Vec::with_capacity(row.len()); // number of the entry that a row is
    let mut count = 0;
    for (place, entry) in row.iter().enumerate() {
        own.push(count);
        count += u32::from(*entry as usize == place);
    }
    let number: Vec<u32> = row.iter().map(|entry| own[*entry as usize]).collect();
    let mut extent = Vec::new();
    if some_missing {
        extent = vec![(MAX_TIME_NS, 0); count as usize];
        let times = given.ids.start.iter().zip(given.ids.duration.iter());
        for (entry, (start, duration)) in number.iter().zip(times) {
            let (first, last) = &mut extent[*entry as usize];
            *first = (*first).min(*start);
            *last = (*last).max(*start + *duration);
        }
    }
    Entries {
        row,
        number,
        extent,
    }
}

/// For each row itself; for one without its parent the first of its trace, service and parent id.
fn first_of_group(given: &Given<'_>, orphan: &[bool]) -> Vec<u32> {
    let mut first: Vec<u32> = (0..orphan.len() as u32).collect();
    let mut group = Vec::new();
    for run in given.ids.runs() {
        group.clear();
        let tops = run.filter(|row| orphan[*row]);
        group.extend(tops.map(|row| (given.service[row], given.ids.above.get(row), row as u32)));
        group.sort_unstable();
        for place in 1..group.len() {
            let ((service, above, row), before) = (group[place], group[place - 1]);
            if (service, above) == (before.0, before.1) {
                first[row as usize] = first[before.2 as usize];
            }
        }
    }
    first
}

/// `entry` … `is_entry`
fn entry_columns(
    given: &Given<'_>,
    above: &Above,
    entries: &Entries,
    constants: &Constants,
) -> [Array; 8] {
    let rows = entries.row.len();
    let mut told = Told {
        label: gathered(&given.label.filled(), &entries.row),
        kind: gathered(given.kind, &entries.row),
        status: gathered(given.status, &entries.row),
        start: gathered(given.start, &entries.row),
        duration: gathered(given.duration, &entries.row),
    };
    let entry = |row: usize| entries.row[row] as usize;
    let missing = |row: usize| above.orphan[entry(row)];
    let any = !entries.extent.is_empty();
    if any {
        for row in (0..rows).filter(|row| missing(*row)) {
            told.blank(row, entries.extent[entries.number[row] as usize], constants);
        }
    }
    let known = any.then(|| Bits::of_rows(rows, |row| !missing(row)));
    let labels = given.label.nullable();
    let labelled = |row: usize| missing(row) || given.label.has(entry(row));
    let labelled = labels.then(|| Bits::of_rows(rows, labelled));
    let is_entry = Bits::of_rows(rows, |row| entry(row) == row && !above.orphan[row]);
    let span = gathered(given.span, &entries.row);
    [
        numbers("entry", entries.number.clone()),
        Array::new("entry_span", Values::U64(span), known),
        Array::new("entry_label", Values::U64(told.label), labelled),
        Array::of_names("entry_kind", told.kind, None, &constants.kinds),
        Array::new("entry_start_ns", Values::I64(told.start), None),
        Array::new("entry_duration_ns", Values::I64(told.duration), None),
        Array::of_names("entry_status", told.status, None, &constants.statuses),
        Array::new("is_entry", Values::Bits(is_entry), None),
    ]
}

/// What is told of the entry of each row.
struct Told {
    label: Vec<u64>,
    kind: Vec<u8>,
    status: Vec<u8>,
    start: Vec<i64>,
    duration: Vec<i64>,
}

impl Told {
    /// An entry whose span is missing gets the name `(missing)` and the extent of its spans.
    fn blank(&mut self, row: usize, (first, last): (i64, i64), constants: &Constants) {
        self.label[row] = constants.missing.first().copied().unwrap_or_default();
        self.kind[row] = constants.unspecified;
        self.status[row] = constants.unset;
        self.start[row] = first;
        self.duration[row] = last - first;
    }
}

/// Durations without the union of the children's intervals inside. Rows are in order of start.
fn self_ns(ids: &Ids<'_>, parent: &[i32]) -> Vec<i64> {
    let mut left = ids.duration.to_vec();
    let mut reached = vec![0; parent.len()];
    for (row, above) in parent.iter().enumerate() {
        let Ok(above) = usize::try_from(*above) else {
            continue;
        };
        let begin = ids.start[row] - ids.start[above];
        let end = (begin + ids.duration[row]).clamp(0, ids.duration[above]);
        let begin = begin.clamp(0, ids.duration[above]);
        left[above] -= (end - begin.max(reached[above])).max(0);
        reached[above] = end.max(reached[above]);
    }
    left
}

fn error_origins(given: &Given<'_>, parent: &[i32], error: u8) -> Bits {
    let mut origin: Vec<bool> = given.status.iter().map(|s| *s == error).collect();
    for (above, status) in parent.iter().zip(given.status) {
        if let (Ok(above), true) = (usize::try_from(*above), *status == error) {
            origin[above] = false;
        }
    }
    Bits::of_rows(origin.len(), |row| origin[row])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tabled::{codes, constants, names, read, times};

    /// A server span, its call, the answer of another service with an error, and an orphan.
    fn told(start: [i64; 4]) -> Option<Table> {
        let constants = constants();
        let (server, client) = (constants.server, constants.client);
        let columns = vec![
            codes("trace_hi", &[1; 4]),
            codes("trace_lo", &[1; 4]),
            codes("span_id", &[1, 2, 3, 4]),
            codes("parent_span_id", &[0, 1, 2, 9]),
            times("start_ns", &start),
            times("duration_ns", &[10, 6, 9, 5]),
            codes("service", &[7, 7, 8, 8]),
            codes("label", &[21, 22, 23, 24]),
            names("kind", &[server, client, server, client]),
            names("status", &[0, 0, constants.error, 0]),
        ];
        let table = read(Array::of_columns(4, columns));
        structure(&table, &constants).map(read)
    }

    #[test]
    fn structure_is_told_of_a_trace() {
        let told = told([0, 2, 3, 8]).expect("rows in order");
        let number = |name: &str| told.numbers::<u32>(name).expect(name).filled().into_owned();
        let time = |name: &str| told.numbers::<i64>(name).expect(name).filled().into_owned();
        let code = |name: &str| told.numbers::<u64>(name).expect(name).filled().into_owned();
        let truth = |name: &str, row| told.flags(name).expect(name).known(row) == Some(true);
        assert_eq!(number("trace"), [0; 4]);
        assert_eq!(number("entry"), [0, 0, 1, 2]);
        assert_eq!(code("entry_span"), [1, 1, 3, 0]);
        assert_eq!(code("entry_label"), [21, 21, 23, 1_007]);
        assert_eq!(time("entry_start_ns"), [0, 0, 3, 8]);
        assert_eq!(time("entry_duration_ns"), [10, 10, 9, 5]);
        assert_eq!(number("root"), [0, 0, 0, 3]);
        assert_eq!(time("self_ns"), [4, 1, 9, 5]);
        assert_eq!(code("caller"), [0, 0, 7, 0]);
        let parent = told.numbers::<i32>("parent_row").expect("a column");
        assert_eq!(parent.whole(), Some(&[-1, 0, 1, -1][..]));
        assert!(truth("is_entry", 0) && truth("is_entry", 2) && !truth("is_entry", 3));
        assert!(truth("error_origin", 2) && !truth("error_origin", 0));
    }

    #[test]
    fn rows_in_another_order_are_left_alone() {
        assert!(told([0, 3, 2, 8]).is_none());
    }
}
