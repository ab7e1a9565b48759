//! The same work done again and again within one entry: a run of rows, measured.
//!
//! Names are those of `_measures` and `_classes` in `detectors/facts/repeats.py`, which define them.

use super::spans::Spans;
use crate::constants::Constants;

/// What the rows of a run have in common, and how they differ.
pub struct Repetition {
    /// the earliest
    pub first: usize,
    /// of the first three
    pub span_ids: Vec<u64>,
    /// the smallest that is known
    pub callee: Option<u64>,
    /// likewise
    pub callee_label: Option<u64>,
    /// different repeats
    pub n: i64,
    /// operations
    pub spans: i64,
    /// rows in error
    pub failed: i64,
    /// all but the last failed
    pub attempts: bool,
    /// by number, as `VALUES`
    pub values: u8,
    /// by number, as `MODES`
    pub mode: u8,
    /// traits that most have
    pub form: u32,
    /// of failed, interval and spread
    pub classes: [i64; 3],
    /// time in which at least one ran
    pub busy_ns: i64,
    /// of it, beyond the slowest
    pub wasted_ns: i64,
    /// earliest start
    pub first_ns: i64,
    /// latest end
    pub last_ns: i64,
}

const MS: i64 = 1_000_000;
const FAILED_PERCENT: [i64; 4] = [1, 11, 26, 51];
const INTERVAL_MS: [i64; 5] = [10, 100, 500, 1_000, 5_000];
const SPREAD: [i64; 3] = [15, 20, 40];

/// Traits that a rule might ask for.
fn forms(c: &Constants) -> [u32; 7] {
    [
        c.listed,
        c.paged,
        c.pipeline,
        c.multi_row,
        c.locking,
        c.parameters,
        c.aggregated,
    ]
}

/// How many of the ascending edges a number reaches.
#[must_use]
pub fn class_of(number: i64, edges: &[i64]) -> i64 {
    edges.iter().filter(|edge| number >= **edge).count() as i64
}

impl Repetition {
    /// Of rows of one entry and kind of work, in order of start.
    #[must_use]
    pub fn of(spans: &Spans<'_>, rows: &[u32], c: &Constants) -> Self {
        let rows: Vec<usize> = rows.iter().map(|row| *row as usize).collect();
        let (first, len) = (rows[0], rows.len() as i64);
        let count = |is: &dyn Fn(usize) -> bool| rows.iter().filter(|row| is(**row)).count() as i64;
        let failed = count(&|row| spans.failed.is(row));
        let head = &rows[..rows.len() - 1];
        let mostly = |bit: &u32| count(&|row| spans.traits[row] & bit == *bit) * 2 >= len;
        let form = forms(c).into_iter().filter(mostly).sum::<u32>();
        let (busy_ns, overlaps) = busy(spans, &rows);
        let slowest = rows.iter().map(|row| spans.duration_ns[*row]).max();
        let operations = rows.iter().map(|row| i64::from(spans.repeat[*row])).sum();
        let (values, told) = values(spans, &rows, form & c.aggregated != 0, c);
        let work = spans.work.get(first);
        let is_read = work == c.query || work == c.call;
        let ends = rows.iter().map(|row| spans.end_ns(*row));
        let least = |column: &dyn Fn(usize) -> Option<u64>| {
            rows.iter().filter_map(|row| column(*row)).min()
        };
        let [interval, spread] = intervals(spans, &rows);
        Self {
            first,
            span_ids: rows.iter().take(3).map(|row| spans.span_id[*row]).collect(),
            callee: least(&|row| spans.callee.known(row)),
            callee_label: least(&|row| spans.callee_label.known(row)),
            n: told.filter(|_| is_read).unwrap_or(operations),
            spans: operations,
            failed,
            attempts: failed != 0 && head.iter().all(|row| spans.failed.is(*row)),
            values,
            mode: if overlaps * 2 >= len {
                c.parallel
            } else {
                c.sequential
            },
            form,
            classes: [
                class_of(failed * 100 / len, &FAILED_PERCENT),
                interval,
                spread,
            ],
            busy_ns,
            wasted_ns: (busy_ns - slowest.unwrap_or_default()).max(0),
            first_ns: spans.start_ns[first],
            last_ns: ends.max().unwrap_or_default(),
        }
    }
}

/// Time in which at least one row runs, and how many start before another one ended.
fn busy(spans: &Spans<'_>, rows: &[usize]) -> (i64, i64) {
    let (mut busy_ns, mut overlaps) = (0, 0);
    let mut reached: Option<i64> = None;
    for row in rows {
        let (start, end) = (spans.start_ns[*row], spans.end_ns(*row));
        let begin = reached.map_or(start, |reached| reached.max(start));
        busy_ns += (end - begin).max(0);
        overlaps += i64::from(reached.is_some_and(|reached| start < reached));
        reached = Some(reached.map_or(end, |reached| reached.max(end)));
    }
    (busy_ns, overlaps)
}

/// Whether the values differ, and how many there are where they are told.
fn values(spans: &Spans<'_>, rows: &[usize], aggregated: bool, c: &Constants) -> (u8, Option<i64>) {
    let told: Option<Vec<u64>> = rows.iter().map(|row| spans.values.known(*row)).collect();
    let Some(mut told) = told.filter(|_| !aggregated) else {
        return (c.hidden, None);
    };
    told.sort_unstable();
    told.dedup();
    let is = match told.len() {
        1 => c.same,
        unique if unique == rows.len() => c.distinct,
        _ => c.mixed,
    };
    (is, Some(told.len() as i64))
}

/// Classes of the median time from one start to the next, and of how even these times are.
fn intervals(spans: &Spans<'_>, rows: &[usize]) -> [i64; 2] {
    let starts = rows
        .windows(2)
        .map(|pair| spans.start_ns[pair[1]] - spans.start_ns[pair[0]]);
    let mut intervals: Vec<i64> = starts.collect();
    intervals.sort_unstable();
    let (len, longest) = (
        intervals.len(),
        intervals.last().copied().unwrap_or_default(),
    );
    let median = match len {
        0 => 0,
        _ => (intervals[(len - 1) / 2] + intervals[len / 2]) / 2,
    };
    let spread = if median < INTERVAL_MS[0] * MS {
        0 // nobody asks how even short ones are
    } else {
        class_of(longest * 10 / median.max(1), &SPREAD)
    };
    [class_of(median / MS, &INTERVAL_MS), spread]
}
