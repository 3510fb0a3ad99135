//! One record on its way into a row: its fields by column, in any order.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use connect_core::data::{Datum, Field, Schema, Type, Value};
use connect_core::{Error, Result};

use super::cell::Leaf;
use super::options::{CsvOptions, Nested, NewFields};
use super::scan;

/// The column of a record that is neither struct nor map.
pub(crate) const VALUE: &str = "value";

/// Bytes that a column takes beside its name: its entries in list and index, and what the allocator adds.
const BESIDE_NAME: usize = 96;

/// The columns of an object, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Columns {
    names: Vec<Arc<str>>,
    index: HashMap<Arc<str>, usize>,
    /// Bytes of all names.
    text: usize,
}

impl Columns {
    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Bytes in memory.
    pub(crate) fn buffered(&self) -> usize {
        self.text + self.names.len() * BESIDE_NAME
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// The number of a column; fields mostly come in the order of the columns: `expected` is looked at first.
    fn find(&self, name: &str, expected: usize) -> Option<usize> {
        match self.names.get(expected) {
            Some(next) if &**next == name => Some(expected),
            _ => self.index.get(name).copied(),
        }
    }

    /// Adds a column, unless it is there; its number.
    pub(crate) fn add(&mut self, name: &str) -> usize {
        if let Some(index) = self.index.get(name) {
            return *index;
        }
        let name: Arc<str> = name.into();
        self.text += name.len();
        self.index.insert(name.clone(), self.names.len());
        self.names.push(name);
        self.names.len() - 1
    }

    pub(crate) fn truncate(&mut self, count: usize) {
        for name in self.names.drain(count.min(self.names.len())..) {
            self.text -= name.len();
            self.index.remove(&name);
        }
    }

    /// True if there are columns for fields inside `name`.
    fn has_inside(&self, name: &str) -> bool {
        let inside = |column: &Arc<str>| {
            column
                .strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        self.names.iter().any(inside)
    }
}

/// What may be done with fields that no column has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They become columns.
    Add,
    /// The header stands: the record is for another object.
    TooNarrow,
    Rest,
    Ignore,
    Fail,
}

impl Unknown {
    /// The rule of the options once the columns stand.
    pub(crate) fn of(new_fields: NewFields) -> Self {
        match new_fields {
            NewFields::Widen => Self::TooNarrow,
            NewFields::Rest => Self::Rest,
            NewFields::Ignore => Self::Ignore,
            NewFields::Fail => Self::Fail,
        }
    }
}

/// Cells of one record, not yet in order.
#[derive(Debug, Default)]
pub(crate) struct Row {
    bytes: Vec<u8>,
    cells: Vec<Option<Range<usize>>>,
    /// Members of a JSON object: fields without a column.
    rest: Vec<u8>,
    is_too_narrow: bool,
}

/// Fills a row from a record.
pub(crate) struct RowFiller<'a> {
    pub(crate) options: &'a CsvOptions,
    pub(crate) columns: &'a mut Columns,
    pub(crate) unknown: Unknown,
    pub(crate) row: &'a mut Row,
    next: usize,
}

impl Row {
    /// Appends the cells in the order of the columns, with commas between.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        for (index, cell) in self.cells.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            let bytes = cell.clone().and_then(|range| self.bytes.get(range));
            out.extend_from_slice(bytes.unwrap_or_default());
        }
    }

    /// Bytes in memory, kept for the next record.
    pub(crate) fn buffered(&self) -> usize {
        let cells = self.cells.capacity() * size_of::<Option<Range<usize>>>();
        self.bytes.capacity() + self.rest.capacity() + cells
    }

    /// True if the record has fields that the header does not have and must have.
    pub(crate) fn is_too_narrow(&self) -> bool {
        self.is_too_narrow
    }

    fn clear(&mut self, columns: usize) {
        self.bytes.clear();
        self.rest.clear();
        self.cells.clear();
        self.cells.resize(columns, None);
        self.is_too_narrow = false;
    }
}

impl<'a> RowFiller<'a> {
    pub(crate) fn new(
        options: &'a CsvOptions,
        columns: &'a mut Columns,
        unknown: Unknown,
        row: &'a mut Row,
    ) -> Self {
        row.clear(columns.len());
        Self {
            options,
            columns,
            unknown,
            row,
            next: 0,
        }
    }

    /// Takes all fields of a record.
    pub(crate) fn fill(&mut self, datum: &Datum) -> Result<()> {
        let mut path = String::new();
        let leaf = match datum.raw_json() {
            Some(json) => Leaf::Json(json.trim_ascii()),
            None => Leaf::Tree(datum.value()),
        };
        if !self.fields(&mut path, leaf)? {
            self.put(VALUE, leaf)?;
        }
        self.put_rest()
    }

    /// Takes the fields of a struct or map; false if it is none.
    fn fields(&mut self, path: &mut String, leaf: Leaf<'_>) -> Result<bool> {
        match leaf {
            Leaf::Json(json) => {
                let Some(members) = scan::members(json) else {
                    return Ok(false);
                };
                for (name, value) in members {
                    self.field(path, &name, Leaf::Json(value))?;
                }
            }
            Leaf::Tree(Value::Map(entries)) => {
                if !entries.iter().all(|(name, _)| name.as_str().is_some()) {
                    return Ok(false);
                }
                for (name, value) in entries {
                    self.field(path, name.as_str().unwrap_or_default(), Leaf::Tree(value))?;
                }
            }
            Leaf::Tree(Value::Struct(fields)) => {
                for (field, value) in declared(&fields.schema).iter().zip(&fields.values) {
                    if value.is_null() && self.is_flattened(&field.schema) {
                        self.inside(path, &field.name, |filler, path| {
                            filler.nulls(path, &field.schema)
                        })?;
                    } else {
                        self.field(path, &field.name, Leaf::Tree(value))?;
                    }
                }
            }
            Leaf::Tree(_) => return Ok(false),
        }
        Ok(true)
    }

    fn field(&mut self, path: &mut String, name: &str, leaf: Leaf<'_>) -> Result<()> {
        if self.options.nested == Nested::Json {
            return self.put(name, leaf);
        }
        self.inside(path, name, |filler, path| {
            if has_fields(leaf) && filler.fields(path, leaf)? {
                return Ok(());
            }
            let is_known = filler.columns.find(path, filler.next).is_some();
            if leaf.is_null() && !is_known && filler.columns.has_inside(path) {
                return Ok(());
            }
            filler.put(path, leaf)
        })
    }

    /// Goes down to a field: `path` names it meanwhile.
    fn inside(
        &mut self,
        path: &mut String,
        name: &str,
        then: impl FnOnce(&mut Self, &mut String) -> Result<()>,
    ) -> Result<()> {
        let length = path.len();
        if length > 0 {
            path.push('.');
        }
        path.push_str(name);
        let outcome = then(self, path);
        path.truncate(length);
        outcome
    }

    fn is_flattened(&self, schema: &Schema) -> bool {
        self.options.nested == Nested::Columns && !declared(schema).is_empty()
    }

    /// The columns of a struct that is null.
    fn nulls(&mut self, path: &mut String, schema: &Schema) -> Result<()> {
        for field in declared(schema) {
            self.inside(path, &field.name, |filler, path| {
                if declared(&field.schema).is_empty() {
                    return filler.put(path, Leaf::Tree(&Value::Null));
                }
                filler.nulls(path, &field.schema)
            })?;
        }
        Ok(())
    }

    fn put(&mut self, name: &str, leaf: Leaf<'_>) -> Result<()> {
        let column = match (self.columns.find(name, self.next), self.unknown) {
            (Some(column), _) => column,
            (None, Unknown::Add) => {
                let column = self.columns.add(name);
                self.row.cells.resize(self.columns.len(), None);
                column
            }
            (None, _) if leaf.is_null() => return Ok(()),
            (None, unknown) => return self.put_unknown(unknown, name, leaf),
        };
        self.next = column + 1;
        let start = self.row.bytes.len();
        leaf.write_cell(self.options.formula_guard, &mut self.row.bytes)?;
        self.set(column, name, start)
    }

    fn set(&mut self, column: usize, name: &str, start: usize) -> Result<()> {
        let range = start..self.row.bytes.len();
        match self.row.cells.get_mut(column) {
            Some(cell @ None) => {
                *cell = Some(range);
                Ok(())
            }
            Some(_) => Err(Error::data(format!("two values for the column {name}"))),
            None => Err(Error::internal("a column without a place in the row")),
        }
    }

    fn put_unknown(&mut self, unknown: Unknown, name: &str, leaf: Leaf<'_>) -> Result<()> {
        match unknown {
            Unknown::Add | Unknown::TooNarrow => self.row.is_too_narrow = true,
            Unknown::Ignore => {}
            Unknown::Fail => {
                let text = format!("the field {name} is not among the columns");
                return Err(Error::data(text));
            }
            Unknown::Rest => {
                let rest = &mut self.row.rest;
                rest.push(if rest.is_empty() { b'{' } else { b',' });
                Leaf::Tree(&Value::string(name)).write_json(rest)?;
                rest.push(b':');
                leaf.write_json(rest)?;
            }
        }
        Ok(())
    }

    fn put_rest(&mut self) -> Result<()> {
        if self.row.rest.is_empty() {
            return Ok(());
        }
        let mut json = std::mem::take(&mut self.row.rest);
        json.push(b'}');
        let name = self.options.rest_column.clone();
        let outcome = match self.columns.find(&name, self.next) {
            Some(column) => {
                let start = self.row.bytes.len();
                Leaf::Json(&json).write_cell(false, &mut self.row.bytes)?;
                self.set(column, &name, start)
            }
            None => Err(Error::internal("no column for the rest")),
        };
        self.row.rest = json;
        outcome
    }
}

/// The fields that a struct's schema declares.
fn declared(schema: &Schema) -> &[Field] {
    match &schema.kind {
        Type::Struct(fields) => fields,
        _ => &[],
    }
}

/// True of structs and maps with something in them.
fn has_fields(leaf: Leaf<'_>) -> bool {
    match leaf {
        Leaf::Json(json) => scan::members(json).is_some_and(|mut members| members.next().is_some()),
        Leaf::Tree(Value::Map(entries)) => !entries.is_empty(),
        Leaf::Tree(Value::Struct(fields)) => !fields.values.is_empty(),
        Leaf::Tree(_) => false,
    }
}
