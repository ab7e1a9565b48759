//! The semantic-convention table: which attributes are read and for what.
//!
//! It is handed over by Python, which makes it from the one table of span columns.

use std::collections::HashMap;

use crate::words::Lexicon;

/// Number of an attribute name that is read.
pub type Name = u16;
/// An attribute that is read for its prefix; its name counts.
pub const BY_PREFIX: Name = Name::MAX;

/// Columns that are told by attributes without being classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Extra {
    /// code of a text
    ErrorType,
    /// truth value
    Hit,
    /// number
    HttpStatus,
    /// number
    RpcStatus,
    /// hash
    Actor,
    /// hash
    MessageId,
    /// number
    Rows,
    /// number
    Resends,
    /// parts per million
    SamplePpm,
    /// code of a text
    CodeFile,
    /// number
    CodeLine,
    /// hash, only of requests whose route is known; else it is a facet
    Path,
    /// likewise
    Entity,
}

/// All of them, by name of the column.
pub const EXTRAS: [(&str, Extra); 13] = [
    ("error_type", Extra::ErrorType),
    ("hit", Extra::Hit),
    ("http_status", Extra::HttpStatus),
    ("rpc_status", Extra::RpcStatus),
    ("actor", Extra::Actor),
    ("message_id", Extra::MessageId),
    ("rows", Extra::Rows),
    ("resends", Extra::Resends),
    ("sample_ppm", Extra::SamplePpm),
    ("code_file", Extra::CodeFile),
    ("code_line", Extra::CodeLine),
    ("path", Extra::Path),
    ("entity", Extra::Entity),
];

/// How a value of a column is laid out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layout {
    /// 64 bits; 0 is null in codes, hashes and ids of parents
    U64,
    /// 64 bits, signed
    I64,
    /// 32 bits
    U32,
    /// 32 bits, signed
    I32,
    /// one of some names, by number
    Enum(Vec<String>),
    /// truth value
    Bool,
    /// list of 64-bit numbers
    List,
}

/// One column of the frame.
#[derive(Clone, Debug)]
pub struct Column {
    /// its name
    pub name: String,
    /// how it is laid out
    pub layout: Layout,
}

/// The attributes that say where a path stands.
#[derive(Clone, Copy, Debug)]
pub struct PathNames {
    /// `url.path`
    pub path: Name,
    /// `url.query`
    pub query: Name,
    /// `http.target`
    pub target: Name,
    /// `url.full`, then `http.url`
    pub urls: [Name; 2],
}

/// What tells which kind a span is of, and where classifiers read on.
#[derive(Debug)]
pub struct Reads {
    /// presence: noise of a framework
    pub noise: Vec<Name>,
    /// text: a database
    pub systems: Vec<Name>,
    /// presence: messaging
    pub messages: Vec<Name>,
    /// presence: RPC
    pub rpc: Vec<Name>,
    /// of RPC
    pub rpc_method: Vec<Name>,
    /// text: HTTP
    pub methods: Vec<Name>,
    /// statements, the first that is not empty
    pub statements: Vec<Name>,
    /// bind values, the first that counts as true
    pub parameters: Vec<Name>,
    /// what bind values in attributes of their own begin with
    pub parameter_prefix: Vec<u8>,
    /// keys of caches, before that of the command
    pub keys: Vec<Name>,
    /// the operation of a database
    pub operation: Vec<Name>,
    /// how long a pipeline is
    pub length: Vec<Name>,
    /// URLs and paths, which tell nothing of databases
    pub urls: Vec<Name>,
    /// ports beside addresses
    pub ports: Vec<Name>,
}

/// All that Python says of attributes and columns.
#[derive(Debug)]
pub struct Tables {
    /// names of attributes that are read
    pub names: Names,
    /// prefixes of more
    pub prefixes: Vec<Vec<u8>>,
    /// columns of the frame, in order
    pub columns: Vec<Column>,
    /// columns that classification tells, in its order
    pub facets: Vec<String>,
    /// by `Extra`: the attributes that tell it, in order of preference
    pub extras: Vec<Vec<Name>>,
    /// by name: whether classification does not look at it
    pub ignored: Vec<bool>,
    /// whose presence makes a SERVER span one whose route is known
    pub route: Name,
    /// all that classification looks at then
    pub routed: Vec<Name>,
    /// names of the other side; when they are all absent, `addresses` are looked at
    pub peers: Vec<Name>,
    /// see `peers`
    pub addresses: Vec<Name>,
    /// HTTP status, in the order in which 404 is looked for
    pub statuses: Vec<Name>,
    /// where paths stand
    pub path: PathNames,
    /// by kind of span
    pub reads: Reads,
    /// what shapes look at
    pub lexicon: Lexicon,
    /// places among the facets of what forms leave out
    pub own: [usize; 4],
    /// names of gRPC status codes
    pub grpc: HashMap<String, i64>,
    /// kind of a SERVER span
    pub server: i32,
}

/// Attribute names to numbers, by open addressing over their ends.
#[derive(Debug)]
pub struct Names {
    slots: Vec<Name>,
    all: Vec<Box<[u8]>>,
    mask: usize,
}

const EMPTY: Name = Name::MAX;

impl Names {
    /// Numbers in order, from 0.
    #[must_use]
    pub fn new(names: Vec<String>) -> Self {
        let size = (names.len() * 4).next_power_of_two();
        let names: Vec<Box<[u8]>> = names.into_iter().map(|n| n.into_bytes().into()).collect();
        let mut slots = vec![EMPTY; size];
        for (number, name) in names.iter().enumerate() {
            let mut at = hash(name) & (size - 1);
            while slots[at] != EMPTY {
                at = (at + 1) & (size - 1);
            }
            slots[at] = number as Name;
        }
        let mask = size - 1;
        Self {
            slots,
            all: names,
            mask,
        }
    }

    /// The number of a name.
    #[inline]
    #[must_use]
    pub fn find(&self, name: &[u8]) -> Option<Name> {
        let mut at = hash(name) & self.mask;
        loop {
            let number = self.slots[at];
            if number == EMPTY {
                return None;
            }
            if *self.all[usize::from(number)] == *name {
                return Some(number);
            }
            at = (at + 1) & self.mask;
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

#[inline]
fn hash(name: &[u8]) -> usize {
    let (head, tail) = if let (Some(head), Some(tail)) = (name.first_chunk(), name.last_chunk()) {
        (u64::from_le_bytes(*head), u64::from_le_bytes(*tail))
    } else {
        let mut short = [0; 8];
        short[..name.len()].copy_from_slice(name);
        (u64::from_le_bytes(short), 0)
    };
    let mixed =
        (head ^ tail.rotate_left(23) ^ name.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_not() {
        let all = ["db.system", "db.name", "a", "", "http.request.method"];
        let names = Names::new(all.map(String::from).to_vec());
        for (number, name) in all.iter().enumerate() {
            assert_eq!(names.find(name.as_bytes()), Some(number as Name));
        }
        assert_eq!(names.find(b"db.systen"), None);
        assert_eq!(names.find(b"http.request.methods"), None);
    }
}
