//! `org.apache.kafka.connect.storage.StringConverter`: text in UTF-8; values of other types are written as Java's `toString` would.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionValue};
use connect_core::data::{Datum, RawHeaders, Schema, Type, Value, java};
use connect_core::plugin::{Converter, ConverterPlugin, HeaderConverter};

/// Options of the String converter.
#[derive(Debug, ConnectorConfig)]
struct StringOptions {
    /// The character set; UTF-8 is the only one.
    #[option(name = "converter.encoding", default = "UTF-8", importance = High, width = Medium, display = "Encoding", validator = Validator::Custom(encoding))]
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

fn write(datum: &Datum) -> Option<Bytes> {
    match datum.value() {
        Value::Null => None,
        Value::String(text) => Some(Bytes::copy_from_slice(text.as_bytes())),
        other => Some(Bytes::from(java::text(other))),
    }
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
        Ok(write(datum))
    }
}

impl HeaderConverter for StringConverter {
    fn to_connect(&self, _topic: &str, _key: &str, bytes: Option<&Bytes>) -> Result<Datum> {
        Ok(self.read(bytes))
    }

    fn to_bytes(&self, _topic: &str, _key: &str, datum: &Datum) -> Result<Option<Bytes>> {
        Ok(write(datum))
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
        let bytes = write(&Datum::json(json)).unwrap();
        assert_eq!(bytes, "{a=1, b=[x, null], c={d=true}}");
    }
}
