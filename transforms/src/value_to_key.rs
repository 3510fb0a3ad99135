//! `ValueToKey`: makes the key from fields of the value.

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Schema, Type, Value, java};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, check_names, field, fields_of, structure};
use crate::part::register;
use crate::schemas::SchemaCache;

const PURPOSE: &str = "copying fields from value to key";

/// Options of ValueToKey.
#[derive(Debug, ConnectorConfig)]
struct ValueToKeyOptions {
    /// The fields of the value that make the key.
    #[option(name = "fields", importance = High, validator = Validator::NonEmptyList)]
    fields: Vec<String>,
    #[option(flatten)]
    null: NullOption,
}

/// What the key of a schema is.
#[derive(Debug)]
struct KeyShape {
    schema: Arc<Schema>,
    /// Where its fields stand in the value.
    places: Vec<usize>,
}

struct ValueToKey {
    fields: Vec<Arc<str>>,
    null: NullOption,
    shapes: SchemaCache<Arc<KeyShape>>,
}

impl ValueToKey {
    fn new(options: ValueToKeyOptions) -> Result<Self, Vec<OptionError>> {
        check_names("fields", &options.fields)?;
        Ok(Self {
            fields: options.fields.into_iter().map(Into::into).collect(),
            null: options.null,
            shapes: SchemaCache::default(),
        })
    }

    fn shape(&self, schema: &Schema) -> Result<Arc<KeyShape>> {
        let known = fields_of(schema);
        let place = |name: &Arc<str>| {
            let place = known.iter().position(|field| field.name == *name);
            place.ok_or_else(|| Error::data(format!("Field does not exist: {name}")))
        };
        let places: Result<Vec<_>> = self.fields.iter().map(place).collect();
        let places = places?;
        let fields = places.iter().filter_map(|place| known.get(*place));
        let fields = fields.map(|known| field(&known.name, &known.schema));
        let schema = Arc::new(Schema::new(Type::Struct(fields.collect())));
        Ok(Arc::new(KeyShape { schema, places }))
    }

    fn key(&mut self, value: &Datum) -> Result<Datum> {
        let wrong = |what: &str| {
            let class = java::class_name(value.value());
            Error::data(format!("Only {what}[{PURPOSE}], found: {class}"))
        };
        match (value.schema(), value.value()) {
            (None, map @ Value::Map(_)) => {
                let entry = |name: &Arc<str>| {
                    let value = map.get(name).cloned().unwrap_or(Value::Null);
                    (Value::String(name.clone()), value)
                };
                Ok(Datum::schemaless(Value::Map(
                    self.fields.iter().map(entry).collect(),
                )))
            }
            (None, _) => Err(wrong("Map objects supported in absence of schema for ")),
            (Some(schema), Value::Struct(fields)) => {
                let mut shapes = std::mem::take(&mut self.shapes);
                let shape = shapes.get(schema, || self.shape(schema));
                self.shapes = shapes;
                let shape = shape?;
                let read = |(place, field): (&usize, &connect_core::data::Field)| {
                    let value = fields.values.get(*place).cloned().unwrap_or(Value::Null);
                    self.null.read(&field.schema, value)
                };
                let values = shape.places.iter().zip(fields_of(&shape.schema)).map(read);
                Ok(structure(&shape.schema, values.collect()))
            }
            (Some(_), _) => Err(wrong("Struct objects supported for ")),
        }
    }
}

impl Transform for ValueToKey {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        record.key = self.key(&record.value)?;
        Ok(Transformed::One(record))
    }
}

register!("ValueToKey", ValueToKeyOptions, ValueToKey::new);

#[cfg(test)]
mod tests {
    use connect_core::data::Datum;

    use crate::testing::{applied, fields, json, record, shown, text_of, typed};

    const OPTIONS: [(&str, &str); 1] = [("fields", "b,a")];

    fn key_of(value: &Datum) -> String {
        let made = applied("ValueToKey", &OPTIONS, record(json("0"), value.clone()));
        match made {
            Ok(made) => {
                assert_eq!(text_of(&made.value), text_of(value));
                shown(&made.key)
            }
            Err(error) => error.message().to_owned(),
        }
    }

    #[test]
    fn the_key_has_the_fields_in_the_order_configured() {
        assert_eq!(key_of(&json(r#"{"a":1,"c":2}"#)), r#"{"b":null,"a":1}"#);
        let schema = fields(&[
            r#""field":"a","type":"int32""#,
            r#""field":"b","type":"string","optional":true"#,
        ]);
        let value = typed(&schema, r#"{"a":1,"b":null}"#);
        assert_eq!(key_of(&value), r#"{b:string?,a:int32} {"b":null,"a":1}"#);
    }

    #[test]
    fn a_field_that_is_not_there_and_a_tombstone_are_errors() {
        let schema = fields(&[r#""field":"a","type":"int32""#]);
        assert_eq!(
            key_of(&typed(&schema, r#"{"a":1}"#)),
            "Field does not exist: b"
        );
        assert!(key_of(&json("null")).starts_with("Only Map objects"));
    }
}
