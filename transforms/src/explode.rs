//! `sluice.transforms.Explode`: a record whose field holds an array becomes one record per element.
//!
//! Holds always: every element becomes exactly one record, in the order of the array; an empty array becomes none.

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Field, Schema, Struct, Type, Value};
use connect_core::option_names;
use connect_core::plugin::{Transform, TransformPlugin, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::schemas::SchemaCache;

/// What happens to a record without the array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    /// It is an error.
    Fail,
    /// It goes on as it is.
    Pass,
    /// It is dropped.
    Drop,
}

option_names!(Missing { "fail" => Fail, "pass" => Pass, "drop" => Drop });

/// Options of Explode.
#[derive(Debug, ConnectorConfig)]
struct ExplodeOptions {
    /// The field of the value that holds the array.
    #[option(name = "field", importance = High, validator = Validator::NonEmpty)]
    field: String,
    /// Fields beside the array to copy into each record, as `name` or `name:new`. An element that has such a field itself is an error.
    #[option(name = "copy.fields", default = "", importance = High)]
    copy: Vec<String>,
    /// The field each element goes to; without it an object's fields become the record's, and any other element becomes the value.
    #[option(name = "element.field", importance = Medium, validator = Validator::NonEmpty)]
    element: Option<String>,
    /// A field for the element's number in the array, from 0; none if not given.
    #[option(name = "index.field", importance = Medium, validator = Validator::NonEmpty)]
    index: Option<String>,
    /// What happens to a record that has no such field, or null in it: `fail`, `pass` (it goes on as it is) or `drop`. A record whose value is null always goes on.
    #[option(name = "behavior.on.missing", default = "fail", importance = Medium)]
    missing: Missing,
}

/// A field to copy.
#[derive(Debug)]
struct Copied {
    from: Arc<str>,
    to: Arc<str>,
}

struct Explode {
    field: Arc<str>,
    copied: Vec<Copied>,
    element: Option<Arc<str>>,
    index: Option<Arc<str>>,
    missing: Missing,
    shapes: SchemaCache<Arc<Shape>>,
}

/// What records of one schema become.
#[derive(Debug)]
struct Shape {
    /// Where the array stands.
    array: usize,
    /// Where the fields to copy stand.
    copied: Vec<usize>,
    /// The schema of the pieces.
    piece: Arc<Schema>,
    /// True if the fields of the elements become fields of the pieces.
    unfolds: bool,
}

impl Explode {
    fn new(options: ExplodeOptions) -> Result<Self, Vec<OptionError>> {
        let copied: Option<Vec<_>> = options.copy.iter().map(|text| copied(text)).collect();
        let Some(copied) = copied else {
            let shown = format!("[{}]", options.copy.join(", "));
            let reason = "each must be name or name:new";
            return Err(vec![OptionError::invalid("copy.fields", &shown, reason)]);
        };
        let explode = Self {
            field: options.field.into(),
            copied,
            element: options.element.map(Into::into),
            index: options.index.map(Into::into),
            missing: options.missing,
            shapes: SchemaCache::default(),
        };
        explode.check_names()?;
        Ok(explode)
    }

    /// No two values may go to one field.
    fn check_names(&self) -> Result<(), Vec<OptionError>> {
        let mut names: Vec<_> = self.added().chain(&self.element).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair.first() == pair.last()) {
            Some(pair) => {
                let name = pair.first().map_or("", |name| name);
                let reason = "two values would go to this field";
                Err(vec![OptionError::invalid("copy.fields", name, reason)])
            }
            None => Ok(()),
        }
    }

    /// The fields that come to an element.
    fn added(&self) -> impl Iterator<Item = &Arc<str>> {
        self.copied
            .iter()
            .map(|copied| &copied.to)
            .chain(&self.index)
    }

    fn adds_nothing(&self) -> bool {
        self.added().next().is_none() && self.element.is_none()
    }

    fn without_array(&self, record: TransformRecord) -> Result<Transformed> {
        match self.missing {
            Missing::Fail => Err(Error::data(format!(
                "the value has no field {}",
                self.field
            ))),
            Missing::Pass => Ok(Transformed::One(record)),
            Missing::Drop => Ok(Transformed::Dropped),
        }
    }

    fn not_an_array(&self) -> Error {
        Error::data(format!("field {} is not an array", self.field))
    }

    /// An element that is no object has no place beside other fields.
    fn needs_a_field(&self, index: usize) -> Error {
        let field = &self.field;
        Error::data(format!(
            "element {index} of field {field} is not an object: name element.field for it"
        ))
    }

    fn taken(&self, index: usize, name: &str) -> Error {
        let field = &self.field;
        Error::data(format!(
            "element {index} of field {field} has a field {name} itself: copy the other one as {name}:new"
        ))
    }
}

/// `name` or `name:new`.
fn copied(text: &str) -> Option<Copied> {
    let (from, to) = text.split_once(':').unwrap_or((text, text));
    let is_right = !from.is_empty() && !to.is_empty();
    is_right.then(|| Copied {
        from: from.into(),
        to: to.into(),
    })
}

/// Elements of a record without a schema.
impl Explode {
    fn piece_of_map(
        &self,
        element: Value,
        index: usize,
        added: &[(Value, Value)],
    ) -> Result<Value> {
        if element.is_null() && self.element.is_none() {
            return Err(self.null_element(index));
        }
        if self.adds_nothing() {
            return Ok(element);
        }
        let mut entries = match (element, &self.element) {
            (element, Some(name)) => vec![(Value::String(name.clone()), element)],
            (Value::Map(entries), None) => entries,
            _ => return Err(self.needs_a_field(index)),
        };
        entries.reserve(added.len() + 1);
        let own = entries.len();
        for (name, value) in added {
            if entries.iter().take(own).any(|(known, _)| known == name) {
                return Err(self.taken(index, name.as_str().unwrap_or_default()));
            }
            entries.push((name.clone(), value.clone()));
        }
        if let Some(name) = &self.index {
            if entries
                .iter()
                .any(|(known, _)| known.as_str() == Some(name))
            {
                return Err(self.taken(index, name));
            }
            entries.push((Value::String(name.clone()), Value::Int64(number(index)?)));
        }
        Ok(Value::Map(entries))
    }

    fn null_element(&self, index: usize) -> Error {
        Error::data(format!("element {index} of field {} is null", self.field))
    }

    /// The fields to copy, as they are in each piece. A field that is absent stays absent.
    fn added_entries(&self, entries: &[(Value, Value)]) -> Vec<(Value, Value)> {
        let find = |copied: &Copied| {
            let found = entries
                .iter()
                .find(|(name, _)| name.as_str() == Some(&copied.from));
            found.map(|(_, value)| (Value::String(copied.to.clone()), value.clone()))
        };
        self.copied.iter().filter_map(find).collect()
    }
}

/// Elements of a record with a schema.
impl Explode {
    fn shape(&self, schema: &Arc<Schema>) -> Result<Shape> {
        let Type::Struct(fields) = &schema.kind else {
            return Err(self.not_an_array());
        };
        let find = |name: &str| {
            let position = fields.iter().position(|field| &*field.name == name);
            position.ok_or_else(|| Error::data(format!("the value has no field {name}")))
        };
        let array = find(&self.field)?;
        let Some(Type::Array(element)) = fields.get(array).map(|field| &field.schema.kind) else {
            return Err(self.not_an_array());
        };
        let copied: Result<Vec<_>> = self
            .copied
            .iter()
            .map(|copied| find(&copied.from))
            .collect();
        let copied = copied?;
        let copies = self
            .copied
            .iter()
            .zip(&copied)
            .filter_map(|(names, index)| {
                let schema = fields.get(*index)?.schema.clone();
                Some(Field {
                    name: names.to.clone(),
                    schema,
                })
            });
        let piece = self.piece_schema(element, copies.collect())?;
        let unfolds = self.element.is_none() && !self.adds_nothing();
        Ok(Shape {
            array,
            copied,
            piece,
            unfolds,
        })
    }

    fn piece_schema(&self, element: &Arc<Schema>, copies: Vec<Field>) -> Result<Arc<Schema>> {
        if self.adds_nothing() {
            return Ok(element.clone());
        }
        let (mut schema, mut fields) = match (&self.element, &element.kind) {
            (Some(name), _) => {
                let field = Field {
                    name: name.clone(),
                    schema: element.clone(),
                };
                (Schema::new(Type::Struct(Vec::new())), vec![field])
            }
            (None, Type::Struct(fields)) => ((**element).clone(), fields.clone()),
            _ => return Err(self.needs_a_field(0)),
        };
        let index = self.index.iter().map(|name| Field {
            name: name.clone(),
            schema: Arc::new(Schema::new(Type::Int64)),
        });
        for field in copies.into_iter().chain(index) {
            if fields.iter().any(|known| known.name == field.name) {
                return Err(self.taken(0, &field.name));
            }
            fields.push(field);
        }
        schema.kind = Type::Struct(fields);
        schema.optional = false;
        Ok(Arc::new(schema))
    }

    fn piece_of_struct(
        &self,
        element: Value,
        index: usize,
        shape: &Shape,
        added: &[Value],
    ) -> Result<Value> {
        if element.is_null() && self.element.is_none() {
            return Err(self.null_element(index));
        }
        if self.adds_nothing() {
            return Ok(element);
        }
        let mut values = match element {
            Value::Struct(fields) if shape.unfolds => fields.values,
            element if !shape.unfolds => vec![element],
            _ => return Err(self.needs_a_field(index)),
        };
        values.extend_from_slice(added);
        if self.index.is_some() {
            values.push(Value::Int64(number(index)?));
        }
        Ok(Value::Struct(Struct {
            schema: shape.piece.clone(),
            values,
        }))
    }
}

fn number(index: usize) -> Result<i64> {
    i64::try_from(index).map_err(|_| Error::data("too many elements"))
}

/// The array with what comes to each element.
enum Source {
    Map {
        added: Vec<(Value, Value)>,
    },
    Struct {
        shape: Arc<Shape>,
        added: Vec<Value>,
    },
}

impl Explode {
    /// Takes the array out of the value; `None` if there is none.
    fn source(
        &mut self,
        value: &mut Value,
        schema: Option<&Arc<Schema>>,
    ) -> Result<Option<(Value, Source)>> {
        match (value, schema) {
            (Value::Map(entries), None) => {
                let added = self.added_entries(entries);
                let array = entries
                    .iter_mut()
                    .find(|(name, _)| name.as_str() == Some(&self.field));
                let array = array.map(|(_, array)| std::mem::replace(array, Value::Null));
                Ok(array.map(|array| (array, Source::Map { added })))
            }
            (Value::Struct(fields), Some(schema)) => {
                if schema.field(&self.field).is_none() {
                    return Ok(None);
                }
                let mut shapes = std::mem::take(&mut self.shapes);
                let shape = shapes.get(schema, || self.shape(schema).map(Arc::new));
                self.shapes = shapes;
                let shape = shape?;
                let value =
                    |index: &usize| fields.values.get(*index).cloned().unwrap_or(Value::Null);
                let added = shape.copied.iter().map(value).collect();
                let array = fields.values.get_mut(shape.array);
                let array = array.map(|array| std::mem::replace(array, Value::Null));
                Ok(array.map(|array| (array, Source::Struct { shape, added })))
            }
            _ => Err(Error::data("the value is neither a struct nor an object")),
        }
    }

    fn pieces(&self, elements: Vec<Value>, source: &Source) -> Result<Vec<Datum>> {
        let piece = |(index, element): (usize, Value)| match source {
            Source::Map { added } => self
                .piece_of_map(element, index, added)
                .map(Datum::schemaless),
            Source::Struct { shape, added } => self
                .piece_of_struct(element, index, shape, added)
                .map(|value| Datum::with_schema(shape.piece.clone(), value)),
        };
        elements.into_iter().enumerate().map(piece).collect()
    }
}

impl Transform for Explode {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        if record.value.is_null() {
            return Ok(Transformed::One(record));
        }
        if self.missing == Missing::Pass
            && record
                .value
                .value()
                .get(&self.field)
                .is_none_or(Value::is_null)
        {
            return Ok(Transformed::One(record));
        }
        let value = std::mem::replace(&mut record.value, Datum::null());
        let (schema, mut value) = value.into_parts();
        let elements = match self.source(&mut value, schema.as_ref())? {
            None | Some((Value::Null, _)) => return self.without_array(record),
            Some((Value::Array(elements), source)) => self.pieces(elements, &source)?,
            Some(_) => return Err(self.not_an_array()),
        };
        let piece = |value| TransformRecord {
            value,
            ..record.clone()
        };
        Ok(Transformed::Several(
            elements.into_iter().map(piece).collect(),
        ))
    }
}

connect_core::inventory::submit! {
    TransformPlugin {
        class: "sluice.transforms.Explode",
        version: crate::VERSION,
        definition: ExplodeOptions::definition,
        make: |options| Ok(Box::new(Explode::new(ExplodeOptions::from_map(options)?)?)),
    }
}

#[cfg(test)]
mod tests;
