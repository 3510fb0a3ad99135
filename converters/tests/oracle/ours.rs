//! Our converters, asked as the oracle is.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::config::{ConfigMap, find_converter_plugin};
use connect_core::data::Datum;
use connect_core::plugin::{Converter, ConverterRole, HeaderConverter};
use connect_core::{Error, Result};
use serde_json::{Value, json};
use sluice_converters as _;

use crate::notation::{datum_from, datum_shown};

/// A converter of either kind.
enum Made {
    Plain(Arc<dyn Converter>),
    Header(Arc<dyn HeaderConverter>),
}

impl Made {
    fn read(&self, bytes: Option<&Bytes>) -> Result<Datum> {
        match self {
            Self::Plain(converter) => converter.to_connect("t", &Vec::new(), bytes),
            Self::Header(converter) => converter.to_connect("t", "h", bytes),
        }
    }

    fn write(&self, datum: &Datum) -> Result<Option<Bytes>> {
        match self {
            Self::Plain(converter) => converter.to_bytes("t", datum),
            Self::Header(converter) => converter.to_bytes("t", "h", datum),
        }
    }
}

/// What ours does with the request.
pub(crate) fn answer(request: &Value) -> Value {
    let converter = match made(request) {
        Ok(converter) => converter,
        Err(message) => return json!({"error": {"when": "configure", "message": message}}),
    };
    let answer = match request.get("bytes") {
        Some(bytes) => {
            let bytes = bytes
                .as_str()
                .map(|text| Bytes::from(STANDARD.decode(text).unwrap()));
            converter
                .read(bytes.as_ref())
                .map(|datum| datum_shown(&datum))
        }
        None => converter
            .write(&datum_from(&request["datum"]))
            .map(|bytes| json!({"bytes": bytes.map(|bytes| STANDARD.encode(bytes))})),
    };
    answer.unwrap_or_else(
        |error: Error| json!({"error": {"when": "convert", "message": error.message()}}),
    )
}

fn made(request: &Value) -> Result<Made, String> {
    let class = format!(
        "org.apache.kafka.connect.{}",
        request["converter"].as_str().unwrap()
    );
    let plugin = find_converter_plugin(&class).unwrap();
    let config: ConfigMap = serde_json::from_value(request["config"].clone()).unwrap();
    let made = if request["header"] == true {
        plugin.make_header.unwrap()(&config).map(Made::Header)
    } else {
        plugin.make.unwrap()(&config, ConverterRole::Value).map(Made::Plain)
    };
    made.map_err(|errors| errors[0].message.clone())
}
