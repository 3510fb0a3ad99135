//! Offsets are stored some time after the log has acknowledged their records.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::data::Offsets;
use connect_core::plugin::SourceTask;
use connect_core::{Error, Result};
use tokio::time::Instant;
use tracing::warn;

use super::batch::{Acknowledged, Batch};
use super::delivery::{Delivery, Settle, Settled, Way};
use crate::kafka::Producer;
use crate::runtime::errors::RecordFailure;
use crate::storage::ConnectorOffsets;

pub(super) struct AtLeastOnce {
    producer: Arc<dyn Producer>,
    offsets: ConnectorOffsets,
    interval: Duration,
    acknowledged: Acknowledged,
    due: Instant,
}

impl AtLeastOnce {
    pub(super) fn new(
        producer: Arc<dyn Producer>,
        offsets: ConnectorOffsets,
        interval: Duration,
    ) -> Self {
        Self {
            producer,
            offsets,
            interval,
            acknowledged: Acknowledged::default(),
            due: Instant::now() + interval,
        }
    }

    async fn store(&mut self, way: &Way, task: &mut dyn SourceTask) -> Result<()> {
        self.due = Instant::now() + self.interval;
        if self.acknowledged.records() == 0 {
            return Ok(());
        }
        let begin = Instant::now();
        let stored = self.offsets.alter(&self.acknowledged.changes()).await;
        match &stored {
            Ok(()) => {
                let now = way.clock.now();
                way.metrics.committed(&Offsets::new(), begin.elapsed(), now);
            }
            Err(_) => way.metrics.commit_failed(begin.elapsed(), false),
        }
        stored.map_err(|cause| Error::external("source offsets were not stored").source(cause))?;
        task.acked(self.acknowledged.stored()).await
    }
}

#[async_trait]
impl Delivery for AtLeastOnce {
    /// Nothing is to be stored where nothing was acknowledged.
    fn due(&self) -> Option<Instant> {
        (self.acknowledged.records() > 0).then_some(self.due)
    }

    /// Sends all and keeps the offsets of what was acknowledged before the first failure.
    async fn deliver(
        &mut self,
        batch: Batch,
        way: &mut Way,
        _task: &mut dyn SourceTask,
    ) -> Result<()> {
        let (bytes, topics) = (batch.bytes(), batch.topics());
        way.metrics.sending(batch.records.len());
        way.provide(&topics).await?;
        let record_topics = batch.records.iter().map(|record| record.topic.clone());
        let record_topics: Vec<_> = record_topics.collect();
        let results = self.producer.send(batch.records).await;
        let taken = results.as_ref().map_or(0, |results| {
            results.iter().filter(|result| result.is_ok()).count()
        });
        way.metrics
            .acknowledged(taken, if taken > 0 { bytes } else { 0 });
        let mut results = results?.into_iter().zip(&record_topics);
        let mut acknowledged = 0;
        for polled in batch.polled {
            // A record is acknowledged with the last of its pieces; at once if a transform has dropped it.
            for (result, topic) in results.by_ref().take(polled.end - acknowledged) {
                if let Err(error) = result {
                    let failure = RecordFailure::unsent(error);
                    way.report.produced(topic, failure)?;
                }
            }
            acknowledged = polled.end;
            self.acknowledged.add(polled.partition, polled.offset);
        }
        way.used(&topics);
        Ok(())
    }

    async fn settle(
        &mut self,
        _why: Settle,
        way: &Way,
        task: &mut dyn SourceTask,
    ) -> Result<Settled> {
        self.store(way, task).await?;
        Ok(Settled::Yes)
    }

    /// What the log has is not sent again.
    async fn fail(&mut self, failure: Error, way: &Way, task: &mut dyn SourceTask) -> Error {
        if let Err(error) = self.store(way, task).await {
            warn!(error = error.trace(), "at the end of a failed task");
        }
        failure
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.producer.close().await
    }
}
