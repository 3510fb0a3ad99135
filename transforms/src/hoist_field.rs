//! `HoistField`: wraps the key or value in a struct or map with one field.

use std::sync::Arc;

use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Schema, Type, Value};
use connect_core::plugin::{Transform, TransformRecord, Transformed};

use crate::fields::{field, structure};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;

/// Options of HoistField.
#[derive(Debug, ConnectorConfig)]
struct HoistFieldOptions {
    /// The name of the one field.
    #[option(name = "field", importance = Medium)]
    field: String,
}

struct HoistField {
    part: Part,
    field: Arc<str>,
    schemas: SchemaCache<Arc<Schema>>,
}

impl HoistField {
    fn new(options: HoistFieldOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        Ok(Self {
            part,
            field: options.field.into(),
            schemas: SchemaCache::default(),
        })
    }
}

impl Transform for HoistField {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let (schema, value) = self.part.take(&mut record);
        let hoisted = match schema {
            None => {
                let name = Value::String(self.field.clone());
                Datum::schemaless(Value::Map(vec![(name, value)]))
            }
            Some(schema) => {
                let name = &self.field;
                let hoisted = self.schemas.get(&schema, || {
                    let kind = Type::Struct(vec![field(name, &schema)]);
                    Ok(Arc::new(Schema::new(kind)))
                })?;
                structure(&hoisted, vec![value])
            }
        };
        self.part.put(&mut record, hoisted);
        Ok(Transformed::One(record))
    }
}

register_parts!("HoistField", HoistFieldOptions, HoistField::new);

#[cfg(test)]
mod tests {
    use crate::testing::{json, shares_schemas, typed, value_of};

    #[test]
    fn everything_is_wrapped_and_null_too() {
        let options = [("field", "f")];
        assert_eq!(
            value_of("HoistField", &options, json("[1]")),
            r#"{"f":[1]}"#
        );
        assert_eq!(
            value_of("HoistField", &options, json("null")),
            r#"{"f":null}"#
        );
        let value = typed(r#"{"type":"int32","optional":true}"#, "null");
        let hoisted = value_of("HoistField", &options, value.clone());
        assert_eq!(hoisted, r#"{f:int32?} {"f":null}"#);
        assert!(shares_schemas("HoistField$Value", &options, &value));
    }
}
