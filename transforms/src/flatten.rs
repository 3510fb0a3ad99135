//! `Flatten`: fields of nested structs and maps become fields at the top, their names joined.

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Field, Schema, Type, Value};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{
    Entries, NullOption, entries, fields_of, like, put, structure, unique, values,
};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;

const PURPOSE: &str = "flattening";
/// Flatten has no option for it.
const DEFAULTS: NullOption = NullOption { replace: true };

/// Options of Flatten.
#[derive(Debug, ConnectorConfig)]
struct FlattenOptions {
    /// What stands between the names that are joined.
    #[option(name = "delimiter", default = ".", importance = Medium)]
    delimiter: String,
}

struct Flatten {
    part: Part,
    delimiter: String,
    schemas: SchemaCache<Arc<Schema>>,
}

impl Flatten {
    fn new(options: FlattenOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        Ok(Self {
            part,
            delimiter: options.delimiter,
            schemas: SchemaCache::default(),
        })
    }

    fn name(&self, prefix: &str, name: &str) -> String {
        match prefix {
            "" => name.to_owned(),
            prefix => format!("{prefix}{}{name}", self.delimiter),
        }
    }

    fn flatten_map(&self, nested: Entries, prefix: &str, flat: &mut Entries) {
        for (key, value) in nested {
            let name = self.name(prefix, key.as_str().unwrap_or_default());
            match value {
                Value::Map(inner) => self.flatten_map(inner, &name, flat),
                value => put(flat, &name.into(), value),
            }
        }
    }

    fn flat_schema(&self, schema: &Schema) -> Result<Arc<Schema>> {
        let mut flat = Vec::new();
        let parent = Parent {
            prefix: "",
            optional: schema.optional,
            default: schema.default.as_ref(),
        };
        self.flat_fields(schema, parent, &mut flat)?;
        Ok(Arc::new(like(schema, Type::Struct(unique(flat)?))))
    }

    /// A field below an optional one is optional; a default of a parent gives its fields defaults.
    fn flat_fields(
        &self,
        schema: &Schema,
        parent: Parent<'_>,
        flat: &mut Vec<Field>,
    ) -> Result<()> {
        for (index, field) in fields_of(schema).iter().enumerate() {
            let name = self.name(parent.prefix, &field.name);
            let inherited = match parent.default {
                Some(Value::Struct(default)) => default.values.get(index),
                _ => None,
            };
            let default = field.schema.default.as_ref().or(inherited);
            let optional = parent.optional || field.schema.optional;
            match &field.schema.kind {
                Type::Struct(_) => {
                    let parent = Parent {
                        prefix: &name,
                        optional,
                        default,
                    };
                    self.flat_fields(&field.schema, parent, flat)?;
                }
                Type::Map(..) => return Err(unsupported(&field.schema, &name)),
                _ => flat.push(flat_field(field, name, optional, default)),
            }
        }
        Ok(())
    }
}

fn flat_field(field: &Field, name: String, optional: bool, default: Option<&Value>) -> Field {
    let default = default.filter(|default| !default.is_null());
    Field {
        name: name.into(),
        schema: Arc::new(Schema {
            optional,
            default: default.cloned(),
            ..(*field.schema).clone()
        }),
    }
}

fn unsupported(schema: &Schema, name: &str) -> Error {
    let kind = schema.kind.name();
    Error::data(format!(
        "Flatten transformation does not support {kind} for record with schemas (for field {name})."
    ))
}

/// What a nested field has from those above it.
#[derive(Clone, Copy)]
struct Parent<'a> {
    prefix: &'a str,
    optional: bool,
    default: Option<&'a Value>,
}

/// The values in the order of the flat fields; those of a struct that is null are null.
fn flat_values(schema: &Schema, value: Value, flat: &mut Vec<Value>) -> Result<()> {
    let mut nested = match value {
        Value::Null => None,
        value => Some(values(value, PURPOSE)?.into_iter()),
    };
    for field in fields_of(schema) {
        let value = match &mut nested {
            None => Value::Null,
            Some(nested) => nested.next().unwrap_or(Value::Null),
        };
        match &field.schema.kind {
            Type::Struct(_) => flat_values(&field.schema, value, flat)?,
            _ if nested.is_some() => flat.push(DEFAULTS.read(&field.schema, value)),
            _ => flat.push(Value::Null),
        }
    }
    Ok(())
}

impl Transform for Flatten {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        if self.part.of(&record).is_null() {
            return Ok(Transformed::One(record));
        }
        let (schema, value) = self.part.take(&mut record);
        let flattened = match schema {
            None => {
                let mut flat = Vec::new();
                self.flatten_map(entries(value, PURPOSE)?, "", &mut flat);
                Datum::schemaless(Value::Map(flat))
            }
            Some(schema) => {
                let mut schemas = std::mem::take(&mut self.schemas);
                let flat_schema = schemas.get(&schema, || self.flat_schema(&schema));
                self.schemas = schemas;
                let mut flat = Vec::new();
                flat_values(&schema, value, &mut flat)?;
                structure(&flat_schema?, flat)
            }
        };
        self.part.put(&mut record, flattened);
        Ok(Transformed::One(record))
    }
}

register_parts!("Flatten", FlattenOptions, Flatten::new);

#[cfg(test)]
mod tests {
    use crate::testing::{fields, json, shares_schemas, typed, value_of};

    const A: &str = r#""field":"a","type":"struct","optional":true,"fields":[{"field":"x","type":"int32"},{"field":"l","type":"array","items":{"type":"string"}}]"#;
    const B: &str = r#""field":"b","type":"string""#;

    #[test]
    fn names_are_joined_and_arrays_stay() {
        let value = json(r#"{"a":{"x":1,"l":[{"y":2}],"e":{}},"b":"z","n":null}"#);
        assert_eq!(
            value_of("Flatten", &[], value),
            r#"{"a.x":1,"a.l":[{"y":2}],"b":"z","n":null}"#
        );
    }

    #[test]
    fn fields_below_an_optional_one_are_optional() {
        let schema = fields(&[A, B]);
        let options = [("delimiter", "_")];
        let value = typed(&schema, r#"{"a":{"x":1,"l":["s"]},"b":"z"}"#);
        assert_eq!(
            value_of("Flatten", &options, value),
            r#"{a_x:int32?,a_l:[string]?,b:string} {"a_x":1,"a_l":["s"],"b":"z"}"#
        );
        let value = typed(&schema, r#"{"a":null,"b":"z"}"#);
        assert_eq!(
            value_of("Flatten", &options, value.clone()),
            r#"{a_x:int32?,a_l:[string]?,b:string} {"a_x":null,"a_l":null,"b":"z"}"#
        );
        assert!(shares_schemas("Flatten$Value", &options, &value));
    }

    #[test]
    fn two_fields_of_one_name_are_refused_and_tombstones_pass() {
        let clash = r#""field":"a.x","type":"int32""#;
        let value = typed(&fields(&[A, clash]), r#"{"a":null,"a.x":1}"#);
        assert!(value_of("Flatten", &[], value).contains("duplication"));
        assert_eq!(value_of("Flatten", &[], json("null")), "null");
        assert!(value_of("Flatten", &[], json("1")).starts_with("Only Map objects"));
    }
}
