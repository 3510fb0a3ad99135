//! Offsets between REST and the stores: checked in Kafka Connect's words, shown in its shapes. No input or output.

use connect_core::data::{
    Offset, OffsetAndMetadata, SourceOffset, SourcePartition, TopicPartition,
};
use connect_core::plugin::{ConnectorType, OffsetChanges};
use serde_json::{Value, json};

use super::herder::HerderError;
use super::info::{ConnectorOffset, OffsetFields};

const TOPIC: &str = "kafka_topic";
const PARTITION: &str = "kafka_partition";
const OFFSET: &str = "kafka_offset";

/// A sink's offset as REST shows it.
pub(super) fn shown_sink(
    partition: &TopicPartition,
    offset: &OffsetAndMetadata,
) -> ConnectorOffset {
    ConnectorOffset {
        partition: Some(
            [
                (TOPIC.to_owned(), json!(&*partition.topic)),
                (PARTITION.to_owned(), json!(partition.partition)),
            ]
            .into(),
        ),
        offset: Some([(OFFSET.to_owned(), json!(offset.offset.value()))].into()),
    }
}

/// A source's offset as REST shows it.
pub(super) fn shown_source(
    (partition, offset): (SourcePartition, SourceOffset),
) -> ConnectorOffset {
    ConnectorOffset {
        partition: Some(partition),
        offset: Some(offset),
    }
}

/// What somebody wants offsets to be.
///
/// # Errors
/// The first that cannot be, in Kafka Connect's words.
pub(super) fn changes_of(
    kind: ConnectorType,
    name: &str,
    offsets: &[ConnectorOffset],
) -> Result<OffsetChanges, HerderError> {
    match kind {
        ConnectorType::Sink => {
            let changes = offsets.iter().map(|offset| sink_change(name, offset));
            Ok(OffsetChanges::Sink(changes.collect::<Result<_, _>>()?))
        }
        ConnectorType::Source => {
            for fields in offsets
                .iter()
                .flat_map(|offset| [&offset.partition, &offset.offset])
            {
                check_primitive(fields.as_ref())?;
            }
            let changes = offsets.iter();
            let changes = changes.map(|offset| (offset.partition.clone(), offset.offset.clone()));
            Ok(OffsetChanges::Source(changes.collect()))
        }
    }
}

fn bad(text: impl Into<String>) -> HerderError {
    HerderError::BadRequest(text.into())
}

fn sink_change(
    name: &str,
    change: &ConnectorOffset,
) -> Result<(TopicPartition, Option<Offset>), HerderError> {
    let partition = change.partition.as_ref().ok_or_else(|| {
        bad("The partition for a sink connector offset cannot be null or missing")
    })?;
    let (Some(topic), Some(number)) = (partition.get(TOPIC), partition.get(PARTITION)) else {
        return Err(bad(
            "The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'",
        ));
    };
    if topic.is_null() {
        return Err(bad(
            "Kafka topic names must be valid strings and may not be null",
        ));
    }
    if number.is_null() {
        return Err(bad(
            "Kafka partitions must be valid numbers and may not be null",
        ));
    }
    let number: i32 = text(number).parse().map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka partition value in the provided offsets: '{}'. Partition values for sink connectors need to be integers.",
            text(number)
        ))
    })?;
    let offset = change
        .offset
        .as_ref()
        .map(|offset| sink_offset(name, offset));
    Ok((
        TopicPartition::new(text(topic), number),
        offset.transpose()?,
    ))
}

fn sink_offset(name: &str, offset: &OffsetFields) -> Result<Offset, HerderError> {
    let value = offset.get(OFFSET).ok_or_else(|| {
        bad("The offset for a sink connector should either be null or contain the key 'kafka_offset'")
    })?;
    let value: i64 = text(value).parse().map_err(|_| {
        bad(format!(
            "Failed to parse the following Kafka offset value in the provided offsets: '{}'. Offset values for sink connectors need to be integers.",
            text(value)
        ))
    })?;
    if value < 0 {
        let text = format!("Failed to modify offsets for sink connector {name}");
        return Err(HerderError::Internal(text));
    }
    Ok(Offset::new(value))
}

/// A value without the quotes of a string: numbers may be given as text.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn check_primitive(fields: Option<&OffsetFields>) -> Result<(), HerderError> {
    for (field, value) in fields.into_iter().flatten() {
        let kind = match value {
            Value::Object(_) => "MAP",
            Value::Array(_) => "ARRAY",
            _ => continue,
        };
        return Err(HerderError::Internal(format!(
            "Offsets may only contain primitive types as values, but field {field} contains {kind}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn sink(partition: &Value, offset: &Value) -> Result<OffsetChanges, HerderError> {
        let change = json!({ "partition": partition, "offset": offset });
        let change: ConnectorOffset = serde_json::from_value(change).unwrap();
        changes_of(ConnectorType::Sink, "c", &[change])
    }

    #[test]
    fn numbers_of_a_sink_may_be_text() {
        let changes = sink(
            &json!({ "kafka_topic": "t", "kafka_partition": "3" }),
            &json!({ "kafka_offset": "7" }),
        );
        let wanted = BTreeMap::from([(TopicPartition::new("t", 3), Some(Offset::new(7)))]);
        assert_eq!(changes, Ok(OffsetChanges::Sink(wanted)));
    }

    #[test]
    fn what_is_no_partition_or_offset_of_a_sink_is_refused() {
        let whole = json!({ "kafka_topic": "t", "kafka_partition": 0 });
        for (partition, offset, words) in [
            (json!(null), json!(null), "cannot be null or missing"),
            (
                json!({ "kafka_topic": "t" }),
                json!(null),
                "must contain the keys",
            ),
            (
                json!({ "kafka_topic": "t", "kafka_partition": 1.5 }),
                json!(null),
                "'1.5'",
            ),
            (
                json!({ "kafka_topic": "t", "kafka_partition": 3_000_000_000_i64 }),
                json!(null),
                "'3000000000'",
            ),
            (whole.clone(), json!({}), "contain the key 'kafka_offset'"),
            (whole.clone(), json!({ "kafka_offset": true }), "'true'"),
            (whole, json!({ "kafka_offset": -1 }), "Failed to modify"),
        ] {
            let refused = sink(&partition, &offset).unwrap_err().to_string();
            assert!(refused.contains(words), "{words}: {refused}");
        }
    }

    #[test]
    fn fields_of_a_source_hold_no_objects() {
        let change = json!({ "partition": { "a": [1] }, "offset": null });
        let change: ConnectorOffset = serde_json::from_value(change).unwrap();
        let refused = changes_of(ConnectorType::Source, "c", &[change]).unwrap_err();
        assert!(
            refused.to_string().ends_with("field a contains ARRAY"),
            "{refused}"
        );
    }
}
