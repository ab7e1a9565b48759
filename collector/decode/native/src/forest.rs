//! Traces as runs of rows: their order, who is whose parent, and cycles.
//!
//! The other half of `detectors/kit/forest.py`, which does the same over whole columns. A trace is a
//! run of rows here, most of them short, in the order (`start_ns`, -`duration_ns`, `span_id`); traces
//! come in any order.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::ops::Range;

use crate::reading::{Column, Table};

/// Times and durations are held below this, so that sums of two never overflow.
pub const MAX_TIME_NS: i64 = 1 << 61;
/// No parent.
pub const NONE: i32 = -1;
/// Runs up to this are searched row by row: that is sooner than sorting them.
const FEW: usize = 24;

/// What tells traces and parents, of rows in any order.
pub struct Ids<'a> {
    /// trace id, upper half
    pub high: Cow<'a, [u64]>,
    /// trace id, lower half
    pub low: Cow<'a, [u64]>,
    /// span id
    pub span: Cow<'a, [u64]>,
    /// id of the parent
    pub above: Column<'a, u64>,
    /// start in ns, clipped to 0 … `MAX_TIME_NS`
    pub start: Cow<'a, [i64]>,
    /// duration in ns, clipped likewise
    pub duration: Cow<'a, [i64]>,
}

impl<'a> Ids<'a> {
    /// Those of a table; none where columns are missing or rows too many to be numbered.
    #[must_use]
    pub fn of(table: &'a Table) -> Option<Self> {
        i32::try_from(table.len()).ok()?;
        Some(Self {
            high: table.numbers("trace_hi")?.filled(),
            low: table.numbers("trace_lo")?.filled(),
            span: table.numbers("span_id")?.filled(),
            above: table.numbers("parent_span_id")?,
            start: clipped(table.numbers("start_ns")?.filled()),
            duration: clipped(table.numbers("duration_ns")?.filled()),
        })
    }

    /// Whether each trace stands together, in its order.
    #[must_use]
    pub fn in_order(&self) -> bool {
        let later = |row: usize| (self.start[row], Reverse(self.duration[row]), self.span[row]);
        let trace = |row: usize| (self.high[row], self.low[row]);
        let mut heads = vec![];
        for run in self.runs() {
            if !run.clone().skip(1).all(|row| later(row - 1) <= later(row)) {
                return false;
            }
            heads.push(trace(run.start));
        }
        if !heads.is_sorted() {
            heads.sort_unstable();
        }
        heads.windows(2).all(|two| two[0] != two[1])
    }

    /// The rows of each trace.
    pub fn runs(&self) -> impl Iterator<Item = Range<usize>> + '_ {
        runs(&self.high, &self.low)
    }
}

/// Times within 0 … `MAX_TIME_NS`.
#[must_use]
pub fn clipped(times: Cow<'_, [i64]>) -> Cow<'_, [i64]> {
    let within = |time: &i64| (0..=MAX_TIME_NS).contains(time);
    // No early end, so that the loop is a wide one.
    if times.iter().fold(true, |all, time| all & within(time)) {
        return times;
    }
    times.iter().map(|t| (*t).clamp(0, MAX_TIME_NS)).collect()
}

/// Runs of rows that agree in both numbers.
pub fn runs<'a>(high: &'a [u64], low: &'a [u64]) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut begin = 0;
    std::iter::from_fn(move || {
        let trace = (high.get(begin)?, low.get(begin)?);
        let rest = high[begin..].iter().zip(&low[begin..]);
        let run = begin..begin + rest.take_while(|row| *row == trace).count();
        begin = run.end;
        Some(run)
    })
}

/// The parents of rows whose traces stand together.
#[derive(Default)]
pub struct Parents {
    /// row of the parent of each row, or `NONE`
    pub rows: Vec<i32>,
    /// rows whose span id another row of the trace has, ascending
    pub doubled: Vec<u32>,
    sorted: Vec<(u64, u32)>,
}

impl Parents {
    /// Found by their ids: the first row of the trace that has it, be it the row itself.
    #[must_use]
    pub fn of(ids: &Ids<'_>) -> Self {
        let mut parents = Self {
            rows: vec![NONE; ids.span.len()],
            ..Self::default()
        };
        for run in ids.runs() {
            if run.len() <= FEW {
                parents.scan(ids, run);
            } else {
                parents.sort(ids, run);
            }
        }
        parents.doubled.sort_unstable();
        parents.doubled.dedup();
        parents
    }

    fn scan(&mut self, ids: &Ids<'_>, run: Range<usize>) {
        let spans = &ids.span[run.clone()];
        for (place, span) in spans.iter().enumerate() {
            if let Some(first) = spans[..place].iter().position(|before| before == span) {
                let rows = [first, place].map(|place| (run.start + place) as u32);
                self.doubled.extend(rows);
            }
            if let Some(wanted) = ids.above.known(run.start + place) {
                if let Some(found) = spans.iter().position(|span| *span == wanted) {
                    self.rows[run.start + place] = (run.start + found) as i32;
                }
            }
        }
    }

    fn sort(&mut self, ids: &Ids<'_>, run: Range<usize>) {
        self.sorted.clear();
        let keys = run.clone().map(|row| (ids.span[row], row as u32));
        self.sorted.extend(keys);
        self.sorted.sort_unstable();
        for two in self.sorted.windows(2).filter(|two| two[0].0 == two[1].0) {
            self.doubled.extend([two[0].1, two[1].1]);
        }
        for row in run {
            if let Some(wanted) = ids.above.known(row) {
                let place = self.sorted.partition_point(|key| key.0 < wanted);
                match self.sorted.get(place) {
                    Some((span, found)) if *span == wanted => self.rows[row] = *found as i32,
                    _ => {}
                }
            }
        }
    }
}

/// Rows to be cut from their parent so that no cycle is left, ascending: the first of each.
#[must_use]
pub fn cycle_cuts(parent: &[i32]) -> Vec<u32> {
    let mut cuts = Vec::new();
    if (0..).zip(parent).all(|(row, above): (i32, _)| *above < row) {
        return cuts;
    }
    let mut walk = vec![0u32; parent.len()]; // by which walk a row was passed, 0 for none
    for first in 0..parent.len() {
        let number = first as u32 + 1;
        let mut row = first as i32;
        while row >= 0 && walk[row as usize] == 0 {
            walk[row as usize] = number;
            row = parent[row as usize];
        }
        if row >= 0 && walk[row as usize] == number {
            cuts.push(first_of_cycle(parent, row));
        }
    }
    cuts.sort_unstable();
    cuts
}

fn first_of_cycle(parent: &[i32], on_it: i32) -> u32 {
    let (mut first, mut row) = (on_it, parent[on_it as usize]);
    while row != on_it {
        first = first.min(row);
        row = parent[row as usize];
    }
    first as u32
}

/// Visits all rows, each after its parent. There are no cycles.
pub fn downwards(parent: &[i32], mut visit: impl FnMut(usize)) {
    if (0..).zip(parent).all(|(row, above): (i32, _)| *above < row) {
        (0..parent.len()).for_each(visit);
        return;
    }
    let mut visited = vec![false; parent.len()];
    let mut waiting = Vec::new();
    for first in 0..parent.len() {
        let mut row = first as i32;
        while row >= 0 && !visited[row as usize] {
            visited[row as usize] = true;
            waiting.push(row as usize);
            row = parent[row as usize];
        }
        while let Some(row) = waiting.pop() {
            visit(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<'a>(trace: &[u64], span: &[u64], above: Column<'a, u64>) -> Ids<'a> {
        Ids {
            high: vec![0; span.len()].into(),
            low: trace.to_vec().into(),
            span: span.to_vec().into(),
            above,
            start: vec![0; span.len()].into(),
            duration: vec![0; span.len()].into(),
        }
    }

    #[test]
    fn parents_are_found_in_their_trace_only() {
        let above = [9, 1, 1, 2];
        let ids = ids(&[1, 1, 2, 2], &[1, 2, 1, 3], Column::of(&above));
        let parents = Parents::of(&ids);
        assert_eq!(parents.rows, [NONE, 0, 2, NONE]);
        assert!(parents.doubled.is_empty());
    }

    #[test]
    fn long_and_short_runs_are_searched_alike() {
        for count in [FEW as u64 - 2, FEW as u64 - 1] {
            let span: Vec<u64> = (0..count).rev().chain([3, 3]).collect();
            let above: Vec<u64> = (0..count).map(|id| id / 2 + 3).chain([3, 3]).collect();
            let trace = vec![7; span.len()];
            let parents = Parents::of(&ids(&trace, &span, Column::of(&above)));
            let count = count as u32;
            assert_eq!(parents.doubled, [count - 4, count, count + 1]);
            for (row, found) in parents.rows.iter().enumerate() {
                let wanted = span.iter().position(|id| *id == above[row]);
                assert_eq!(*found, wanted.map_or(NONE, |row| row as i32));
            }
        }
    }

    #[test]
    fn the_order_is_by_start_length_and_id_in_traces_that_stand_together() {
        let above = [0; 4];
        assert!(ids(&[2, 2, 1], &[1, 1, 1], Column::of(&above)).in_order());
        assert!(!ids(&[2, 1, 3, 2], &[1, 2, 3, 4], Column::of(&above)).in_order());
        let mut two = ids(&[1, 1], &[1, 2], Column::of(&above));
        assert!(two.in_order());
        two.duration = vec![0, 1].into();
        assert!(!two.in_order());
        two.start = vec![0, 1].into();
        assert!(two.in_order());
    }

    #[test]
    fn of_each_cycle_the_first_row_is_cut() {
        assert_eq!(cycle_cuts(&[2, 0, 1, 0, 4, NONE, 5, 8, 7]), [0, 4, 7]);
        assert!(cycle_cuts(&[NONE, 2, 0]).is_empty());
    }

    #[test]
    fn parents_are_visited_first() {
        let parent = [3, 0, NONE, 2, 1];
        let mut order = Vec::new();
        downwards(&parent, |row| order.push(row));
        assert_eq!(order, [2, 3, 0, 1, 4]);
    }

    #[test]
    fn times_are_clipped() {
        let times = clipped(Cow::Owned(vec![-1, 5, i64::MAX]));
        assert_eq!(times, &[0, 5, MAX_TIME_NS][..]);
    }
}
