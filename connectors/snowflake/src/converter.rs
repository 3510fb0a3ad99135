//! `com.snowflake.kafka.connector.records.SnowflakeJsonConverter`: JSON without a schema, as connector JSON for Snowflake's own
//! connector often names it.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::Result;
use connect_core::config::ConfigDef;
use connect_core::data::{Datum, RawHeaders, RawJson, json};
use connect_core::plugin::{Converter, ConverterPlugin};

struct SnowflakeJsonConverter;

impl Converter for SnowflakeJsonConverter {
    fn to_connect(&self, _: &str, _: &RawHeaders, bytes: Option<&Bytes>) -> Result<Datum> {
        match bytes {
            None => Ok(Datum::null()),
            Some(bytes) => RawJson::validate(bytes.clone()).map(Datum::json),
        }
    }

    fn to_bytes(&self, _: &str, datum: &Datum) -> Result<Option<Bytes>> {
        if datum.is_null() {
            return Ok(None);
        }
        let mut text = Vec::new();
        json::write(datum, &mut text)?;
        Ok(Some(text.into()))
    }
}

connect_core::inventory::submit! {
    ConverterPlugin {
        class: "com.snowflake.kafka.connector.records.SnowflakeJsonConverter",
        version: env!("CARGO_PKG_VERSION"),
        definition: ConfigDef::default,
        make: Some(|_, _| Ok(Arc::new(SnowflakeJsonConverter))),
        make_header: None,
    }
}

#[cfg(test)]
mod tests {
    use connect_core::ErrorKind;

    use super::*;

    fn read(text: &'static str) -> Result<Datum> {
        let bytes = Bytes::from_static(text.as_bytes());
        SnowflakeJsonConverter.to_connect("t", &RawHeaders::new(), Some(&bytes))
    }

    #[test]
    fn json_goes_through_as_it_is_and_what_is_none_is_a_data_error() {
        let text = r#"{"b":1.50,"a":null}"#;
        let datum = read(text).unwrap();
        assert_eq!(datum.raw_json().map(|raw| &raw[..]), Some(text.as_bytes()));
        let written = SnowflakeJsonConverter.to_bytes("t", &datum).unwrap();
        assert_eq!(written.as_deref(), Some(text.as_bytes()));
        assert_eq!(read("{").unwrap_err().kind(), ErrorKind::Data);
        let null = SnowflakeJsonConverter.to_connect("t", &RawHeaders::new(), None);
        assert!(null.unwrap().is_null());
    }

    #[test]
    fn it_is_found_by_its_class() {
        let class = "com.snowflake.kafka.connector.records.SnowflakeJsonConverter";
        assert!(connect_core::config::find_converter_plugin(class).is_some());
    }
}
