//! The door between Python and the window: `collector/window/native.py` is on the other side.

use std::path::PathBuf;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::given::{columns, GivenColumns};
use crate::packed::{Chunk, Plan};
use crate::python::{Held, PyBatch};
use crate::spool::{pour_partition, Spool};
use crate::window::{Limits, Window};

/// Rows of spans until their traces are whole.
#[pyclass(name = "Window", module = "spanlint_native")]
pub struct PyWindow {
    window: Window,
}

#[pymethods]
impl PyWindow {
    #[new]
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn new(
        given: GivenColumns,
        facets: Vec<String>,
        limits: (f64, f64, usize, f64),
        seed: u64,
    ) -> PyResult<Self> {
        let (quiet_s, max_age_s, max_spans, max_skew_s) = limits;
        let plan = Plan::new(columns(&given, &facets)?, &facets);
        let limits = Limits {
            quiet_s,
            max_age_s,
            max_spans,
            max_skew_ns: (max_skew_s * 1e9) as i64,
        };
        let plan = plan.map_err(PyValueError::new_err)?;
        let window = Window::new(plan, limits, seed);
        Ok(Self { window })
    }

    /// Takes rows that were decoded.
    fn add(&mut self, py: Python<'_>, batch: &mut PyBatch, arrival_s: f64) -> PyResult<()> {
        let chunk = packed(batch, arrival_s)?;
        py.detach(|| self.window.add(chunk, arrival_s.floor() as i64));
        Ok(())
    }

    /// A row of values for each column of the frame (zeros for lists), and the links: the row
    /// of each, and the ids of all.
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn add_columns(
        &mut self,
        py: Python<'_>,
        values: PyBuffer<u64>,
        links: (PyBuffer<u64>, PyBuffer<u64>),
        arrival_s: f64,
    ) -> PyResult<()> {
        let chunk = packed_columns(py, self.window.plan(), &values, &links, arrival_s)?;
        self.window.add(chunk, arrival_s.floor() as i64);
        Ok(())
    }

    /// Closes what is due.
    fn advance(&mut self, py: Python<'_>, now_s: f64) {
        py.detach(|| self.window.advance(now_s));
    }

    /// Closes everything.
    fn finish(&mut self, py: Python<'_>, now_s: Option<f64>) {
        py.detach(|| self.window.finish(now_s));
    }

    /// Whole traces, each in its order, at most so many rows but at least one trace.
    fn take(&mut self, py: Python<'_>, rows: usize) -> Option<PyBatch> {
        let taken = py.detach(|| self.window.take(rows))?;
        Some(PyBatch::of(Held::Columns(taken)))
    }

    /// Rows of open traces, rows of closed ones, open traces, the latest end of a span (ns).
    fn sizes(&self) -> (usize, usize, usize, i64) {
        let window = &self.window;
        let rows = (window.rows, window.closed_rows);
        (rows.0, rows.1, window.open_traces(), window.last_end_ns)
    }

    /// What had to be done, by name.
    fn counts(&self) -> [(&'static str, u64); 5] {
        let counts = self.window.counts;
        [
            ("late", counts.late),
            ("clamped", counts.clamped),
            ("huge", counts.huge),
            ("aged", counts.aged),
            ("closed", counts.closed),
        ]
    }
}

/// Spans of a recording.
#[pyclass(name = "Spool", module = "spanlint_native")]
pub struct PySpool {
    plan: Plan,
    spool: Spool,
}

#[pymethods]
impl PySpool {
    #[new]
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn new(given: GivenColumns, facets: Vec<String>) -> PyResult<Self> {
        let plan = Plan::new(columns(&given, &facets)?, &facets);
        Ok(Self {
            plan: plan.map_err(PyValueError::new_err)?,
            spool: Spool::default(),
        })
    }

    /// Takes rows that were decoded.
    fn add(&mut self, batch: &mut PyBatch) -> PyResult<()> {
        self.spool.add(packed(batch, 0.0)?);
        Ok(())
    }

    /// As `Window.add_columns`.
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn add_columns(
        &mut self,
        py: Python<'_>,
        values: PyBuffer<u64>,
        links: (PyBuffer<u64>, PyBuffer<u64>),
    ) -> PyResult<()> {
        let chunk = packed_columns(py, &self.plan, &values, &links, 0.0)?;
        self.spool.add(chunk);
        Ok(())
    }

    /// Writes all rows to files in a folder; how many went to each.
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn spill(&mut self, py: Python<'_>, folder: PathBuf) -> PyResult<Vec<usize>> {
        let spool = &mut self.spool;
        Ok(py.detach(|| spool.spill(&folder))?)
    }

    /// Puts the rows in memory into a window, or those of one file.
    #[pyo3(signature = (window, file = None))]
    fn pour(
        &mut self,
        py: Python<'_>,
        window: &mut PyWindow,
        file: Option<(PathBuf, usize)>,
    ) -> PyResult<()> {
        let (spool, window) = (&mut self.spool, &mut window.window);
        Ok(py.detach(|| {
            if let Some((folder, number)) = file {
                return pour_partition(&folder, number, window);
            }
            spool.pour(window);
            Ok(())
        })?)
    }

    /// What the rows in memory take.
    #[getter]
    fn bytes(&self) -> usize {
        self.spool.bytes
    }
}

fn packed(batch: &mut PyBatch, arrival_s: f64) -> PyResult<Chunk> {
    let Held::Rows(mut rows, _) = batch.take()? else {
        return Err(PyValueError::new_err("these are columns already"));
    };
    rows.arrival_ns = nanoseconds(arrival_s);
    Ok(rows)
}

fn packed_columns(
    py: Python<'_>,
    plan: &Plan,
    values: &PyBuffer<u64>,
    links: &(PyBuffer<u64>, PyBuffer<u64>),
    arrival_s: f64,
) -> PyResult<Chunk> {
    let columns = plan.columns.len();
    if values.dimensions() != 2 || values.shape()[0] != columns {
        return Err(PyValueError::new_err("columns of another number"));
    }
    let words = values.to_vec(py)?;
    let columns: Vec<&[u64]> = words.chunks(values.shape()[1].max(1)).collect();
    let (rows, ids) = (links.0.to_vec(py)?, links.1.to_vec(py)?);
    let ids = ids.chunks_exact(3).map(|ids| [ids[0], ids[1], ids[2]]);
    let links = rows.iter().map(|&row| row as u32).zip(ids).collect();
    Ok(plan.pack_columns(&columns, links, nanoseconds(arrival_s)))
}

fn nanoseconds(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}
