//! What each span does for its entry and who answered it: the columns `WORKED` of
//! `detectors/kit/answers.py`, which defines them.

use crate::arrow::{Array, Values};
use crate::columns::Bits;
use crate::constants::Constants;
use crate::reading::{Column, Table};

struct Given<'a> {
    service: Column<'a, u64>,
    label: Column<'a, u64>,
    traits: Column<'a, u32>,
    http: Column<'a, i32>,
    rpc: Column<'a, i32>,
    span: &'a [u64],
    kind: &'a [u8],
    status: &'a [u8],
    category: &'a [u8],
    start: &'a [i64],
    duration: &'a [i64],
    parent: &'a [i32],
}

impl<'a> Given<'a> {
    fn of(table: &'a Table) -> Option<Self> {
        Some(Self {
            service: table.numbers("service")?,
            label: table.numbers("label")?,
            traits: table.numbers("traits")?,
            http: table.numbers("http_status")?,
            rpc: table.numbers("rpc_status")?,
            span: table.numbers("span_id")?.whole()?,
            kind: table.numbers("kind")?.whole()?,
            status: table.numbers("status")?.whole()?,
            category: table.numbers("category")?.whole()?,
            start: table.numbers("start_ns")?.whole()?,
            duration: table.numbers("duration_ns")?.whole()?,
            parent: table.numbers("parent_row")?.whole()?,
        })
    }

    fn end(&self, row: usize) -> i64 {
        self.start[row].wrapping_add(self.duration[row])
    }

    fn failed(&self, row: usize, error: u8) -> bool {
        self.status[row] == error || self.http.get(row) >= 400 || self.rpc.get(row) != 0
    }

    fn outgoing(&self, row: usize, c: &Constants) -> bool {
        let called = [c.http, c.rpc, c.db, c.cache, c.messaging].contains(&self.category[row])
            && [c.client, c.producer].contains(&self.kind[row]);
        called || self.category[row] == c.connection && self.status[row] == c.error
    }

    /// The kind of work of a span, as `work.work` tells it.
    fn work(&self, row: usize, c: &Constants) -> Option<u8> {
        let (category, kind, traits) = (self.category[row], self.kind[row], self.traits.get(row));
        let has = |bits: u32| traits & bits == bits;
        let db = category == c.db;
        if traits & c.idle != 0 {
            None
        } else if (db || category == c.cache) && has(c.single_key | c.reads) {
            Some(c.cache_read)
        } else if db && has(c.writes) {
            Some(c.write)
        } else if db && has(c.reads) {
            Some(c.query)
        } else if (category == c.http || category == c.rpc) && kind == c.client {
            Some(c.call)
        } else {
            (category == c.messaging && kind == c.producer).then_some(c.publish)
        }
    }
}

/// The answers of one call.
#[derive(Clone, Copy, Default)]
struct Answer {
    servers: u32,
    /// Of SERVER spans; none where they are of several routes.
    tries: u32,
    several: bool,
    last: u32,
    longest: i64,
    end: i64,
    service: Option<u64>,
    /// The smallest.
    label: Option<u64>,
}

impl Answer {
    fn add(&mut self, given: &Given<'_>, row: usize, server: u8) {
        let (service, label) = (given.service.known(row), given.label.known(row));
        if self.servers == 0 {
            (self.service, self.label) = (service, label);
            (self.longest, self.end) = (given.duration[row], given.end(row));
        } else {
            // A label that is not known is no other one.
            self.several |= self.label.is_some() && label.is_some() && self.label != label;
            self.service = least(self.service, service);
            self.label = least(self.label, label);
            self.longest = self.longest.max(given.duration[row]);
            self.end = self.end.max(given.end(row));
        }
        self.servers += 1;
        self.tries += u32::from(given.kind[row] == server);
        self.last = row as u32;
    }

    /// Of several answers without any label it is not known.
    fn tries(&self) -> Option<u32> {
        let told = self.servers == 1 || self.label.is_some() && !self.several;
        (self.servers > 0 && told).then_some(self.tries)
    }
}

fn least(one: Option<u64>, two: Option<u64>) -> Option<u64> {
    one.into_iter().chain(two).min()
}

/// The columns; none where what is given is odd.
#[must_use]
pub fn worked(table: &Table, constants: &Constants) -> Option<Array> {
    let given = Given::of(table)?;
    let rows = || 0..table.len();
    let work: Vec<_> = rows().map(|row| given.work(row, constants)).collect();
    let failed: Bits = rows()
        .map(|row| given.failed(row, constants.error))
        .collect();
    let outgoing: Bits = rows().map(|row| given.outgoing(row, constants)).collect();
    let mut columns = vec![
        Array::new("row", Values::U32((0..table.len() as u32).collect()), None),
        Array::of_names(
            "work",
            work.iter().map(|work| work.unwrap_or_default()).collect(),
            Some(work.iter().map(Option::is_some).collect()),
            &constants.works,
        ),
        Array::new("failed", Values::Bits(failed), None),
        Array::new("outgoing", Values::Bits(outgoing), None),
    ];
    columns.extend(answers(&given, constants)?);
    Some(Array::of_columns(table.len(), columns))
}

/// Those of the answer, for every span: SERVER and CONSUMER spans are their parent's.
fn answers(given: &Given<'_>, constants: &Constants) -> Option<[Array; 8]> {
    let mut place = vec![0u32; given.parent.len()]; // of the answer in `found`, 0 for none
    let mut found = vec![Answer::default()];
    for (row, parent) in given.parent.iter().enumerate() {
        if !constants.serves(given.kind[row]) || *parent < 0 {
            continue;
        }
        let place = place.get_mut(*parent as usize)?;
        if *place == 0 {
            *place = found.len() as u32;
            found.push(Answer::default());
        }
        found[*place as usize].add(given, row, constants.server);
    }
    let all = || place.iter().map(|place| &found[*place as usize]);
    let valid: Bits = place.iter().map(|place| *place > 0).collect();
    let known = || Some(valid.clone());
    let codes = |name: &str, of: fn(&Answer) -> Option<u64>| {
        let values = all().map(|a| of(a).unwrap_or_default()).collect();
        Array::new(
            name,
            Values::U64(values),
            Some(all().map(|a| of(a).is_some()).collect()),
        )
    };
    let times = |name: &str, of: &dyn Fn(&Answer) -> i64| {
        Array::new(name, Values::I64(all().map(of).collect()), known())
    };
    let span = all().map(|a| given.span[a.last as usize]).collect();
    let tries = all().map(|a| a.tries().unwrap_or_default()).collect();
    let told = all().map(|a| a.tries().is_some()).collect();
    Some([
        codes("callee", |a| a.service),
        codes("callee_label", |a| a.label),
        times("server_ns", &|a| a.longest),
        Array::new(
            "servers",
            Values::U32(all().map(|a| a.servers).collect()),
            known(),
        ),
        Array::new("tries", Values::U32(tries), Some(told)),
        Array::new("answer_span", Values::U64(span), known()),
        times("answer_start_ns", &|a| given.start[a.last as usize]),
        times("answer_end_ns", &|a| a.end),
    ])
}
