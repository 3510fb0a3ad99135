//! The name under which the registry keeps a schema and its versions.

use connect_core::plugin::ConverterRole;
use connect_core::{Error, Result, option_names};

/// How subjects are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strategy {
    Topic,
    Record,
    TopicAndRecord,
}

option_names!(Strategy {
    "io.confluent.kafka.serializers.subject.TopicNameStrategy" => Topic,
    "io.confluent.kafka.serializers.subject.RecordNameStrategy" => Record,
    "io.confluent.kafka.serializers.subject.TopicRecordNameStrategy" => TopicAndRecord,
});

impl Strategy {
    /// The subject for data of `topic` whose schema is called `record`.
    ///
    /// # Errors
    /// A data error if the schema has no name and the strategy needs one.
    pub(crate) fn subject(
        self,
        topic: &str,
        role: ConverterRole,
        record: Option<&str>,
    ) -> Result<String> {
        let part = if role == ConverterRole::Key {
            "key"
        } else {
            "value"
        };
        let record = || {
            record.ok_or_else(|| {
                Error::data(format!(
                    "the {part} must be a record with a name: {part}.subject.name.strategy names its subject by it"
                ))
            })
        };
        Ok(match self {
            Self::Topic => format!("{topic}-{part}"),
            Self::Record => record()?.to_owned(),
            Self::TopicAndRecord => format!("{topic}-{}", record()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_named_by_topic_and_record() {
        let subject = |strategy: Strategy, record| {
            let named = strategy.subject("orders", ConverterRole::Value, record);
            named.map_err(|error| error.kind())
        };
        let name = Some("shop.Order");
        assert_eq!(subject(Strategy::Topic, None).unwrap(), "orders-value");
        assert_eq!(subject(Strategy::Record, name).unwrap(), "shop.Order");
        assert_eq!(
            subject(Strategy::TopicAndRecord, name).unwrap(),
            "orders-shop.Order"
        );
        assert_eq!(
            subject(Strategy::Record, None),
            Err(connect_core::ErrorKind::Data)
        );
        let key = Strategy::Topic.subject("orders", ConverterRole::Key, None);
        assert_eq!(key.unwrap(), "orders-key");
    }
}
