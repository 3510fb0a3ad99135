//! Errors of records: tolerated or not, logged, counted, sent to the dead letter queue.

use std::sync::Arc;
use std::time::Duration;

use connect_core::Result;
use connect_core::clock::Clock;
use connect_core::config::{CommonOptions, ErrorTolerance};
use connect_core::data::TopicPartition;
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
    logs_content: bool,
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
            logs_content: options.log_messages,
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

/// A record as the log of errors names it.
struct Named<'a> {
    place: String,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
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
        self.log(&failure, &trace, || Named {
            place: format!(
                "{}-{} at offset {}",
                record.topic, record.partition, record.offset
            ),
            key: record.key.as_deref(),
            value: record.value.as_deref(),
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
        self.log(&failure, &trace, || Named {
            place: format!("for topic {topic}"),
            key: None,
            value: None,
        });
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

    fn log<'a>(&self, failure: &RecordFailure, trace: &str, named: impl FnOnce() -> Named<'a>) {
        if !self.handling.logs {
            return;
        }
        self.metrics.record_error_logged();
        let named = named();
        let text = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) if self.handling.logs_content => {
                Some(String::from_utf8_lossy(bytes).into_owned())
            }
            _ => None,
        };
        error!(
            record = named.place,
            stage = failure.stage.name(),
            class = failure.class,
            error = trace,
            key = text(named.key),
            value = text(named.value),
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
