//! `MaskField`: fields keep their type and lose their value.

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::json::is_integer;
use connect_core::data::{Datum, Decimal, Value, java};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, check_names, entries, fields_of, put, structure, values};
use crate::numbers::{
    decimal_as_double, decimal_as_float, decimal_as_long, decimal_from_text, exact_from_text,
};
use crate::part::{Part, register_parts};

const PURPOSE: &str = "mask fields";

/// Options of MaskField.
#[derive(Debug, ConnectorConfig)]
struct MaskFieldOptions {
    /// The fields to mask.
    #[option(name = "fields", importance = High, validator = Validator::NonEmptyList)]
    fields: Vec<String>,
    /// What stands in their place, for numbers and text; the type's zero value if not given.
    #[option(name = "replacement", importance = Low, validator = Validator::NonEmpty)]
    replacement: Option<String>,
    #[option(flatten)]
    null: NullOption,
}

struct MaskField {
    part: Part,
    options: MaskFieldOptions,
}

impl MaskField {
    fn new(options: MaskFieldOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        check_names("fields", &options.fields)?;
        Ok(Self { part, options })
    }

    fn is_masked(&self, name: &str) -> bool {
        self.options.fields.iter().any(|field| field == name)
    }

    fn masked(&self, value: &Value) -> Result<Value> {
        match &self.options.replacement {
            _ if value.is_null() => Ok(Value::Null),
            None => zero(value),
            Some(replacement) => replaced(value, replacement),
        }
    }
}

/// The zero value of a value's type.
fn zero(value: &Value) -> Result<Value> {
    Ok(match value {
        Value::Boolean(_) => Value::Boolean(false),
        Value::Int8(_) => Value::Int8(0),
        Value::Int16(_) => Value::Int16(0),
        Value::Int32(_) => Value::Int32(0),
        Value::Number(text) if !is_integer(text) => Value::Float64(0.0),
        Value::Int64(_) | Value::Number(_) => Value::Int64(0),
        Value::Float32(_) => Value::Float32(0.0),
        Value::Float64(_) => Value::Float64(0.0),
        Value::String(_) => Value::string(""),
        Value::Date(_) => Value::Date(0),
        Value::Time(_) => Value::Time(0),
        Value::Timestamp(_) => Value::Timestamp(0),
        Value::Decimal(decimal) => Value::Decimal(Decimal {
            unscaled: bytes::Bytes::from_static(&[0]),
            scale: decimal.scale,
        }),
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Map(_) => Value::Map(Vec::new()),
        other => {
            let class = java::class_text(other);
            return Err(Error::data(format!("Cannot mask value of type: {class}")));
        }
    })
}

/// The replacement, read as a value of the same type.
fn replaced(value: &Value, replacement: &str) -> Result<Value> {
    match value {
        Value::String(_) => Ok(Value::string(replacement)),
        Value::Decimal(decimal) => decimal_from_text(replacement, decimal.scale)
            .map(Value::Decimal)
            .ok_or_else(|| not_a(replacement, "number")),
        value => {
            let number = exact_from_text(replacement);
            let number = number.ok_or_else(|| not_a(replacement, "a number"));
            narrowed(value, number)
        }
    }
}

/// Of a number too long for the field the low bits stay, of a fraction the whole part.
#[expect(clippy::cast_possible_truncation, reason = "Java keeps the low bits")]
fn narrowed(value: &Value, number: Result<Decimal>) -> Result<Value> {
    Ok(match value {
        Value::Int8(_) => Value::Int8(decimal_as_long(&number?) as i8),
        Value::Int16(_) => Value::Int16(decimal_as_long(&number?) as i16),
        Value::Int32(_) => Value::Int32(decimal_as_long(&number?) as i32),
        Value::Number(text) if !is_integer(text) => Value::Float64(decimal_as_double(&number?)),
        Value::Int64(_) | Value::Number(_) => Value::Int64(decimal_as_long(&number?)),
        Value::Float32(_) => Value::Float32(decimal_as_float(&number?)),
        Value::Float64(_) => Value::Float64(decimal_as_double(&number?)),
        other => {
            let class = java::class_text(other);
            return Err(Error::data(format!(
                "Cannot mask value of type {class} with custom replacement."
            )));
        }
    })
}

fn not_a(replacement: &str, what: &str) -> Error {
    Error::data(format!(
        "Unable to convert {replacement} (class java.lang.String) to {what}"
    ))
}

impl Transform for MaskField {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let (schema, value) = self.part.take(&mut record);
        let masked = match schema {
            None => {
                let mut entries = entries(value, PURPOSE)?;
                for name in &self.options.fields {
                    let known = entries.iter().find(|(key, _)| key.as_str() == Some(name));
                    let masked = self.masked(known.map_or(&Value::Null, |(_, value)| value))?;
                    put(&mut entries, &name.as_str().into(), masked);
                }
                Datum::schemaless(Value::Map(entries))
            }
            Some(schema) => {
                let fields = fields_of(&schema);
                let values = self.options.null.read_all(fields, values(value, PURPOSE)?);
                let mask = |(field, value): (&connect_core::data::Field, Value)| {
                    if self.is_masked(&field.name) {
                        self.masked(&value)
                    } else {
                        Ok(value)
                    }
                };
                let masked: Result<_> = fields.iter().zip(values).map(mask).collect();
                structure(&schema, masked?)
            }
        };
        self.part.put(&mut record, masked);
        Ok(Transformed::One(record))
    }
}

register_parts!("MaskField", MaskFieldOptions, MaskField::new);

#[cfg(test)]
mod tests {
    use crate::testing::{fields, json, typed, value_of};

    #[test]
    fn fields_become_the_zero_of_their_type() {
        let value = json(
            r#"{"s":"x","i":5,"f":1.5,"d":0.12345678901234567890,"b":true,"l":[1],"m":{"k":1},"n":null,"z":9}"#,
        );
        assert_eq!(
            value_of("MaskField", &[("fields", "s,i,f,d,b,l,m,n")], value),
            r#"{"s":"","i":0,"f":0.0,"d":0.0,"b":false,"l":[],"m":{},"n":null,"z":9}"#
        );
    }

    #[test]
    fn a_replacement_is_read_as_the_type_of_the_field() {
        let options = [("fields", "i,s,d"), ("replacement", "12")];
        let decimal = r#""field":"d","type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}"#;
        let schema = fields(&[
            r#""field":"i","type":"int8""#,
            r#""field":"s","type":"string","optional":true"#,
            decimal,
        ]);
        let value = typed(&schema, r#"{"i":1,"s":null,"d":"AQ=="}"#);
        let masked = value_of("MaskField", &options, value.clone());
        // 1200 with two digits after the point.
        assert!(
            masked.ends_with(r#"{"i":12,"s":null,"d":"BLA="}"#),
            "{masked}"
        );
        let wrong = value_of("MaskField", &[("fields", "i"), ("replacement", "x")], value);
        assert!(wrong.starts_with("Unable to convert x"), "{wrong}");
        let wrong = value_of("MaskField", &options, json(r#"{"s":true}"#));
        assert!(wrong.contains("custom replacement"), "{wrong}");
    }

    #[test]
    fn a_tombstone_is_an_error() {
        let masked = value_of("MaskField", &[("fields", "a")], json("null"));
        assert!(masked.starts_with("Only Map objects"), "{masked}");
    }
}
