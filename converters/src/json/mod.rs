//! `org.apache.kafka.connect.json.JsonConverter`: JSON, with or without a schema around each value.
//!
//! Without schemas a value is checked and kept as it came; with schemas it is `{"schema": …, "payload": …}`.

mod schema;
mod value;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::ConnectorConfig;
use connect_core::data::{Datum, RawHeaders, RawJson, json};
use connect_core::plugin::{Converter, ConverterPlugin, HeaderConverter};
use connect_core::{Error, Result, option_names};
use serde_json::Value as Json;

use schema::SchemaCache;
pub use value::Reader;
pub use write::Writer;

/// How decimals are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalFormat {
    /// Their bytes in base64.
    Base64,
    /// A JSON number.
    Numeric,
}

option_names!(DecimalFormat { "BASE64" => Base64, "NUMERIC" => Numeric });

/// Options of the JSON converter.
#[derive(Debug, ConnectorConfig)]
struct JsonOptions {
    /// Whether each value carries its schema: `{"schema": …, "payload": …}`.
    #[option(name = "schemas.enable", default = "true", importance = High)]
    schemas_enable: bool,
    /// How many schemas are remembered.
    #[option(name = "schemas.cache.size", default = "1000", importance = High, validator = Validator::AtLeast(0))]
    cache_size: u32,
    /// How decimals are written: their bytes in base64, or a JSON number. Both are read.
    #[option(name = "decimal.format", default = "BASE64", importance = Low)]
    decimal_format: DecimalFormat,
    /// Whether a null in an optional field with a default is written and read as the default.
    #[option(name = "replace.null.with.default", default = "true", importance = Low)]
    replace_null_with_default: bool,
}

/// JSON, with or without schemas.
#[derive(Debug)]
pub struct JsonConverter {
    schemas_enable: bool,
    reader: Reader,
    writer: Writer,
    cache: SchemaCache,
}

const ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.";

impl JsonConverter {
    fn new(options: &JsonOptions) -> Self {
        Self {
            schemas_enable: options.schemas_enable,
            reader: Reader {
                replace_null: options.replace_null_with_default,
                own: |_, _, _| None,
            },
            writer: Writer {
                decimals: options.decimal_format,
                replace_null: options.replace_null_with_default,
                own: |_, _| None,
            },
            cache: SchemaCache::new(options.cache_size as usize),
        }
    }

    /// JSON without schemas.
    pub fn without_schemas() -> Self {
        Self {
            schemas_enable: false,
            reader: Reader {
                replace_null: true,
                own: |_, _, _| None,
            },
            writer: Writer {
                decimals: DecimalFormat::Base64,
                replace_null: true,
                own: |_, _| None,
            },
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
        if bytes.is_empty() {
            return Err(Error::data(ENVELOPE));
        }
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
        let value = self.reader.read(&schema, payload)?;
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
            None if datum.raw_json().is_some() => json::write(datum, out),
            schema => self
                .writer
                .write(schema.map(|schema| &**schema), datum.value(), out),
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
