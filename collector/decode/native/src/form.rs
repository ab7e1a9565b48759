//! What the classification of a span depends on, without what is only hashed.
//!
//! Two spans of equal forms have the same facets but for `values`, `key`, `path` and `entity`, which
//! are told here from the span itself. A form is made of what the classifiers of
//! `collector/decode/` read: paths and commands as their shapes, statements as masked tokens, span
//! names as far as they are kept, everything else as it is. Where that is not sure there is no form,
//! and the span is one of its own.

use std::borrow::Cow;

use crate::command::{is_space, shape_command};
use crate::decoder::code;
use crate::document::read_document;
use crate::span::{Attribute, Span};
use crate::statement::read_statement;
use crate::tables::{Name, Tables, BY_PREFIX};
use crate::telling::{
    after_parameter, entity_behind, is_routed, path_of, write_addresses, write_attribute, write_of,
    write_peers,
};
use crate::url::{template_path, templated_name, UrlShape, SEPARATOR};
use crate::values::{number, written, Odd, Value};
use crate::words::Unsure;

const LONG_NAME: usize = 120;
const CURSOR: &str = "CURSOR:";
const INT32: i64 = i32::MAX as i64;

/// Hashes of `values`, `key`, `path` and `entity` of one span, as far as it has them.
pub type Own = [Option<u64>; 4];
const VALUES: usize = 0;
const KEY: usize = 1;
const PATH: usize = 2;
const ENTITY: usize = 3;

/// There is no form.
struct NoForm;

type Formed<T> = Result<T, NoForm>;

impl From<Unsure> for NoForm {
    fn from(_: Unsure) -> Self {
        Self
    }
}

impl From<Odd> for NoForm {
    fn from(_: Odd) -> Self {
        Self
    }
}

#[derive(Clone, Copy)]
#[repr(u8)]
enum Family {
    Internal = 1,
    Noise,
    Routed,
    Served,
    Called,
    Rpc,
    Cache,
    Database,
}

/// Writes the form of a span; what is its own. None when the span has no form.
pub fn write(span: &Span, tables: &Tables, target: &mut Vec<u8>) -> Option<Own> {
    let mut form = Form {
        span,
        tables,
        target,
        own: Own::default(),
    };
    form.write().ok()?;
    Some(form.own)
}

struct Form<'s, 'a, 't> {
    span: &'s Span<'a>,
    tables: &'t Tables,
    target: &'t mut Vec<u8>,
    own: Own,
}

impl<'a> Form<'_, 'a, '_> {
    fn write(&mut self) -> Formed<()> {
        let (span, names) = (self.span, &self.tables.reads);
        if is_routed(span, self.tables) {
            self.begin(Family::Routed);
            write_of(span, &self.tables.routed, self.target);
            return self.templated_name();
        }
        if span.first_present(&names.noise).is_some() {
            self.begin(Family::Noise);
            return self.templated_name();
        }
        let system = self.first_text(&names.systems)?;
        if let Some(system) = system {
            let aliases = &self.tables.lexicon.aliases;
            let system = aliases.get(system).map_or(system, String::as_str);
            return self.database(system);
        }
        if span.first_present(&names.messages).is_some() {
            return Err(NoForm);
        }
        if span.first_present(&names.rpc).is_some() {
            self.begin(Family::Rpc);
            self.text(span.name);
            write_of(span, &names.rpc, self.target);
            write_of(span, &names.rpc_method, self.target);
            write_peers(span, self.tables, self.target);
            return Ok(());
        }
        if let Some(method) = self.first_text(&names.methods)? {
            return self.http(method);
        }
        self.begin(Family::Internal);
        self.templated_name()
    }

    fn begin(&mut self, family: Family) {
        self.target.push(family as u8);
        self.target.extend(self.span.kind.to_ne_bytes());
    }

    fn flags<const N: usize>(&mut self, flags: [bool; N]) {
        self.target.extend(flags.map(u8::from));
    }

    fn text(&mut self, text: &str) {
        self.target.extend((text.len() as u32).to_ne_bytes());
        self.target.extend(text.as_bytes());
    }

    fn maybe_text(&mut self, text: Option<&str>) {
        self.flags([text.is_some()]);
        self.text(text.unwrap_or_default());
    }

    /// The first text that is not empty; there is no form when something else stands before it.
    fn first_text(&self, names: &[Name]) -> Formed<Option<&'a str>> {
        for &name in names {
            match self.span.get(name) {
                None | Some(Value::Text("")) => {}
                Some(Value::Text(text)) => {
                    let Cow::Borrowed(text) = written(Value::Text(text))? else {
                        return Err(NoForm);
                    };
                    return Ok(Some(text));
                }
                Some(_) => return Err(NoForm),
            }
        }
        Ok(None)
    }

    /// A name that is kept with its ids replaced; one that is left alone may mean something.
    fn templated_name(&mut self) -> Formed<()> {
        let name = templated_name(self.span.name, &self.tables.lexicon)?;
        self.flags([name == self.span.name]);
        self.text(&name);
        Ok(())
    }

    fn http(&mut self, method: &str) -> Formed<()> {
        let (span, tables) = (self.span, self.tables);
        let path = path_of(span, tables)?;
        self.own[PATH] = path.as_deref().map(code);
        if span.kind == tables.server {
            self.begin(Family::Served);
            self.text(method);
            self.templated_name()?;
            let is_missing = is_missing(span, tables)?;
            self.flags([is_missing, path.is_some()]);
            if let Some(path) = path {
                let url = template_path(&path, &tables.lexicon)?;
                self.flags([url.health]);
                self.text(&url.template);
                let bare = url.template.split('?').next().unwrap_or_default();
                let entity = entity_behind(&path, after_parameter(bare));
                self.own[ENTITY] = entity.map(|entity| code(&entity));
            }
            return Ok(());
        }
        self.begin(Family::Called);
        self.text(method);
        self.templated_name()?;
        write_peers(span, tables, self.target);
        self.flags([path.is_some()]);
        let full = self.first_text(&tables.path.urls)?;
        let url = full.map(Cow::Borrowed).or(path);
        self.flags([url.is_some()]);
        if let Some(url) = url {
            let url = template_path(&url, &tables.lexicon)?;
            self.called(&url);
        }
        Ok(())
    }

    fn called(&mut self, url: &UrlShape) {
        self.flags([url.ids.count > 0, url.paged, url.health]);
        self.maybe_text(url.host.as_deref());
        self.text(&url.template);
        self.own[VALUES] = Some(code(&url.ids.joined));
    }

    fn database(&mut self, system: &str) -> Formed<()> {
        let lexicon = &self.tables.lexicon;
        let statement = self.first_text(&self.tables.reads.statements)?;
        if lexicon.caches.has(system.as_bytes()) {
            self.begin(Family::Cache);
            self.rest(true);
            return self.cache(system, statement);
        }
        self.begin(Family::Database);
        self.rest(false);
        self.statement_name();
        self.flags([statement.is_some()]);
        let parameters = self.parameters()?;
        self.flags([parameters.is_some()]);
        if let Some(statement) = statement {
            let read = if lexicon.documents.has(system.as_bytes()) {
                read_document(statement)?
            } else {
                read_statement(statement, system, lexicon)?
            };
            self.own[VALUES] = read.literals.as_deref().map(code);
            self.target.extend(read.form);
        }
        if let Some(parameters) = parameters {
            self.own[VALUES] = Some(code(&parameters));
        }
        Ok(())
    }

    fn cache(&mut self, system: &str, statement: Option<&str>) -> Formed<()> {
        let (span, tables) = (self.span, self.tables);
        let mut key = self.first_text(&tables.reads.keys)?.map(Cow::Borrowed);
        self.flags([key.is_some()]);
        let statement = statement.filter(|text| !text.chars().all(is_space));
        self.flags([statement.is_some()]);
        let mut named = false;
        if let Some(statement) = statement {
            let length = span.first_present(&tables.reads.length);
            let length = length.map_or(Ok(None), |value| number(value, INT32))?;
            let verb = self.first_text(&tables.reads.operation)?;
            let name = verb.unwrap_or(span.name);
            let length = length.unwrap_or(0) as usize;
            let found = shape_command(statement, name, system, length, &tables.lexicon)?;
            self.text(&found.operation);
            self.flags([found.key.is_some()]);
            self.maybe_text(found.template.as_deref());
            self.target.extend(found.traits.to_ne_bytes());
            self.target.extend(found.commands.to_ne_bytes());
            key = key.or(found.key.map(Cow::Owned));
            named = !found.operation.is_empty() && span.name.contains(' ');
        }
        // A name of several words gives way to the operation.
        self.maybe_text(Some(span.name).filter(|_| !named));
        let key = key.as_deref().map(code);
        (self.own[KEY], self.own[VALUES]) = (key, key);
        Ok(())
    }

    /// A name that is a statement, or has a value in it, tells its first word.
    fn statement_name(&mut self) {
        let name = self.span.name;
        let shown = !name.contains(['=', '\'', '"', '?'])
            && (name.len() <= LONG_NAME || name.chars().count() <= LONG_NAME);
        self.flags([shown, name.starts_with(CURSOR)]);
        if shown {
            return self.text(name);
        }
        let words = name.strip_prefix(CURSOR).unwrap_or(name).split(is_space);
        let first = words.into_iter().find(|word| !word.is_empty());
        self.text(first.unwrap_or_default());
    }

    /// All attributes that are read, but for those whose values are only hashed.
    fn rest(&mut self, of_cache: bool) {
        let (span, tables) = (self.span, self.tables);
        let reads = &tables.reads;
        for attribute in &span.attributes {
            let Attribute { name, key, .. } = *attribute;
            let beside = if name == BY_PREFIX {
                key.starts_with(&reads.parameter_prefix)
            } else {
                tables.ignored[usize::from(name)]
                    || reads.urls.contains(&name)
                    || reads.statements.contains(&name)
                    || reads.parameters.contains(&name)
                    || (of_cache && reads.keys.contains(&name))
            };
            if !beside {
                write_attribute(self.target, attribute);
            }
        }
        write_addresses(span, tables, self.target);
    }

    /// Bind values that the instrumentation recorded, with separators between.
    fn parameters(&self) -> Formed<Option<Cow<'a, str>>> {
        let reads = &self.tables.reads;
        for &name in &reads.parameters {
            match self.span.get(name) {
                None | Some(Value::Text("") | Value::Int(0) | Value::Flag(false)) => {}
                Some(value) => return Ok(Some(written(value)?)),
            }
        }
        let attributes = self.span.attributes.iter().filter(|attribute| {
            attribute.name == BY_PREFIX && attribute.key.starts_with(&reads.parameter_prefix)
        });
        let mut found: Vec<(&[u8], Cow<str>)> = Vec::new();
        for attribute in attributes {
            found.push((attribute.key, written(attribute.value)?));
        }
        found.sort_unstable();
        if found.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(NoForm); // the last one counts
        }
        let mut joined = String::new();
        for (number, (_, value)) in found.iter().enumerate() {
            if number > 0 {
                joined.push(SEPARATOR);
            }
            joined.push_str(value);
        }
        Ok((!found.is_empty()).then_some(Cow::Owned(joined)))
    }
}

/// Whether the HTTP status says that there is no such thing.
fn is_missing(span: &Span, tables: &Tables) -> Formed<bool> {
    for &name in &tables.statuses {
        match span.get(name) {
            None | Some(Value::Text("")) => {}
            Some(Value::Text(text)) => return Ok(text == "404"),
            Some(Value::Int(status)) => return Ok(status == 404),
            Some(_) => return Err(NoForm),
        }
    }
    Ok(false)
}
