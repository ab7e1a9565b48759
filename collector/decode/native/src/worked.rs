//! What each span does for its entry and who answered it: the columns `WORKED` of
//! `detectors/kit/answers.py`, which defines them.

use crate::arrow::{Array, Values};
use crate::bits::Sparse;
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

    /// The kind of work of a span of a role, as `work.work` tells it.
    fn work(&self, row: usize, role: Role, c: &Constants) -> Option<u8> {
        let traits = self.traits.get(row);
        let has = |bits: u32| traits & bits == bits;
        if traits & c.idle != 0 {
            None
        } else if role.is(Role::STORE) && has(c.single_key | c.reads) {
            Some(c.cache_read)
        } else if role.is(Role::DB) && has(c.writes) {
            Some(c.write)
        } else if role.is(Role::DB) && has(c.reads) {
            Some(c.query)
        } else if role.is(Role::CALL) {
            Some(c.call)
        } else {
            role.is(Role::PUBLISH).then_some(c.publish)
        }
    }
}

/// What category and kind say of a span.
#[derive(Clone, Copy, Default)]
struct Role(u8);

impl Role {
    const DB: u8 = 1;
    const STORE: u8 = 2;
    const CALL: u8 = 4;
    const PUBLISH: u8 = 8;
    const OUTGOING: u8 = 16;
    const CONNECTION: u8 = 32;

    fn of(category: u8, kind: u8, c: &Constants) -> Self {
        let called = [c.http, c.rpc, c.db, c.cache, c.messaging].contains(&category);
        let asks = kind == c.client || kind == c.producer;
        let told = [
            (Self::DB, category == c.db),
            (Self::STORE, category == c.db || category == c.cache),
            (
                Self::CALL,
                (category == c.http || category == c.rpc) && kind == c.client,
            ),
            (Self::PUBLISH, category == c.messaging && kind == c.producer),
            (Self::OUTGOING, called && asks),
            (Self::CONNECTION, category == c.connection),
        ];
        Self(told.iter().filter(|(_, is)| *is).map(|(bit, _)| bit).sum())
    }

    fn is(self, bit: u8) -> bool {
        self.0 & bit != 0
    }

    /// Of each row: there are few categories and kinds, so each pair is looked at once.
    fn all(given: &Given<'_>, c: &Constants) -> Option<Vec<Self>> {
        let kinds = c.kinds.len();
        let pairs = (0..c.categories.len() * kinds).map(|pair| (pair / kinds, pair % kinds));
        let known: Vec<Self> = pairs
            .map(|(category, kind)| Self::of(category as u8, kind as u8, c))
            .collect();
        let rows = given.category.iter().zip(given.kind);
        let place =
            |(category, kind): (&u8, &u8)| usize::from(*category) * kinds + usize::from(*kind);
        rows.map(|row| known.get(place(row)).copied()).collect()
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
    let rows = table.len();
    let roles = Role::all(&given, constants)?;
    let mut work = Sparse::<u8>::new(rows);
    for (row, role) in roles.iter().enumerate() {
        if let Some(kind) = given.work(row, *role, constants) {
            work.put(row, kind);
        }
    }
    let failed = Bits::of_rows(rows, |row| given.failed(row, constants.error));
    let outgoing = Bits::of_rows(rows, |row| {
        let refused = given.status[row] == constants.error && roles[row].is(Role::CONNECTION);
        roles[row].is(Role::OUTGOING) || refused
    });
    let (works, is_work) = (work.values, work.valid);
    let mut columns = vec![
        Array::new("row", Values::U32((0..rows as u32).collect()), None),
        Array::of_names("work", works, Some(is_work), &constants.works),
        Array::new("failed", Values::Bits(failed), None),
        Array::new("outgoing", Values::Bits(outgoing), None),
    ];
    columns.extend(answers(&given, constants)?);
    Some(Array::of_columns(rows, columns))
}

/// Those of the answer, for every span: SERVER and CONSUMER spans are their parent's.
fn answers(given: &Given<'_>, constants: &Constants) -> Option<[Array; 8]> {
    let rows = given.parent.len();
    let mut place = vec![0u32; rows]; // of the answer in `found`, 0 for none
    let mut found = vec![(0, Answer::default())];
    for (row, parent) in given.parent.iter().enumerate() {
        if !constants.serves(given.kind[row]) || *parent < 0 {
            continue;
        }
        let asked = *parent as usize;
        let place = place.get_mut(asked)?;
        if *place == 0 {
            *place = found.len() as u32;
            found.push((asked, Answer::default()));
        }
        found[*place as usize].1.add(given, row, constants.server);
    }
    let mut codes = [(); 3].map(|()| Sparse::<u64>::new(rows));
    let mut times = [(); 3].map(|()| Sparse::<i64>::new(rows));
    let mut counts = [(); 2].map(|()| Sparse::<u32>::new(rows));
    for (row, answer) in &found[1..] {
        let last = answer.last as usize;
        let told = [answer.service, answer.label, Some(given.span[last])];
        for (column, code) in codes.iter_mut().zip(told) {
            if let Some(code) = code {
                column.put(*row, code);
            }
        }
        let told = [answer.longest, given.start[last], answer.end];
        for (column, time) in times.iter_mut().zip(told) {
            column.put(*row, time);
        }
        counts[0].put(*row, answer.servers);
        if let Some(tries) = answer.tries() {
            counts[1].put(*row, tries);
        }
    }
    let ([callee, label, span], [longest, start, end], [servers, tries]) = (codes, times, counts);
    Some([
        callee.named("callee"),
        label.named("callee_label"),
        longest.named("server_ns"),
        servers.named("servers"),
        tries.named("tries"),
        span.named("answer_span"),
        start.named("answer_start_ns"),
        end.named("answer_end_ns"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tabled::{codes, constants, names, numbers, read, statuses, times};

    #[test]
    fn a_call_has_the_answers_of_both_attempts() {
        let c = constants();
        let columns = vec![
            codes("span_id", &[1, 2, 3, 4]),
            codes("service", &[7, 8, 8, 7]),
            codes("label", &[21, 22, 22, 23]),
            names("kind", &[c.client, c.server, c.server, c.client]),
            names("category", &[c.http, c.http, c.http, c.db]),
            names("status", &[0, 0, 0, c.error]),
            numbers("traits", &[0, 0, 0, c.reads]),
            times("start_ns", &[0, 1, 5, 9]),
            times("duration_ns", &[10, 3, 2, 1]),
            statuses("parent_row", &[-1, 0, 0, -1]),
            statuses("http_status", &[200, 503, 200, 0]),
            statuses("rpc_status", &[0; 4]),
        ];
        let table = read(Array::of_columns(4, columns));
        let told = read(worked(&table, &c).expect("no nulls"));
        let code = |name: &str| told.numbers::<u64>(name).expect(name).known(0);
        let time = |name: &str| told.numbers::<i64>(name).expect(name).known(0);
        let count = |name: &str| told.numbers::<u32>(name).expect(name).known(0);
        assert_eq!(
            (code("callee"), code("callee_label"), code("answer_span")),
            (Some(8), Some(22), Some(3))
        );
        assert_eq!(
            (
                time("server_ns"),
                time("answer_start_ns"),
                time("answer_end_ns")
            ),
            (Some(3), Some(5), Some(7))
        );
        assert_eq!((count("servers"), count("tries")), (Some(2), Some(2)));
        let work = told.numbers::<u8>("work").expect("a column");
        assert_eq!(
            [0, 1, 3].map(|row| work.known(row)),
            [Some(c.call), None, Some(c.query)]
        );
        let failed = told.flags("failed").expect("a column");
        assert_eq!(
            [0, 1, 2, 3].map(|row| failed.known(row) == Some(true)),
            [false, true, false, true]
        );
        assert_eq!(
            told.numbers::<u64>("callee").expect("a column").known(3),
            None
        );
    }
}
