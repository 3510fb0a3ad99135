//! How records and their offsets get to the log: offsets some time after the records, or both in one transaction.

use std::sync::Arc;

use async_trait::async_trait;
use connect_core::clock::Clock;
use connect_core::plugin::SourceTask;
use connect_core::{Error, Result};
use tokio::time::Instant;

use super::batch::Batch;
use crate::runtime::active_topics::TopicTracker;
use crate::runtime::errors::ErrorReport;
use crate::runtime::metrics::TaskMetrics;
use crate::runtime::topic_creation::TopicProvider;

/// Why a delivery is to bring to an end what it has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settle {
    /// Its time has come.
    Due,
    /// The source is not to be asked for more for a while.
    Pause,
    /// The source has no more.
    Finish,
    /// The task ends in good order.
    Stop,
}

/// Where a delivery stands then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Settled {
    /// The task may go on.
    Yes,
    /// Records were dropped that the source has handed over: it must be asked for them again, by a new task.
    Rewound,
}

/// Gets records and their offsets to the log.
#[async_trait]
pub(super) trait Delivery: Send {
    /// When it is to settle although nothing was polled.
    fn due(&self) -> Option<Instant>;

    /// Takes a polled batch.
    async fn deliver(
        &mut self,
        batch: Batch,
        way: &mut Way,
        task: &mut dyn SourceTask,
    ) -> Result<()>;

    /// Stores offsets as far as it can; tells the task.
    async fn settle(
        &mut self,
        why: Settle,
        way: &Way,
        task: &mut dyn SourceTask,
    ) -> Result<Settled>;

    /// The task has failed; what that comes to.
    async fn fail(&mut self, failure: Error, way: &Way, task: &mut dyn SourceTask) -> Error;

    /// Closes the producer.
    async fn close(self: Box<Self>) -> Result<()>;
}

/// What records meet on their way, however they are delivered.
pub(super) struct Way {
    /// `None`: topics are made by the broker.
    pub(super) provider: Option<TopicProvider>,
    /// `None`: topics are not tracked.
    pub(super) topics: Option<TopicTracker>,
    pub(super) report: ErrorReport,
    pub(super) metrics: TaskMetrics,
    pub(super) clock: Arc<dyn Clock>,
}

impl Way {
    /// Makes topics that are not there.
    pub(super) async fn provide(&mut self, topics: &[Arc<str>]) -> Result<()> {
        let Some(provider) = &mut self.provider else {
            return Ok(());
        };
        for topic in topics {
            provider.provide(topic).await?;
        }
        Ok(())
    }

    /// The log has taken records for these topics.
    pub(super) fn used(&mut self, topics: &[Arc<str>]) {
        if let Some(tracker) = &mut self.topics {
            topics.iter().for_each(|topic| tracker.used(topic));
        }
    }
}
