//! Calls that are attempts of one: `_sent`, `_measured` and `_told` of `detectors/kit/attempts.py`.

use super::spans::Spans;
use crate::constants::Constants;

/// How often a span was sent, as far as it shows.
pub struct Sent {
    /// by itself or inside
    pub sends: i64,
    /// the span says that it repeats so many earlier ones
    pub again: i64,
}

impl Sent {
    /// HTTP counts resends over sibling spans, others within one span.
    #[must_use]
    pub fn of(spans: &Spans<'_>, row: usize, c: &Constants) -> Self {
        let resends = i64::from(spans.resends.get(row));
        let tries = i64::from(spans.tries.known(row).unwrap_or(1).max(1));
        let (inside, again) = if spans.category[row] == c.http {
            (0, resends)
        } else {
            (resends, 0)
        };
        let sends = tries.max(inside + 1);
        Self { sends, again }
    }
}

/// A group of calls of which some failed.
pub struct Tried {
    /// row of the earliest
    pub first: usize,
    /// of the first three
    pub span_ids: Vec<u64>,
    /// the smallest service that answered
    pub callee: Option<u64>,
    /// the smallest label of an answer
    pub operation: Option<u64>,
    /// they are attempts of one call
    pub one_call: bool,
    /// attempts, those inside spans included
    pub attempts: i64,
    /// those inside spans
    pub hidden: i64,
    /// logical calls
    pub logical: i64,
    /// of these, failed in the end
    pub lost: i64,
    /// failed calls whose attempts would not show
    pub unseen: i64,
    /// time of the attempts after the first
    pub extra_ns: i64,
    /// earliest start
    pub first_ns: i64,
    /// latest end
    pub last_ns: i64,
}

impl Tried {
    /// Of the rows of one group, in order of start.
    #[must_use]
    pub fn of(spans: &Spans<'_>, rows: &[usize], c: &Constants) -> Self {
        let (first, last, len) = (rows[0], rows[rows.len() - 1], rows.len() as i64);
        let sent: Vec<Sent> = rows.iter().map(|row| Sent::of(spans, *row, c)).collect();
        let failed = |row: &&usize| spans.failed.is(**row);
        let head_failed = rows[..rows.len() - 1].iter().all(|row| failed(&row));
        let one_call = head_failed && !overlap(spans, rows);
        let sends: i64 = sent.iter().map(|sent| sent.sends).sum();
        let again = sent.iter().map(|sent| sent.again).max().unwrap_or_default();
        let once = len - sent.iter().filter(|sent| sent.again > 0).count() as i64;
        let failures = rows.iter().filter(failed).count() as i64;
        let inside = |(row, sent): (&usize, &Sent)| {
            (spans.duration_ns[*row] * (sent.sends - 1)).div_euclid(sent.sends)
        };
        let later: i64 = rows[1..].iter().map(|row| spans.duration_ns[*row]).sum();
        let smallest = |column: &dyn Fn(usize) -> Option<u64>| {
            rows.iter().filter_map(|row| column(*row)).min()
        };
        Self {
            first,
            span_ids: rows.iter().take(3).map(|row| spans.span_id[*row]).collect(),
            callee: smallest(&|row| spans.callee.known(row)),
            operation: smallest(&|row| spans.callee_label.known(row)),
            one_call,
            attempts: if one_call {
                sends.max(again + 1)
            } else {
                sends
            },
            hidden: sends - len,
            logical: if one_call { 1 } else { once.max(1) },
            lost: if one_call {
                i64::from(failed(&&last))
            } else {
                failures.min(once)
            },
            unseen: rows.iter().filter(|row| unseen(spans, **row, c)).count() as i64,
            extra_ns: if one_call {
                later + inside((&first, &sent[0]))
            } else {
                rows.iter().zip(&sent).map(inside).sum()
            },
            first_ns: spans.start_ns[first],
            last_ns: rows
                .iter()
                .map(|row| spans.end_ns(*row))
                .max()
                .unwrap_or_default(),
        }
    }
}

/// Whether a call starts before one of those before it ended.
fn overlap(spans: &Spans<'_>, rows: &[usize]) -> bool {
    let mut reached = spans.end_ns(rows[0]);
    rows[1..].iter().any(|row| {
        let overlaps = spans.start_ns[*row] < reached;
        reached = reached.max(spans.end_ns(*row));
        overlaps
    })
}

/// Whether a call failed without an answer and without a count: attempts inside it would not show.
fn unseen(spans: &Spans<'_>, row: usize, c: &Constants) -> bool {
    let is_remote = spans.category[row] == c.http || spans.category[row] == c.rpc;
    let told = spans.servers.has(row) || spans.resends.has(row);
    is_remote && spans.failed.is(row) && !told
}
