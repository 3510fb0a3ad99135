//! Offsets are stored in the transaction of their records.
//!
//! Holds always: the task is told of records once their transaction is committed; what was dropped is asked for again by a
//! new task, from the offsets that are stored.

use async_trait::async_trait;
use connect_core::data::Offsets;
use connect_core::plugin::{SourceTask, TransactionEnd};
use connect_core::{Error, ErrorKind, Result, RetryVerdict};
use tokio::time::Instant;
use tracing::{info, warn};

use super::batch::{Acknowledged, Batch};
use super::delivery::{Delivery, Settle, Settled, Way};
use crate::runtime::exactly_once::{Boundary, TaskPlace, TaskTransactions};
use crate::storage::ConnectorOffsets;

pub(super) struct ExactlyOnce {
    pub(super) transactions: TaskTransactions,
    pub(super) place: TaskPlace,
    pub(super) boundary: Boundary,
    pub(super) offsets: ConnectorOffsets,
    /// The topic of the offsets: not for the source's records.
    pub(super) offsets_topic: String,
    /// Whether the connector says that a record without an offset is followed by one that has one: until it comes, the
    /// transaction does not end.
    pub(super) waits_for_offsets: bool,
    pub(super) acknowledged: Acknowledged,
}

impl ExactlyOnce {
    /// True if the source can go on after what was sent, or never says that it can.
    fn may_commit(&self) -> bool {
        !self.waits_for_offsets || self.acknowledged.is_resumable()
    }

    /// A task that reads offsets while its own transaction is open in their topic would wait for itself.
    fn check_topics(&self, batch: &Batch) -> Result<()> {
        let is_own = |topic: &std::sync::Arc<str>| **topic == *self.offsets_topic;
        if batch.topics().iter().any(is_own) {
            return Err(Error::config(
                "Source tasks may not produce to their own offsets topics when exactly-once support is enabled",
            ));
        }
        Ok(())
    }

    async fn send(&mut self, batch: Batch, way: &mut Way) -> Result<()> {
        let (bytes, topics, count) = (batch.bytes(), batch.topics(), batch.records.len());
        way.metrics.sending(count);
        way.provide(&topics).await?;
        let sent = self.transactions.send(batch.records).await;
        let taken = if sent.is_ok() { (count, bytes) } else { (0, 0) };
        way.metrics.acknowledged(taken.0, taken.1);
        sent?;
        for polled in batch.polled {
            self.acknowledged.add(polled.partition, polled.offset);
        }
        way.used(&topics);
        Ok(())
    }

    async fn end(
        &mut self,
        end: TransactionEnd,
        way: &Way,
        task: &mut dyn SourceTask,
    ) -> Result<()> {
        if end == TransactionEnd::Abort {
            let records = self.transactions.open_records();
            info!(records, "the connector drops its transaction");
            self.transactions.abort().await?;
        }
        self.commit(way, task).await
    }

    /// Commits what was sent, if anything was, with the offsets.
    async fn commit(&mut self, way: &Way, task: &mut dyn SourceTask) -> Result<()> {
        self.boundary.ended();
        let changes = self.acknowledged.changes();
        if self.transactions.open_records().is_some() || !changes.is_empty() {
            let begin = Instant::now();
            let committed = match self.offsets.records(&changes).await {
                Ok(records) => self.transactions.commit(records).await,
                Err(error) => Err(error),
            };
            match committed {
                Ok(records) => {
                    let now = way.clock.now();
                    way.metrics.committed(&Offsets::new(), begin.elapsed(), now);
                    way.metrics.transaction(records);
                }
                Err(error) => {
                    way.metrics.commit_failed(begin.elapsed(), false);
                    return Err(error);
                }
            }
            self.offsets.committed(&changes).await;
        }
        match self.acknowledged.stored() {
            0 => Ok(()),
            records => task.acked(records).await,
        }
    }
}

#[async_trait]
impl Delivery for ExactlyOnce {
    /// What waits for an offset ends with the batch that brings it, and where nothing was sent nothing is to end.
    fn due(&self) -> Option<Instant> {
        let ends = self.acknowledged.records() > 0 && self.may_commit();
        self.boundary.due().filter(|_| ends)
    }

    async fn deliver(
        &mut self,
        mut batch: Batch,
        way: &mut Way,
        task: &mut dyn SourceTask,
    ) -> Result<()> {
        self.check_topics(&batch)?;
        let mut sent = 0;
        for (place, end) in self.boundary.within(batch.polled.len()) {
            let piece = batch.split_front(place - sent);
            sent = place;
            self.send(piece, way).await?;
            self.end(end, way, task).await?;
        }
        self.send(batch, way).await?;
        if self.boundary.ends_batch() && self.may_commit() {
            self.commit(way, task).await?;
        }
        Ok(())
    }

    async fn settle(
        &mut self,
        why: Settle,
        way: &Way,
        task: &mut dyn SourceTask,
    ) -> Result<Settled> {
        let asked = match why {
            Settle::Stop | Settle::Finish => self.boundary.within(0).pop().map(|(_, end)| end),
            Settle::Due | Settle::Pause => None,
        };
        let is_open = self.transactions.open_records().is_some();
        let commits = match why {
            Settle::Due => self.may_commit(),
            Settle::Finish => true,
            Settle::Pause | Settle::Stop => {
                self.may_commit() && (self.boundary.ends_anywhere() || !is_open)
            }
        };
        match (asked, why) {
            (Some(end), _) => self.end(end, way, task).await?,
            _ if commits => self.commit(way, task).await?,
            (None, Settle::Due) => {}
            // Open for as long as the pause lasts it would run out of time.
            (None, Settle::Pause | Settle::Stop | Settle::Finish) => {
                self.transactions.abort().await?;
                return Ok(Settled::Rewound);
            }
        }
        Ok(Settled::Yes)
    }

    /// A task that was fenced out although it is still this worker's may be started again.
    async fn fail(&mut self, failure: Error, _way: &Way, _task: &mut dyn SourceTask) -> Error {
        if let Err(error) = self.transactions.abort().await {
            let error = error.trace();
            warn!(
                error,
                "the transaction of a failed task is left to its next producer"
            );
        }
        let is_fenced = failure.kind() == ErrorKind::Conflict && self.transactions.was_fenced();
        if is_fenced && self.place.is_still_ours().await {
            return failure.retry(RetryVerdict::Backoff);
        }
        failure
    }

    async fn close(self: Box<Self>) -> Result<()> {
        self.transactions.close().await
    }
}
