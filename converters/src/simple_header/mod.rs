//! `org.apache.kafka.connect.storage.SimpleHeaderConverter`: headers as text, their type inferred when read.

mod infer;
mod text;

use std::sync::Arc;

use bytes::Bytes;
use connect_core::Result;
use connect_core::config::ConfigDef;
use connect_core::data::{Datum, Schema, Type, Value};
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
            Ok(text) => infer::datum(text),
            Err(_) => Datum::with_schema(
                Arc::new(Schema::new(Type::Bytes)),
                Value::Bytes(bytes.clone()),
            ),
        })
    }

    fn to_bytes(&self, _topic: &str, _key: &str, datum: &Datum) -> Result<Option<Bytes>> {
        match datum.value() {
            Value::Null => Ok(None),
            value => text::of(value).map(|text| Some(Bytes::from(text))),
        }
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
