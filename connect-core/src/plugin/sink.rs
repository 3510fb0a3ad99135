//! Sink tasks: records in, durable effects out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::TaskId;
use crate::Result;
use crate::clock::Clock;
use crate::data::{Offset, OffsetAndMetadata, Offsets, SinkRecord, Timestamp, TopicPartition};

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

/// The bytes all sink tasks of a worker may hold together, shared evenly among those that run.
#[derive(Debug, Clone)]
pub struct MemoryBudget(Arc<BudgetState>);

#[derive(Debug)]
struct BudgetState {
    total: usize,
    tasks: AtomicUsize,
}

impl MemoryBudget {
    /// A budget of `total` bytes.
    pub fn new(total: usize) -> Self {
        let tasks = AtomicUsize::new(0);
        Self(Arc::new(BudgetState { total, tasks }))
    }

    /// Adds a task: the shares of the others shrink, and grow again when its share is dropped.
    pub fn join(&self) -> MemoryShare {
        self.0.tasks.fetch_add(1, Ordering::Relaxed);
        MemoryShare(Arc::new(Membership(self.0.clone())))
    }
}

/// One task's share of the budget.
#[derive(Debug, Clone)]
pub struct MemoryShare(Arc<Membership>);

#[derive(Debug)]
struct Membership(Arc<BudgetState>);

impl MemoryShare {
    /// Bytes of records the task may hold now.
    pub fn bytes(&self) -> usize {
        let budget = &self.0.0;
        budget.total / budget.tasks.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.0.tasks.fetch_sub(1, Ordering::Relaxed);
    }
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
    /// How much it may keep in memory.
    pub memory: MemoryShare,
}

impl std::fmt::Debug for SinkTaskContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SinkTaskContext")
            .field("task", &self.task)
            .finish_non_exhaustive()
    }
}

/// A sink task. The runtime calls one method at a time.
#[async_trait]
pub trait SinkTask: Send {
    /// Partitions this task now owns, in addition to those it has. Records follow from each committed offset on.
    async fn open(&mut self, partitions: &[Assignment]) -> Result<()>;

    /// Takes records from the front of the batch: all of them, unless it fails. In order within each partition.
    ///
    /// After an error with a retry verdict it is called again with what it has left in the batch.
    async fn put(&mut self, records: &mut Vec<SinkRecord>) -> Result<()>;

    /// All records of the partition before `next` that were not put were dropped by a transform: they count as done once
    /// everything before them is. Called after `put` has taken all, when the last record read was dropped.
    async fn skipped(&mut self, partition: &TopicPartition, next: Offset) -> Result<()> {
        let _nothing_to_note = (partition, next);
        Ok(())
    }

    /// Makes durable what is due; returns, per partition, the offset up to which everything is durable (the next one to
    /// read) with the note to commit beside it. Partitions without progress may be left out.
    ///
    /// Called when [`SinkTask::wake_at`] has come, at `offset.flush.interval.ms`, and before partitions are given up.
    /// After an error with a retry verdict it is called again.
    async fn flush(&mut self) -> Result<Offsets>;

    /// When [`SinkTask::flush`] is to be called although no record arrives. A moment in the past means at once.
    fn wake_at(&self) -> Option<Timestamp>;

    /// Bytes held in memory, not yet durable: shown to operators. The task itself keeps them within its share.
    fn buffered_bytes(&self) -> usize {
        0
    }

    /// What was written last, as an operator would look for it: an object's key, a table.
    fn last_written(&self) -> Option<Arc<str>> {
        None
    }

    /// Gives up partitions. What is not durable is dropped: whoever gets them reads it again.
    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()>;
}
