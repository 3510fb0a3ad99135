//! `org.apache.kafka.connect.storage.StringConverter`: text in UTF-8; values of other types are written as Java's `toString` would.

use std::fmt::Write;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::{ConnectorConfig, OptionValue};
use connect_core::data::{Datum, RawHeaders, Schema, Type, Value};
use connect_core::plugin::{Converter, ConverterPlugin, HeaderConverter};
use connect_core::{Error, Result};

/// Options of the String converter.
#[derive(Debug, ConnectorConfig)]
struct StringOptions {
    /// The character set; UTF-8 is the only one.
    #[option(name = "converter.encoding", default = "UTF-8", importance = High, validator = Validator::Custom(encoding))]
    _encoding: String,
}

fn encoding(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(name)
            if !["utf-8", "utf8"].contains(&name.to_ascii_lowercase().as_str()) =>
        {
            Err("only UTF-8 is supported".to_owned())
        }
        _ => Ok(()),
    }
}

/// Text in UTF-8.
#[derive(Debug, Clone)]
pub struct StringConverter {
    schema: Arc<Schema>,
}

impl Default for StringConverter {
    fn default() -> Self {
        Self {
            schema: Arc::new(Schema::new(Type::String).optional()),
        }
    }
}

impl StringConverter {
    fn read(&self, bytes: Option<&Bytes>) -> Datum {
        // Like Java, bytes that are not UTF-8 become U+FFFD.
        let value = bytes.map_or(Value::Null, |bytes| {
            Value::string(String::from_utf8_lossy(bytes))
        });
        Datum::with_schema(self.schema.clone(), value)
    }
}

fn write(datum: &Datum) -> Result<Option<Bytes>> {
    match datum.value() {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(Bytes::copy_from_slice(text.as_bytes()))),
        other => {
            let mut text = String::new();
            write_java(other, &mut text)?;
            Ok(Some(Bytes::from(text)))
        }
    }
}

/// Java's `toString`: `{k=v}` for maps, `Struct{a=1}` for structs, `[a, b]` for lists.
fn write_java(value: &Value, out: &mut String) -> Result<()> {
    match value {
        Value::String(text) => out.push_str(text),
        Value::Bytes(_) | Value::Decimal(_) => {
            return Err(Error::data(
                "StringConverter cannot write bytes or decimals as text",
            ));
        }
        Value::Array(items) => write_list(out, "[", "]", ", ", items.iter(), |item, out| {
            write_java(item, out)
        })?,
        Value::Map(entries) => {
            write_list(out, "{", "}", ", ", entries.iter(), |(key, value), out| {
                write_java(key, out)?;
                out.push('=');
                write_java(value, out)
            })?;
        }
        Value::Struct(fields) => {
            let Type::Struct(declared) = &fields.schema.kind else {
                return Err(Error::internal("a struct whose schema is not one"));
            };
            let present = declared
                .iter()
                .zip(&fields.values)
                .filter(|(_, value)| !value.is_null());
            write_list(out, "Struct{", "}", ",", present, |(field, value), out| {
                write!(out, "{}=", field.name).expect("writing to a string cannot fail");
                write_java(value, out)
            })?;
        }
        scalar => {
            let mut json = Vec::new();
            connect_core::data::json::write_value(scalar, &mut json)?;
            out.push_str(&String::from_utf8_lossy(&json));
        }
    }
    Ok(())
}

fn write_list<T>(
    out: &mut String,
    open: &str,
    close: &str,
    between: &str,
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(T, &mut String) -> Result<()>,
) -> Result<()> {
    out.push_str(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        write(item, out)?;
    }
    out.push_str(close);
    Ok(())
}

impl Converter for StringConverter {
    fn to_connect(
        &self,
        _topic: &str,
        _headers: &RawHeaders,
        bytes: Option<&Bytes>,
    ) -> Result<Datum> {
        Ok(self.read(bytes))
    }

    fn to_bytes(&self, _topic: &str, datum: &Datum) -> Result<Option<Bytes>> {
        write(datum)
    }
}

impl HeaderConverter for StringConverter {
    fn to_connect(&self, _topic: &str, _key: &str, bytes: Option<&Bytes>) -> Result<Datum> {
        Ok(self.read(bytes))
    }

    fn to_bytes(&self, _topic: &str, _key: &str, datum: &Datum) -> Result<Option<Bytes>> {
        write(datum)
    }
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "org.apache.kafka.connect.storage.StringConverter",
        version: crate::VERSION,
        definition: StringOptions::definition,
        make: Some(|options, _| {
            StringOptions::from_map(options)?;
            Ok(Arc::new(StringConverter::default()))
        }),
        make_header: Some(|options| {
            StringOptions::from_map(options)?;
            Ok(Arc::new(StringConverter::default()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use connect_core::data::RawJson;

    #[test]
    fn maps_and_lists_are_written_as_java_writes_them() {
        let json = RawJson::validate(Bytes::from_static(
            br#"{"a":1,"b":["x",null],"c":{"d":true}}"#,
        ))
        .unwrap();
        let bytes = write(&Datum::json(json)).unwrap().unwrap();
        assert_eq!(bytes, "{a=1, b=[x, null], c={d=true}}");
    }
}
