//! The predicates of Apache Kafka.

use std::sync::Arc;

use connect_core::config::{ConfigDef, ConnectorConfig, OptionValue};
use connect_core::plugin::{Predicate, PredicatePlugin, TransformRecord};

use crate::pattern::{Pattern, is_pattern};

/// Options of HasHeaderKey.
#[derive(Debug, ConnectorConfig)]
struct HasHeaderKeyOptions {
    /// The header's name.
    #[option(name = "name", importance = Medium, validator = Validator::NonEmpty)]
    name: String,
}

struct HasHeaderKey(String);

impl Predicate for HasHeaderKey {
    fn test(&self, record: &TransformRecord) -> bool {
        record.headers.iter().any(|header| *header.key == *self.0)
    }
}

struct RecordIsTombstone;

impl Predicate for RecordIsTombstone {
    fn test(&self, record: &TransformRecord) -> bool {
        record.value.is_null()
    }
}

/// Options of TopicNameMatches.
#[derive(Debug, ConnectorConfig)]
struct TopicNameMatchesOptions {
    /// The regular expression that the whole name must match, as the record goes by when it comes to the transform.
    #[option(name = "pattern", importance = Medium, validator = Validator::Custom(not_empty_pattern))]
    pattern: String,
}

fn not_empty_pattern(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) if text.is_empty() => Err("String must be non-empty".to_owned()),
        other => is_pattern(other),
    }
}

impl Predicate for Pattern {
    fn test(&self, record: &TransformRecord) -> bool {
        self.matches(&record.topic)
    }
}

connect_core::inventory::submit! {
    PredicatePlugin {
        class: "org.apache.kafka.connect.transforms.predicates.HasHeaderKey",
        version: crate::VERSION,
        definition: HasHeaderKeyOptions::definition,
        make: |options| Ok(Arc::new(HasHeaderKey(HasHeaderKeyOptions::from_map(options)?.name))),
    }
}

connect_core::inventory::submit! {
    PredicatePlugin {
        class: "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone",
        version: crate::VERSION,
        definition: ConfigDef::default,
        make: |_| Ok(Arc::new(RecordIsTombstone)),
    }
}

connect_core::inventory::submit! {
    PredicatePlugin {
        class: "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        version: crate::VERSION,
        definition: TopicNameMatchesOptions::definition,
        make: |options| {
            let options = TopicNameMatchesOptions::from_map(options)?;
            let pattern = Pattern::new(&options.pattern).map_err(|reason| {
                vec![connect_core::config::OptionError::invalid("pattern", &options.pattern, &reason)]
            })?;
            Ok(Arc::new(pattern))
        },
    }
}

#[cfg(test)]
mod tests {
    use connect_core::config::{OptionError, find_predicate_plugin};
    use connect_core::data::{Datum, Header};

    use super::*;
    use crate::testing::{json, map, record};

    fn predicate(
        class: &str,
        options: &[(&str, &str)],
    ) -> Result<Arc<dyn Predicate>, Vec<OptionError>> {
        (find_predicate_plugin(class).unwrap().make)(&map(options))
    }

    #[test]
    fn a_header_is_found_by_its_exact_name() {
        let has = predicate("HasHeaderKey", &[("name", "h")]).unwrap();
        let mut record = record(Datum::null(), json("1"));
        assert!(!has.test(&record));
        let (key, value) = ("h".into(), Datum::null());
        record.headers.push(Header { key, value });
        assert!(has.test(&record));
        assert!(predicate("HasHeaderKey", &[("name", "")]).is_err());
    }

    #[test]
    fn a_tombstone_has_no_value_whatever_its_key() {
        let tombstone = predicate("RecordIsTombstone", &[]).unwrap();
        assert!(tombstone.test(&record(json("1"), Datum::null())));
        assert!(tombstone.test(&record(json("1"), json("null"))));
        assert!(!tombstone.test(&record(Datum::null(), json("{}"))));
    }

    #[test]
    fn the_whole_topic_must_match() {
        let matches = |pattern| {
            let options = [("pattern", pattern)];
            let made = predicate("TopicNameMatches", &options).unwrap();
            let mut record = record(Datum::null(), json("1"));
            record.topic = "orders-1".into();
            made.test(&record)
        };
        assert!(matches("orders-.*"));
        assert!(matches("a|orders-1"));
        assert!(!matches("orders"));
        assert!(predicate("TopicNameMatches", &[("pattern", "(")]).is_err());
        assert!(predicate("TopicNameMatches", &[("pattern", "a)(b")]).is_err());
    }
}
