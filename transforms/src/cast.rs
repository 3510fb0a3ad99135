//! `Cast`: fields, or the whole key or value, get another type.

mod convert;

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::data::{Datum, Field, Schema, Type, Value, java, logical};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, entries, fields_of, get, like, put, structure, values};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;
use convert::convert;

const PURPOSE: &str = "cast types";
const TARGETS: [Type; 8] = [
    Type::Int8,
    Type::Int16,
    Type::Int32,
    Type::Int64,
    Type::Float32,
    Type::Float64,
    Type::Boolean,
    Type::String,
];

/// Options of Cast.
#[derive(Debug, ConnectorConfig)]
struct CastOptions {
    /// `field:type,…`, or one type for the whole key or value. Types: `int8`, `int16`, `int32`, `int64`, `float32`, `float64`, `boolean`, `string`.
    #[option(name = "spec", importance = High, validator = Validator::Custom(is_spec))]
    spec: Vec<String>,
    #[option(flatten)]
    null: NullOption,
}

fn is_spec(value: &OptionValue) -> Result<(), String> {
    let OptionValue::List(items) = value else {
        return Ok(());
    };
    match items.iter().find(|item| item.matches(':').count() > 1) {
        Some(wrong) => Err(format!("Invalid rename mapping: {wrong}")),
        None => Ok(()),
    }
}

/// What gets which type.
#[derive(Debug, Default)]
struct Spec {
    whole: Option<Type>,
    fields: Vec<(Arc<str>, Type)>,
}

struct Cast {
    part: Part,
    spec: Spec,
    null: NullOption,
    schemas: SchemaCache<Arc<Schema>>,
}

impl Cast {
    fn new(options: &CastOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        let spec = spec(&options.spec).map_err(|text| vec![OptionError::new("spec", text)])?;
        Ok(Self {
            part,
            spec,
            null: options.null,
            schemas: SchemaCache::default(),
        })
    }

    /// Of several casts of one field the last counts.
    fn target(&self, name: &str) -> Option<&Type> {
        let mut casts = self.spec.fields.iter().rev();
        let found = casts.find(|(field, _)| **field == *name);
        found.map(|(_, target)| target)
    }

    fn whole(
        &mut self,
        target: &Type,
        schema: Option<Arc<Schema>>,
        value: &Value,
    ) -> Result<Datum> {
        let Some(schema) = schema else {
            check_plain(value)?;
            return Ok(Datum::schemaless(convert(value, target)?));
        };
        check_source(&schema.kind)?;
        let cast = self.schemas.get(&schema, || {
            let mut cast = cast_schema(&schema, target)?;
            if !is_logical(&schema) {
                cast.name.clone_from(&schema.name);
                cast.version = schema.version;
                cast.doc.clone_from(&schema.doc);
                cast.parameters.clone_from(&schema.parameters);
            }
            Ok(Arc::new(cast))
        })?;
        Ok(Datum::with_schema(cast, convert(value, target)?))
    }

    fn in_map(&self, value: Value) -> Result<Datum> {
        let mut entries = entries(value, PURPOSE)?;
        for (name, _) in &self.spec.fields {
            let value = get(&entries, name).unwrap_or(&Value::Null);
            check_plain(value)?;
            let cast = self.target(name).map(|target| convert(value, target));
            put(&mut entries, name, cast.transpose()?.unwrap_or(Value::Null));
        }
        Ok(Datum::schemaless(Value::Map(entries)))
    }

    fn in_struct(&mut self, schema: &Arc<Schema>, value: Value) -> Result<Datum> {
        let fields = fields_of(schema);
        let values = self.null.read_all(fields, values(value, PURPOSE)?);
        let mut schemas = std::mem::take(&mut self.schemas);
        let target = schemas.get(schema, || self.struct_schema(schema));
        self.schemas = schemas;
        let target = target?;
        let cast = |(field, value): (&Field, Value)| match self.target(&field.name) {
            // A null passes whatever its type is.
            Some(_) if value.is_null() => Ok(value),
            Some(target) => check_source(&field.schema.kind).and_then(|()| convert(&value, target)),
            None => Ok(value),
        };
        let cast: Result<_> = fields.iter().zip(values).map(cast).collect();
        Ok(structure(&target, cast?))
    }

    fn struct_schema(&self, schema: &Schema) -> Result<Arc<Schema>> {
        let cast = |field: &Field| match self.target(&field.name) {
            Some(target) => Ok(Field {
                name: field.name.clone(),
                schema: Arc::new(cast_schema(&field.schema, target)?),
            }),
            None => Ok(field.clone()),
        };
        let fields: Result<_> = fields_of(schema).iter().map(cast).collect();
        Ok(Arc::new(Schema {
            optional: schema.optional,
            ..like(schema, Type::Struct(fields?))
        }))
    }
}

/// The type with optionality and default of another schema.
fn cast_schema(schema: &Schema, target: &Type) -> Result<Schema> {
    let cast = |default| check_source(&schema.kind).and_then(|()| convert(default, target));
    Ok(Schema {
        optional: schema.optional,
        default: schema.default.as_ref().map(cast).transpose()?,
        ..Schema::new(target.clone())
    })
}

fn is_logical(schema: &Schema) -> bool {
    let known = [
        logical::DECIMAL,
        logical::DATE,
        logical::TIME,
        logical::TIMESTAMP,
    ];
    schema
        .name
        .as_deref()
        .is_some_and(|name| known.contains(&name))
}

fn spec(items: &[String]) -> Result<Spec, String> {
    if items.is_empty() {
        return Err("Must specify at least one field to cast.".to_owned());
    }
    let mut spec = Spec::default();
    for item in items {
        match item.split_once(':') {
            Some((name, target)) if !target.is_empty() => {
                spec.fields.push((name.trim().into(), target_type(target)?));
            }
            _ => spec.whole = Some(target_type(item.trim_end_matches(':'))?),
        }
    }
    if spec.whole.is_some() && items.len() > 1 {
        return Err("Cast transformations that specify a type to cast the entire value to may only specify a single cast in their spec".to_owned());
    }
    Ok(spec)
}

fn target_type(text: &str) -> Result<Type, String> {
    let name = text.trim().to_uppercase();
    if let Some(target) = TARGETS.iter().find(|target| target.name() == name) {
        return Ok(target.clone());
    }
    if ["BYTES", "ARRAY", "MAP", "STRUCT"].contains(&name.as_str()) {
        return Err(format!(
            "Cast transformation does not support casting to {name}; supported types are [{}]",
            target_names()
        ));
    }
    Err(format!(
        "Invalid type found in casting spec: {}",
        text.trim()
    ))
}

fn target_names() -> String {
    TARGETS.each_ref().map(Type::name).join(", ")
}

fn check_source(kind: &Type) -> Result<()> {
    match kind {
        Type::Array(_) | Type::Map(..) | Type::Struct(_) => Err(Error::data(format!(
            "Cast transformation does not support casting from {}; supported types are [{}, BYTES]",
            kind.name(),
            target_names()
        ))),
        _ => Ok(()),
    }
}

/// A value without a schema must be of a type that needs none.
fn check_plain(value: &Value) -> Result<()> {
    let kind = match value {
        Value::Array(_) => "ARRAY",
        Value::Map(_) => "MAP",
        Value::Struct(_) => "STRUCT",
        Value::Decimal(_) | Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            let class = java::class_text(value);
            return Err(Error::data(format!(
                "Cast transformation was passed a value of type {class} which is not supported by Connect's data API"
            )));
        }
        _ => return Ok(()),
    };
    Err(Error::data(format!(
        "Cast transformation does not support casting from {kind}; supported types are [{}, BYTES]",
        target_names()
    )))
}

impl Transform for Cast {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        if self.part.of(&record).is_null() {
            return Ok(Transformed::One(record));
        }
        let (schema, value) = self.part.take(&mut record);
        let cast = match (self.spec.whole.clone(), schema) {
            (Some(target), schema) => self.whole(&target, schema, &value)?,
            (None, None) => self.in_map(value)?,
            (None, Some(schema)) => self.in_struct(&schema, value)?,
        };
        self.part.put(&mut record, cast);
        Ok(Transformed::One(record))
    }
}

register_parts!("Cast", CastOptions, |options, part| Cast::new(
    &options, part
));

#[cfg(test)]
mod tests;
