//! The rows that a window holds: chunks of packed rows, and which row of a trace follows which.

use std::ops::Range;

use crate::assembly::Place;
use crate::packed::{Chunk, DURATION, SPAN_ID, START};

/// Times and durations are held below this, so that sums of two never overflow.
const MAX_TIME_NS: i64 = 1 << 61;
/// No slot.
pub const NONE: u32 = u32::MAX;
/// Chunks with fewer rows are not worth packing anew.
const SMALL_CHUNK: usize = 64;

/// Where a row is, and which row of its trace came before.
struct Slot {
    place: Place,
    next: u32,
}

struct Kept {
    chunk: Chunk,
    /// by row: its slot, `NONE` when it is gone
    slots: Vec<u32>,
    alive: usize,
}

/// Rows, each in a slot that it keeps, wherever it is packed.
#[derive(Default)]
pub struct Held {
    kept: Vec<Option<Kept>>,
    free_chunks: Vec<u32>,
    slots: Vec<Slot>,
    free_slots: Vec<u32>,
}

impl Held {
    /// Takes a chunk; `chain` is told which rows stand together in a trace and the slot of the last
    /// of them, and tells the slot that came before.
    pub fn add(&mut self, chunk: Chunk, mut chain: impl FnMut(&Chunk, Range<u32>, u32) -> u32) {
        let number = self.free_chunks.pop().unwrap_or_else(|| {
            self.kept.push(None);
            self.kept.len() as u32 - 1
        });
        let mut slots = Vec::with_capacity(chunk.len());
        while slots.len() < chunk.len() {
            let run = chunk.run(slots.len() as u32);
            for row in run.clone() {
                slots.push(self.slot((number, row)));
            }
            let theirs = &slots[run.start as usize..];
            let mut before = chain(&chunk, run, theirs[theirs.len() - 1]);
            for slot in theirs {
                self.slots[*slot as usize].next = before;
                before = *slot;
            }
        }
        self.kept[number as usize] = Some(Kept {
            alive: chunk.len(),
            chunk,
            slots,
        });
    }

    /// A slot for a row.
    fn slot(&mut self, place: Place) -> u32 {
        let here = Slot { place, next: NONE };
        let slot = self.free_slots.pop().unwrap_or(self.slots.len() as u32);
        match self.slots.get_mut(slot as usize) {
            Some(free) => *free = here,
            None => self.slots.push(here),
        }
        slot
    }

    /// The slots of a trace, the last first.
    pub fn trace(&self, last: u32) -> impl Iterator<Item = u32> + '_ {
        let first = (last != NONE).then_some(last);
        std::iter::successors(first, |slot| {
            let before = self.slots[*slot as usize].next;
            (before != NONE).then_some(before)
        })
    }

    /// The rows of a trace, the last first.
    pub fn rows(&self, last: u32) -> impl Iterator<Item = &[u64]> {
        self.trace(last).map(|slot| self.row(slot))
    }

    /// A row.
    #[must_use]
    pub fn row(&self, slot: u32) -> &[u64] {
        let (number, row) = self.place(slot);
        self.chunk(number).row(row)
    }

    /// A row, and when it arrived.
    #[must_use]
    pub fn arrived(&self, slot: u32) -> (&[u64], i64) {
        let (number, row) = self.place(slot);
        let chunk = self.chunk(number);
        (chunk.row(row), chunk.arrival_ns)
    }

    /// Moves the start of a row.
    pub fn set_start(&mut self, slot: u32, start_ns: i64) {
        let (number, row) = self.place(slot);
        if let Some(kept) = &mut self.kept[number as usize] {
            kept.chunk.set_start(row, start_ns);
        }
    }

    /// Where a row is now.
    #[must_use]
    pub fn place(&self, slot: u32) -> Place {
        self.slots[slot as usize].place
    }

    /// A chunk by its number.
    ///
    /// # Panics
    /// When no row of it is there, so that no slot can point to it.
    #[must_use]
    pub fn chunk(&self, number: u32) -> &Chunk {
        let kept = self.kept[number as usize].as_ref();
        &kept.expect("a slot points to rows that are there").chunk
    }

    /// Lets rows go.
    pub fn free(&mut self, slots: Vec<u32>) {
        for &slot in &slots {
            let (number, row) = self.place(slot);
            let Some(kept) = &mut self.kept[number as usize] else {
                continue;
            };
            kept.slots[row as usize] = NONE;
            kept.alive -= 1;
            if kept.alive == 0 {
                self.kept[number as usize] = None;
                self.free_chunks.push(number);
            }
        }
        self.free_slots.extend(slots.into_iter().rev()); // the next rows stand as these did
    }

    /// Chunks of which little is left are packed anew: rows that wait hold no more than they are.
    pub fn pack_anew(&mut self) {
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

    /// Rows in chunks, those that are gone too.
    #[must_use]
    pub fn packed_rows(&self) -> usize {
        self.kept
            .iter()
            .flatten()
            .map(|kept| kept.chunk.len())
            .sum()
    }
}

/// A time within bounds.
fn time(word: u64) -> i64 {
    (word as i64).clamp(0, MAX_TIME_NS)
}

/// The start of a row.
#[must_use]
pub fn start_ns(row: &[u64]) -> i64 {
    time(row[START])
}

/// The end of a row.
#[must_use]
pub fn end_ns(row: &[u64]) -> i64 {
    time(row[START]) + time(row[DURATION])
}

/// What the rows of a trace are ordered by: start, longest first, span id.
#[must_use]
pub fn canonical(row: &[u64]) -> (i64, i64, u64) {
    (time(row[START]), -time(row[DURATION]), row[SPAN_ID])
}
