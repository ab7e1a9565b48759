//! Keeps packed rows until their traces are whole: closed on quiet, on age or on size.
//!
//! What `collector/window/reference.py` does with sorted columns this does with a map of open
//! traces: a row is put in once, looked at when its trace may end, and written to columns once.

use std::collections::{BTreeMap, VecDeque};

use crate::arrow::Array;
use crate::assembly::{assembled, Place};
use crate::closed::Closed;
use crate::known::HashedMap;
use crate::packed::{awaited, Chunk, Plan, DURATION, SPAN_ID, START, TRACE_HI, TRACE_LO};

/// Times and durations are held below this, so that sums of two never overflow.
const MAX_TIME_NS: i64 = 1 << 61;
const SECOND_NS: i64 = 1_000_000_000;
const NONE: u32 = u32::MAX;
/// A trace of so many spans is looked through span by span.
const FEW: usize = 16;
/// Chunks with fewer rows are not worth packing anew.
const SMALL_CHUNK: usize = 64;

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

/// Where a row is, and which row of its trace came before.
struct Slot {
    place: Place,
    next: u32,
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

struct Kept {
    chunk: Chunk,
    /// by row: its slot, `NONE` when it is gone
    slots: Vec<u32>,
    alive: usize,
}

/// A window.
pub struct Window {
    plan: Plan,
    limits: Limits,
    seed: u64,
    kept: Vec<Option<Kept>>,
    free_chunks: Vec<u32>,
    slots: Vec<Slot>,
    free_slots: Vec<u32>,
    traces: HashedMap<u64, Trace>,
    /// by second: traces that had a span then, and perhaps later
    touched: BTreeMap<i64, Vec<u64>>,
    /// by second: traces whose first span arrived then
    begun: BTreeMap<i64, Vec<u64>>,
    huge: Vec<u64>,
    ready: VecDeque<(u32, usize)>,
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
            kept: Vec::new(),
            free_chunks: Vec::new(),
            slots: Vec::new(),
            free_slots: Vec::new(),
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
        let number = self.free_chunks.pop().unwrap_or_else(|| {
            self.kept.push(None);
            self.kept.len() as u32 - 1
        });
        let mut slots = Vec::with_capacity(chunk.len());
        for row in 0..chunk.len() as u32 {
            let words = chunk.row(row);
            let key = self.key(words);
            let end = time(words[START]) + time(words[DURATION]);
            self.last_end_ns = self.last_end_ns.max(end);
            slots.push(self.put((number, row), key, chunk.arrival_ns, second));
        }
        self.rows += chunk.len();
        self.kept[number as usize] = Some(Kept {
            alive: chunk.len(),
            chunk,
            slots,
        });
    }

    fn key(&self, words: &[u64]) -> u64 {
        spread(words[TRACE_HI] ^ self.seed, words[TRACE_LO])
    }

    fn put(&mut self, place: Place, key: u64, arrival_ns: i64, second: i64) -> u32 {
        let slot = self.free_slots.pop().unwrap_or(self.slots.len() as u32);
        let remembered = &self.remembered;
        let begun = &mut self.begun;
        let trace = self.traces.entry(key).or_insert_with(|| Trace {
            last: NONE,
            rows: 0,
            first_ns: i64::MAX,
            second: i64::MIN,
            waits: false,
            late: remembered.knows(key),
        });
        let here = Slot {
            place,
            next: trace.last,
        };
        trace.last = slot;
        trace.rows += 1;
        if arrival_ns < trace.first_ns {
            trace.first_ns = arrival_ns;
            let second = arrival_ns.div_euclid(SECOND_NS);
            begun.entry(second).or_default().push(key);
        }
        if trace.waits || second > trace.second {
            trace.waits = false;
            trace.second = second;
            self.touched.entry(second).or_default().push(key);
        }
        self.counts.late += u64::from(trace.late);
        if trace.rows == self.limits.max_spans {
            self.huge.push(key);
        }
        match self.slots.get_mut(slot as usize) {
            Some(free) => *free = here,
            None => self.slots.push(here),
        }
        slot
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
        self.pack_anew();
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
        let rows = || Rows::of(self, trace.last).map(|(slot, _)| self.words(slot));
        if trace.rows <= FEW {
            let mut asked = rows().filter_map(awaited);
            return asked.any(|parent| rows().all(|row| row[SPAN_ID] != parent));
        }
        let asked: Vec<u64> = rows().filter_map(awaited).collect();
        if asked.is_empty() {
            return false;
        }
        let mut there: Vec<u64> = rows().map(|row| row[SPAN_ID]).collect();
        there.sort_unstable();
        let missing = |parent| there.binary_search(parent).is_err();
        asked.iter().any(missing)
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
        self.ready.push_back((trace.last, trace.rows));
        true
    }

    /// Holds the times of a trace within `max_skew_ns` of arrival.
    ///
    /// A trace that lies wholly outside is moved as a whole, so that its structure stays; in one
    /// that is partly inside, the spans outside are moved one by one. Durations stay.
    fn clamp(&mut self, last: u32) {
        let (mut behind, mut ahead, mut outside) = (i64::MAX, i64::MAX, false);
        for (slot, _) in Rows::of(self, last) {
            let (end, low, high) = self.end_and_bounds(slot);
            behind = behind.min(low.saturating_sub(end));
            ahead = ahead.min(end.saturating_sub(high));
            outside |= !(low..=high).contains(&end);
        }
        if !outside {
            return;
        }
        let shift = behind.max(0) - ahead.max(0);
        let slots: Vec<u32> = Rows::of(self, last).map(|(slot, _)| slot).collect();
        for slot in slots {
            let (end, low, high) = self.end_and_bounds(slot);
            let alone = end.clamp(low, high) - end;
            let shift = if shift == 0 { alone } else { shift };
            if shift != 0 {
                let start = time(self.words(slot)[START]) + shift;
                self.counts.clamped += 1;
                let (chunk, row) = self.slots[slot as usize].place;
                if let Some(kept) = &mut self.kept[chunk as usize] {
                    kept.chunk.set_start(row, start);
                }
            }
        }
    }

    /// The end of a span, and between which times it may lie.
    fn end_and_bounds(&self, slot: u32) -> (i64, i64, i64) {
        let words = self.words(slot);
        let (number, _) = self.slots[slot as usize].place;
        let end = time(words[START]) + time(words[DURATION]);
        let (arrival, skew) = (self.chunk(number).arrival_ns, self.limits.max_skew_ns);
        let bounds = (arrival.saturating_sub(skew), arrival.saturating_add(skew));
        (end, bounds.0, bounds.1)
    }

    fn words(&self, slot: u32) -> &[u64] {
        let (number, row) = self.slots[slot as usize].place;
        self.chunk(number).row(row)
    }

    fn chunk(&self, number: u32) -> &Chunk {
        let kept = self.kept[number as usize].as_ref();
        &kept.expect("a slot points to rows that are there").chunk
    }

    /// Closed traces of at most `rows` rows in all, but at least one, as columns in canonical
    /// order: trace id, start, longest first, span id. None when nothing is closed.
    pub fn take(&mut self, rows: usize) -> Option<Array> {
        let mut room = rows;
        let mut traces = Vec::new();
        while let Some((last, size)) = self.ready.pop_front() {
            if size > room && !traces.is_empty() {
                self.ready.push_front((last, size));
                break;
            }
            room = room.saturating_sub(size);
            let words = self.words(last);
            traces.push(([words[TRACE_HI], words[TRACE_LO]], last, size));
        }
        if traces.is_empty() {
            return None;
        }
        traces.sort_unstable();
        let mut order = Vec::with_capacity(rows - room);
        let mut trace = Vec::new();
        for (ids, last, _) in traces {
            let mut alike = true;
            trace.extend(Rows::of(self, last).map(|(slot, _)| {
                let words = self.words(slot);
                alike &= [words[TRACE_HI], words[TRACE_LO]] == ids;
                (canonical(words), slot)
            }));
            trace.sort_unstable();
            if !alike {
                // Two traces whose ids mix to the same number.
                trace.sort_by_key(|(_, slot)| {
                    let words = self.words(*slot);
                    [words[TRACE_HI], words[TRACE_LO]]
                });
            }
            order.extend(trace.drain(..).map(|(_, slot)| slot));
        }
        let places: Vec<Place> = order
            .iter()
            .map(|&s| self.slots[s as usize].place)
            .collect();
        let array = assembled(&self.plan, &places, |number| self.chunk(number));
        self.closed_rows -= order.len();
        for (number, row) in places {
            self.gone(number, row);
        }
        self.free_slots.extend(order);
        Some(array)
    }

    fn gone(&mut self, number: u32, row: u32) {
        let Some(kept) = &mut self.kept[number as usize] else {
            return;
        };
        kept.slots[row as usize] = NONE;
        kept.alive -= 1;
        if kept.alive == 0 {
            self.kept[number as usize] = None;
            self.free_chunks.push(number);
        }
    }

    /// Chunks of which little is left are packed anew: traces that wait hold no more than they are.
    fn pack_anew(&mut self) {
        for (number, place) in self.kept.iter_mut().enumerate() {
            let Some(kept) = place else { continue };
            if kept.slots.len() < SMALL_CHUNK || kept.alive * 4 > kept.slots.len() {
                continue;
            }
            let there = |row: &u32| kept.slots[*row as usize] != NONE;
            let rows: Vec<u32> = (0..kept.slots.len() as u32).filter(there).collect();
            kept.chunk = kept.chunk.only(&rows);
            kept.slots = rows.iter().map(|&row| kept.slots[row as usize]).collect();
            for (row, &slot) in kept.slots.iter().enumerate() {
                self.slots[slot as usize].place = (number as u32, row as u32);
            }
        }
    }
}

/// The rows of a trace, the last first: slots, and how many come before.
struct Rows<'a> {
    slots: &'a [Slot],
    next: u32,
}

impl<'a> Rows<'a> {
    fn of(window: &'a Window, last: u32) -> Self {
        Self {
            slots: &window.slots,
            next: last,
        }
    }
}

impl Iterator for Rows<'_> {
    type Item = (u32, u32);

    fn next(&mut self) -> Option<Self::Item> {
        let slot = self.next;
        let found = self.slots.get(slot as usize)?;
        self.next = found.next;
        Some((slot, found.next))
    }
}

fn first_key<V>(map: &BTreeMap<i64, V>) -> Option<i64> {
    map.first_key_value().map(|(key, _)| *key)
}

/// A time within bounds.
fn time(word: u64) -> i64 {
    (word as i64).clamp(0, MAX_TIME_NS)
}

/// What the rows of a trace are ordered by.
fn canonical(row: &[u64]) -> (i64, i64, u64) {
    let longest_first = -time(row[DURATION]);
    (time(row[START]), longest_first, row[SPAN_ID])
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
        let chunk = window.plan().pack(batch, second * SECOND_NS);
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
        let chunks: Vec<_> = window.kept.iter().flatten().collect();
        assert_eq!(chunks.iter().map(|k| k.chunk.len()).sum::<usize>(), 1);
        add(&mut window, &[(1, 1, 0)], 122, HAS_REMOTE);
        window.advance(140.0);
        assert_eq!((window.rows, window.closed_rows), (0, 2));
        assert!(window.take(10).is_some());
        assert!(window.kept.iter().flatten().next().is_none());
    }
}
