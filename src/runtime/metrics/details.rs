//! The numbers of a task as its status shows them.

use std::time::Instant;

use connect_core::data::Timestamp;
use connect_core::plugin::ConnectorType;

use super::task::{PartitionNumbers, TaskNumbers};
use crate::runtime::info::{TaskDetails, TaskError};

impl TaskNumbers {
    /// What the status shows of a task that is in its state since `since`.
    pub(in crate::runtime) fn details(&self, since: Timestamp, kind: ConnectorType) -> TaskDetails {
        let now = Instant::now();
        let (moved, buffered) = match kind {
            ConnectorType::Sink => (&self.read, Some(self.buffered_bytes)),
            ConnectorType::Source => (&self.written, None),
        };
        TaskDetails {
            since: rfc3339(since),
            records_per_second: tenths(moved.rate(now)),
            bytes_per_second: tenths(self.bytes.rate(now)),
            lag: self.lag(),
            restart: None,
            buffered_bytes: buffered,
            last_commit: self.last_commit.map(rfc3339),
            last_written: self.last_written.as_deref().map(str::to_owned),
            last_error: self.errors.last.as_ref().map(|last| TaskError {
                at: rfc3339(last.at),
                message: last.text.to_string(),
            }),
        }
    }

    /// The lag of all partitions together; none if none is known.
    fn lag(&self) -> Option<u64> {
        let lags = self.partitions.values().filter_map(PartitionNumbers::lag);
        lags.reduce(|all, lag| all + lag)
    }
}

/// A moment in the form of RFC 3339.
pub(in crate::runtime) fn rfc3339(time: Timestamp) -> String {
    // Times of a clock are within what can be written.
    jiff::Timestamp::from_millisecond(time.as_millis())
        .map_or_else(|_| time.as_millis().to_string(), |time| time.to_string())
}

fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
