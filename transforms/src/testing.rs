//! Records for tests.

use bytes::Bytes;
use connect_core::config::ConfigMap;
use connect_core::data::{Datum, Offset, RawJson, Timestamp, json};
use connect_core::plugin::{RecordPosition, TransformRecord};

/// Options.
pub(crate) fn map(options: &[(&str, &str)]) -> ConfigMap {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    options.iter().map(owned).collect()
}

/// JSON without a schema.
pub(crate) fn json(text: &str) -> Datum {
    Datum::json(RawJson::validate(Bytes::copy_from_slice(text.as_bytes())).unwrap())
}

/// A value as JSON.
pub(crate) fn text_of(datum: &Datum) -> String {
    let mut out = Vec::new();
    json::write_value(datum.value(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A record of the log: topic `t`, partition 3, offset 7, made at second 1.
pub(crate) fn record(key: Datum, value: Datum) -> TransformRecord {
    TransformRecord {
        topic: "t".into(),
        headers: Vec::new(),
        key,
        value,
        position: RecordPosition {
            partition: Some(3),
            offset: Some(Offset::new(7)),
            timestamp: Some(Timestamp::from_millis(1_000)),
        },
    }
}
