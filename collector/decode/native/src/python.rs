//! The door between Python and the decoder.

use std::sync::Arc;

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use crate::arrow::{stream_of, Array, ArrowArrayStream};
use crate::assembly::assembled;
use crate::columns::{NULL, RESOURCE};
use crate::decoder::{Asked, Counts, Decoder, Place};
use crate::given::Given;
use crate::packed::{Chunk, Plan};
use crate::tables::{Layout, Tables, EXTRAS};

/// Decodes bodies into one batch of rows, which `take` hands over.
///
/// `answers` has the methods `facets`, `told`, `resource` and `scope`, which get the bytes of
/// a message and return its codes (None for null), and `text`, which remembers a text.
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
        Ok(Self {
            decoder: decoder.map_err(PyValueError::new_err)?,
            answers,
        })
    }

    /// Adds the spans of a body: (accepted, rejected, repaired), the counts in the order of
    /// `REJECTED` and `REPAIRED`. None when only the reference can read the body.
    #[allow(clippy::type_complexity)] // it is what Python gets
    fn feed(&mut self, body: &Bound<'_, PyBytes>) -> PyResult<Option<(usize, [u64; 2], [u64; 3])>> {
        let py = body.py();
        let content = body.as_bytes();
        let decoder = &mut self.decoder;
        let Ok((counts, asked)) = py.detach(|| decoder.walk(content)) else {
            return Ok(None);
        };
        if let Err(error) = self.ask(py, content, &asked) {
            self.decoder.roll_back(&asked);
            return Err(error);
        }
        let decoder = &mut self.decoder;
        py.detach(|| decoder.pack());
        let Counts {
            accepted,
            rejected,
            repaired,
        } = counts;
        Ok(Some((accepted, rejected, repaired)))
    }

    /// All rows since the last call.
    fn take(&mut self) -> PyBatch {
        let (rows, plan) = self.decoder.take();
        PyBatch::of(Held::Rows(rows, plan))
    }

    /// Forgets what was classified: the texts behind its codes are about to be forgotten.
    fn forget(&mut self) {
        self.decoder.forget();
    }

    fn __len__(&self) -> usize {
        self.decoder.len()
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
        let facets = |place: &Place| -> PyResult<Vec<u64>> {
            let told: Vec<Option<u64>> = ask("facets", place)?.extract()?;
            if told.len() != nulls.len() {
                return Err(PyValueError::new_err("facets of another number"));
            }
            let values = told.into_iter().zip(&nulls);
            Ok(values.map(|(value, null)| value.unwrap_or(*null)).collect())
        };
        for question in &asked.facets {
            let told = facets(question.span())?;
            for left in decoder.classified(question, &told) {
                decoder.tell(left.row, &facets(&left.span)?);
            }
        }
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

/// What a batch holds until it is read.
pub enum Held {
    /// as they were decoded, and how they are packed
    Rows(Chunk, Arc<Plan>),
    /// as columns
    Columns(Array),
}

/// Rows: to be read once, by a window or by `__arrow_c_stream__`.
#[pyclass(name = "Batch", module = "spanlint_native")]
pub struct PyBatch {
    held: Option<Held>,
    rows: usize,
}

impl PyBatch {
    /// One that holds this.
    pub fn of(held: Held) -> Self {
        let rows = match &held {
            Held::Rows(rows, _) => rows.len(),
            Held::Columns(whole) => whole.len(),
        };
        let held = Some(held);
        Self { held, rows }
    }

    /// What it holds; once.
    pub fn take(&mut self) -> PyResult<Held> {
        let held = self.held.take();
        held.ok_or_else(|| PyValueError::new_err("this batch was read before"))
    }
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
        let whole = match self.take()? {
            Held::Columns(whole) => whole,
            Held::Rows(rows, plan) => py.detach(|| {
                let places: Vec<_> = (0..rows.len() as u32).map(|row| (0, row)).collect();
                assembled(&plan, &places, |_| &rows)
            }),
        };
        PyCapsule::new_with_value::<ArrowArrayStream>(py, stream_of(whole), c"arrow_array_stream")
    }

    fn __len__(&self) -> usize {
        self.rows
    }
}

/// OTLP/JSON as OTLP protobuf, as far as it is decoded; None when only the reference can read it.
#[pyfunction]
fn transcoded<'py>(body: &Bound<'py, PyBytes>) -> Option<Bound<'py, PyBytes>> {
    let (py, content) = (body.py(), body.as_bytes());
    let found = py.detach(|| crate::transcode::transcoded(content))?;
    Some(PyBytes::new(py, &found))
}

/// The stable 64-bit code of a text, never 0.
#[pyfunction]
fn code(text: &str) -> u64 {
    crate::decoder::code(text)
}

#[pymodule]
mod spanlint_native {
    #[pymodule_export]
    use super::{code, transcoded, PyBatch, PyDecoder};

    #[pymodule_export]
    use crate::kernels::{PyColumns, PyKernels};

    #[pymodule_export]
    use crate::probe::Shapes;

    #[pymodule_export]
    use crate::windowing::{PySpool, PyWindow};

    /// Reasons of counts, in order.
    #[pymodule_init]
    fn init(module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        use pyo3::prelude::PyModuleMethods;
        module.add("INTERFACE", crate::INTERFACE)?;
        module.add("REJECTED", ["invalid_trace_id", "invalid_span_id"])?;
        module.add(
            "REPAIRED",
            ["invalid_time", "end_before_start", "invalid_parent_span_id"],
        )
    }
}
