//! The reference's answers: what spans are, by all that it may depend on, and by their forms.

use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::form::{self, Own};
use crate::forms::{Forms, Found};
use crate::known::{Known, Seen};
use crate::span::Span;
use crate::tables::Tables;
use crate::telling;

const MOST_KNOWN: usize = 32_768;
const MOST_SEEN: usize = 16_384;

/// What an answer is remembered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// all that it may depend on
    Exact(u128),
    /// its form
    Form(u128),
}

/// All answers that are remembered.
pub struct Answers {
    seed: u64,
    known: Known,
    forms: Forms,
    /// spans of known forms: those that come often are remembered as they are, which is faster
    seen: Seen,
    scratch: Vec<u8>,
}

impl Answers {
    /// None yet; `seed` makes the keys unguessable.
    #[must_use]
    pub fn new(tables: &Tables, seed: u64) -> Self {
        Self {
            seed,
            known: Known::new(tables.facets.len(), MOST_KNOWN),
            forms: Forms::new(tables.facets.len(), tables.own),
            seen: Seen::new(MOST_SEEN),
            scratch: Vec::new(),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.known.clear();
        self.forms.clear();
    }

    /// Appends the facets of a span, or says what an answer is to be remembered by.
    pub fn append(
        &mut self,
        span: &Span,
        tables: &Tables,
        facets: &mut Vec<u64>,
    ) -> Option<(Key, Own)> {
        self.scratch.clear();
        telling::key(span, tables, &mut self.scratch);
        let key = xxh3_128_with_seed(&self.scratch, self.seed);
        if self.known.append(key, facets) {
            return None;
        }
        self.scratch.clear();
        let Some(own) = form::write(span, tables, &mut self.scratch) else {
            return Some((Key::Exact(key), Own::default()));
        };
        let form = xxh3_128_with_seed(&self.scratch, self.seed);
        let start = facets.len();
        match self.forms.append(form, &own, facets) {
            Found::Nothing => Some((Key::Form(form), own)),
            Found::Closed => Some((Key::Exact(key), Own::default())),
            Found::All => {
                if self.seen.often(key) {
                    self.known.insert(key, &facets[start..]);
                }
                None
            }
        }
    }

    /// Remembers an answer.
    pub fn learn(&mut self, key: Key, own: &Own, facets: &[u64]) {
        match key {
            Key::Exact(key) => self.known.insert(key, facets),
            Key::Form(form) => self.forms.learn(form, own, facets),
        }
    }

    /// Appends the facets of a span that shares a key with one that was answered.
    pub fn known(&mut self, key: Key, own: &Own, facets: &mut Vec<u64>) -> bool {
        match key {
            Key::Exact(key) => self.known.append(key, facets),
            Key::Form(form) => self.forms.append(form, own, facets) == Found::All,
        }
    }
}
