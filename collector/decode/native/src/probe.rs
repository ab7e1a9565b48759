//! The shapes by themselves, for tests that compare them with the reference's.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::command::shape_command;
use crate::document::read_document;
use crate::given::GivenLexicon;
use crate::statement::{read_statement, Statement};
use crate::url::template_path;
use crate::words::{Lexicon, Sure};

/// A form, and the values with separators between.
type Read<'py> = (Bound<'py, PyBytes>, Option<String>);
/// Template, ids, number of ids, host, and whether it has a query, pages, is a health check.
type Url = (String, String, usize, Option<String>, bool, bool, bool);
/// Operation, key, template, traits, commands.
type Command = (String, Option<String>, Option<String>, i64, usize);

/// Shapes of texts; None where only the reference can say.
#[pyclass(name = "Shapes", module = "spanlint_native", frozen)]
pub struct Shapes {
    lexicon: Lexicon,
}

#[pymethods]
impl Shapes {
    #[new]
    fn new(lexicon: GivenLexicon) -> Self {
        let lexicon = lexicon.tables();
        Self { lexicon }
    }

    fn url(&self, text: &str) -> Option<Url> {
        let url = template_path(text, &self.lexicon).ok()?;
        let (ids, count) = (url.ids.joined, url.ids.count);
        let told = (url.has_query, url.paged, url.health);
        Some((url.template, ids, count, url.host, told.0, told.1, told.2))
    }

    fn command(&self, text: &str, name: &str, system: &str, length: usize) -> Option<Command> {
        let found = shape_command(text, name, system, length, &self.lexicon).ok()?;
        let (key, template) = (found.key, found.template);
        Some((found.operation, key, template, found.traits, found.commands))
    }

    fn statement<'py>(&self, py: Python<'py>, text: &str, system: &str) -> Option<Read<'py>> {
        given(py, read_statement(text, system, &self.lexicon))
    }

    #[staticmethod]
    fn document<'py>(py: Python<'py>, text: &str) -> Option<Read<'py>> {
        given(py, read_document(text))
    }
}

fn given(py: Python<'_>, statement: Sure<Statement>) -> Option<Read<'_>> {
    let Statement { form, literals } = statement.ok()?;
    Some((PyBytes::new(py, &form), literals))
}
