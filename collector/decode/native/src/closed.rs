//! Traces that were closed a while ago: a span of theirs that comes now is late.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasherDefault;

use crate::known::Hashed;

const TRACES: usize = 200_000;
const SECONDS: f64 = 300.0;
const GENERATION_SECONDS: f64 = 30.0;
const GENERATION_TRACES: usize = 50_000;

#[derive(Default)]
struct Generation {
    traces: HashSet<u64, BuildHasherDefault<Hashed>>,
    since_s: f64,
    until_s: f64,
}

/// Closed traces of the last five minutes, and no more than 200,000 of them.
///
/// They are forgotten by generations of half a minute.
#[derive(Default)]
pub struct Closed {
    generations: VecDeque<Generation>,
}

impl Closed {
    /// Whether a trace was closed.
    #[must_use]
    pub fn knows(&self, trace: u64) -> bool {
        self.generations.iter().any(|g| g.traces.contains(&trace))
    }

    /// How many are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.iter().map(|g| g.traces.len()).sum()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a trace that is closed now.
    pub fn add(&mut self, trace: u64, now_s: f64) {
        let full = self.generations.back().is_none_or(|last| {
            last.traces.len() >= GENERATION_TRACES || now_s - last.since_s > GENERATION_SECONDS
        });
        if full {
            self.forget(now_s);
            self.generations.push_back(Generation {
                since_s: now_s,
                ..Generation::default()
            });
        }
        if let Some(last) = self.generations.back_mut() {
            last.traces.insert(trace);
            last.until_s = now_s;
        }
    }

    fn forget(&mut self, now_s: f64) {
        self.generations.retain(|g| g.until_s > now_s - SECONDS);
        while self.len() > TRACES - GENERATION_TRACES {
            self.generations.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_closed_is_known_for_five_minutes() {
        let mut closed = Closed::default();
        closed.add(7, 100.0);
        closed.add(8, 399.0);
        assert!(closed.knows(7) && closed.knows(8) && !closed.knows(9));
        closed.add(9, 450.0);
        assert!(!closed.knows(7) && closed.knows(8) && closed.knows(9));
    }

    #[test]
    fn their_number_is_bounded() {
        let mut closed = Closed::default();
        for trace in 0..1_000_000 {
            closed.add(trace, 1.0);
            assert!(closed.len() <= TRACES);
        }
        assert!(closed.knows(999_999) && !closed.knows(0));
    }
}
