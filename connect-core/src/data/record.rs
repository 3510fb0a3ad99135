//! Records on their way: from a source to the log, from the log to a sink.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Datum, Offset, Timestamp, TopicPartition};

/// When a record was made, as far as the log knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordTimestamp {
    /// Set by the producer.
    CreateTime(Timestamp),
    /// Set by the broker when it appended the record.
    LogAppendTime(Timestamp),
    /// Not known: the record has none, or the log cannot tell it reliably. Whoever needs one must fail, not guess.
    Unknown,
}

impl RecordTimestamp {
    /// The moment, if known.
    pub fn timestamp(self) -> Option<Timestamp> {
        match self {
            Self::CreateTime(timestamp) | Self::LogAppendTime(timestamp) => Some(timestamp),
            Self::Unknown => None,
        }
    }
}

/// A header as the log stores it: keys may repeat, values may be null.
pub type RawHeader = (Arc<str>, Option<Bytes>);

/// Headers as the log stores them, in order.
pub type RawHeaders = Vec<RawHeader>;

/// A header after conversion.
#[derive(Debug, Clone)]
pub struct Header {
    /// The key; may repeat.
    pub key: Arc<str>,
    /// The value.
    pub value: Datum,
}

/// Headers in order.
pub type Headers = Vec<Header>;

/// Which of the records that a transform has made of one record of the log this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Its number, from 0. The same each time the record is read under the same configuration; numbers may be missing.
    pub number: u32,
    /// True for the last one: only with it everything of the offset has come.
    pub is_last: bool,
}

/// A record on its way from the log to a sink.
#[derive(Debug, Clone)]
pub struct SinkRecord {
    /// Where it stands in the log; never changed by a transform. Offsets are counted by this.
    pub origin: TopicPartition,
    /// The topic it goes by now: a transform may have renamed it.
    pub topic: Arc<str>,
    /// Its offset in [`SinkRecord::origin`].
    pub offset: Offset,
    /// When it was made.
    pub timestamp: RecordTimestamp,
    /// Its headers.
    pub headers: Headers,
    /// Its key.
    pub key: Datum,
    /// Its value.
    pub value: Datum,
    /// Which piece it is, if a transform has split the record of the log. All pieces have its offset and come one after
    /// the other in one batch.
    pub piece: Option<Piece>,
    /// Bytes of the log this record keeps in memory: what the byte budget counts.
    pub size: u32,
}

impl SinkRecord {
    /// True if everything of its offset has come with this record: only then may the offset after it be handed out.
    pub fn completes_offset(&self) -> bool {
        self.piece.is_none_or(|piece| piece.is_last)
    }
}

/// What a source reads from (a file, a table, a generator's task), as the connector names it.
pub type SourcePartition = BTreeMap<String, serde_json::Value>;

/// How far a source has read in a partition, as the connector counts it.
pub type SourceOffset = BTreeMap<String, serde_json::Value>;

/// A record on its way from a source to the log.
#[derive(Debug, Clone)]
pub struct SourceRecord {
    /// What it was read from; shared by all records of the partition.
    pub source_partition: Arc<SourcePartition>,
    /// Where to go on after this record; `None` if a restart cannot go on here, only after a later record.
    pub source_offset: Option<SourceOffset>,
    /// The topic to write it to.
    pub topic: Arc<str>,
    /// The partition to write it to; `None` leaves it to the producer.
    pub partition: Option<i32>,
    /// When it was made; `None` means now.
    pub timestamp: Option<Timestamp>,
    /// Its headers.
    pub headers: Headers,
    /// Its key.
    pub key: Datum,
    /// Its value.
    pub value: Datum,
}
