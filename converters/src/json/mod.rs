//! `org.apache.kafka.connect.json.JsonConverter`: JSON, with or without a schema around each value.
//!
//! Without schemas a value is checked and kept as it came; with schemas it is `{"schema": …, "payload": …}`.

mod schema;
mod value;

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::ConnectorConfig;
use connect_core::data::{Datum, RawHeaders, RawJson, Value, json};
use connect_core::plugin::{Converter, ConverterPlugin, HeaderConverter};
use connect_core::{Error, Result, option_names};
use serde_json::Value as Json;

use schema::SchemaCache;

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DecimalFormat {
    Base64,
}

option_names!(DecimalFormat { "BASE64" => Base64 });

/// Options of the JSON converter.
#[derive(Debug, ConnectorConfig)]
struct JsonOptions {
    /// Whether each value carries its schema: `{"schema": …, "payload": …}`.
    #[option(name = "schemas.enable", default = "true", importance = High)]
    schemas_enable: bool,
    /// How many schemas are remembered.
    #[option(name = "schemas.cache.size", default = "1000", importance = High, validator = Validator::AtLeast(0))]
    cache_size: u32,
    /// How decimals are written.
    #[option(name = "decimal.format", default = "BASE64", importance = Low)]
    _decimal_format: DecimalFormat,
    /// Whether a null in an optional field with a default is written and read as the default.
    #[option(name = "replace.null.with.default", default = "true", importance = Low)]
    replace_null_with_default: bool,
}

/// JSON, with or without schemas.
#[derive(Debug)]
pub struct JsonConverter {
    schemas_enable: bool,
    replace_null: bool,
    cache: SchemaCache,
}

const ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.";

impl JsonConverter {
    fn new(options: &JsonOptions) -> Self {
        Self {
            schemas_enable: options.schemas_enable,
            replace_null: options.replace_null_with_default,
            cache: SchemaCache::new(options.cache_size as usize),
        }
    }

    /// JSON without schemas.
    pub fn without_schemas() -> Self {
        Self {
            schemas_enable: false,
            replace_null: true,
            cache: SchemaCache::new(0),
        }
    }

    fn read(&self, bytes: Option<&Bytes>) -> Result<Datum> {
        match bytes {
            None => Ok(Datum::null()),
            Some(bytes) if self.schemas_enable => self.read_envelope(bytes),
            Some(bytes) if bytes.is_empty() => Ok(Datum::null()),
            Some(bytes) => RawJson::validate(bytes.clone())
                .map(Datum::json)
                .map_err(unreadable),
        }
    }

    fn read_envelope(&self, bytes: &Bytes) -> Result<Datum> {
        let json: Json = serde_json::from_slice(bytes)
            .map_err(|cause| unreadable(Error::data("not valid JSON").source(cause)))?;
        let Json::Object(mut envelope) = json else {
            return Err(Error::data(ENVELOPE));
        };
        let (Some(schema), Some(payload)) = (envelope.remove("schema"), envelope.remove("payload"))
        else {
            return Err(Error::data(ENVELOPE));
        };
        if !envelope.is_empty() {
            return Err(Error::data(ENVELOPE));
        }
        if schema.is_null() {
            return Ok(Datum::schemaless(json::from_serde(payload)));
        }
        let schema = self.cache.parse(&schema)?;
        let value = value::read(&schema, payload, self.replace_null)?;
        Ok(Datum::with_schema(schema, value))
    }

    fn write(&self, datum: &Datum) -> Result<Option<Bytes>> {
        if datum.schema().is_none() && datum.is_null() {
            return Ok(None);
        }
        let mut out = Vec::new();
        if self.schemas_enable {
            out.extend_from_slice(b"{\"schema\":");
            schema::write(datum.schema().map(|schema| &**schema), &mut out)?;
            out.extend_from_slice(b",\"payload\":");
            self.write_payload(datum, &mut out)?;
            out.push(b'}');
        } else {
            if let Some(raw) = datum.raw_json() {
                return Ok(Some(raw.clone()));
            }
            self.write_payload(datum, &mut out)?;
        }
        Ok(Some(Bytes::from(out)))
    }

    fn write_payload(&self, datum: &Datum, out: &mut Vec<u8>) -> Result<()> {
        match datum.schema() {
            None => json::write(datum, out),
            Some(schema) => {
                let value = datum.value();
                if value.is_null() && !schema.optional && schema.default.is_none() {
                    return Err(Error::data(
                        "Conversion error: null value for field that is required and has no default value",
                    ));
                }
                match (&schema.default, value) {
                    (Some(default), Value::Null) if self.replace_null => {
                        json::write_value(default, out)
                    }
                    (_, value) => json::write_value(value, out),
                }
            }
        }
    }
}

fn unreadable(cause: Error) -> Error {
    Error::data("Converting byte[] to Kafka Connect data failed due to serialization error")
        .source(cause)
}

impl Converter for JsonConverter {
    fn to_connect(
        &self,
        _topic: &str,
        _headers: &RawHeaders,
        bytes: Option<&Bytes>,
    ) -> Result<Datum> {
        self.read(bytes)
    }

    fn to_bytes(&self, _topic: &str, datum: &Datum) -> Result<Option<Bytes>> {
        self.write(datum)
    }
}

impl HeaderConverter for JsonConverter {
    fn to_connect(&self, _topic: &str, _key: &str, bytes: Option<&Bytes>) -> Result<Datum> {
        self.read(bytes)
    }

    fn to_bytes(&self, _topic: &str, _key: &str, datum: &Datum) -> Result<Option<Bytes>> {
        self.write(datum)
    }
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "org.apache.kafka.connect.json.JsonConverter",
        version: crate::VERSION,
        definition: JsonOptions::definition,
        make: Some(|options, _| Ok(Arc::new(JsonConverter::new(&JsonOptions::from_map(options)?)))),
        make_header: Some(|options| Ok(Arc::new(JsonConverter::new(&JsonOptions::from_map(options)?)))),
    }
}

#[cfg(test)]
mod tests;
