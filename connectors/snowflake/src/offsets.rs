//! Consumed offsets, kept beside the rows: what makes rows appear exactly once.
//!
//! A row per topic and partition holds the next offset. Whoever loads rows moves it, in the same transaction, from where
//! it believes it to be; if it is elsewhere nothing is moved and nothing is loaded. So a task that has lost its partition
//! without knowing does no harm.

use std::collections::BTreeMap;

use connect_core::data::{Offset, TopicPartition};

use crate::batch::Spans;
use crate::error::SnowflakeError;
use crate::naming::{quoted, text};
use crate::session::Rows;

/// What the table of offsets says.
pub(crate) type Stored = BTreeMap<TopicPartition, Offset>;

/// Where a batch stands.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Its rows are not there.
    Before,
    /// Its rows are there.
    Done,
    /// Somebody else has written: where to go on from.
    Elsewhere(Stored),
}

/// Compares a batch with what is stored.
pub(crate) fn standing(stored: &Stored, spans: &Spans) -> Standing {
    let all = |at: fn(&crate::batch::Span) -> Offset| {
        spans
            .iter()
            .all(|(partition, span)| stored.get(partition) == Some(&at(span)))
    };
    if all(|span| span.expected) {
        return Standing::Before;
    }
    if all(|span| span.next) {
        return Standing::Done;
    }
    let targets = spans.iter().map(|(partition, span)| {
        let offset = stored.get(partition).copied().unwrap_or(span.expected);
        (partition.clone(), offset)
    });
    Standing::Elsewhere(targets.collect())
}

/// The statements over the table of offsets.
#[derive(Debug, Clone)]
pub(crate) struct OffsetsTable {
    name: String,
}

impl OffsetsTable {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
        }
    }

    /// The name as it is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn create(&self) -> String {
        format!(
            "CREATE TABLE IF NOT EXISTS {} (\"TOPIC\" VARCHAR NOT NULL, \"KAFKA_PARTITION\" NUMBER(10,0) NOT NULL, \
             \"NEXT_OFFSET\" NUMBER(19,0) NOT NULL, \"UPDATED_AT\" TIMESTAMP_LTZ) \
             COMMENT = 'next offsets to load; written in the transaction of the rows'",
            quoted(&self.name)
        )
    }

    pub(crate) fn read(&self) -> String {
        format!(
            "SELECT \"TOPIC\", \"KAFKA_PARTITION\"::VARCHAR AS \"KAFKA_PARTITION\", \
             \"NEXT_OFFSET\"::VARCHAR AS \"NEXT_OFFSET\" FROM {}",
            quoted(&self.name)
        )
    }

    /// Adds partitions that are not there.
    pub(crate) fn insert(&self, offsets: &Stored) -> String {
        let values: Vec<_> = offsets
            .iter()
            .map(|(partition, next)| {
                let topic = text(&partition.topic);
                format!("({topic}, {}, {next})", partition.partition)
            })
            .collect();
        format!(
            "MERGE INTO {} AS o USING (SELECT column1 AS topic, column2 AS kafka_partition, column3 AS next_offset \
             FROM VALUES {}) AS s ON o.\"TOPIC\" = s.topic AND o.\"KAFKA_PARTITION\" = s.kafka_partition \
             WHEN NOT MATCHED THEN INSERT (\"TOPIC\", \"KAFKA_PARTITION\", \"NEXT_OFFSET\", \"UPDATED_AT\") \
             VALUES (s.topic, s.kafka_partition, s.next_offset, CURRENT_TIMESTAMP())",
            quoted(&self.name),
            values.join(", ")
        )
    }

    /// Moves the offsets of a batch, in this transaction only and only from where they are expected.
    pub(crate) fn advance(&self, spans: &Spans, transaction: &str) -> String {
        let values: Vec<_> = spans
            .iter()
            .map(|(partition, span)| {
                let topic = text(&partition.topic);
                format!(
                    "({topic}, {}, {}, {})",
                    partition.partition, span.expected, span.next
                )
            })
            .collect();
        format!(
            "MERGE INTO {} AS o USING (SELECT column1 AS topic, column2 AS kafka_partition, column3 AS expected, \
             column4 AS next_offset FROM VALUES {} WHERE CURRENT_TRANSACTION()::VARCHAR = {}) AS s \
             ON o.\"TOPIC\" = s.topic AND o.\"KAFKA_PARTITION\" = s.kafka_partition AND o.\"NEXT_OFFSET\" = s.expected \
             WHEN MATCHED THEN UPDATE SET \"NEXT_OFFSET\" = s.next_offset, \"UPDATED_AT\" = CURRENT_TIMESTAMP()",
            quoted(&self.name),
            values.join(", "),
            text(transaction)
        )
    }

    /// Reads the answer to [`Self::read`].
    ///
    /// # Errors
    /// A row that is not one of ours, or two for one partition.
    pub(crate) fn stored(&self, rows: &Rows) -> Result<Stored, SnowflakeError> {
        let wrong = |what: &str| SnowflakeError::Protocol(format!("{} in {}", what, self.name));
        let mut stored = Stored::new();
        for row in 0..rows.len() {
            let number = |column: &str| {
                rows.get(row, column)
                    .and_then(|text| text.parse::<i64>().ok())
            };
            let partition = number("KAFKA_PARTITION").and_then(|number| i32::try_from(number).ok());
            let (Some(topic), Some(partition), Some(next)) =
                (rows.get(row, "TOPIC"), partition, number("NEXT_OFFSET"))
            else {
                return Err(wrong("a row that cannot be understood"));
            };
            let partition = TopicPartition::new(topic, partition);
            if stored
                .insert(partition.clone(), Offset::new(next))
                .is_some()
            {
                return Err(wrong(&format!("two rows for {partition}")));
            }
        }
        Ok(stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Span;

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("t", number)
    }

    fn spans(list: &[(i32, i64, i64)]) -> Spans {
        let span = |(number, expected, next): &(i32, i64, i64)| {
            let (expected, next) = (Offset::new(*expected), Offset::new(*next));
            (partition(*number), Span { expected, next })
        };
        list.iter().map(span).collect()
    }

    fn stored(list: &[(i32, i64)]) -> Stored {
        let pair = |(number, next): &(i32, i64)| (partition(*number), Offset::new(*next));
        list.iter().map(pair).collect()
    }

    #[test]
    fn a_batch_is_done_only_if_every_partition_stands_at_its_end() {
        let batch = spans(&[(0, 5, 10), (1, 0, 3)]);
        assert_eq!(
            standing(&stored(&[(0, 5), (1, 0)]), &batch),
            Standing::Before
        );
        assert_eq!(
            standing(&stored(&[(0, 10), (1, 3)]), &batch),
            Standing::Done
        );
        let elsewhere = stored(&[(0, 7), (1, 0)]);
        assert_eq!(
            standing(&elsewhere, &batch),
            Standing::Elsewhere(elsewhere.clone())
        );
        let vanished = standing(&stored(&[(0, 5)]), &batch);
        assert_eq!(vanished, Standing::Elsewhere(stored(&[(0, 5), (1, 0)])));
    }
}
