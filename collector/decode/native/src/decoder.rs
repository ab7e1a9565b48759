//! Bodies to rows: the walk, and what has to be asked of Python afterwards.
//!
//! Python classifies. It is asked once for each distinct combination of name, kind and telling
//! attributes, as long as the answer is remembered; so its work grows with the number of patterns.

use std::collections::HashSet;
use std::hash::BuildHasherDefault;
use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_128_with_seed, xxh3_64};

use crate::answers::{Answers, Key};
use crate::columns::{Batch, Group, Row, RESOURCE};
use crate::form::Own;
use crate::known::{Hashed, HashedMap};
use crate::packed::{Chunk, Plan};
use crate::schema::Schema;
use crate::span::{big_endian, link, Span};
use crate::tables::Tables;
use crate::telling;
use crate::wire::{Read, Reader, Unusual};

const MOST_RESOURCES: usize = 4_096;
const MOST_TEXTS: usize = 100_000;
/// Packed rows that room is made for before they come.
const MOST_ROOM: usize = 4_096;

/// The stable 64-bit code of a text, never 0.
#[must_use]
pub fn code(text: &str) -> u64 {
    xxh3_64(text.as_bytes()).max(1)
}

/// What became of the spans of a body, besides rows.
#[derive(Default, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// rows added
    pub accepted: usize,
    /// `invalid_trace_id`, `invalid_span_id`
    pub rejected: [u64; 2],
    /// `invalid_time`, `end_before_start`, `invalid_parent_span_id`
    pub repaired: [u64; 3],
}

/// Where in a body a message stands.
pub type Place = Range<usize>;

/// A span that has to be classified.
pub struct Question {
    key: Key,
    /// rows that wait for the answer, the first of them that of the span itself
    rows: Vec<Waiting>,
}

impl Question {
    /// The span.
    #[must_use]
    pub fn span(&self) -> &Place {
        &self.rows[0].span
    }
}

/// A row that waits for an answer.
pub struct Waiting {
    /// number of the row
    pub row: u32,
    /// its span
    pub span: Place,
    own: Own,
}

/// What Python has to be asked after a walk.
#[derive(Default)]
pub struct Asked {
    /// distinct spans to classify
    pub facets: Vec<Question>,
    /// rows whose columns the reference has to tell
    pub odd: Vec<(u32, Place)>,
    /// resources by key
    pub resources: Vec<(u128, Place)>,
    /// scopes by key
    pub scopes: Vec<(u128, Place)>,
    /// texts that are new
    pub texts: Vec<String>,
    groups: Vec<(usize, u128, u128)>,
    by_key: HashedMap<u128, usize>,
}

/// Decodes one body after the other; what it learnt outlives them.
pub struct Decoder {
    /// what is read, and for what
    pub tables: Arc<Tables>,
    schema: Schema,
    seed: u64,
    /// rows of a body
    pub batch: Batch,
    plan: Arc<Plan>,
    packed: Chunk,
    answers: Answers,
    resources: HashedMap<u128, [u64; RESOURCE.len()]>,
    scopes: HashedMap<u128, u64>,
    texts: HashSet<u64, BuildHasherDefault<Hashed>>,
}

/// One body on its way through.
struct Walk<'a> {
    body: &'a [u8],
    span: Span<'a>,
    asked: Asked,
    counts: Counts,
    group: u32,
}

impl Decoder {
    /// A decoder; `seed` makes the keys of its caches unguessable. An error says which columns it
    /// cannot write.
    pub fn new(tables: Tables, schema: Schema, seed: u64) -> Result<Self, String> {
        Ok(Self {
            plan: Arc::new(Plan::new(tables.columns.clone(), &tables.facets)?),
            packed: Chunk::with_room(0, 0),
            answers: Answers::new(&tables, seed),
            tables: Arc::new(tables),
            schema,
            seed,
            batch: Batch::default(),
            resources: HashedMap::default(),
            scopes: HashedMap::default(),
            texts: HashSet::default(),
        })
    }

    /// Packs the rows of a body, after all of them are told.
    pub fn pack(&mut self) {
        self.plan.pack(&mut self.batch, &mut self.packed);
    }

    /// All packed rows; as many again find room.
    pub fn take(&mut self) -> (Chunk, Arc<Plan>) {
        let rows = self.packed.len().min(MOST_ROOM);
        let words = self.packed.words() / self.packed.len().max(1) * rows;
        let mut taken = std::mem::replace(&mut self.packed, Chunk::with_room(rows, words));
        taken.fit();
        (taken, self.plan.clone())
    }

    /// Number of packed rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// Forgets all codes: the texts behind them are about to be forgotten.
    pub fn forget(&mut self) {
        self.answers.clear();
        self.resources.clear();
        self.scopes.clear();
        self.texts.clear();
    }

    /// Adds the spans of a body. Nothing is added when it is unusual.
    pub fn walk(&mut self, body: &[u8]) -> Read<(Counts, Asked)> {
        if self.resources.len().max(self.scopes.len()) > MOST_RESOURCES {
            self.resources.clear();
            self.scopes.clear();
        }
        if self.texts.len() > MOST_TEXTS {
            self.texts.clear();
        }
        let mut walk = Walk {
            body,
            span: Span::new(self.tables.names.len()),
            asked: Asked::default(),
            counts: Counts::default(),
            group: 0,
        };
        if let Err(unusual) = self.request(&mut walk) {
            self.roll_back(&walk.asked);
            return Err(unusual);
        }
        walk.counts.accepted = self.batch.len();
        Ok((walk.counts, walk.asked))
    }

    /// Takes back what a body added.
    pub fn roll_back(&mut self, asked: &Asked) {
        self.batch.clear();
        for text in &asked.texts {
            self.texts.remove(&code(text));
        }
    }

    fn key(&self, bytes: &[u8]) -> u128 {
        xxh3_128_with_seed(bytes, self.seed)
    }

    fn request(&mut self, walk: &mut Walk) -> Read<()> {
        let mut reader = Reader::new(walk.body);
        while let Some(tag) = reader.tag()? {
            match tag {
                0x0a => self.resource_spans(walk, reader.bytes()?)?,
                _ => self.schema.pass(0, tag, &mut reader)?,
            }
        }
        Ok(())
    }

    fn resource_spans<'a>(&mut self, walk: &mut Walk<'a>, content: &'a [u8]) -> Read<()> {
        let known = self.schema.known;
        let resource = only(content, 0x0a)?;
        let key = self.key(resource);
        if !self.resources.contains_key(&key) {
            self.schema.check(known.resource, resource)?;
            walk.asked.resources.push((key, place(walk.body, resource)));
        }
        let mut reader = Reader::new(content);
        while let Some(tag) = reader.tag()? {
            match tag {
                0x0a => once(content, reader.bytes()?, resource)?,
                0x12 => self.scope_spans(walk, reader.bytes()?, key)?,
                _ => self.schema.pass(known.resource_spans, tag, &mut reader)?,
            }
        }
        Ok(())
    }

    fn scope_spans<'a>(
        &mut self,
        walk: &mut Walk<'a>,
        content: &'a [u8],
        resource: u128,
    ) -> Read<()> {
        let known = self.schema.known;
        let scope = only(content, 0x0a)?;
        let key = self.key(scope);
        if !self.scopes.contains_key(&key) {
            self.schema.check(known.scope, scope)?;
            walk.asked.scopes.push((key, place(walk.body, scope)));
        }
        let group = self.batch.groups.len();
        walk.group = group as u32;
        walk.asked.groups.push((group, resource, key));
        self.batch.groups.push(Group::default());
        let mut reader = Reader::new(content);
        while let Some(tag) = reader.tag()? {
            match tag {
                0x0a => once(content, reader.bytes()?, scope)?,
                0x12 => self.span(walk, reader.bytes()?)?,
                _ => self.schema.pass(known.scope_spans, tag, &mut reader)?,
            }
        }
        Ok(())
    }

    fn span<'a>(&mut self, walk: &mut Walk<'a>, content: &'a [u8]) -> Read<()> {
        let Walk {
            body,
            span,
            asked,
            counts,
            group,
        } = walk;
        span.read(content, &self.schema, &self.tables)?;
        let exception = span.exception(&self.schema, span.status == telling::ERROR)?;
        let row = self.batch.len() as u32;
        let mut links = Vec::new();
        for content in &span.links {
            links.push(link(content, &self.schema)?);
        }
        if span.trace_id.len() != 16 || span.trace_id.iter().all(|b| *b == 0) {
            counts.rejected[0] += 1;
            return Ok(());
        }
        if span.span_id.len() != 8 || span.span_id.iter().all(|b| *b == 0) {
            counts.rejected[1] += 1;
            return Ok(());
        }
        for ids in links {
            self.batch.link(row, ids);
        }
        self.batch.push(plain_row(span, *group, counts));
        if telling::extras(span, exception, &self.tables, |extra, told| {
            let value = match told {
                telling::Column::Number(value) => value,
                telling::Column::Text(text) => new_text(&mut self.texts, asked, text),
            };
            self.batch.tell(extra, row, value);
        })
        .is_err()
        {
            asked.odd.push((row, place(body, content)));
        }
        if let Some((key, own)) = self
            .answers
            .append(span, &self.tables, &mut self.batch.facets)
        {
            let width = self.tables.facets.len();
            self.batch.facets.resize((row as usize + 1) * width, 0);
            let span = place(body, content);
            asked.wait(key, Waiting { row, span, own });
        }
        Ok(())
    }

    /// Takes an answer; the rows that need one of their own all the same.
    pub fn classified<'q>(&mut self, question: &'q Question, facets: &[u64]) -> Vec<&'q Waiting> {
        let mut left = Vec::new();
        let mut told = Vec::with_capacity(facets.len() + 1);
        for (number, waiting) in question.rows.iter().enumerate() {
            if number == 0 {
                self.answers.learn(question.key, &waiting.own, facets);
                self.tell(waiting.row, facets);
                continue;
            }
            told.clear();
            if self.answers.known(question.key, &waiting.own, &mut told) {
                self.tell(waiting.row, &told);
            } else {
                left.push(waiting);
            }
        }
        left
    }

    /// Takes the facets of a row.
    pub fn tell(&mut self, row: u32, facets: &[u64]) {
        let at = row as usize * facets.len();
        self.batch.facets[at..at + facets.len()].copy_from_slice(facets);
    }

    /// Takes the codes of a resource.
    pub fn resource(&mut self, key: u128, codes: [u64; RESOURCE.len()]) {
        self.resources.insert(key, codes);
    }

    /// Takes the code of a scope.
    pub fn scope(&mut self, key: u128, code: u64) {
        self.scopes.insert(key, code);
    }

    /// Fills the groups of a body, after its resources and scopes were told.
    pub fn fill_groups(&mut self, asked: &Asked) {
        for (group, resource, scope) in &asked.groups {
            let codes = self.resources.get(resource).copied().unwrap_or_default();
            let target = &mut self.batch.groups[*group];
            target[..RESOURCE.len()].copy_from_slice(&codes);
            target[RESOURCE.len()] = self.scopes.get(scope).copied().unwrap_or_default();
        }
    }
}

impl Asked {
    fn wait(&mut self, key: Key, waiting: Waiting) {
        let (Key::Exact(number) | Key::Form(number)) = key;
        let place = *self.by_key.entry(number).or_insert(self.facets.len());
        match self.facets.get_mut(place) {
            Some(question) => question.rows.push(waiting),
            None => self.facets.push(Question {
                key,
                rows: vec![waiting],
            }),
        }
    }
}

fn new_text(
    known: &mut HashSet<u64, BuildHasherDefault<Hashed>>,
    asked: &mut Asked,
    text: &str,
) -> u64 {
    let code = code(text);
    if known.insert(code) {
        asked.texts.push(text.to_owned());
    }
    code
}

fn plain_row(span: &Span, group: u32, counts: &mut Counts) -> Row {
    let (start_ns, duration_ns) = times(span.start, span.end, counts);
    Row {
        trace: [big_endian(span.trace_id), big_endian(&span.trace_id[8..])],
        span_id: big_endian(span.span_id),
        parent: parent(span.parent, counts),
        group,
        kind: u8::try_from(span.kind).unwrap_or(0) * u8::from((0..=5).contains(&span.kind)),
        start_ns,
        duration_ns,
        status: u8::try_from(span.status).unwrap_or(0) * u8::from((0..=2).contains(&span.status)),
        flags: span.flags,
    }
}

fn parent(id: &[u8], counts: &mut Counts) -> u64 {
    if id.len() == 8 || id.iter().all(|b| *b == 0) {
        return big_endian(id);
    }
    counts.repaired[2] += 1;
    0
}

/// Start and duration: as sent, or what is nearest to it.
fn times(start: u64, end: u64, counts: &mut Counts) -> (i64, i64) {
    let possible = 1..=i64::MAX as u64;
    let (mut start, mut end) = (start, end);
    if !possible.contains(&start) {
        counts.repaired[0] += 1;
        start = if possible.contains(&end) { end } else { 0 };
    }
    if end < start || end > i64::MAX as u64 {
        counts.repaired[usize::from(end < start)] += 1;
        end = start;
    }
    (start as i64, (end - start) as i64)
}

/// Whether a field is the one that was found by `only`: two are merged.
fn once(content: &[u8], field: &[u8], found: &[u8]) -> Read<()> {
    let same = place(content, field) == place(content, found);
    same.then_some(()).ok_or(Unusual)
}

/// The content of a field, empty when it is not there. Nearly always it comes first.
///
/// Of two the second may be overlooked here; see `once`.
fn only(content: &[u8], wanted: u32) -> Read<&[u8]> {
    let mut reader = Reader::new(content);
    if content.first() == Some(&(wanted as u8)) {
        reader.tag()?;
        return reader.bytes();
    }
    let mut found = None;
    while let Some(tag) = reader.tag()? {
        if tag == wanted {
            if found.replace(reader.bytes()?).is_some() {
                return Err(Unusual);
            }
        } else {
            reader.skip(tag & 7)?;
        }
    }
    Ok(found.unwrap_or(&content[..0]))
}

fn place(body: &[u8], part: &[u8]) -> Place {
    let start = part.as_ptr() as usize - body.as_ptr() as usize;
    start..start + part.len()
}
