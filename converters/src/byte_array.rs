//! `org.apache.kafka.connect.converters.ByteArrayConverter`: bytes pass as they are.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::ConfigDef;
use connect_core::data::{Datum, RawHeaders, Schema, Type, Value, java};
use connect_core::plugin::{Converter, ConverterPlugin, HeaderConverter};
use connect_core::{Error, Result};

/// Bytes pass as they are.
#[derive(Debug, Clone)]
pub struct ByteArrayConverter {
    schema: Arc<Schema>,
}

impl Default for ByteArrayConverter {
    fn default() -> Self {
        Self {
            schema: Arc::new(Schema::new(Type::Bytes).optional()),
        }
    }
}

impl ByteArrayConverter {
    fn read(&self, bytes: Option<&Bytes>) -> Datum {
        let value = bytes.map_or(Value::Null, |bytes| Value::Bytes(bytes.clone()));
        Datum::with_schema(self.schema.clone(), value)
    }
}

fn write(datum: &Datum) -> Result<Option<Bytes>> {
    if let Some(schema) = datum.schema()
        && schema.kind != Type::Bytes
    {
        let found = schema.kind.name();
        return Err(Error::data(format!(
            "Invalid schema type for ByteArrayConverter: {found}"
        )));
    }
    match datum.value() {
        Value::Null => Ok(None),
        Value::Bytes(bytes) => Ok(Some(bytes.clone())),
        other => Err(Error::data(format!(
            "ByteArrayConverter is not compatible with objects of type {}",
            java::class_text(other)
        ))),
    }
}

impl Converter for ByteArrayConverter {
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

impl HeaderConverter for ByteArrayConverter {
    fn to_connect(&self, _topic: &str, _key: &str, bytes: Option<&Bytes>) -> Result<Datum> {
        Ok(self.read(bytes))
    }

    fn to_bytes(&self, _topic: &str, _key: &str, datum: &Datum) -> Result<Option<Bytes>> {
        write(datum)
    }
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "org.apache.kafka.connect.converters.ByteArrayConverter",
        version: crate::VERSION,
        definition: ConfigDef::default,
        make: Some(|_, _| Ok(Arc::new(ByteArrayConverter::default()))),
        make_header: Some(|_| Ok(Arc::new(ByteArrayConverter::default()))),
    }
}
