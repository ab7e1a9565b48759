//! What is counted once for a trace.

use std::hash::Hash;

use hashbrown::HashSet;

/// So few are looked through, more are hashed.
const FEW: usize = 16;

/// What was seen in the trace that is looked at.
#[derive(Default)]
pub struct Once<T> {
    trace: u32,
    few: Vec<T>,
    many: HashSet<T>,
}

impl<T: Eq + Hash + Copy> Once<T> {
    /// Whether it is the first of its kind in a trace, of which all come one after the other.
    #[inline]
    pub fn is_first(&mut self, trace: u32, kind: T) -> bool {
        if self.trace != trace {
            self.trace = trace;
            self.few.clear();
            if !self.many.is_empty() {
                self.many = HashSet::new();
            }
        }
        if self.few.contains(&kind) {
            return false;
        }
        if self.few.len() < FEW {
            self.few.push(kind);
            return true;
        }
        self.many.insert(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_counted_once_for_each_trace() {
        let mut once = Once::default();
        for trace in [0, 1, 2] {
            let firsts = (0..300).filter(|number| once.is_first(trace, number % 100));
            assert_eq!(firsts.count(), 100);
        }
    }
}
