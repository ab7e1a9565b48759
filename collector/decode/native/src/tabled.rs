//! Tables for tests: columns by name, read as kernels read them.

use crate::arrow::{stream_of, Array, Values};
use crate::bits::Sparse;
use crate::columns::Bits;
use crate::constants::{Constants, Source};
use crate::reading::Table;

/// A column of codes, 0 as null.
pub fn codes(name: &str, codes: &[u64]) -> Array {
    let mut column = Sparse::new(codes.len());
    for (row, code) in codes.iter().enumerate().filter(|(_, code)| **code != 0) {
        column.put(row, *code);
    }
    column.named(name)
}

/// A column of times.
pub fn times(name: &str, times: &[i64]) -> Array {
    Array::new(name, Values::I64(times.to_vec()), None)
}

/// A column of small numbers, of 32 bits.
pub fn statuses(name: &str, statuses: &[i32]) -> Array {
    Array::new(name, Values::I32(statuses.to_vec()), None)
}

/// A column of bits or numbers, of 32 bits.
pub fn numbers(name: &str, numbers: &[u32]) -> Array {
    Array::new(name, Values::U32(numbers.to_vec()), None)
}

/// A column of names, by number.
pub fn names(name: &str, numbers: &[u8]) -> Array {
    Array::new(name, Values::U8(numbers.to_vec()), None)
}

/// A column of truth values.
pub fn truths(name: &str, truths: &[bool]) -> Array {
    let bits = Bits::of_rows(truths.len(), |row| truths[row]);
    Array::new(name, Values::Bits(bits), None)
}

/// What a kernel made, or what it is given.
pub fn read(columns: Array) -> Table {
    let table = unsafe { Table::of(&mut stream_of(columns)) };
    table.expect("one batch")
}

/// As in Python, but each trait has the bit of its place, and codes are its name's length.
pub fn constants() -> Constants {
    struct Given;
    impl Source for Given {
        type Error = ();
        fn names(&self, list: &str) -> Result<Vec<String>, ()> {
            let names = match list {
                "kinds" => "unspecified internal server client producer consumer",
                "statuses" => "unset ok error",
                "categories" => "internal db cache http rpc messaging connection transaction",
                "works" => "query write call cache_read publish",
                "entities.identity" => "actor path key",
                "entries.outcome" => "ok client_error error",
                "lookups.role" => "read fill evict other",
                "reads.told" => "values path actor nothing",
                "repeats.values" => "hidden distinct mixed same",
                "repeats.mode" => "sequential parallel",
                "repeats.transaction" => "unknown inside outside",
                "touches.kind" => "look load write",
                _ => "none some unknown",
            };
            Ok(names.split(' ').map(str::to_owned).collect())
        }
        fn number(&self, list: &str, name: &str) -> Result<u8, ()> {
            let place = self.names(list)?.iter().position(|n| n == name);
            place.map(|place| place as u8).ok_or(())
        }
        fn bit(&self, name: &str) -> Result<u32, ()> {
            let all = "READ WRITE LISTED PARAMETERS SINGLE_KEY FILL EVICT EXPIRES NO_WORK \
                       AGGREGATED PAGED PIPELINE MULTI_ROW LOCKING PING CONTROL DDL HEALTH VOLATILE";
            let place = all.split(' ').position(|trait_| trait_ == name);
            place.map(|place| 1 << place).ok_or(())
        }
        fn codes(&self, name: &str) -> Result<Vec<u64>, ()> {
            Ok(vec![name.len() as u64 + 1_000])
        }
    }
    Constants::of(&Given).expect("all of them")
}
