//! `InsertHeader`: adds a header with a fixed value, its type inferred as for headers read from the log.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError, find_converter_plugin};
use connect_core::data::{Datum, Header};
use connect_core::plugin::{Transform, TransformRecord, Transformed};

use crate::part::register;

/// What infers types, by its class: this crate does not know where it comes from.
const HEADER_CONVERTER: &str = "org.apache.kafka.connect.storage.SimpleHeaderConverter";

/// Options of InsertHeader.
#[derive(Debug, ConnectorConfig)]
struct InsertHeaderOptions {
    /// The header's name.
    #[option(name = "header", importance = High)]
    header: String,
    /// Its value, as text; numbers, booleans, arrays and maps are recognised.
    #[option(name = "value.literal", importance = High)]
    literal: String,
}

struct InsertHeader {
    name: Arc<str>,
    value: Datum,
}

impl InsertHeader {
    fn new(options: InsertHeaderOptions) -> Result<Self, Vec<OptionError>> {
        let refused = |reason: &str| {
            vec![OptionError::invalid(
                "value.literal",
                &options.literal,
                reason,
            )]
        };
        let make = find_converter_plugin(HEADER_CONVERTER).and_then(|plugin| plugin.make_header);
        let make = make.ok_or_else(|| refused("SimpleHeaderConverter is not linked"))?;
        let converter = make(&std::collections::BTreeMap::new())?;
        let bytes = Bytes::copy_from_slice(options.literal.as_bytes());
        let value = converter
            .to_connect("", &options.header, Some(&bytes))
            .map_err(|error| refused(error.message()))?;
        Ok(Self {
            name: options.header.into(),
            value,
        })
    }
}

impl Transform for InsertHeader {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        record.headers.push(Header {
            key: self.name.clone(),
            value: self.value.clone(),
        });
        Ok(Transformed::One(record))
    }
}

register!("InsertHeader", InsertHeaderOptions, InsertHeader::new);

#[cfg(test)]
mod tests {
    use connect_core::data::Datum;

    use crate::testing::{applied, json, record, shown};

    #[test]
    fn the_type_of_the_header_is_inferred() {
        let options = |literal| [("header", "h"), ("value.literal", literal)];
        for (literal, expected) in [
            ("7", "int8 7"),
            ("true", "boolean true"),
            ("x", "string \"x\""),
        ] {
            let given = record(Datum::null(), json("1"));
            let made = applied("InsertHeader", &options(literal), given).unwrap();
            let header = made.headers.last().unwrap();
            assert_eq!(
                (&*header.key, shown(&header.value).as_str()),
                ("h", expected)
            );
        }
    }
}
