//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: headers as text, their type inferred when read.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::Result;
use connect_core::config::ConfigDef;
use connect_core::data::{Datum, Schema, Type, Value, json};
use connect_core::plugin::{ConverterPlugin, HeaderConverter};

/// Text with inferred types.
#[derive(Debug, Clone, Default)]
pub struct SimpleHeaderConverter;

impl HeaderConverter for SimpleHeaderConverter {
    fn to_connect(&self, _topic: &str, _key: &str, bytes: Option<&Bytes>) -> Result<Datum> {
        let Some(bytes) = bytes else {
            return Ok(Datum::null());
        };
        Ok(match std::str::from_utf8(bytes) {
            Ok(text) => infer(text),
            Err(_) => typed(Type::Bytes, Value::Bytes(bytes.clone())),
        })
    }

    fn to_bytes(&self, _topic: &str, _key: &str, datum: &Datum) -> Result<Option<Bytes>> {
        match datum.value() {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
            Value::Bytes(bytes) => Ok(Some(bytes.clone())),
            other => {
                let mut out = Vec::new();
                json::write_value(other, &mut out)?;
                Ok(Some(Bytes::from(out)))
            }
        }
    }
}

fn typed(kind: Type, value: Value) -> Datum {
    Datum::with_schema(Arc::new(Schema::new(kind)), value)
}

/// The narrowest type that holds what the text says; text where nothing else fits.
fn infer(text: &str) -> Datum {
    match text {
        "null" => return Datum::null(),
        "true" => return typed(Type::Boolean, Value::Boolean(true)),
        "false" => return typed(Type::Boolean, Value::Boolean(false)),
        _ => {}
    }
    if let Ok(number) = text.parse::<i64>() {
        return integer(number);
    }
    let numeric = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    if numeric && let Ok(number) = text.parse::<f64>() {
        return typed(Type::Float64, Value::Float64(number));
    }
    if (text.starts_with('{') || text.starts_with('['))
        && let Ok(value) = json::parse(text.as_bytes())
    {
        return Datum::schemaless(value);
    }
    typed(Type::String, Value::string(text))
}

fn integer(number: i64) -> Datum {
    if let Ok(small) = i8::try_from(number) {
        typed(Type::Int8, Value::Int8(small))
    } else if let Ok(small) = i16::try_from(number) {
        typed(Type::Int16, Value::Int16(small))
    } else if let Ok(small) = i32::try_from(number) {
        typed(Type::Int32, Value::Int32(small))
    } else {
        typed(Type::Int64, Value::Int64(number))
    }
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "org.apache.kafka.connect.storage.SimpleHeaderConverter",
        version: crate::VERSION,
        definition: ConfigDef::default,
        make: None,
        make_header: Some(|_| Ok(Arc::new(SimpleHeaderConverter))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_inferred_from_the_text() {
        let read = |text: &'static str| {
            SimpleHeaderConverter
                .to_connect("t", "k", Some(&Bytes::from_static(text.as_bytes())))
                .unwrap()
                .value()
                .clone()
        };
        assert_eq!(read("7"), Value::Int8(7));
        assert_eq!(read("70000"), Value::Int32(70000));
        assert_eq!(read("1.5"), Value::Float64(1.5));
        assert_eq!(read("true"), Value::Boolean(true));
        assert_eq!(read("null"), Value::Null);
        assert_eq!(read(""), Value::string(""));
        assert_eq!(read("v1"), Value::string("v1"));
        assert_eq!(read("[1]"), Value::Array(vec![Value::Int64(1)]));
    }
}
