//! The words that shapes look at, handed over by Python (`collector/decode/lexicon.py`).

use std::collections::HashMap;

use crate::tables::{Name, Names};

/// Only the reference can say.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
pub struct Unsure;

/// What is the same as the reference's, or nobody here knows.
pub type Sure<T> = Result<T, Unsure>;

/// A set of words in one case.
#[derive(Debug)]
pub struct Words(Names);

const LONGEST: usize = 48;

impl Words {
    /// The set of these words.
    #[must_use]
    pub fn new(words: Vec<String>) -> Self {
        Self(Names::new(words))
    }

    /// Whether a text is one of them.
    #[must_use]
    pub fn has(&self, text: &[u8]) -> bool {
        self.0.find(text).is_some()
    }

    /// Whether a text in lower case is one of them.
    #[must_use]
    pub fn has_lower(&self, text: &[u8]) -> bool {
        self.place(text, u8::to_ascii_lowercase).is_some()
    }

    /// Whether a text in upper case is one of them.
    #[must_use]
    pub fn has_upper(&self, text: &[u8]) -> bool {
        self.place(text, u8::to_ascii_uppercase).is_some()
    }

    fn place(&self, text: &[u8], fold: fn(&u8) -> u8) -> Option<Name> {
        let mut folded = [0; LONGEST];
        let target = folded.get_mut(..text.len())?;
        for (to, from) in target.iter_mut().zip(text) {
            *to = fold(from);
        }
        self.0.find(target)
    }
}

/// The commands of a cache and what they are, in traits.
#[derive(Debug)]
pub struct Commands {
    names: Words,
    traits: Vec<i64>,
}

impl Commands {
    /// Traits by name of the command.
    #[must_use]
    pub fn new(traits: HashMap<String, i64>) -> Self {
        let (names, traits) = traits.into_iter().unzip();
        Self {
            names: Words::new(names),
            traits,
        }
    }

    /// The traits of a command as its table writes it; none when it is not known.
    #[must_use]
    pub fn traits(&self, verb: &[u8]) -> i64 {
        let place = self.names.0.find(verb);
        place.map_or(0, |place| self.traits[usize::from(place)])
    }

    /// Whether a word is a command, in upper or in lower case.
    #[must_use]
    pub fn has(&self, word: &[u8]) -> bool {
        self.names.has_upper(word) || self.names.has_lower(word)
    }
}

/// The bits of the column `traits` that commands of caches set.
#[derive(Debug, Clone, Copy)]
pub struct Bits {
    /// `READ`
    pub read: i64,
    /// `WRITE`
    pub write: i64,
    /// `LISTED`
    pub listed: i64,
    /// `PIPELINE`
    pub pipeline: i64,
    /// `PARAMETERS`
    pub parameters: i64,
    /// `SINGLE_KEY`
    pub single_key: i64,
    /// `FILL`
    pub fill: i64,
    /// `EXPIRES`
    pub expires: i64,
}

/// Where SQL dialects disagree about what is a literal.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // as the reference has them
pub struct Dialect {
    /// `'\''` escapes a quote
    pub backslash: bool,
    /// `"x"` is a literal
    pub text_in_double_quotes: bool,
    /// `# comment`
    pub hash_comment: bool,
    /// `[column]`, wherever it stands
    pub brackets: bool,
    /// `q'[x]'`
    pub q_quotes: bool,
}

/// All of them.
#[derive(Debug)]
pub struct Lexicon {
    /// words with digits that are no ids
    pub words: Words,
    /// names of parameters that page
    pub paging: Words,
    /// last segments of health checks
    pub health: Words,
    /// systems that are caches
    pub caches: Words,
    /// systems of documents
    pub documents: Words,
    /// commands of Redis, upper case
    pub redis: Commands,
    /// commands of memcached, lower case
    pub memcached: Commands,
    /// of which all arguments are keys
    pub many: Words,
    /// traits
    pub bits: Bits,
    /// dialects by system; of all others the text tells
    pub dialects: HashMap<String, Dialect>,
    /// other names of a system
    pub aliases: HashMap<String, String>,
    /// words after which a sign belongs to the number behind it
    pub before_operand: Words,
    /// statements whose operand is a generated name
    pub naming: Words,
    /// words that are values in a list
    pub constants: Words,
}
