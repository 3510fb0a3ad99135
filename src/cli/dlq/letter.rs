//! A dead letter: a record as it was read, with headers that say what happened to it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::RawHeader;

use crate::kafka::{ConsumedRecord, ProducerRecord};
use crate::runtime::ERROR_HEADERS;

/// How often a record was sent again, as decimal text. Whoever fails it again hands the header on to the queue.
pub(super) const TIMES_HEADER: &str = "sluice.redriven";

/// Where a letter stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.partition, self.offset)
    }
}

/// Not `PARTITION:OFFSET`.
#[derive(Debug, thiserror::Error)]
#[error("{0} is not PARTITION:OFFSET, such as 0:17")]
pub(super) struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let read = || {
            let (partition, offset) = text.split_once(':')?;
            let place = Self {
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
            };
            (place.partition >= 0 && place.offset >= 0).then_some(place)
        };
        read().ok_or_else(|| NoPlace(text.to_owned()))
    }
}

/// A record of the queue.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) record: ConsumedRecord,
}

impl Letter {
    pub(super) fn new(record: ConsumedRecord) -> Self {
        Self { record }
    }

    pub(super) fn place(&self) -> Place {
        Place {
            partition: self.record.partition,
            offset: self.record.offset.value(),
        }
    }

    /// What the header `__connect.errors.{name}` says; of several the last: it was added by whoever wrote the letter.
    pub(super) fn said(&self, name: &str) -> Option<Cow<'_, str>> {
        let is_named = |(key, _): &&RawHeader| key.strip_prefix(ERROR_HEADERS) == Some(name);
        let (_, value) = self.record.headers.iter().rev().find(is_named)?;
        value.as_deref().map(String::from_utf8_lossy)
    }

    /// The topic it came from.
    pub(super) fn topic(&self) -> Option<Cow<'_, str>> {
        self.said("topic").filter(|topic| !topic.is_empty())
    }

    /// The partition it came from.
    pub(super) fn partition(&self) -> Option<i32> {
        self.said("partition")?.parse().ok()
    }

    /// Where it came from, as `topic-partition at offset`.
    pub(super) fn origin(&self) -> String {
        match self.topic() {
            Some(topic) => format!(
                "{topic}-{} at {}",
                self.said("partition").unwrap_or_default(),
                self.said("offset").unwrap_or_default()
            ),
            None => String::new(),
        }
    }

    /// When the record was made, in milliseconds.
    pub(super) fn millis(&self) -> Option<i64> {
        let time = self.record.timestamp.timestamp()?;
        Some(time.as_millis())
    }

    /// The same as text.
    pub(super) fn when(&self) -> String {
        let time = self
            .millis()
            .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        time.map_or_else(String::new, |time| time.to_string())
    }

    /// How often it was sent again; what is no number counts as often.
    pub(super) fn times(&self) -> u32 {
        let header = |(key, _): &&RawHeader| &**key == TIMES_HEADER;
        let Some((_, value)) = self.record.headers.iter().rev().find(header) else {
            return 0;
        };
        let text = value.as_deref().map(String::from_utf8_lossy);
        text.and_then(|text| text.parse().ok()).unwrap_or(u32::MAX)
    }

    /// What tells it from the letter of a queue of the same name that stood at its place before.
    pub(super) fn identity(&self) -> String {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        format!(
            "{} {} {}+{}",
            self.origin(),
            self.millis().unwrap_or(-1),
            length(&self.record.key),
            length(&self.record.value)
        )
    }

    /// What all letters have in common that one connector wrote of one record: after a crash, or if it failed in several
    /// parts. `None` if the letter does not say all of it.
    pub(super) fn cause(&self) -> Option<String> {
        let connector = self.said("connector.name")?;
        let [_topic, _partition, _offset] =
            [self.topic()?, self.said("partition")?, self.said("offset")?];
        Some(format!("{connector} {}", self.identity()))
    }

    /// The record as it was before it failed, counted once more.
    pub(super) fn restored(&self, topic: Arc<str>, partition: Option<i32>) -> ProducerRecord {
        let is_own =
            |(key, _): &&RawHeader| !key.starts_with(ERROR_HEADERS) && &**key != TIMES_HEADER;
        let mut headers: Vec<_> = self.record.headers.iter().filter(is_own).cloned().collect();
        let times = Bytes::from(self.times().saturating_add(1).to_string());
        headers.push((TIMES_HEADER.into(), Some(times)));
        ProducerRecord {
            topic,
            partition,
            timestamp: self.record.timestamp.timestamp(),
            headers,
            key: self.record.key.clone(),
            value: self.record.value.clone(),
        }
    }

    /// Bytes of key, value and headers.
    pub(super) fn size(&self) -> usize {
        let length = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
        let headers = self.record.headers.iter();
        let headers: usize = headers.map(|(key, value)| key.len() + length(value)).sum();
        length(&self.record.key) + length(&self.record.value) + headers
    }
}

/// Bytes as people read them: text if they are, else hexadecimal.
pub(super) fn readable(bytes: &[u8]) -> String {
    let is_text = |text: &&str| {
        text.chars()
            .all(|character| !character.is_control() || "\n\r\t".contains(character))
    };
    match std::str::from_utf8(bytes).ok().filter(is_text) {
        Some(text) => text.to_owned(),
        None => format!("hex {}", hexadecimal(bytes)),
    }
}

pub(super) fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
pub(super) mod tests {
    use connect_core::data::{Offset, RecordTimestamp, Timestamp};

    use super::*;

    pub(in crate::cli::dlq) fn letter(headers: &[(&str, &str)]) -> Letter {
        let bytes = |text: &str| Some(Bytes::copy_from_slice(text.as_bytes()));
        Letter::new(ConsumedRecord {
            topic: "dead".into(),
            partition: 0,
            offset: Offset::new(7),
            timestamp: RecordTimestamp::CreateTime(Timestamp::from_millis(1_700_000_000_000)),
            headers: headers
                .iter()
                .map(|(key, value)| ((*key).into(), bytes(value)))
                .collect(),
            key: None,
            value: bytes("value"),
        })
    }

    #[test]
    fn a_record_goes_back_as_it_was_with_one_header_that_counts() {
        let failed_twice = letter(&[
            ("own", "kept"),
            ("sluice.redriven", "1"),
            ("__connect.errors.topic", "orders"),
            ("own", "kept too"),
        ]);
        let record = failed_twice.restored("orders".into(), Some(2));
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| format!("{key}={}", readable(value.as_deref().unwrap_or_default())))
            .collect();
        assert_eq!(headers, ["own=kept", "own=kept too", "sluice.redriven=2"]);
        assert_eq!((record.key, record.partition), (None, Some(2)));
        assert_eq!(
            record.timestamp,
            Some(Timestamp::from_millis(1_700_000_000_000))
        );
    }

    #[test]
    fn a_count_that_is_no_number_ends_the_loop() {
        assert_eq!(letter(&[]).times(), 0);
        assert_eq!(letter(&[("sluice.redriven", "2")]).times(), 2);
        assert_eq!(letter(&[("sluice.redriven", "often")]).times(), u32::MAX);
    }

    #[test]
    fn of_repeated_headers_the_last_counts() {
        let nested = letter(&[
            ("__connect.errors.topic", "first"),
            ("__connect.errors.topic", "last"),
        ]);
        assert_eq!(nested.topic().as_deref(), Some("last"));
    }

    #[test]
    fn places_are_read_as_they_are_written() {
        assert_eq!("3:17".parse::<Place>().unwrap().to_string(), "3:17");
        for wrong in ["", "3", "3:", ":3", "-1:3", "1:-3", "a:b", "1:2:3"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_shown_in_hexadecimal() {
        assert_eq!(readable("a\tb ü".as_bytes()), "a\tb ü");
        assert_eq!(readable(b"\x00\x01a"), "hex 000161");
        assert_eq!(readable(b"\xff"), "hex ff");
    }
}
