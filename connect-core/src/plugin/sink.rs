//! Sink tasks: records in, durable effects out.

use std::sync::Arc;

use async_trait::async_trait;

use super::TaskId;
use crate::Result;
use crate::clock::Clock;
use crate::data::{OffsetAndMetadata, Offsets, SinkRecord, Timestamp, TopicPartition};

/// A partition given to a sink task, with what its group had committed for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The partition.
    pub partition: TopicPartition,
    /// The group's committed offset and note; `None` if nothing was committed yet.
    pub committed: Option<OffsetAndMetadata>,
}

/// What the runtime offers a sink task while it runs.
#[async_trait]
pub trait SinkRuntime: Send + Sync {
    /// Commits offsets with their notes now, as this member of the group, and waits for the answer.
    ///
    /// A sink uses it to write down what it is about to do before doing it. It fails with
    /// [`crate::ErrorKind::Conflict`] if the task no longer owns one of the partitions: then nothing may be
    /// written to the target for them.
    async fn commit(&self, offsets: Offsets) -> Result<()>;
}

/// What a sink task gets when it is made.
#[derive(Clone)]
pub struct SinkTaskContext {
    /// Who this task is.
    pub task: TaskId,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Commits ahead of effects.
    pub runtime: Arc<dyn SinkRuntime>,
    /// Bytes of records this task may keep in memory before it must write or refuse more; the task's share of the worker's budget.
    pub memory: usize,
}

impl std::fmt::Debug for SinkTaskContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SinkTaskContext")
            .field("task", &self.task)
            .field("memory", &self.memory)
            .finish_non_exhaustive()
    }
}

/// A sink task. The runtime calls one method at a time.
#[async_trait]
pub trait SinkTask: Send {
    /// Partitions this task now owns, in addition to those it has. Records follow from each committed offset on.
    async fn open(&mut self, partitions: &[Assignment]) -> Result<()>;

    /// Takes the batch, in order within each partition.
    ///
    /// An error with a retry verdict means that *nothing* of the batch was taken: the same records come again.
    async fn put(&mut self, records: Vec<SinkRecord>) -> Result<()>;

    /// Makes durable what is due; returns, per partition, the offset up to which everything is durable (the next one to
    /// read) with the note to commit beside it. Partitions without progress may be left out.
    ///
    /// Called when [`SinkTask::wake_at`] has come, at `offset.flush.interval.ms`, and before partitions are given up.
    /// After an error with a retry verdict it is called again.
    async fn flush(&mut self) -> Result<Offsets>;

    /// When [`SinkTask::flush`] is to be called although no record arrives. A moment in the past means at once.
    fn wake_at(&self) -> Option<Timestamp>;

    /// Bytes of records held in memory, not yet durable. The runtime stops fetching while the budget is used up.
    fn buffered_bytes(&self) -> usize {
        0
    }

    /// Gives up partitions. What is not durable is dropped: whoever gets them reads it again.
    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()>;
}
