//! Source tasks: records from elsewhere, for the log.

use std::sync::Arc;

use async_trait::async_trait;

use super::{TaskId, TransactionBoundaries};
use crate::Result;
use crate::clock::Clock;
use crate::data::{SourceOffset, SourcePartition, SourceRecord};

/// Looks up how far a source has read: what was stored after records were acknowledged.
#[async_trait]
pub trait OffsetReader: Send + Sync {
    /// The stored offset of `partition`; `None` if nothing was stored.
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>>;
}

/// What a source task gets when it is made.
#[derive(Clone)]
pub struct SourceTaskContext {
    /// Who this task is.
    pub task: TaskId,
    /// How many tasks the connector runs in all.
    pub task_count: u32,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Stored offsets.
    pub offsets: Arc<dyn OffsetReader>,
    /// For saying where transactions end; `None` unless records are delivered exactly once and the user has left it to the
    /// connector (`transaction.boundary=connector`).
    pub transactions: Option<TransactionBoundaries>,
}

impl std::fmt::Debug for SourceTaskContext {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SourceTaskContext")
            .field("task", &self.task)
            .field("task_count", &self.task_count)
            .finish_non_exhaustive()
    }
}

/// What a poll brought.
#[derive(Debug)]
pub enum Polled {
    /// Records to write, in order. May be empty: nothing now, ask again.
    Records(Vec<SourceRecord>),
    /// The source has come to its end and will bring no more; the task stays RUNNING and idle.
    Finished,
}

/// A source task. The runtime calls one method at a time.
#[async_trait]
pub trait SourceTask: Send {
    /// Reads stored offsets and opens what is to be read.
    async fn start(&mut self) -> Result<()>;

    /// Waits for records. May be dropped at any await to pause or stop the task: what it had not returned must not be lost.
    async fn poll(&mut self) -> Result<Polled>;

    /// `count` records, in the order polled, are acknowledged by the log and their offsets stored; if they were in
    /// transactions, these are committed.
    async fn acked(&mut self, count: usize) -> Result<()> {
        let _acknowledged = count;
        Ok(())
    }

    /// Closes what was opened.
    async fn stop(&mut self) -> Result<()>;
}
