//! Partitions that come, go, or begin anew.
//!
//! Called by the consumer while it is polled, and by the loop after a commit was refused. Holds always: of a partition
//! that is given up nothing is kept, and no records are handed over while the task may not know all that are owned.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::data::{Offset, Offsets, TopicPartition};
use connect_core::plugin::Assignment;
use connect_core::{Error, Result};
use tokio::sync::Mutex;
use tracing::{info, warn};

use super::SinkSession;
use crate::kafka::{Consumer, RebalanceListener};

/// How long a rebalance waits for the last flush of partitions that go.
const LAST_FLUSH: Duration = Duration::from_secs(20);

/// Passes partitions that come and go on to the session.
pub(in crate::runtime) struct SessionListener(pub(in crate::runtime) Arc<Mutex<SinkSession>>);

#[async_trait]
impl RebalanceListener for SessionListener {
    async fn assigned(&self, partitions: &[TopicPartition]) {
        if partitions.is_empty() {
            return;
        }
        info!(?partitions, "partitions assigned");
        let mut session = self.0.lock().await;
        let outcome = session.take_over(partitions).await;
        session.keep(outcome);
    }

    async fn revoked(&self, partitions: &[TopicPartition]) {
        info!(?partitions, "partitions revoked");
        let mut session = self.0.lock().await;
        session.last_commit().await;
        let outcome = session.give_up(partitions).await;
        session.keep(outcome);
    }

    async fn lost(&self, partitions: &[TopicPartition]) {
        warn!(
            ?partitions,
            "partitions lost: another member owns them already"
        );
        let mut session = self.0.lock().await;
        let outcome = session.give_up(partitions).await;
        session.keep(outcome);
    }
}

impl SinkSession {
    /// Begins anew at the committed offsets of all owned partitions: after a commit was refused, or after the task could
    /// not open its partitions. Until it succeeds the task gets no records.
    pub(in crate::runtime) async fn rewind(&mut self) -> Result<()> {
        self.stale = true;
        let partitions: Vec<_> = self.owned.keys().cloned().collect();
        self.task.close(&partitions).await?;
        self.waits_since = None;
        self.note_first_offsets();
        self.unconverted.clear();
        self.pending.clear();
        self.originals.clear();
        self.skipped.clear();
        self.uncommitted.clear();
        let consumer = self.consumer.get()?;
        let committed = consumer.committed(&partitions).await?;
        self.metrics.task.assigned(&partitions, &committed);
        for (partition, first) in &self.owned {
            let known = committed.get(partition).map(|committed| committed.offset);
            if let Some(start) = known.or(*first) {
                go_back(&*consumer, partition, start).await?;
            }
        }
        self.task
            .open(&assignments(&partitions, &committed))
            .await?;
        self.stale = false;
        Ok(())
    }

    /// Where to begin again in partitions of which nothing was converted or committed.
    fn note_first_offsets(&mut self) {
        for record in &self.unconverted {
            let partition = TopicPartition::new(record.topic.clone(), record.partition);
            if let Some(first @ None) = self.owned.get_mut(&partition) {
                *first = Some(record.offset);
            }
        }
    }

    async fn take_over(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let new = partitions.iter().map(|partition| (partition.clone(), None));
        self.owned.extend(new);
        if self.held {
            self.consumer.get()?.pause(partitions).await;
        }
        if self.stale {
            return Ok(()); // the rewind that is due opens them too
        }
        let committed = self.consumer.get()?.committed(partitions).await?;
        self.metrics.task.assigned(partitions, &committed);
        self.task.open(&assignments(partitions, &committed)).await
    }

    /// Flushes and commits once more while the partitions are still owned.
    async fn last_commit(&mut self) {
        let outcome = tokio::time::timeout(LAST_FLUSH, self.flush_and_commit()).await;
        let outcome = outcome.unwrap_or_else(|_| {
            Err(Error::external(format!("no end after {LAST_FLUSH:?}")).operation("last flush"))
        });
        if let Err(error) = outcome {
            warn!(
                error = self.status.trace_of(&error),
                "what was not committed is read again by whoever gets the partitions"
            );
        }
    }

    async fn flush_and_commit(&mut self) -> Result<()> {
        self.report.deliver().await?;
        let durable = self.task.flush().await?;
        self.uncommitted.extend(durable);
        self.commit().await
    }

    async fn give_up(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.unconverted.retain(|record| {
            let given_up = |partition: &TopicPartition| {
                partition.partition == record.partition && partition.topic == record.topic
            };
            !partitions.iter().any(given_up)
        });
        self.pending
            .retain(|record| !partitions.contains(&record.origin));
        self.originals
            .retain(|(partition, _), _| !partitions.contains(partition));
        self.refused
            .retain(|(partition, _), _| !partitions.contains(partition));
        self.left_out
            .retain(|(partition, _)| !partitions.contains(partition));
        self.report.forget(partitions);
        self.waits_since = None;
        for partition in partitions {
            self.owned.remove(partition);
            self.skipped.remove(partition);
            self.uncommitted.remove(partition);
        }
        self.metrics.task.revoked(partitions);
        self.task.close(partitions).await
    }

    fn keep(&mut self, outcome: Result<()>) {
        if let Err(error) = outcome {
            self.stale = true;
            self.failure.get_or_insert(error);
        }
    }
}

/// Seeks; a partition that is owned no longer stays where it is, the next poll says so.
async fn go_back(consumer: &dyn Consumer, partition: &TopicPartition, start: Offset) -> Result<()> {
    match consumer.seek(partition, start).await {
        Err(error) if consumer.assignment().await.contains(partition) => Err(error),
        Err(error) => {
            warn!(%partition, %error, "cannot go back to the committed offset");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn assignments(partitions: &[TopicPartition], committed: &Offsets) -> Vec<Assignment> {
    partitions
        .iter()
        .map(|partition| Assignment {
            partition: partition.clone(),
            committed: committed.get(partition).cloned(),
        })
        .collect()
}
