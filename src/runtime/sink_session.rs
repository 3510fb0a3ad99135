//! A sink task with the partitions it owns: what the loop and the rebalance callbacks share.
//!
//! Holds always: an offset is committed only if the task's `flush` returned it, and only for a partition owned since.

mod consumer_slot;
mod conversion;
mod rebalance;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use connect_core::clock::Clock;
use connect_core::data::{Offset, Offsets, SinkRecord, TopicPartition};
use connect_core::plugin::SinkTask;
use connect_core::{Error, ErrorKind, Result};
use tracing::debug;

pub(super) use self::consumer_slot::ConsumerSlot;
pub(super) use self::rebalance::SessionListener;
use super::errors::{ErrorReport, RecordFailure, Stage};
use super::metrics::TaskMetrics;
use super::status::StatusBoard;
use crate::kafka::ConsumedRecord;

/// A record of the log.
type Position = (TopicPartition, Offset);

/// Where a session counts what it does.
pub(super) struct SessionMetrics {
    pub(super) task: TaskMetrics,
    pub(super) clock: Arc<dyn Clock>,
}

/// A sink task and what it owns.
pub(super) struct SinkSession {
    task: Box<dyn SinkTask>,
    consumer: ConsumerSlot,
    status: StatusBoard,
    metrics: SessionMetrics,
    report: ErrorReport,
    /// The class of the connector.
    class: String,
    /// Owned partitions, with the first offset read since they came.
    owned: BTreeMap<TopicPartition, Option<Offset>>,
    /// Records read and not yet converted.
    unconverted: VecDeque<ConsumedRecord>,
    /// Records converted and not yet taken by the task.
    pending: Vec<SinkRecord>,
    /// The pending records as they were read, if they may be left out.
    originals: BTreeMap<Position, ConsumedRecord>,
    /// Records that the task has refused after it had taken them: left out when they are read again.
    refused: BTreeMap<Position, Error>,
    /// Records that were left out, and are again if they are read again: those beyond what is committed.
    left_out: BTreeSet<Position>,
    /// Since when the first record in line waits for its schema.
    waits_since: Option<Instant>,
    /// Partitions whose last records were dropped by a transform or left out, with the offset after them.
    skipped: BTreeMap<TopicPartition, Offset>,
    /// Offsets that are durable and not yet committed.
    uncommitted: Offsets,
    /// True while the task may not know all partitions that are owned: records are not taken until a rewind succeeds.
    stale: bool,
    /// True while nothing is to be read: partitions that come are paused too.
    held: bool,
    /// What went wrong inside a callback.
    failure: Option<Error>,
}

impl SinkSession {
    pub(super) fn new(
        task: Box<dyn SinkTask>,
        consumer: ConsumerSlot,
        status: StatusBoard,
        metrics: SessionMetrics,
        report: ErrorReport,
        class: String,
    ) -> Self {
        Self {
            task,
            consumer,
            status,
            metrics,
            report,
            class,
            owned: BTreeMap::new(),
            unconverted: VecDeque::new(),
            pending: Vec::new(),
            originals: BTreeMap::new(),
            refused: BTreeMap::new(),
            left_out: BTreeSet::new(),
            waits_since: None,
            skipped: BTreeMap::new(),
            uncommitted: Offsets::new(),
            stale: false,
            held: false,
            failure: None,
        }
    }

    /// Whether partitions that come from now on are paused; whether they were until now.
    pub(super) fn hold(&mut self, hold: bool) -> bool {
        std::mem::replace(&mut self.held, hold)
    }

    pub(super) fn take_failure(&mut self) -> Option<Error> {
        self.failure.take()
    }

    pub(super) fn wake_at(&self) -> Option<connect_core::data::Timestamp> {
        self.task.wake_at()
    }

    /// Leaves out a record that the task refuses; an error if that is not tolerated.
    fn leave_out(
        &mut self,
        record: &ConsumedRecord,
        position: Position,
        error: Error,
    ) -> Result<()> {
        let failure = RecordFailure::new(Stage::TaskPut, &*self.class, error);
        self.fail(position, record, failure)
    }

    /// Leaves out a record; an error if that is not tolerated.
    fn fail(
        &mut self,
        position: Position,
        record: &ConsumedRecord,
        failure: RecordFailure,
    ) -> Result<()> {
        self.report.consumed(record, failure)?;
        let next = position.1.next();
        let known = self.skipped.entry(position.0.clone()).or_insert(next);
        *known = next.max(*known);
        self.left_out.insert(position);
        Ok(())
    }

    /// Hands pending records to the task, flushes if due, commits what is durable. A record that the task refuses after it
    /// has taken it is left out, if that is tolerated, and all from the last commit on is read again.
    pub(super) async fn work(&mut self, flush_due: bool) -> Result<()> {
        if self.stale {
            return self.rewind().await;
        }
        match self.try_to_work(flush_due).await {
            Err(error) => match self.refused_record(&error) {
                Some(position) => {
                    self.refused.insert(position, error);
                    self.save_what_is_durable().await;
                    self.rewind().await
                }
                None => Err(error),
            },
            Ok(()) => Ok(()),
        }
    }

    /// Commits what is durable before all else is read again, so that it is not written twice where that would show.
    async fn save_what_is_durable(&mut self) {
        if let Ok(durable) = self.task.flush().await {
            self.uncommitted.extend(durable);
        }
        if let Err(error) = self.commit().await {
            debug!(
                error = self.status.trace_of(&error),
                "what is durable is not committed"
            );
        }
    }

    /// The record that an error is about, if it may be left out.
    fn refused_record(&self, error: &Error) -> Option<Position> {
        if error.kind() != ErrorKind::Data || !self.report.tolerates() {
            return None;
        }
        let position = error.record_position()?;
        let is_new = !self.refused.contains_key(position) && !self.left_out.contains(position);
        (is_new && self.owned.contains_key(&position.0)).then(|| position.clone())
    }

    async fn try_to_work(&mut self, flush_due: bool) -> Result<()> {
        // First: a task may move offsets by itself while it puts or flushes, never beyond a letter that waits.
        self.report.deliver().await?;
        self.put_all().await?;
        for (partition, next) in &self.skipped {
            self.task.skipped(partition, *next).await?;
        }
        self.skipped.clear();
        if flush_due {
            let durable = self.task.flush().await?;
            self.uncommitted.extend(durable);
        }
        let (held, written) = (self.task.buffered_bytes(), self.task.last_written());
        self.metrics.task.holds(held, written);
        self.commit().await
    }

    /// Hands over all pending records but those that the task refuses and that may be left out.
    async fn put_all(&mut self) -> Result<()> {
        while !self.pending.is_empty() {
            let Err(error) = self.put().await else {
                break;
            };
            let first = self.pending.first().map(position_of);
            // Only a record of which nothing was taken can be left out at once.
            let is_whole = self.pending.first().is_some_and(is_first_piece);
            match self
                .refused_record(&error)
                .filter(|position| is_whole && first.as_ref() == Some(position))
            {
                Some(position) => {
                    self.leave_out_first(&position, error)?;
                    self.report.deliver().await?;
                }
                None => return Err(error),
            }
        }
        self.originals.clear();
        Ok(())
    }

    fn leave_out_first(&mut self, position: &Position, error: Error) -> Result<()> {
        let Some(record) = self.originals.remove(position) else {
            return Err(error);
        };
        self.leave_out(&record, position.clone(), error)?;
        self.pending
            .retain(|pending| position_of(pending) != *position);
        // What follows of its partition will say how far it is.
        let of_partition = |pending: &&SinkRecord| pending.origin == position.0;
        let last = self.pending.iter().rfind(of_partition);
        if let Some(last) = last.map(|last| last.offset)
            && self
                .skipped
                .get(&position.0)
                .is_some_and(|next| *next <= last)
        {
            self.skipped.remove(&position.0);
        }
        Ok(())
    }

    /// Sends the dead letters that wait, also if the task is about to fail; no more come.
    pub(super) async fn last_letters(&mut self) -> Result<()> {
        let delivered = self.report.deliver().await;
        let closed = match &self.report.queue {
            Some(queue) => queue.close().await,
            None => Ok(()),
        };
        delivered.and(closed)
    }

    async fn put(&mut self) -> Result<()> {
        let (begin, before) = (Instant::now(), self.pending.len());
        let outcome = self.task.put(&mut self.pending).await;
        let taken = before - self.pending.len();
        self.metrics.task.put(taken, begin.elapsed());
        outcome
    }

    async fn commit(&mut self) -> Result<()> {
        self.report.deliver().await?;
        if self.uncommitted.is_empty() {
            return Ok(());
        }
        let begin = Instant::now();
        let outcome = self.consumer.get()?.commit(&self.uncommitted).await;
        let SessionMetrics { task, clock } = &self.metrics;
        match &outcome {
            Ok(()) => {
                task.committed(&self.uncommitted, begin.elapsed(), clock.now());
                self.committed();
            }
            Err(error) => task.commit_failed(begin.elapsed(), is_conflict(error)),
        }
        outcome
    }

    fn committed(&mut self) {
        let done = std::mem::take(&mut self.uncommitted);
        self.left_out.retain(|(partition, offset)| {
            let committed = done.get(partition);
            committed.is_none_or(|committed| *offset >= committed.offset)
        });
    }
}

fn position_of(record: &SinkRecord) -> Position {
    (record.origin.clone(), record.offset)
}

fn is_first_piece(record: &SinkRecord) -> bool {
    record.piece.is_none_or(|piece| piece.number == 0)
}

/// True if an error says that somebody else owns what we meant to commit.
pub(super) fn is_conflict(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
}
