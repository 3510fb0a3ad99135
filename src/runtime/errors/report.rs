//! Errors of records: tolerated or not, logged, counted, sent to the dead letter queue.

use std::sync::Arc;
use std::time::Duration;

use connect_core::Result;
use connect_core::clock::Clock;
use connect_core::config::{CommonOptions, ErrorTolerance};
use connect_core::data::{Timestamp, TopicPartition};
use connect_core::retry::RetryPolicy;
use tracing::error;

use super::dead_letters::DeadLetterQueue;
use super::failure::RecordFailure;
use crate::kafka::ConsumedRecord;
use crate::runtime::metrics::TaskMetrics;
use crate::runtime::status::StatusBoard;

/// What the options say.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct ErrorHandling {
    tolerates: bool,
    logs: bool,
    /// Whether lines tell more of the record than its place.
    logs_record: bool,
    /// How long what may get better is tried again; `None`: without end.
    retry_timeout: Option<Duration>,
    /// The longest pause between two tries.
    longest_pause: Duration,
}

impl ErrorHandling {
    pub(in crate::runtime) fn of(options: &CommonOptions) -> Self {
        Self {
            tolerates: options.tolerance == ErrorTolerance::All,
            logs: options.log_errors,
            logs_record: options.log_messages,
            retry_timeout: u64::try_from(options.retry_timeout)
                .ok()
                .filter(|millis| *millis > 0)
                .map(Duration::from_millis),
            longest_pause: Duration::from_millis(
                u64::try_from(options.retry_delay_max).unwrap_or(0),
            ),
        }
    }

    /// The pauses between tries.
    pub(in crate::runtime) fn pauses(self, usual: RetryPolicy) -> RetryPolicy {
        let max = usual.max.min(self.longest_pause).max(usual.initial);
        RetryPolicy { max, ..usual }
    }

    /// True if what was tried for so long counts as failed.
    pub(in crate::runtime) fn gives_up(self, tried: Duration) -> bool {
        self.retry_timeout.is_some_and(|timeout| tried >= timeout)
    }
}

/// Takes the errors of one task's records.
pub(in crate::runtime) struct ErrorReport {
    pub(in crate::runtime) handling: ErrorHandling,
    pub(in crate::runtime) status: StatusBoard,
    pub(in crate::runtime) metrics: TaskMetrics,
    pub(in crate::runtime) clock: Arc<dyn Clock>,
    pub(in crate::runtime) queue: Option<DeadLetterQueue>,
}

impl ErrorReport {
    /// True if records may be left out.
    pub(in crate::runtime) fn tolerates(&self) -> bool {
        self.handling.tolerates
    }

    /// A record of the log failed. An error if the task must not go on without it.
    pub(in crate::runtime) fn consumed(
        &mut self,
        record: &ConsumedRecord,
        failure: RecordFailure,
    ) -> Result<()> {
        if !failure.is_of_record() {
            return Err(*failure.error);
        }
        let trace = self.status.trace_of(&failure.error);
        let millis = record.timestamp.timestamp().map(Timestamp::as_millis);
        self.log(&failure, &trace, millis, || {
            format!(
                "{}-{} at offset {}",
                record.topic, record.partition, record.offset
            )
        });
        if let Some(queue) = &mut self.queue {
            queue.push(record, &failure, &trace);
        }
        self.judge(failure, trace)
    }

    /// A record of a source failed. An error if the task must not go on without it.
    pub(in crate::runtime) fn produced(&self, topic: &str, failure: RecordFailure) -> Result<()> {
        if !failure.is_of_record() {
            return Err(*failure.error);
        }
        let trace = self.status.trace_of(&failure.error);
        self.log(&failure, &trace, None, || format!("for topic {topic}"));
        self.judge(failure, trace)
    }

    fn judge(&self, failure: RecordFailure, trace: String) -> Result<()> {
        self.metrics.record_failed(trace, self.clock.now());
        if !self.handling.tolerates {
            return Err(*failure.error);
        }
        self.metrics.record_skipped();
        Ok(())
    }

    /// Key and value are never logged: of a sink's records Kafka Connect shows where and when, too.
    fn log(
        &self,
        failure: &RecordFailure,
        trace: &str,
        timestamp: Option<i64>,
        place: impl FnOnce() -> String,
    ) {
        if !self.handling.logs {
            return;
        }
        self.metrics.record_error_logged();
        error!(
            record = place(),
            timestamp = timestamp.filter(|_| self.handling.logs_record),
            stage = failure.stage.name(),
            class = failure.class,
            error = trace,
            "a record cannot be processed"
        );
    }

    /// Waits until the log has acknowledged all dead letters.
    pub(in crate::runtime) async fn deliver(&mut self) -> Result<()> {
        let Some(queue) = &mut self.queue else {
            return Ok(());
        };
        let before = queue.waiting();
        let outcome = queue.deliver().await;
        self.metrics
            .dead_letters(before - queue.waiting(), queue.waiting());
        outcome
    }

    /// Drops what was not delivered of partitions that another task has now.
    pub(in crate::runtime) fn forget(&mut self, partitions: &[TopicPartition]) {
        if let Some(queue) = &mut self.queue {
            queue.forget(partitions);
        }
    }
}
