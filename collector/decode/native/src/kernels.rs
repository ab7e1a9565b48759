//! The door between Python and what is done to whole traces: columns in, columns out.

use std::collections::HashMap;

use pyo3::buffer::PyBuffer;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyCapsule};

use crate::arrow::{Array, ArrowArrayStream};
use crate::aside::aside;
use crate::bits::distinct;
use crate::constants::{Constants, Source};
use crate::facts::patterns::Patterns;
use crate::facts::spans::Spans;
use crate::facts::{Seen, OBSERVERS};
use crate::forest::{cycle_cuts, Ids, Parents};
use crate::python::{Held, PyBatch};
use crate::reading::Table;
use crate::structure::structure;
use crate::suspects::{nested_clients, statement_pairs, Bench};
use crate::worked::worked;

/// Columns of a frame, of whatever has `__arrow_c_stream__`; they are read where they are.
#[pyclass(name = "Columns", module = "spanlint_native", frozen)]
pub struct PyColumns {
    table: Table,
}

#[pymethods]
impl PyColumns {
    #[new]
    fn new(frame: &Bound<'_, PyAny>) -> PyResult<Self> {
        let capsule = frame.call_method0("__arrow_c_stream__")?;
        let capsule = capsule.cast::<PyCapsule>()?;
        let stream = capsule.pointer_checked(Some(c"arrow_array_stream"))?;
        // The name says what is inside. It stays the capsule's, which releases it.
        let table = unsafe { Table::of(stream.cast::<ArrowArrayStream>().as_mut()) };
        let table =
            table.ok_or_else(|| PyValueError::new_err("columns of one chunk are wanted"))?;
        Ok(Self { table })
    }

    /// Writes the row of each parent, -1 for none, its id and whether there is one. Returns
    /// the rows whose span id another row of the trace has, and those to be cut so that no cycle is
    /// left; None for rows that are not in order.
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn parents(
        &self,
        py: Python<'_>,
        parent: PyBuffer<i64>,
        above: PyBuffer<u64>,
        named: PyBuffer<u8>,
    ) -> PyResult<Option<(Vec<u32>, Vec<u32>)>> {
        let found = py.detach(|| {
            let ids = Ids::of(&self.table).filter(Ids::in_order)?;
            let parents = Parents::of(&ids);
            let rows: Vec<i64> = parents.rows.iter().map(|row| i64::from(*row)).collect();
            let has = (0..rows.len()).map(|row| u8::from(ids.above.has(row)));
            let told = (rows, ids.above.filled(), has.collect::<Vec<u8>>());
            Some((told, parents.doubled, cycle_cuts(&parents.rows)))
        });
        let Some(((rows, ids, has), doubled, cuts)) = found else {
            return Ok(None);
        };
        parent.copy_from_slice(py, &rows)?;
        above.copy_from_slice(py, &ids)?;
        named.copy_from_slice(py, &has)?;
        Ok(Some((doubled, cuts)))
    }

    /// All bits that a column has (uint32).
    fn bits(&self, name: &str) -> PyResult<u32> {
        let column = self.table.numbers::<u32>(name);
        let column = column.ok_or_else(|| PyValueError::new_err(format!("no bits: {name}")))?;
        Ok((0..self.table.len()).fold(0, |all, row| all | column.get(row)))
    }

    /// The values that some columns of codes have, each once.
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn distinct(&self, py: Python<'_>, names: Vec<String>) -> PyResult<Vec<u64>> {
        let columns = names.iter().map(|name| {
            let column = self.table.numbers::<u64>(name);
            column.ok_or_else(|| PyValueError::new_err(format!("no codes: {name}")))
        });
        let columns = columns.collect::<PyResult<Vec<_>>>()?;
        Ok(py.detach(|| distinct(&columns, self.table.len())))
    }

    fn __len__(&self) -> usize {
        self.table.len()
    }
}

/// What numpy does in `detectors/kit`, sooner. All answer None for rows that are not in canonical
/// order and for columns that are not as a decoder writes them: numpy takes these.
#[pyclass(name = "Kernels", module = "spanlint_native", frozen)]
pub struct PyKernels {
    constants: Constants,
}

/// Rows as Python passes them: parent's row and id, whether it has one, what is still there.
type Passed<'py> = (PyBuffer<i64>, PyBuffer<u64>, PyBuffer<u8>, PyBuffer<u8>);

#[pymethods]
impl PyKernels {
    #[new]
    fn new(given: &Bound<'_, PyAny>) -> PyResult<Self> {
        let constants = Constants::of(&Given(given))?;
        Ok(Self { constants })
    }

    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    /// Rows of inner HTTP spans that may be the call of the span above (int64).
    fn nested_clients<'py>(
        &self,
        py: Python<'py>,
        columns: &PyColumns,
        bench: Passed<'py>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.suspects(py, columns, &bench, nested_clients)
    }

    #[allow(clippy::needless_pass_by_value)] // likewise
    /// Rows of drivers' statements and of those of ORMs that stand for them, in turn (int64).
    fn statement_pairs<'py>(
        &self,
        py: Python<'py>,
        columns: &PyColumns,
        bench: Passed<'py>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        self.suspects(py, columns, &bench, statement_pairs)
    }

    /// The columns `STRUCTURE`.
    fn structure(&self, py: Python<'_>, columns: &PyColumns) -> Option<PyBatch> {
        self.columns(py, columns, structure)
    }

    /// The columns `WORKED`.
    fn worked(&self, py: Python<'_>, columns: &PyColumns) -> Option<PyBatch> {
        self.columns(py, columns, worked)
    }

    /// The columns `ASIDE`.
    fn aside(&self, py: Python<'_>, columns: &PyColumns) -> Option<PyBatch> {
        self.columns(py, columns, aside)
    }

    /// The columns that facts tables read.
    #[staticmethod]
    fn observed() -> Vec<&'static str> {
        Spans::names()
    }

    /// Facts of those of some tables that are observed here, each with its columns and, where it is
    /// sampled, of a level; none for columns of spans that are not as a decoder writes them.
    #[allow(clippy::needless_pass_by_value)] // pyo3 hands arguments over
    fn observe(
        &self,
        py: Python<'_>,
        columns: &PyColumns,
        tables: HashMap<String, (Option<u32>, Vec<String>)>,
    ) -> Vec<(&'static str, PyBatch)> {
        let found = py.detach(|| {
            let spans = Spans::of(&columns.table)?;
            let patterns = Patterns::of(&spans);
            let made = OBSERVERS.iter().filter_map(|(name, observe)| {
                let (level, columns) = tables.get(*name)?;
                let seen = Seen {
                    spans: &spans,
                    patterns: &patterns,
                    constants: &self.constants,
                    level: *level,
                    columns,
                };
                Some((*name, observe(&seen)))
            });
            Some(made.collect::<Vec<_>>())
        });
        let found = found.unwrap_or_default().into_iter();
        found
            .map(|(name, facts)| (name, PyBatch::of(Held::Columns(facts))))
            .collect()
    }
}

impl PyKernels {
    fn suspects<'py>(
        &self,
        py: Python<'py>,
        columns: &PyColumns,
        bench: &Passed<'py>,
        find: fn(&Table, &Bench<'_>, &Constants) -> Option<Vec<usize>>,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let (parent, above, named, alive) = bench;
        let (parent, above) = (parent.to_vec(py)?, above.to_vec(py)?);
        let (named, alive) = (named.to_vec(py)?, alive.to_vec(py)?);
        let bytes = py.detach(|| {
            let bench = Bench {
                parent: &parent,
                above: &above,
                named: &named,
                alive: &alive,
            };
            let rows = find(&columns.table, &bench, &self.constants)?;
            let rows = rows.iter().flat_map(|row| (*row as i64).to_ne_bytes());
            Some(rows.collect::<Vec<u8>>())
        });
        Ok(bytes.map(|bytes| PyBytes::new(py, &bytes)))
    }

    fn columns(
        &self,
        py: Python<'_>,
        columns: &PyColumns,
        make: fn(&Table, &Constants) -> Option<Array>,
    ) -> Option<PyBatch> {
        let found = py.detach(|| make(&columns.table, &self.constants));
        found.map(|whole| PyBatch::of(Held::Columns(whole)))
    }
}

/// Dictionaries by list, with names or numbers in them.
struct Given<'a, 'py>(&'a Bound<'py, PyAny>);

impl Source for Given<'_, '_> {
    type Error = PyErr;

    fn names(&self, list: &str) -> PyResult<Vec<String>> {
        self.0.get_item(list)?.extract()
    }

    fn number(&self, list: &str, name: &str) -> PyResult<u8> {
        let place = self.names(list)?.iter().position(|n| n == name);
        let number = place.and_then(|place| u8::try_from(place).ok());
        number.ok_or_else(|| PyValueError::new_err(format!("no {name} in {list}")))
    }

    fn bit(&self, name: &str) -> PyResult<u32> {
        self.0.get_item("traits")?.get_item(name)?.extract()
    }

    fn codes(&self, name: &str) -> PyResult<Vec<u64>> {
        self.0.get_item("codes")?.get_item(name)?.extract()
    }
}
