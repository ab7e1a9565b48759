//! The door between Python and the decoder.

use std::collections::HashMap;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use crate::arrow::{stream_of, Array, ArrowArrayStream};
use crate::columns::{NULL, RESOURCE};
use crate::decoder::{Asked, Counts, Decoder, Place};
use crate::general::{Holed, Open};
use crate::schema::{Field, Known, Message, Schema};
use crate::tables::{Column, Layout, Name, Names, PathNames, Tables, EXTRAS};

/// Facets, and those of them that are texts with holes.
type Answer = (Vec<Option<u64>>, Option<Vec<(usize, Holed)>>);

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

/// The tables as Python has them; see `collector/decode/bridge.py`.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct Given {
    names: Vec<String>,
    prefixes: Vec<String>,
    ignored: Vec<String>,
    open: HashMap<String, String>,
    columns: Vec<(String, String, Vec<String>)>,
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
    fn schema(&self) -> PyResult<Schema> {
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

    fn tables(self) -> PyResult<Tables> {
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
        let open = |name: &String| match self.open.get(name).map(String::as_str) {
            Some("url") => Open::Url,
            Some(_) => Open::Whole,
            None => Open::Closed,
        };
        let open = self.names.iter().map(open).collect();
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
            open,
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
            grpc: self.grpc,
            server: self.server,
            facets: self.facets,
            names,
        })
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

fn columns(given: &[(String, String, Vec<String>)], facets: &[String]) -> PyResult<Vec<Column>> {
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

/// Decodes bodies into one batch of rows, which `take` hands over.
///
/// `answers` has the methods `facets`, `told`, `resource` and `scope`, which get the bytes of
/// a message and return its codes (None for null), and `text`, which remembers a text. `facets` gets
/// also the numbers that were taken out, when an answer for many spans is wanted, or None.
#[pyclass(name = "Decoder", module = "spanlint_native")]
struct PyDecoder {
    decoder: Decoder,
    answers: Py<PyAny>,
}

#[pymethods]
impl PyDecoder {
    #[new]
    fn new(tables: Given, answers: Py<PyAny>, seed: u64) -> PyResult<Self> {
        let schema = tables.schema()?;
        let decoder = Decoder::new(tables.tables()?, schema, seed);
        Ok(Self { decoder, answers })
    }

    /// Adds the spans of a body: (accepted, rejected, repaired), the counts in the order of
    /// `REJECTED` and `REPAIRED`. None when only the reference can read the body.
    #[allow(clippy::type_complexity)] // it is what Python gets
    fn feed(&mut self, body: &Bound<'_, PyBytes>) -> PyResult<Option<(usize, [u64; 2], [u64; 3])>> {
        let py = body.py();
        let content = body.as_bytes();
        let decoder = &mut self.decoder;
        let (rows, groups) = (decoder.batch.len(), decoder.batch.groups.len());
        let Ok((counts, asked)) = py.detach(|| decoder.walk(content)) else {
            return Ok(None);
        };
        if let Err(error) = self.ask(py, content, &asked) {
            self.decoder.roll_back(rows, groups, &asked);
            return Err(error);
        }
        let Counts {
            accepted,
            rejected,
            repaired,
        } = counts;
        Ok(Some((accepted, rejected, repaired)))
    }

    /// All rows since the last call, as an object with `__arrow_c_stream__`.
    fn take(&mut self, py: Python<'_>) -> PyBatch {
        let decoder = &mut self.decoder;
        let whole = py.detach(|| {
            let batch = std::mem::take(&mut decoder.batch);
            Array::of_columns(batch.len(), batch.arrays(&decoder.tables))
        });
        PyBatch { whole: Some(whole) }
    }

    /// Forgets what was classified: the texts behind its codes are about to be forgotten.
    fn forget(&mut self) {
        self.decoder.forget();
    }

    fn __len__(&self) -> usize {
        self.decoder.batch.len()
    }
}

impl PyDecoder {
    fn ask(&mut self, py: Python<'_>, body: &[u8], asked: &Asked) -> PyResult<()> {
        let answers = self.answers.bind(py);
        let decoder = &mut self.decoder;
        let ask = |name: &str, place: &Place| {
            answers.call_method1(name, (PyBytes::new(py, &body[place.clone()]),))
        };
        for text in &asked.texts {
            answers.call_method1("text", (text,))?;
        }
        for (key, place) in &asked.resources {
            let codes: [Option<u64>; RESOURCE.len()] = ask("resource", place)?.extract()?;
            decoder.resource(*key, codes.map(Option::unwrap_or_default));
        }
        for (key, place) in &asked.scopes {
            decoder.scope(*key, ask("scope", place)?.extract()?);
        }
        decoder.fill_groups(asked);
        let nulls = nulls(&decoder.tables);
        let mut facets = Vec::with_capacity(asked.facets.len() * nulls.len());
        for question in &asked.facets {
            let span = PyBytes::new(py, &body[question.span.clone()]);
            let (key, runs) = question.general.clone().unzip();
            let answer = answers.call_method1("facets", (span, runs))?;
            let (told, holed): Answer = answer.extract()?;
            if told.len() != nulls.len() {
                return Err(PyValueError::new_err("facets of another number"));
            }
            let at = facets.len();
            let values = told.into_iter().zip(&nulls);
            facets.extend(values.map(|(value, null)| value.unwrap_or(*null)));
            if let Some(key) = key {
                decoder.generalised(key, &facets[at..], holed);
            }
        }
        decoder.classified(asked, &facets);
        for (row, place) in &asked.odd {
            let told: [Option<u64>; EXTRAS.len()] = ask("told", place)?.extract()?;
            for ((_, extra), value) in EXTRAS.iter().zip(told) {
                if let Some(value) = value {
                    decoder.batch.tell(*extra, *row, value);
                }
            }
        }
        Ok(())
    }
}

/// What stands for null by facet.
fn nulls(tables: &Tables) -> Vec<u64> {
    let null = |facet: &String| {
        let column = tables.columns.iter().find(|c| c.name == *facet);
        match column.map(|c| &c.layout) {
            Some(Layout::U64) => 0,
            _ => NULL,
        }
    };
    tables.facets.iter().map(null).collect()
}

/// Rows that were decoded: to be read once.
#[pyclass(name = "Batch", module = "spanlint_native")]
struct PyBatch {
    whole: Option<Array>,
}

#[pymethods]
impl PyBatch {
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    #[pyo3(signature = (requested_schema = None))]
    fn __arrow_c_stream__<'py>(
        &mut self,
        py: Python<'py>,
        requested_schema: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyCapsule>> {
        let _ = requested_schema; // a wish that may be left unfulfilled, says the specification
        let whole = self.whole.take();
        let whole = whole.ok_or_else(|| PyValueError::new_err("this batch was read before"))?;
        PyCapsule::new_with_value::<ArrowArrayStream>(py, stream_of(whole), c"arrow_array_stream")
    }
}

/// The stable 64-bit code of a text, never 0.
#[pyfunction]
fn code(text: &str) -> u64 {
    crate::decoder::code(text)
}

#[pymodule]
mod spanlint_native {
    #[pymodule_export]
    use super::{code, PyBatch, PyDecoder};

    /// Reasons of counts, in order.
    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        use pyo3::prelude::PyModuleMethods;
        module.add("REJECTED", ["invalid_trace_id", "invalid_span_id"])?;
        module.add(
            "REPAIRED",
            ["invalid_time", "end_before_start", "invalid_parent_span_id"],
        )
    }
}
