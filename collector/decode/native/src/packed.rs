//! Rows of spans, packed: what a window keeps of each until its trace is whole.
//!
//! A row is a head of fixed words, then a word for each column that it tells: two thirds of what
//! columns with nulls take, and all of it in one place.

use std::collections::HashMap;
use std::ops::Range;

use crate::columns::{null_of, Batch, Group, Row, HAS_REMOTE, IS_REMOTE, NULL, RESOURCE, SCOPE};
use crate::tables::{Column, EXTRAS};

/// Words of a row before those of the columns that it tells.
pub const HEAD: usize = 8;
/// Place of the bits of told columns, and of kind and status above them.
pub const TOLD: usize = 0;
/// Place of the number of resource and scope, and of the flags below it.
pub const MARKS: usize = 1;
/// Place of the upper half of the trace id.
pub const TRACE_HI: usize = 2;
/// Place of the lower half.
pub const TRACE_LO: usize = 3;
/// Place of the span id.
pub const SPAN_ID: usize = 4;
/// Place of the parent's id, 0 for none.
pub const PARENT: usize = 5;
/// Place of the start.
pub const START: usize = 6;
/// Place of the duration.
pub const DURATION: usize = 7;
const KIND_SHIFT: u32 = 48;
const STATUS_SHIFT: u32 = 56;
const MOST_TOLD: usize = KIND_SHIFT as usize;

/// Where the value of a column is in a packed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// a word of the head
    Word(usize),
    /// beside the bits of told columns
    Kind,
    /// likewise
    Status,
    /// beside the number of the group
    Flags,
    /// what the flags say of the parent
    RemoteParent,
    /// a code of the resource or scope
    Group(usize),
    /// a word that is there when its bit is set
    Told(usize),
    /// beside the rows
    Links,
}

/// Which column is packed where.
pub struct Plan {
    /// the columns of the frame
    pub columns: Vec<Column>,
    /// by column
    pub sources: Vec<Source>,
    /// told columns by bit: facets in their order, then what only extras tell
    told: Vec<Told>,
    facets: usize,
}

/// A column that some rows tell: its number, what stands for null, and the extra that tells it, which
/// counts before the facet.
#[derive(Clone, Default)]
struct Told {
    column: usize,
    null: u64,
    extra: Option<usize>,
}

/// Rows that arrived together.
pub struct Chunk {
    pub(crate) words: Vec<u64>,
    pub(crate) offsets: Vec<u32>,
    /// resources with scopes
    pub groups: Vec<Group>,
    pub(crate) links: Vec<(u32, [u64; 3])>,
    /// when they arrived
    pub arrival_ns: i64,
}

/// What a row tells, by ascending bits.
struct Kept {
    values: [u64; 1 << 6],
    count: usize,
    bits: u64,
}

impl Default for Kept {
    fn default() -> Self {
        Self {
            values: [0; 1 << 6],
            count: 0,
            bits: 0,
        }
    }
}

impl Kept {
    /// Adds a value that is not null. All are written, and those that stay are counted: no branch that
    /// nobody can foretell.
    #[inline]
    fn add(&mut self, bit: usize, value: u64, null: u64) {
        self.values[self.count & ((1 << 6) - 1)] = value;
        self.bits |= u64::from(value != null) << bit;
        self.count += usize::from(value != null);
    }
}

impl Plan {
    /// The plan for the columns of a frame; `facets` are told by classification, in their order.
    pub fn new(columns: Vec<Column>, facets: &[String]) -> Result<Self, String> {
        let mut plan = Self {
            sources: Vec::with_capacity(columns.len()),
            columns: Vec::new(),
            told: vec![Told::default(); facets.len()],
            facets: facets.len(),
        };
        for (number, column) in columns.iter().enumerate() {
            let source = plan.source(number, column, facets);
            plan.sources.push(source);
        }
        if plan.told.len() > MOST_TOLD {
            return Err(format!(
                "more than {MOST_TOLD} columns are told by attributes"
            ));
        }
        plan.columns = columns;
        Ok(plan)
    }

    fn source(&mut self, number: usize, column: &Column, facets: &[String]) -> Source {
        let name = column.name.as_str();
        let mut groups = RESOURCE.iter().chain([&SCOPE]);
        if let Some(place) = groups.position(|group| *group == name) {
            return Source::Group(place);
        }
        match name {
            "trace_hi" => Source::Word(TRACE_HI),
            "trace_lo" => Source::Word(TRACE_LO),
            "span_id" => Source::Word(SPAN_ID),
            "parent_span_id" => Source::Word(PARENT),
            "start_ns" => Source::Word(START),
            "duration_ns" => Source::Word(DURATION),
            "kind" => Source::Kind,
            "status" => Source::Status,
            "flags" => Source::Flags,
            "remote_parent" => Source::RemoteParent,
            "links" => Source::Links,
            _ => {
                let told = Told {
                    column: number,
                    null: null_of(&column.layout),
                    extra: EXTRAS.iter().position(|(told, _)| *told == name),
                };
                let facet = facets.iter().position(|facet| facet == name);
                let bit = facet.unwrap_or(self.told.len());
                self.told
                    .resize(self.told.len().max(bit + 1), Told::default());
                self.told[bit] = told;
                Source::Told(bit)
            }
        }
    }

    /// What stands for null in a column; None where there is none.
    #[must_use]
    pub fn null(&self, column: usize) -> Option<u64> {
        match self.sources[column] {
            Source::Word(PARENT) | Source::Group(_) => Some(0),
            Source::RemoteParent => Some(NULL),
            Source::Told(bit) => Some(self.told[bit].null),
            _ => None,
        }
    }

    /// By bit of a told column: what stands for null.
    pub fn told_nulls(&self) -> impl Iterator<Item = u64> + '_ {
        self.told.iter().map(|told| told.null)
    }

    /// Packs what was decoded, which is nowhere else afterwards.
    pub fn pack(&self, batch: &mut Batch, chunk: &mut Chunk) {
        let (before, groups) = (chunk.len() as u32, chunk.groups.len());
        chunk.groups.append(&mut batch.groups);
        let links = batch.links.drain(..);
        chunk
            .links
            .extend(links.map(|(row, ids)| (before + row, ids)));
        let nulls: Vec<u64> = self.told_nulls().collect();
        let mut extras = self.extras(batch);
        for (number, row) in batch.rows.iter().enumerate() {
            let own = &batch.facets[number * self.facets..(number + 1) * self.facets];
            let mut kept = Kept::default();
            for (bit, (value, null)) in own.iter().zip(&nulls).enumerate() {
                kept.add(bit, *value, *null);
            }
            for (bit, rest) in &mut extras {
                let Some(next) = rest.as_slice().first().filter(|e| e.0 as usize == number) else {
                    continue;
                };
                kept.add(*bit, next.1, nulls[*bit]);
                rest.next();
            }
            chunk.push(row, groups, &kept);
        }
        batch.clear();
    }

    /// What only extras tell, by bit and row: of two the later counts. What else they tell goes to
    /// the facets.
    fn extras(&self, batch: &mut Batch) -> Vec<(usize, std::vec::IntoIter<(u32, u64)>)> {
        let mut alone = vec![];
        for (bit, told) in self.told.iter().enumerate() {
            let extra = told
                .extra
                .map(|place| std::mem::take(&mut batch.extras[place]));
            let Some(mut extra) = extra.filter(|extra| !extra.is_empty()) else {
                continue;
            };
            if bit < self.facets {
                for (row, value) in extra {
                    batch.facets[row as usize * self.facets + bit] = value;
                }
                continue;
            }
            extra.reverse();
            extra.sort_by_key(|(row, _)| *row);
            extra.dedup_by_key(|(row, _)| *row);
            alone.push((bit, extra.into_iter()));
        }
        alone
    }

    /// Packs columns: by column the value of each row, nulls as `null` says, else as 0.
    #[must_use]
    pub fn pack_columns(
        &self,
        columns: &[&[u64]],
        links: Vec<(u32, [u64; 3])>,
        arrival_ns: i64,
    ) -> Chunk {
        let rows = self
            .position(Source::Word(SPAN_ID))
            .map_or(0, |c| columns[c].len());
        let mut known: HashMap<Group, u32> = HashMap::new();
        let mut chunk = Chunk {
            links,
            arrival_ns,
            ..Chunk::with_room(rows, rows * (HEAD + 14))
        };
        #[allow(clippy::needless_range_loop)] // a row is one of all columns
        for row in 0..rows {
            let value = |source| {
                self.position(source)
                    .map_or(0, |column| columns[column][row])
            };
            let group: Group = std::array::from_fn(|n| value(Source::Group(n)));
            let number = *known.entry(group).or_insert_with(|| {
                chunk.groups.push(group);
                chunk.groups.len() as u32 - 1
            });
            // The flags are what the parent is told by here.
            let remote = match value(Source::RemoteParent) {
                NULL => 0,
                remote => HAS_REMOTE | (IS_REMOTE * u32::from(remote == 1)),
            };
            let flags = value(Source::Flags) as u32 & !(HAS_REMOTE | IS_REMOTE) | remote;
            let plain = Row {
                trace: [value(Source::Word(TRACE_HI)), value(Source::Word(TRACE_LO))],
                span_id: value(Source::Word(SPAN_ID)),
                parent: value(Source::Word(PARENT)),
                group: number,
                kind: value(Source::Kind) as u8,
                start_ns: value(Source::Word(START)) as i64,
                duration_ns: value(Source::Word(DURATION)) as i64,
                status: value(Source::Status) as u8,
                flags,
            };
            let mut kept = Kept::default();
            for (bit, told) in self.told.iter().enumerate() {
                kept.add(bit, columns[told.column][row], told.null);
            }
            chunk.push(&plain, 0, &kept);
        }
        chunk
    }

    fn position(&self, source: Source) -> Option<usize> {
        self.sources.iter().position(|s| *s == source)
    }
}

impl Chunk {
    /// An empty one with room for so many rows and words.
    #[must_use]
    pub fn with_room(rows: usize, words: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self {
            words: Vec::with_capacity(words),
            offsets,
            groups: Vec::new(),
            links: Vec::new(),
            arrival_ns: 0,
        }
    }

    /// Adds a row whose group counts from `groups` on.
    fn push(&mut self, row: &Row, groups: usize, kept: &Kept) {
        let small = u64::from(row.kind) << KIND_SHIFT | u64::from(row.status) << STATUS_SHIFT;
        self.words.extend_from_slice(&[
            small | kept.bits,
            (groups as u64 + u64::from(row.group)) << 32 | u64::from(row.flags),
            row.trace[0],
            row.trace[1],
            row.span_id,
            row.parent,
            row.start_ns as u64,
            row.duration_ns as u64,
        ]);
        self.words.extend_from_slice(&kept.values[..kept.count]);
        self.offsets.push(self.words.len() as u32);
    }

    /// Gives back room that no row takes.
    pub fn fit(&mut self) {
        self.words.shrink_to_fit();
        self.offsets.shrink_to_fit();
    }

    /// The rows from one on that stand together and are of its trace.
    #[must_use]
    pub fn run(&self, first: u32) -> Range<u32> {
        let ids = |row: u32| [self.row(row)[TRACE_HI], self.row(row)[TRACE_LO]];
        let (trace, len) = (ids(first), self.len() as u32);
        let other = (first + 1..len).find(|row| ids(*row) != trace);
        first..other.unwrap_or(len)
    }

    /// Number of words.
    #[must_use]
    pub fn words(&self) -> usize {
        self.words.len()
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The words of a row.
    #[inline]
    #[must_use]
    pub fn row(&self, row: u32) -> &[u64] {
        let at = row as usize;
        &self.words[self.offsets[at] as usize..self.offsets[at + 1] as usize]
    }

    /// Moves the start of a row.
    pub fn set_start(&mut self, row: u32, start_ns: i64) {
        self.words[self.offsets[row as usize] as usize + START] = start_ns as u64;
    }

    /// The links of a row.
    pub fn links(&self, row: u32) -> impl Iterator<Item = &[u64; 3]> {
        let from = self.links.partition_point(|(of, _)| *of < row);
        let links = self.links[from..].iter();
        links.take_while(move |(of, _)| *of == row).map(|l| &l.1)
    }

    /// Adds a row of another chunk, whose groups were added from `group` on.
    fn append(&mut self, other: &Self, row: u32, group: usize) {
        let (number, at) = (self.len() as u32, self.words.len());
        self.words.extend_from_slice(other.row(row));
        self.words[at + MARKS] += (group as u64) << 32;
        self.offsets.push(self.words.len() as u32);
        let links = other.links(row).map(|ids| (number, *ids));
        self.links.extend(links);
    }

    /// Deals the rows of some chunks by what `place` says of each.
    #[must_use]
    pub fn dealt(chunks: &[Self], places: usize, place: impl Fn(&[u64]) -> usize) -> Vec<Self> {
        let mut sizes = vec![(0, 0); places];
        for chunk in chunks {
            for row in 0..chunk.len() as u32 {
                let words = chunk.row(row);
                let size = &mut sizes[place(words)];
                (size.0, size.1) = (size.0 + 1, size.1 + words.len());
            }
        }
        let mut dealt: Vec<Self> = sizes
            .iter()
            .map(|&(rows, words)| Self::with_room(rows, words))
            .collect();
        for chunk in chunks {
            let groups: Vec<usize> = dealt.iter().map(|d| d.groups.len()).collect();
            for target in &mut dealt {
                target.groups.extend_from_slice(&chunk.groups);
            }
            for row in 0..chunk.len() as u32 {
                let place = place(chunk.row(row));
                dealt[place].append(chunk, row, groups[place]);
            }
        }
        dealt
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let links = size_of_val(self.links.as_slice());
        links + size_of_val(self.words.as_slice()) + size_of_val(self.offsets.as_slice())
    }

    /// A chunk of some of the rows, ascending.
    #[must_use]
    pub fn only(&self, rows: &[u32]) -> Self {
        let words = rows.iter().map(|&row| self.row(row).len()).sum();
        let mut kept = Self {
            groups: self.groups.clone(),
            arrival_ns: self.arrival_ns,
            ..Self::with_room(rows.len(), words)
        };
        for (number, &row) in rows.iter().enumerate() {
            kept.words.extend_from_slice(self.row(row));
            kept.offsets.push(kept.words.len() as u32);
            let links = self.links(row).map(|ids| (number as u32, *ids));
            kept.links.extend(links);
        }
        kept
    }
}

/// The kind of a packed row.
#[inline]
#[must_use]
pub fn kind(row: &[u64]) -> u64 {
    row[TOLD] >> KIND_SHIFT & 0xff
}

/// The status of a packed row.
#[inline]
#[must_use]
pub fn status(row: &[u64]) -> u64 {
    row[TOLD] >> STATUS_SHIFT
}

/// The flags of a packed row.
#[inline]
#[must_use]
pub fn flags(row: &[u64]) -> u64 {
    row[MARKS] & 0xffff_ffff
}

/// The bits of the columns that a packed row tells.
#[inline]
#[must_use]
pub fn told(row: &[u64]) -> u64 {
    row[TOLD] & ((1 << KIND_SHIFT) - 1)
}

/// Whether the parent of a packed row is remote: `NULL` where that is not said.
#[inline]
#[must_use]
pub fn remote_parent(row: &[u64]) -> u64 {
    match row[MARKS] as u32 {
        flags if flags & HAS_REMOTE == 0 => NULL,
        flags => u64::from(flags & IS_REMOTE != 0),
    }
}

/// The parent that a packed row waits for: its id, when it is of the same process.
#[inline]
#[must_use]
pub fn awaited(row: &[u64]) -> Option<u64> {
    (row[PARENT] != 0 && remote_parent(row) == 0).then_some(row[PARENT])
}
