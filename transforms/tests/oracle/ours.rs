//! Our transforms, asked as the oracle is.

use std::sync::Arc;

use connect_core::config::{OptionError, find_predicate_plugin, find_transform_plugin};
use connect_core::data::{Header, Offset, Timestamp};
use connect_core::plugin::{RecordPosition, TransformRecord, Transformed};
use serde_json::{Map, Value, json};

use crate::cases::Case;
use crate::notation::{datum_from, datum_shown};

/// The package of Kafka's transforms.
pub(crate) const PACKAGE: &str = "org.apache.kafka.connect.transforms.";

/// What ours does with the case.
pub(crate) fn answer(case: &Case) -> Value {
    let class = format!("{PACKAGE}{}", case.class);
    let record = record(&case.record);
    if let Some(plugin) = find_predicate_plugin(&class) {
        return match (plugin.make)(&case.config) {
            Ok(predicate) => json!({"test": predicate.test(&record)}),
            Err(errors) => refused(&errors),
        };
    }
    let Some(plugin) = find_transform_plugin(&class) else {
        return json!({"missing": class});
    };
    match (plugin.make)(&case.config) {
        Err(errors) => refused(&errors),
        Ok(mut transform) => match transform.apply(record) {
            Ok(transformed) => shown(transformed),
            Err(error) => failed("apply", error.message()),
        },
    }
}

/// What validation finds, by option: in each option alone, then in all together.
pub(crate) fn errors(case: &Case) -> Value {
    let class = format!("{PACKAGE}{}", case.class);
    let transform = find_transform_plugin(&class);
    let predicate = find_predicate_plugin(&class).map(|plugin| plugin.definition);
    let definition = transform.map(|plugin| plugin.definition).or(predicate);
    let checked = definition.unwrap()().check(&case.config).into_iter();
    let errors: Map<_, _> = checked
        .filter(|option| !option.errors.is_empty())
        .map(|option| (option.definition.name.to_owned(), json!(option.errors)))
        .collect();
    match transform.and_then(|plugin| (plugin.make)(&case.config).err()) {
        Some(together) if errors.is_empty() => together
            .into_iter()
            .map(|error| (error.key, json!([error.message])))
            .collect(),
        _ => errors.into(),
    }
}

/// Kafka's classes stop at the first error.
fn refused(errors: &[OptionError]) -> Value {
    let first = errors.first().map(|error| error.message.as_str());
    failed("configure", first.unwrap_or_default())
}

fn failed(when: &str, message: &str) -> Value {
    json!({"error": {"when": when, "message": message}})
}

fn record(json: &Value) -> TransformRecord {
    let header = |json: &Value| Header {
        key: json["key"].as_str().unwrap().into(),
        value: datum_from(&json["value"]),
    };
    TransformRecord {
        topic: Arc::from(json["topic"].as_str().unwrap()),
        headers: json["headers"]
            .as_array()
            .unwrap()
            .iter()
            .map(header)
            .collect(),
        key: datum_from(&json["key"]),
        value: datum_from(&json["value"]),
        position: RecordPosition {
            partition: json["partition"]
                .as_i64()
                .map(|partition| i32::try_from(partition).unwrap()),
            offset: json["offset"].as_i64().map(Offset::new),
            timestamp: json["timestamp"].as_i64().map(Timestamp::from_millis),
        },
    }
}

fn shown(transformed: Transformed) -> Value {
    let record = match transformed {
        Transformed::Dropped => return json!({"dropped": true}),
        Transformed::Several(pieces) => return json!({"pieces": pieces.len()}),
        Transformed::One(record) => record,
    };
    let header = |header: &Header| json!({"key": *header.key, "value": datum_shown(&header.value)});
    json!({
        "topic": *record.topic,
        "partition": record.position.partition,
        "timestamp": record.position.timestamp.map(Timestamp::as_millis),
        "key": datum_shown(&record.key),
        "value": datum_shown(&record.value),
        "headers": record.headers.iter().map(header).collect::<Vec<_>>(),
    })
}
