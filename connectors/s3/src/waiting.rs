//! What the task has been given while too much waited to be published.

use connect_core::data::{Offset, SinkRecord, TopicPartition};

/// Something to be written later.
pub(crate) enum Waiting {
    Record(SinkRecord),
    /// What comes before the offset and was not put counts as done.
    Skip(TopicPartition, Offset),
}

impl Waiting {
    pub(crate) fn partition(&self) -> &TopicPartition {
        match self {
            Self::Record(record) => &record.origin,
            Self::Skip(partition, _) => partition,
        }
    }

    /// Bytes in memory.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Record(record) => record.size as usize,
            Self::Skip(..) => 0,
        }
    }
}
