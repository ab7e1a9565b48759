//! What the kernels have to know of the tables in Python: names by number, bits of traits, codes.

/// Lists of names, bits and codes by name, as Python gives them.
pub trait Source {
    /// What is wrong with what was given.
    type Error;
    /// All names of a list.
    fn names(&self, list: &str) -> Result<Vec<String>, Self::Error>;
    /// The number of a name of a list.
    fn number(&self, list: &str, name: &str) -> Result<u8, Self::Error>;
    /// The bit of a trait.
    fn bit(&self, name: &str) -> Result<u32, Self::Error>;
    /// Some codes of texts.
    fn codes(&self, name: &str) -> Result<Vec<u64>, Self::Error>;
}

macro_rules! constants {
    ($($list:literal: $names:ident { $($field:ident = $name:literal),* $(,)? })*
     traits { $($bit:ident = $trait:literal),* $(,)? }
     codes { $($codes:ident = $text:literal),* $(,)? }) => {
        /// All of them.
        #[allow(missing_docs)] // each is called what it is
        pub struct Constants {
            $(pub $names: Vec<String>, $(pub $field: u8,)*)*
            $(pub $bit: u32,)*
            $(pub $codes: Vec<u64>,)*
        }

        impl Constants {
            /// Those of a source, or what is missing there.
            pub fn of<S: Source>(source: &S) -> Result<Self, S::Error> {
                Ok(Self {
                    $($names: source.names($list)?,
                      $($field: source.number($list, $name)?,)*)*
                    $($bit: source.bit($trait)?,)*
                    $($codes: source.codes($text)?,)*
                })
            }
        }
    };
}

constants! {
    "kinds": kinds {
        unspecified = "unspecified",
        internal = "internal",
        server = "server",
        client = "client",
        producer = "producer",
        consumer = "consumer",
    }
    "statuses": statuses { unset = "unset", error = "error" }
    "categories": categories {
        db = "db",
        cache = "cache",
        http = "http",
        rpc = "rpc",
        messaging = "messaging",
        connection = "connection",
        transaction = "transaction",
    }
    "works": works {
        query = "query",
        write = "write",
        call = "call",
        cache_read = "cache_read",
        publish = "publish",
    }
    "expiries": expiries { never = "none", some = "some", unknown = "unknown" }
    "entities.identity": identities { of_actor = "actor", of_path = "path", of_key = "key" }
    "entries.outcome": outcomes {
        fine = "ok",
        client_error = "client_error",
        in_error = "error",
    }
    "lookups.role": roles {
        read = "read",
        fill = "fill",
        evict = "evict",
        other = "other",
    }
    "reads.told": told {
        by_values = "values",
        by_path = "path",
        by_actor = "actor",
        by_nothing = "nothing",
    }
    "repeats.values": valued {
        hidden = "hidden",
        distinct = "distinct",
        mixed = "mixed",
        same = "same",
    }
    "repeats.mode": modes { sequential = "sequential", parallel = "parallel" }
    "repeats.transaction": transactions {
        untold = "unknown",
        inside = "inside",
        outside = "outside",
    }
    "touches.kind": touched { look = "look", load = "load", wrote = "write" }
    traits {
        reads = "READ",
        writes = "WRITE",
        listed = "LISTED",
        parameters = "PARAMETERS",
        single_key = "SINGLE_KEY",
        fills = "FILL",
        evicts = "EVICT",
        expires = "EXPIRES",
        idle = "NO_WORK",
        aggregated = "AGGREGATED",
        paged = "PAGED",
        pipeline = "PIPELINE",
        multi_row = "MULTI_ROW",
        locking = "LOCKING",
        ping = "PING",
        control = "CONTROL",
        schema = "DDL",
        health = "HEALTH",
        volatile = "VOLATILE",
    }
    codes {
        no_values = "no_values",
        missing = "missing",
        memcached = "memcached",
        bumps = "bumps",
        creating = "creating",
        writing = "writing",
    }
}

impl Constants {
    /// Whether spans of a kind answer somebody.
    #[inline]
    #[must_use]
    pub fn serves(&self, kind: u8) -> bool {
        kind == self.server || kind == self.consumer
    }
}
