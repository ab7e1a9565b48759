//! Rows that repairs have to look at: one operation may be told by two spans there.
//!
//! `detectors/kit/repairs.py` and `pairs.py` define what is repaired.

use std::borrow::Cow;
use std::cmp::Reverse;

use crate::constants::Constants;
use crate::forest::{clipped, runs};
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

/// Spans of drivers and those of ORMs that stand for them, one after the other.
#[must_use]
pub fn statement_pairs(
    table: &Table,
    bench: &Bench<'_>,
    constants: &Constants,
) -> Option<Vec<usize>> {
    let column = |name: &str| table.numbers::<u64>(name);
    let (high, low) = (column("trace_hi")?.filled(), column("trace_lo")?.filled());
    let category = table.numbers::<u8>("category")?.whole()?;
    let statement = Statements {
        shape: column("shape")?,
        scope: column("scope")?.filled(),
        service: column("service")?.filled(),
        start: clipped(table.numbers("start_ns")?.filled()),
        duration: clipped(table.numbers("duration_ns")?.filled()),
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
            statement.pairs(&run, &mut found);
        }
    }
    Some(found)
}

struct Statements<'a> {
    shape: Column<'a, u64>,
    scope: Cow<'a, [u64]>,
    service: Cow<'a, [u64]>,
    start: Cow<'a, [i64]>,
    duration: Cow<'a, [i64]>,
    bench: &'a Bench<'a>,
}

impl Statements<'_> {
    /// Of the statements of a trace those that siblings from another scope share, paired.
    fn pairs(&self, rows: &[usize], found: &mut Vec<usize>) {
        let mut keyed: Vec<(Key, usize)> = rows.iter().map(|&row| (self.key(row), row)).collect();
        keyed.sort_unstable();
        for group in keyed.chunk_by(|one, two| one.0 == two.0) {
            let scope = |one: &(Key, usize)| self.scope[one.1];
            if group.iter().any(|one| scope(one) != scope(&group[0])) {
                self.pair(group.iter().map(|one| one.1).collect(), found);
            }
        }
    }

    /// Pairs within one group, whose rows are given in order: see `pairs.py`.
    fn pair(&self, mut rows: Vec<usize>, found: &mut Vec<usize>) {
        let orm = self.longest_scope(&rows);
        let is_inner = |row: usize| self.scope[row] != orm;
        let end = |row: usize| self.start[row] + self.duration[row];
        rows.sort_by_key(|&row| (self.start[row], Reverse(self.duration[row]), is_inner(row)));
        let outers: Vec<usize> = rows.iter().copied().filter(|row| !is_inner(*row)).collect();
        let inner = rows.len() - outers.len();
        if inner > 2 * outers.len() {
            return;
        }
        let (mut nearest, mut reached, mut pairs) = (None, 0, 0);
        for row in rows {
            if !is_inner(row) {
                reached = end(row).max(reached);
                nearest = Some(row);
                continue;
            }
            let Some(nearest) = nearest.filter(|_| end(row) <= reached && pairs < outers.len())
            else {
                continue;
            };
            let outer = if inner == outers.len() {
                outers[pairs]
            } else {
                nearest
            };
            pairs += 1;
            if self.bench.parent_of(outer) != Some(row) {
                found.extend([row, outer]); // nobody is folded into a child
            }
        }
    }

    /// The scope with the longest spans in all, the smaller code when equal.
    fn longest_scope(&self, rows: &[usize]) -> u64 {
        let spent = |&row: &usize| {
            let nested = self.under(row) != row;
            let time = if nested { -1 } else { self.duration[row] };
            (self.scope[row], i128::from(time))
        };
        let mut spent: Vec<(u64, i128)> = rows.iter().map(spent).collect();
        spent.sort_unstable();
        let scopes = spent.chunk_by(|one, two| one.0 == two.0);
        let sums = scopes.map(|all| (all.iter().map(|one| one.1).sum::<i128>(), Reverse(all[0].0)));
        sums.max().map_or(0, |(_, Reverse(scope))| scope)
    }

    /// The row; its parent where that runs the same statement in another scope.
    fn under(&self, row: usize) -> usize {
        let nested = |above: &usize| {
            self.shape.get(row) == self.shape.get(*above)
                && self.scope[row] != self.scope[*above]
                && self.service[row] == self.service[*above]
        };
        self.bench.parent_of(row).filter(nested).unwrap_or(row)
    }

    /// What siblings share; one under the same statement counts as its sibling.
    fn key(&self, row: usize) -> Key {
        let under = self.under(row);
        let (above, named) = (self.bench.above[under], self.bench.named[under]);
        (above, named, self.service[under], self.shape.get(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrow::Array;
    use crate::tabled::{codes, constants, names, read, times};

    const ALL: [u8; 4] = [1; 4];

    #[test]
    fn a_drivers_span_inside_that_of_an_orm_is_its_pair() {
        let c = constants();
        let columns = vec![
            codes("trace_hi", &[1; 4]),
            codes("trace_lo", &[1; 4]),
            names("category", &[c.db; 4]),
            codes("shape", &[5; 4]),
            codes("scope", &[1, 2, 1, 2]),
            codes("service", &[7; 4]),
            times("start_ns", &[0, 1, 10, 21]),
            times("duration_ns", &[9, 7, 9, 3]),
        ];
        let table = read(Array::of_columns(4, columns));
        let bench = |alive: &'static [u8]| Bench {
            parent: &[-1; 4],
            above: &[9; 4],
            named: &ALL,
            alive,
        };
        let pairs = |alive| statement_pairs(&table, &bench(alive), &c);
        assert_eq!(pairs(&ALL), Some(vec![1, 0]));
        assert_eq!(pairs(&[0, 1, 1, 1]), Some(vec![]));
        assert_eq!(pairs(&[1]), None);
    }

    #[test]
    fn one_call_seen_by_two_libraries_is_suspect() {
        let c = constants();
        let columns = vec![
            names("kind", &[c.client; 4]),
            names("category", &[c.http; 4]),
            codes("operation", &[1, 1, 1, 2]),
            codes("peer", &[6, 0, 6, 6]),
            codes("service", &[7; 4]),
            codes("scope", &[1, 2, 1, 2]),
        ];
        let table = read(Array::of_columns(4, columns));
        let bench = Bench {
            parent: &[-1, 0, 0, 0],
            above: &[0, 1, 1, 1],
            named: &[0, 1, 1, 1],
            alive: &ALL,
        };
        assert_eq!(nested_clients(&table, &bench, &c), Some(vec![1]));
    }
}
