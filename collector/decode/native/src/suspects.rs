//! Rows that repairs have to look at: one operation may be told by two spans there.
//!
//! `detectors/kit/repairs.py` and `pairs.py` define what is repaired. Nearly always nothing is, and
//! to find that out is what costs.

use std::borrow::Cow;

use crate::constants::Constants;
use crate::forest::runs;
use crate::reading::{Column, Table};

/// Spans under repair: what is still there, and the parents as they are by now.
pub struct Bench<'a> {
    /// row of the parent, or negative
    pub parent: &'a [i64],
    /// id of the parent
    pub above: &'a [u64],
    /// whether there is one
    pub named: &'a [u8],
    /// whether the row is still there
    pub alive: &'a [u8],
}

impl Bench<'_> {
    fn fits(&self, rows: usize) -> bool {
        let within = |row: &i64| *row < rows as i64;
        let lengths = [self.above.len(), self.named.len(), self.alive.len()];
        self.parent.len() == rows
            && lengths == [rows; 3]
            && self.parent.iter().fold(true, |all, row| all & within(row))
    }

    fn parent_of(&self, row: usize) -> Option<usize> {
        usize::try_from(self.parent[row]).ok()
    }
}

/// Inner HTTP spans that may be the call of the client span above, seen by another library.
#[must_use]
pub fn nested_clients(
    table: &Table,
    bench: &Bench<'_>,
    constants: &Constants,
) -> Option<Vec<usize>> {
    let kind = table.numbers::<u8>("kind")?.whole()?;
    let category = table.numbers::<u8>("category")?.whole()?;
    let column = |name: &str| table.numbers::<u64>(name);
    let (operation, peer) = (column("operation")?, column("peer")?);
    let (service, scope) = (column("service")?, column("scope")?);
    let agree = |column: Column<'_, u64>, one: usize, two: usize| {
        let (one, two) = (column.get(one), column.get(two));
        one == two || one == 0 || two == 0
    };
    let asked = [constants.rpc, constants.db, constants.messaging];
    let client = |row: usize| kind[row] == constants.client;
    let same_call = |row: usize, above: usize| {
        let http = category[above] == constants.http && agree(operation, row, above);
        (http || asked.contains(&category[above]))
            && service.get(row) == service.get(above)
            && agree(peer, row, above)
            && scope.get(row) != scope.get(above)
    };
    let is_suspect = |row: &usize| {
        let calls = client(*row) && category[*row] == constants.http && bench.alive[*row] != 0;
        let above = if calls { bench.parent_of(*row) } else { None };
        above.is_some_and(|above| client(above) && same_call(*row, above))
    };
    let found = || (0..table.len()).filter(is_suspect).collect();
    bench.fits(table.len()).then(found)
}

/// What siblings with one statement share: parent's id and whether there is one, service, shape.
type Key = (u64, u8, u64, u64);

/// Rows of database statements that siblings from another scope share.
#[must_use]
pub fn statements(table: &Table, bench: &Bench<'_>, constants: &Constants) -> Option<Vec<usize>> {
    let column = |name: &str| table.numbers::<u64>(name);
    let (high, low) = (column("trace_hi")?.filled(), column("trace_lo")?.filled());
    let category = table.numbers::<u8>("category")?.whole()?;
    let statement = Statements {
        shape: column("shape")?,
        scope: column("scope")?.filled(),
        service: column("service")?.filled(),
        bench,
    };
    if !bench.fits(table.len()) {
        return None;
    }
    let (mut found, mut run) = (Vec::new(), Vec::new());
    for rows in runs(&high, &low) {
        run.clear();
        let (mut scopes, mut several) = (None, false);
        for row in rows {
            let stored = category[row] == constants.db || category[row] == constants.cache;
            if stored && bench.alive[row] != 0 && statement.shape.has(row) {
                run.push(row);
                several |= *scopes.get_or_insert(statement.scope[row]) != statement.scope[row];
            }
        }
        if several {
            statement.mixed(&run, &mut found);
        }
    }
    Some(found)
}

struct Statements<'a> {
    shape: Column<'a, u64>,
    scope: Cow<'a, [u64]>,
    service: Cow<'a, [u64]>,
    bench: &'a Bench<'a>,
}

impl Statements<'_> {
    /// Of the statements of a trace those of which siblings from another scope have the same.
    fn mixed(&self, rows: &[usize], found: &mut Vec<usize>) {
        let begin = found.len();
        let mut keyed: Vec<(Key, u64, usize)> = Vec::with_capacity(rows.len());
        keyed.extend(
            rows.iter()
                .map(|&row| (self.key(row), self.scope[row], row)),
        );
        keyed.sort_unstable();
        for group in keyed.chunk_by(|one, two| one.0 == two.0) {
            if group[0].1 != group[group.len() - 1].1 {
                found.extend(group.iter().map(|(_, _, row)| *row));
            }
        }
        found[begin..].sort_unstable();
    }

    /// One whose parent runs the same statement in another scope counts as its sibling.
    fn key(&self, row: usize) -> Key {
        let nested = |above: &usize| {
            self.shape.get(row) == self.shape.get(*above)
                && self.scope[row] != self.scope[*above]
                && self.service[row] == self.service[*above]
        };
        let under = self.bench.parent_of(row).filter(nested).unwrap_or(row);
        let (above, named) = (self.bench.above[under], self.bench.named[under]);
        (above, named, self.service[under], self.shape.get(row))
    }
}
