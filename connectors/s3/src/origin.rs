//! Where an object's records come from, kept in its metadata: what tells a repetition from an object of other records.
//!
//! A repetition after a crash begins with the same record, whatever the configuration makes of it by then: its place in
//! Kafka and its time are compared, not the bytes. The time tells a topic that was made anew, whose offsets come again.

use std::collections::HashMap;
use std::fmt;

use connect_core::data::{SinkRecord, Timestamp};

/// `topic/partition/offset by connector`
const FIRST: &str = "sluice-origin";
/// Milliseconds.
const TIME: &str = "sluice-origin-time";

/// An object's first record, and whose object it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    first: String,
    /// The record's time, where the log knows it.
    time: Option<Timestamp>,
}

impl Origin {
    /// The origin of an object that begins with this record.
    pub(crate) fn of(record: &SinkRecord, connector: &str) -> Self {
        let origin = &record.origin;
        let (topic, partition, offset) = (&origin.topic, origin.partition, record.offset);
        // Metadata are headers: ASCII.
        let connector = connector.escape_default();
        Self {
            first: format!("{topic}/{partition}/{offset} by {connector}"),
            time: record.timestamp.timestamp(),
        }
    }

    /// Reads it from an object's metadata.
    pub(crate) fn from_metadata(metadata: &HashMap<String, String>) -> Option<Self> {
        let time = metadata.get(TIME).and_then(|millis| millis.parse().ok());
        Some(Self {
            first: metadata.get(FIRST)?.clone(),
            time: time.map(Timestamp::from_millis),
        })
    }

    pub(crate) fn to_metadata(&self) -> HashMap<String, String> {
        let time = self.time.map(|time| time.as_millis().to_string());
        let time = time.map(|millis| (TIME.to_owned(), millis));
        let first = (FIRST.to_owned(), self.first.clone());
        [first].into_iter().chain(time).collect()
    }

    /// True if both begin with the same record. Times count where both are known: a topic may lose them by a change of its
    /// `message.timestamp.type`.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let differ = self.time.zip(other.time).is_some_and(|(a, b)| a != b);
        self.first == other.first && !differ
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.first)?;
        match self.time {
            Some(time) => write!(formatter, " (record time {})", time.as_millis()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(first: &str, time: Option<i64>) -> Origin {
        Origin {
            first: first.to_owned(),
            time: time.map(Timestamp::from_millis),
        }
    }

    #[test]
    fn metadata_say_the_same_again() {
        for time in [None, Some(1_710_052_200_000)] {
            let origin = origin("sales/0/7 by c", time);
            assert_eq!(Origin::from_metadata(&origin.to_metadata()), Some(origin));
        }
        assert_eq!(Origin::from_metadata(&HashMap::new()), None);
    }

    #[test]
    fn times_tell_origins_apart_only_where_both_are_known() {
        let known = origin("t/0/0 by c", Some(5));
        assert!(known.is_same(&known));
        assert!(known.is_same(&origin("t/0/0 by c", None)));
        assert!(!known.is_same(&origin("t/0/0 by c", Some(6))));
        assert!(!known.is_same(&origin("t/0/1 by c", Some(5))));
    }
}
