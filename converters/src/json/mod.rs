//! `org.apache.kafka.connect.json.JsonConverter`: JSON, with or without a schema around each value.
//!
//! Without schemas a value is checked and kept as it came; with schemas it is `{"schema": …, "payload": …}`.

mod schema;
mod value;
mod write;

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::{ConfigMap, ConnectorConfig, OptionError};
use connect_core::data::{Datum, RawHeaders, RawJson, Schema, json};
use connect_core::plugin::{Converter, ConverterPlugin, HeaderConverter};
use connect_core::{Error, Result, option_names};
use serde_json::Value as Json;

use schema::SchemaCache;
pub use value::{MapForm, Reader};
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
    #[option(name = "schemas.enable", default = "true", importance = High, group = "Schemas", width = Medium, display = "Enable Schemas")]
    schemas_enable: bool,
    /// How many schemas are remembered.
    #[option(name = "schemas.cache.size", default = "1000", importance = High, group = "Schemas", width = Medium, display = "Schema Cache Size", validator = Validator::AtLeast(0))]
    cache_size: u32,
    /// The schema of every value that is read, as JSON: values carry none then. It counts with `schemas.enable` only, and
    /// changes nothing in what is written.
    #[option(name = "schema.content", importance = High, group = "Schemas", width = Medium, display = "Schema Content")]
    schema_content: Option<String>,
    /// How decimals are written: their bytes in base64, or a JSON number. Both are read.
    #[option(name = "decimal.format", default = "BASE64", importance = Low, group = "Serialization", width = Medium, display = "Decimal Format")]
    decimal_format: DecimalFormat,
    /// Whether a null in an optional field with a default is written and read as the default.
    #[option(name = "replace.null.with.default", default = "true", importance = Low, group = "Serialization", width = Medium, display = "Replace null with default")]
    replace_null_with_default: bool,
}

/// JSON, with or without schemas.
#[derive(Debug)]
pub struct JsonConverter {
    schemas_enable: bool,
    /// That of every value that is read.
    schema: Option<Arc<Schema>>,
    reader: Reader,
    writer: Writer,
    cache: SchemaCache,
}

const ENVELOPE: &str = "JsonConverter with schemas.enable requires \"schema\" and \"payload\" fields and may not contain additional fields. If you are trying to deserialize plain JSON data, set schemas.enable=false in your converter configuration.";

impl JsonConverter {
    fn new(options: &JsonOptions) -> Result<Self, Vec<OptionError>> {
        Ok(Self {
            schemas_enable: options.schemas_enable,
            schema: match &options.schema_content {
                Some(text) => fixed_schema(text).map_err(|error| vec![error])?,
                None => None,
            },
            reader: Reader {
                replace_null: options.replace_null_with_default,
                maps: MapForm::Tuples,
                own: |_, _, _| None,
            },
            writer: Writer {
                decimals: options.decimal_format,
                replace_null: options.replace_null_with_default,
                maps: MapForm::Tuples,
                own: |_, _| None,
            },
            cache: SchemaCache::new(options.cache_size as usize),
        })
    }

    fn of(options: &ConfigMap) -> Result<Arc<Self>, Vec<OptionError>> {
        JsonOptions::from_map(options)
            .and_then(|options| Self::new(&options))
            .map(Arc::new)
    }

    /// JSON without schemas.
    pub fn without_schemas() -> Self {
        Self {
            schemas_enable: false,
            schema: None,
            reader: Reader {
                replace_null: true,
                maps: MapForm::Tuples,
                own: |_, _, _| None,
            },
            writer: Writer {
                decimals: DecimalFormat::Base64,
                replace_null: true,
                maps: MapForm::Tuples,
                own: |_, _| None,
            },
            cache: SchemaCache::new(0),
        }
    }

    fn read(&self, bytes: Option<&Bytes>) -> Result<Datum> {
        match bytes {
            None => Ok(Datum::null()),
            Some(bytes) if self.schemas_enable => match &self.schema {
                Some(schema) => {
                    let value = self.reader.read(schema, parsed(bytes)?)?;
                    Ok(Datum::with_schema(schema.clone(), value))
                }
                None => self.read_envelope(bytes),
            },
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
        let Json::Object(mut envelope) = parsed(bytes)? else {
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

/// The schema that the option `schema.content` holds; none if it holds nothing or null.
fn fixed_schema(text: &str) -> Result<Option<Arc<Schema>>, OptionError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let wrong = |message: String| OptionError::new("schema.content", message);
    let json: Json = serde_json::from_str(text).map_err(|cause| {
        wrong(format!(
            "Failed to parse schema in converter config due to serialization error: {cause}"
        ))
    })?;
    if json.is_null() {
        return Ok(None);
    }
    let parsed = schema::parse(&json).map_err(|error| wrong(error.message().to_owned()))?;
    Ok(Some(Arc::new(parsed)))
}

fn parsed(bytes: &Bytes) -> Result<Json> {
    serde_json::from_slice(bytes)
        .map_err(|cause| unreadable(Error::data("not valid JSON").source(cause)))
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
        make: Some(|options, _| Ok(JsonConverter::of(options)?)),
        make_header: Some(|options| Ok(JsonConverter::of(options)?)),
    }
}

#[cfg(test)]
mod tests;
