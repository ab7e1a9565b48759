//! Keeps packed rows until their traces are whole: closed on quiet, on age or on size.
//!
//! What `collector/window/reference.py` does with sorted columns this does with a map of open
//! traces: a row is put in once, looked at when its trace may end, and written to columns once.

use std::collections::{BTreeMap, VecDeque};

use crate::arrow::Array;
use crate::assembly::{assembled, Place};
use crate::closed::Closed;
use crate::held::{canonical, end_ns, start_ns, Held, NONE};
use crate::known::HashedMap;
use crate::packed::{awaited, Chunk, Plan, SPAN_ID, TRACE_HI, TRACE_LO};

const SECOND_NS: i64 = 1_000_000_000;
/// A trace of so many spans is looked through span by span.
const FEW: usize = 16;

/// When a trace is closed.
pub struct Limits {
    /// when none of its spans arrived for so long
    pub quiet_s: f64,
    /// when its first span arrived so long ago
    pub max_age_s: f64,
    /// when it has so many spans
    pub max_spans: usize,
    /// how far from its arrival the end of a span may lie
    pub max_skew_ns: i64,
}

/// What had to be done so far.
#[derive(Default, Clone, Copy)]
pub struct Counts {
    /// spans whose trace was closed before
    pub late: u64,
    /// spans whose times were moved
    pub clamped: u64,
    /// traces closed for their size
    pub huge: u64,
    /// traces closed for their age
    pub aged: u64,
    /// traces closed in all
    pub closed: u64,
}

/// A trace that is not closed.
struct Trace {
    last: u32,
    rows: usize,
    first_ns: i64,
    second: i64,
    waits: bool,
    late: bool,
}

/// A window.
pub struct Window {
    plan: Plan,
    limits: Limits,
    seed: u64,
    held: Held,
    traces: HashedMap<u64, Trace>,
    /// by second: traces that had a span then, and perhaps later
    touched: BTreeMap<i64, Vec<u64>>,
    /// by second: traces whose first span arrived then
    begun: BTreeMap<i64, Vec<u64>>,
    huge: Vec<u64>,
    /// closed traces: the last slot, how many rows, whether a part was closed before
    ready: VecDeque<(u32, usize, bool)>,
    remembered: Closed,
    /// what had to be done
    pub counts: Counts,
    /// rows of open traces
    pub rows: usize,
    /// rows of closed traces that nobody took
    pub closed_rows: usize,
    /// the latest end of a span
    pub last_end_ns: i64,
}

impl Window {
    /// An empty one; `seed` makes the places of traces in its map unguessable.
    #[must_use]
    pub fn new(plan: Plan, limits: Limits, seed: u64) -> Self {
        Self {
            plan,
            limits,
            seed,
            held: Held::default(),
            traces: HashedMap::default(),
            touched: BTreeMap::new(),
            begun: BTreeMap::new(),
            huge: Vec::new(),
            ready: VecDeque::new(),
            remembered: Closed::default(),
            counts: Counts::default(),
            rows: 0,
            closed_rows: 0,
            last_end_ns: 0,
        }
    }

    /// How rows are packed.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Traces with rows that are not closed.
    #[must_use]
    pub fn open_traces(&self) -> usize {
        self.traces.len()
    }

    /// Takes rows that arrived in a second.
    pub fn add(&mut self, chunk: Chunk, second: i64) {
        let mut held = std::mem::take(&mut self.held);
        self.rows += chunk.len();
        held.add(chunk, |chunk, run, last| {
            let first = chunk.row(run.start);
            let key = spread(first[TRACE_HI] ^ self.seed, first[TRACE_LO]);
            let count = run.len();
            let ends = run.map(|row| end_ns(chunk.row(row)));
            self.last_end_ns = ends.fold(self.last_end_ns, i64::max);
            self.chain(key, (count, last), chunk.arrival_ns, second)
        });
        self.held = held;
    }

    /// Puts rows to their trace: how many, and the slot of the last. The slot that came before.
    fn chain(
        &mut self,
        key: u64,
        (count, last): (usize, u32),
        arrival_ns: i64,
        second: i64,
    ) -> u32 {
        let remembered = &self.remembered;
        let trace = self.traces.entry(key).or_insert_with(|| Trace {
            last: NONE,
            rows: 0,
            first_ns: i64::MAX,
            second: i64::MIN,
            waits: false,
            late: remembered.knows(key),
        });
        let before = trace.rows;
        trace.rows += count;
        if arrival_ns < trace.first_ns {
            trace.first_ns = arrival_ns;
            let second = arrival_ns.div_euclid(SECOND_NS);
            self.begun.entry(second).or_default().push(key);
        }
        if trace.waits || second > trace.second {
            trace.waits = false;
            trace.second = second;
            self.touched.entry(second).or_default().push(key);
        }
        self.counts.late += count as u64 * u64::from(trace.late);
        if (before + 1..=trace.rows).contains(&self.limits.max_spans) {
            self.huge.push(key);
        }
        std::mem::replace(&mut trace.last, last)
    }

    /// Closes what is due.
    pub fn advance(&mut self, now_s: f64) {
        for key in std::mem::take(&mut self.huge) {
            self.counts.huge += u64::from(self.close(key, now_s));
        }
        let due = |second: i64, quiet_s: f64| second as f64 + 1.0 + quiet_s <= now_s;
        while let Some(second) = first_key(&self.touched).filter(|s| due(*s, self.limits.quiet_s)) {
            for key in self.touched.remove(&second).unwrap_or_default() {
                self.rested(key, second, now_s);
            }
        }
        self.close_aged(now_s);
        self.held.pack_anew();
    }

    /// Closes everything; `now_s` is the last arrival where it is not told.
    pub fn finish(&mut self, now_s: Option<f64>) {
        let last = self.traces.values().map(|trace| trace.second).max();
        let now_s = now_s.unwrap_or(last.unwrap_or(0) as f64 + 1.0);
        let mut keys: Vec<u64> = self.traces.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            self.close(key, now_s);
        }
        (self.touched, self.begun) = (BTreeMap::new(), BTreeMap::new());
        self.huge.clear();
    }

    /// A second of a trace is over: it is closed, unless it had spans later or awaits one.
    fn rested(&mut self, key: u64, second: i64, now_s: f64) {
        let Some(trace) = self.traces.get(&key) else {
            return;
        };
        if trace.second != second || trace.waits {
            return;
        }
        if !self.awaits(trace) {
            self.close(key, now_s);
        } else if let Some(trace) = self.traces.get_mut(&key) {
            trace.waits = true;
        }
    }

    /// Whether a span of the trace has a parent in its own process that is not there.
    fn awaits(&self, trace: &Trace) -> bool {
        let (mut asked, mut there) = (
            Vec::with_capacity(trace.rows),
            Vec::with_capacity(trace.rows),
        );
        for row in self.held.rows(trace.last) {
            there.push(row[SPAN_ID]);
            if let Some(parent) = awaited(row) {
                asked.push(parent);
            }
        }
        if trace.rows > FEW {
            there.sort_unstable();
            return asked.iter().any(|id| there.binary_search(id).is_err());
        }
        asked.iter().any(|id| !there.contains(id))
    }

    /// Closes the traces whose first span arrived `max_age_s` ago.
    fn close_aged(&mut self, now_s: f64) {
        let oldest = ((now_s - self.limits.max_age_s) * 1e9) as i64;
        let last = oldest.div_euclid(SECOND_NS);
        let mut later = Vec::new();
        while let Some(second) = first_key(&self.begun).filter(|second| *second <= last) {
            for key in self.begun.remove(&second).unwrap_or_default() {
                match self.traces.get(&key) {
                    Some(trace) if trace.first_ns <= oldest => {
                        self.counts.aged += u64::from(self.close(key, now_s));
                    }
                    Some(trace) if trace.first_ns.div_euclid(SECOND_NS) == second => {
                        later.push(key);
                    }
                    _ => {}
                }
            }
        }
        if !later.is_empty() {
            self.begun.insert(last, later);
        }
    }

    /// Whether there was such a trace.
    fn close(&mut self, key: u64, now_s: f64) -> bool {
        let Some(trace) = self.traces.remove(&key) else {
            return false;
        };
        self.remembered.add(key, now_s);
        self.counts.closed += 1;
        self.clamp(trace.last);
        self.rows -= trace.rows;
        self.closed_rows += trace.rows;
        self.ready.push_back((trace.last, trace.rows, trace.late));
        true
    }

    /// Holds the times of a trace within `max_skew_ns` of arrival.
    ///
    /// A trace that lies wholly outside is moved as a whole, so that its structure stays; in one
    /// that is partly inside, the spans outside are moved one by one. Durations stay.
    fn clamp(&mut self, last: u32) {
        let (mut behind, mut ahead, mut outside) = (i64::MAX, i64::MAX, false);
        for slot in self.held.trace(last) {
            let (end, low, high) = self.end_and_bounds(slot);
            behind = behind.min(low.saturating_sub(end));
            ahead = ahead.min(end.saturating_sub(high));
            outside |= !(low..=high).contains(&end);
        }
        if !outside {
            return;
        }
        let shift = behind.max(0) - ahead.max(0);
        let slots: Vec<u32> = self.held.trace(last).collect();
        for slot in slots {
            let (end, low, high) = self.end_and_bounds(slot);
            let alone = end.clamp(low, high) - end;
            let shift = if shift == 0 { alone } else { shift };
            if shift != 0 {
                self.counts.clamped += 1;
                let start = start_ns(self.held.row(slot)) + shift;
                self.held.set_start(slot, start);
            }
        }
    }

    /// The end of a span, and between which times it may lie.
    fn end_and_bounds(&self, slot: u32) -> (i64, i64, i64) {
        let ((row, arrival_ns), skew) = (self.held.arrived(slot), self.limits.max_skew_ns);
        let low = arrival_ns.saturating_sub(skew);
        (end_ns(row), low, arrival_ns.saturating_add(skew))
    }

    /// Closed traces of at most `rows` rows in all, but at least one, as columns: traces as they came,
    /// so that what is read stands together, each by start, longest first, span id. None when nothing
    /// is closed.
    pub fn take(&mut self, rows: usize) -> Option<Array> {
        let order = self.next_slots(rows);
        if order.is_empty() {
            return None;
        }
        let held = &self.held;
        let places: Vec<Place> = order.iter().map(|&slot| held.place(slot)).collect();
        let array = assembled(&self.plan, &places, |number| held.chunk(number));
        self.closed_rows -= order.len();
        self.held.free(order);
        Some(array)
    }

    /// The slots of the traces to be taken next, each trace in its order.
    fn next_slots(&mut self, rows: usize) -> Vec<u32> {
        let mut room = rows;
        let mut traces = Vec::new();
        let mut again = false;
        while let Some((last, size, late)) = self.ready.pop_front() {
            if size > room && !traces.is_empty() {
                self.ready.push_front((last, size, late));
                break;
            }
            room = room.saturating_sub(size);
            traces.push(last);
            again |= late;
        }
        let ids_of = |last: &u32| ids(self.held.row(*last));
        if again {
            traces.sort_by_key(ids_of); // another part of such a trace may be among them
        }
        let mut order = Vec::with_capacity(rows.min(self.closed_rows));
        let mut trace = Vec::new();
        for (place, last) in traces.iter().enumerate() {
            let (known, mut alike) = (ids_of(last), true);
            trace.extend(self.held.trace(*last).map(|slot| {
                let row = self.held.row(slot);
                alike &= ids(row) == known;
                (canonical(row), slot)
            }));
            let next = traces.get(place + 1).filter(|_| again);
            if next.is_some_and(|next| ids_of(next) == known) {
                continue;
            }
            trace.sort_unstable();
            if !alike {
                // Two traces whose ids mix to the same number.
                trace.sort_by_key(|(_, slot)| ids(self.held.row(*slot)));
            }
            order.extend(trace.drain(..).map(|(_, slot)| slot));
        }
        order
    }
}

fn ids(row: &[u64]) -> [u64; 2] {
    [row[TRACE_HI], row[TRACE_LO]]
}

fn first_key<V>(map: &BTreeMap<i64, V>) -> Option<i64> {
    map.first_key_value().map(|(key, _)| *key)
}

/// Two 64-bit numbers mixed into one, every bit of it well spread (splitmix64).
#[must_use]
pub fn spread(high: u64, low: u64) -> u64 {
    let mixed = low.wrapping_add(high.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = mixed.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 32)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::{Batch, Row, HAS_REMOTE};

    fn window(limits: Limits) -> Window {
        let plan = Plan::new(vec![], &[]).unwrap_or_else(|error| panic!("{error}"));
        Window::new(plan, limits, 7)
    }

    fn limits() -> Limits {
        Limits {
            quiet_s: 10.0,
            max_age_s: 60.0,
            max_spans: 100,
            max_skew_ns: 3_600 * SECOND_NS,
        }
    }

    fn add(window: &mut Window, spans: &[(u64, u64, u64)], second: i64, flags: u32) {
        let rows = spans.iter().map(|&(trace, span_id, parent)| Row {
            trace: [trace, 0],
            span_id,
            parent,
            group: 0,
            kind: 0,
            start_ns: second * SECOND_NS,
            duration_ns: 5,
            status: 0,
            flags,
        });
        let mut batch = Batch::default();
        batch.groups.push(Default::default());
        rows.for_each(|row| batch.push(row));
        let mut chunk = Chunk::with_room(0, 0);
        window.plan().pack(&mut batch, &mut chunk);
        chunk.arrival_ns = second * SECOND_NS;
        window.add(chunk, second);
    }

    #[test]
    fn a_trace_leaves_after_quiet_with_all_its_rows() {
        let mut window = window(limits());
        add(&mut window, &[(1, 1, 0), (2, 1, 0)], 100, 0);
        add(&mut window, &[(1, 2, 1)], 105, 0);
        window.advance(111.0);
        assert_eq!((window.rows, window.closed_rows), (2, 1));
        window.advance(116.0);
        assert_eq!((window.rows, window.closed_rows), (0, 3));
        assert!(window.take(1).is_some());
        assert_eq!(window.closed_rows, 2);
        assert!(window.take(1).is_some() && window.take(1).is_none());
        assert_eq!((window.counts.closed, window.counts.late), (2, 0));
        add(&mut window, &[(1, 3, 1)], 117, 0);
        assert_eq!(window.counts.late, 1);
    }

    #[test]
    fn a_local_parent_is_awaited_until_the_trace_is_old() {
        let mut window = window(limits());
        add(&mut window, &[(1, 2, 1), (2, 2, 1)], 100, HAS_REMOTE);
        window.advance(120.0);
        assert_eq!(window.rows, 2);
        add(&mut window, &[(1, 1, 0)], 121, HAS_REMOTE);
        window.advance(132.0);
        assert_eq!((window.rows, window.closed_rows), (1, 2));
        window.advance(160.0);
        assert_eq!((window.rows, window.counts.aged), (0, 1));
    }

    #[test]
    fn what_waits_alone_does_not_hold_what_it_came_with() {
        let mut window = window(limits());
        let mut spans: Vec<_> = (0..200).map(|n| (n + 10, 1, 0)).collect();
        spans.push((1, 2, 1));
        add(&mut window, &spans, 100, HAS_REMOTE);
        window.advance(120.0);
        while window.take(1_000).is_some() {}
        window.advance(121.0);
        assert_eq!(window.held.packed_rows(), 1);
        add(&mut window, &[(1, 1, 0)], 122, HAS_REMOTE);
        window.advance(140.0);
        assert_eq!((window.rows, window.closed_rows), (0, 2));
        assert!(window.take(10).is_some());
        assert_eq!(window.held.packed_rows(), 0);
    }
}
