//! What Python hands over: see `collector/decode/bridge.py` and `lexicon.py`.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::columns::RESOURCE;
use crate::schema::{Field, Known, Message, Schema};
use crate::tables::{Column, Layout, Name, Names, PathNames, Reads, Tables, EXTRAS};
use crate::words::{Bits, Commands, Dialect, Lexicon, Words};

const PLAIN: [&str; 11] = [
    "trace_hi",
    "trace_lo",
    "span_id",
    "parent_span_id",
    "scope",
    "kind",
    "start_ns",
    "duration_ns",
    "status",
    "flags",
    "remote_parent",
];

/// All tables.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Given {
    names: Vec<String>,
    prefixes: Vec<String>,
    ignored: Vec<String>,
    reads: GivenReads,
    lexicon: GivenLexicon,
    own: [String; 4],
    columns: GivenColumns,
    facets: Vec<String>,
    extras: HashMap<String, Vec<String>>,
    extra_columns: Vec<String>,
    routed: Vec<String>,
    peers: Vec<String>,
    addresses: Vec<String>,
    statuses: Vec<String>,
    path: [String; 5],
    grpc: HashMap<String, i64>,
    server: i32,
    messages: Vec<Vec<(usize, String)>>,
    known: HashMap<String, usize>,
}

impl Given {
    /// The messages.
    pub fn schema(&self) -> PyResult<Schema> {
        let number = |name: &str| {
            let found = self.known.get(name).copied();
            found.ok_or_else(|| PyValueError::new_err(format!("no message {name}")))
        };
        let fields = |message: &Vec<(usize, String)>| {
            let fields = message.iter().map(|(n, kind)| Ok((*n, field(kind)?)));
            fields.collect::<PyResult<Vec<_>>>()
        };
        let messages = self.messages.iter().map(|m| Ok(Message::new(&fields(m)?)));
        Ok(Schema {
            messages: messages.collect::<PyResult<_>>()?,
            known: Known {
                resource_spans: number("ResourceSpans")?,
                resource: number("Resource")?,
                scope_spans: number("ScopeSpans")?,
                scope: number("InstrumentationScope")?,
                span: number("Span")?,
                event: number("Event")?,
                link: number("Link")?,
                status: number("Status")?,
                pair: number("KeyValue")?,
                value: number("AnyValue")?,
            },
        })
    }

    /// The rest.
    pub fn tables(self) -> PyResult<Tables> {
        if self.extra_columns != EXTRAS.map(|(name, _)| name) {
            return Err(PyValueError::new_err("columns of another version"));
        }
        let names = Names::new(self.names.clone());
        let one = |name: &String| {
            let found = names.find(name.as_bytes());
            found.ok_or_else(|| PyValueError::new_err(format!("{name} is not read")))
        };
        let all = |list: &[String]| list.iter().map(one).collect::<PyResult<Vec<Name>>>();
        let mut extras = vec![Vec::new(); EXTRAS.len()];
        for (name, extra) in EXTRAS {
            let told = self.extras.get(name).map(Vec::as_slice);
            extras[extra as usize] = all(told.unwrap_or_default())?;
        }
        let ignored = self.names.iter().map(|n| self.ignored.contains(n));
        let own = own_places(&self.own, &self.facets)?;
        let reads = self.reads.tables(all)?;
        let routed = all(&self.routed)?;
        let path = all(&self.path)?;
        Ok(Tables {
            prefixes: self
                .prefixes
                .iter()
                .map(|p| p.clone().into_bytes())
                .collect(),
            columns: columns(&self.columns, &self.facets)?,
            extras,
            ignored: ignored.collect(),
            route: routed[0],
            routed,
            peers: all(&self.peers)?,
            addresses: all(&self.addresses)?,
            statuses: all(&self.statuses)?,
            path: PathNames {
                path: path[0],
                query: path[1],
                target: path[2],
                urls: [path[3], path[4]],
            },
            reads,
            own,
            lexicon: self.lexicon.tables(),
            grpc: self.grpc,
            server: self.server,
            facets: self.facets,
            names,
        })
    }
}

fn own_places(own: &[String; 4], facets: &[String]) -> PyResult<[usize; 4]> {
    let mut places = [0; 4];
    for (place, name) in places.iter_mut().zip(own) {
        let found = facets.iter().position(|facet| facet == name);
        *place = found.ok_or_else(|| PyValueError::new_err(format!("no facet {name}")))?;
    }
    Ok(places)
}

/// `Reads` by names.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct GivenReads {
    noise: Vec<String>,
    systems: Vec<String>,
    messages: Vec<String>,
    rpc: Vec<String>,
    rpc_method: Vec<String>,
    methods: Vec<String>,
    statements: Vec<String>,
    parameters: Vec<String>,
    parameter_prefix: String,
    keys: Vec<String>,
    operation: Vec<String>,
    length: Vec<String>,
    urls: Vec<String>,
    ports: Vec<String>,
}

impl GivenReads {
    fn tables(&self, all: impl Fn(&[String]) -> PyResult<Vec<Name>>) -> PyResult<Reads> {
        Ok(Reads {
            noise: all(&self.noise)?,
            systems: all(&self.systems)?,
            messages: all(&self.messages)?,
            rpc: all(&self.rpc)?,
            rpc_method: all(&self.rpc_method)?,
            methods: all(&self.methods)?,
            statements: all(&self.statements)?,
            parameters: all(&self.parameters)?,
            parameter_prefix: self.parameter_prefix.clone().into_bytes(),
            keys: all(&self.keys)?,
            operation: all(&self.operation)?,
            length: all(&self.length)?,
            urls: all(&self.urls)?,
            ports: all(&self.ports)?,
        })
    }
}

/// `Lexicon` as Python writes it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct GivenLexicon {
    words: Vec<String>,
    paging: Vec<String>,
    health: Vec<String>,
    caches: Vec<String>,
    documents: Vec<String>,
    redis: HashMap<String, i64>,
    memcached: HashMap<String, i64>,
    many: Vec<String>,
    bits: HashMap<String, i64>,
    dialects: HashMap<String, [bool; 5]>,
    aliases: HashMap<String, String>,
    before_operand: Vec<String>,
    naming: Vec<String>,
    constants: Vec<String>,
}

impl GivenLexicon {
    /// The words.
    pub fn tables(self) -> Lexicon {
        let bit = |name: &str| self.bits.get(name).copied().unwrap_or_default();
        let dialects = self.dialects.iter().map(|(name, told)| {
            let [backslash, text_in_double_quotes, hash_comment, brackets, q_quotes] = *told;
            let dialect = Dialect {
                backslash,
                text_in_double_quotes,
                hash_comment,
                brackets,
                q_quotes,
            };
            (name.clone(), dialect)
        });
        Lexicon {
            bits: Bits {
                read: bit("READ"),
                write: bit("WRITE"),
                listed: bit("LISTED"),
                pipeline: bit("PIPELINE"),
                parameters: bit("PARAMETERS"),
                single_key: bit("SINGLE_KEY"),
                fill: bit("FILL"),
                expires: bit("EXPIRES"),
            },
            dialects: dialects.collect(),
            words: Words::new(self.words),
            paging: Words::new(self.paging),
            health: Words::new(self.health),
            caches: Words::new(self.caches),
            documents: Words::new(self.documents),
            redis: Commands::new(self.redis),
            memcached: Commands::new(self.memcached),
            many: Words::new(self.many),
            aliases: self.aliases,
            before_operand: Words::new(self.before_operand),
            naming: Words::new(self.naming),
            constants: Words::new(self.constants),
        }
    }
}

fn field(kind: &str) -> PyResult<Field> {
    Ok(match kind {
        "varint" => Field::Varint,
        "fixed64" => Field::Fixed64,
        "fixed32" => Field::Fixed32,
        "bytes" => Field::Bytes,
        "text" => Field::Text,
        "odd" => Field::Odd,
        number => Field::Message(number.parse()?),
    })
}

/// Columns by name, layout and names of values.
pub type GivenColumns = Vec<(String, String, Vec<String>)>;

/// The columns of a frame; each has to have a source.
pub fn columns(
    given: &[(String, String, Vec<String>)],
    facets: &[String],
) -> PyResult<Vec<Column>> {
    let has_source = |name: &str, list: bool| {
        facets.iter().any(|f| f == name)
            || EXTRAS.iter().any(|(told, _)| *told == name)
            || PLAIN.contains(&name)
            || RESOURCE.contains(&name)
            || (list && name == "links")
    };
    let one = |(name, layout, categories): &(String, String, Vec<String>)| {
        if !has_source(name, layout == "list") {
            let text = format!("the native decoder does not know the column {name}");
            return Err(PyValueError::new_err(text));
        }
        let layout = match layout.as_str() {
            "u64" => Layout::U64,
            "i64" => Layout::I64,
            "u32" => Layout::U32,
            "i32" => Layout::I32,
            "bool" => Layout::Bool,
            "enum" => Layout::Enum(categories.clone()),
            "list" => Layout::List,
            other => return Err(PyValueError::new_err(format!("no layout {other}"))),
        };
        Ok(Column {
            name: name.clone(),
            layout,
        })
    };
    given.iter().map(one).collect()
}
