//! Payloads written by their schema; those without one by what they are.

use connect_core::data::{Decimal, Schema, Struct, Type, Value, java, json, logical, numbers};
use connect_core::{Error, Result};

use super::{DecimalFormat, MapForm};

/// The schema and value that are written instead of these; `None` for these themselves.
type WriteOwn = for<'a> fn(&'a Schema, &'a Value) -> Option<Result<(&'a Schema, &'a Value)>>;

/// How payloads are written.
#[derive(Debug, Clone, Copy)]
pub struct Writer {
    /// How decimals are written.
    pub decimals: DecimalFormat,
    /// Whether a null is written as its schema's default.
    pub replace_null: bool,
    /// How maps are written whose keys are no text.
    pub maps: MapForm,
    /// Sees each value that has a schema first.
    pub own: WriteOwn,
}

impl Writer {
    /// Appends `value` as JSON.
    ///
    /// # Errors
    /// A data error if the value does not fit its schema.
    pub fn write(self, schema: Option<&Schema>, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        let Some(schema) = schema else {
            return self.write_schemaless(value, out);
        };
        let (schema, value) = (self.own)(schema, value).unwrap_or(Ok((schema, value)))?;
        if value.is_null() {
            return self.write_null(schema, out);
        }
        match (schema.name.as_deref(), value) {
            (Some(logical::DECIMAL), Value::Decimal(decimal)) => {
                self.write_decimal(decimal, out);
                Ok(())
            }
            (Some(logical::DATE), Value::Date(_))
            | (Some(logical::TIME), Value::Time(_))
            | (Some(logical::TIMESTAMP), Value::Timestamp(_)) => json::write_value(value, out),
            (Some(logical::DECIMAL), value) => Err(wrong_logical("Decimal", value)),
            (Some(logical::DATE), value) => Err(wrong_logical("Date", value)),
            (Some(logical::TIME), value) => Err(wrong_logical("Time", value)),
            (Some(logical::TIMESTAMP), value) => Err(wrong_logical("Timestamp", value)),
            _ => self.write_plain(schema, value, out),
        }
    }

    fn write_null(self, schema: &Schema, out: &mut Vec<u8>) -> Result<()> {
        match &schema.default {
            Some(default) if self.replace_null => self.write(Some(schema), default, out),
            _ if schema.optional => {
                out.extend_from_slice(b"null");
                Ok(())
            }
            _ => Err(Error::data(
                "Conversion error: null value for field that is required and has no default value",
            )),
        }
    }

    fn write_plain(self, schema: &Schema, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        match (&schema.kind, value) {
            (Type::Boolean, Value::Boolean(_))
            | (Type::Int8, Value::Int8(_))
            | (Type::Int16, Value::Int16(_))
            | (Type::Int32, Value::Int32(_))
            | (Type::Int64, Value::Int64(_))
            | (Type::String, Value::String(_))
            | (Type::Bytes, Value::Bytes(_)) => json::write_value(value, out),
            (Type::Float32, Value::Float32(_)) | (Type::Float64, Value::Float64(_)) => {
                self.write_schemaless(value, out)
            }
            (Type::Array(items), Value::Array(values)) => {
                write_all(values, (b'[', b']'), out, |value, out| {
                    self.write(Some(items), value, out)
                })
            }
            (Type::Map(keys, values), Value::Map(entries)) => {
                self.write_map(keys, values, entries, out)
            }
            (Type::Struct(_), Value::Struct(fields)) => self.write_struct(schema, fields, out),
            (kind, value) => Err(Error::data(format!(
                "Invalid type for {}: {}",
                kind.name(),
                java::class_text(value)
            ))),
        }
    }

    fn write_map(
        self,
        keys: &Schema,
        values: &Schema,
        entries: &[(Value, Value)],
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.maps.is_object(keys) {
            return write_all(entries, (b'{', b'}'), out, |(key, value), out| {
                write_name(key, out)?;
                self.write(Some(values), value, out)
            });
        }
        let (open, between, close): (&[u8], &[u8], u8) = match self.maps {
            MapForm::Tuples => (b"[", b",", b']'),
            MapForm::Objects => (b"{\"key\":", b",\"value\":", b'}'),
        };
        write_all(entries, (b'[', b']'), out, |(key, value), out| {
            out.extend_from_slice(open);
            self.write(Some(keys), key, out)?;
            out.extend_from_slice(between);
            self.write(Some(values), value, out)?;
            out.push(close);
            Ok(())
        })
    }

    fn write_struct(self, schema: &Schema, fields: &Struct, out: &mut Vec<u8>) -> Result<()> {
        let (Type::Struct(declared), Type::Struct(own)) = (&schema.kind, &fields.schema.kind)
        else {
            return Err(Error::internal("a struct whose schema is not one"));
        };
        if !std::ptr::eq(schema, &*fields.schema) && declared != own {
            return Err(Error::data("Mismatching schema."));
        }
        let fields: Vec<_> = declared.iter().zip(&fields.values).collect();
        write_all(&fields, (b'{', b'}'), out, |(field, value), out| {
            json::write_value(&Value::String(field.name.clone()), out)?;
            out.push(b':');
            self.write(Some(&field.schema), value, out)
        })
    }

    /// A struct has its schema with it, wherever it stands; Kafka refuses it here.
    fn write_schemaless(self, value: &Value, out: &mut Vec<u8>) -> Result<()> {
        json::write_value_with(value, out, &|value, out| match value {
            Value::Decimal(decimal) => {
                self.write_decimal(decimal, out);
                Ok(true)
            }
            Value::Struct(_) => Err(Error::data("Mismatching schema.")),
            Value::Float32(number) if is_spelled_otherwise((*number).into()) => {
                out.extend_from_slice(numbers::float_text(*number).as_bytes());
                Ok(true)
            }
            Value::Float64(number) if is_spelled_otherwise(*number) => {
                out.extend_from_slice(numbers::double_text(*number).as_bytes());
                Ok(true)
            }
            _ => Ok(false),
        })
    }

    fn write_decimal(self, decimal: &Decimal, out: &mut Vec<u8>) {
        match self.decimals {
            DecimalFormat::Numeric => {
                out.extend_from_slice(numbers::decimal_text(decimal).as_bytes());
            }
            DecimalFormat::Base64 => {
                json::write_value(&Value::Bytes(decimal.unscaled.clone()), out)
                    .expect("bytes can always be written");
            }
        }
    }
}

fn write_all<T>(
    items: &[T],
    (open, close): (u8, u8),
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write(item, out)?;
    }
    out.push(close);
    Ok(())
}

fn write_name(key: &Value, out: &mut Vec<u8>) -> Result<()> {
    match key {
        Value::String(_) => json::write_value(key, out)?,
        Value::Null => out.extend_from_slice(b"\"null\""),
        other => {
            return Err(Error::data(format!(
                "Invalid type for STRING: {}",
                java::class_text(other)
            )));
        }
    }
    out.push(b':');
    Ok(())
}

fn wrong_logical(name: &str, value: &Value) -> Error {
    Error::data(format!(
        "Invalid type for {name}, expected {} but was {}",
        if name == "Decimal" {
            "BigDecimal"
        } else {
            "Date"
        },
        java::class_text(value)
    ))
}

/// True if Java writes the number with an exponent.
fn is_spelled_otherwise(number: f64) -> bool {
    let magnitude = number.abs();
    number.is_finite() && magnitude != 0.0 && !(1e-3..1e7).contains(&magnitude)
}
