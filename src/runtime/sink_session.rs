//! A sink task with the partitions it owns: what the loop and the rebalance callbacks share.
//!
//! Holds always: an offset is committed only if the task's `flush` returned it, and only for a partition owned since.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use connect_core::clock::Clock;
use connect_core::data::{Offset, Offsets, SinkRecord, TopicPartition};
use connect_core::plugin::{Assignment, SinkRuntime, SinkTask};
use connect_core::{Error, ErrorKind, Result};
use tokio::sync::Mutex;
use tracing::{debug, info, warn};

use super::errors::{ErrorReport, RecordFailure, Stage};
use super::metrics::TaskMetrics;
use super::pipeline::Pipeline;
use super::status::StatusBoard;
use crate::kafka::{ConsumedRecord, Consumer, RebalanceListener};

/// How long a rebalance waits for the last flush of partitions that go.
const LAST_FLUSH: Duration = Duration::from_secs(20);

/// The consumer, once it is there: listener and task are made before it. It is the loop's: the consumer holds the listener
/// and with it this slot, so that neither would ever end if the slot held the consumer.
#[derive(Clone, Default)]
pub(super) struct ConsumerSlot(Arc<OnceLock<Weak<dyn Consumer>>>);

impl ConsumerSlot {
    pub(super) fn fill(&self, consumer: &Arc<dyn Consumer>) {
        let _filled_once = self.0.set(Arc::downgrade(consumer));
    }

    fn get(&self) -> Result<Arc<dyn Consumer>> {
        let consumer = self.0.get().and_then(Weak::upgrade);
        consumer.ok_or_else(|| Error::internal("the consumer is not there"))
    }
}

#[async_trait]
impl SinkRuntime for ConsumerSlot {
    async fn commit(&self, offsets: Offsets) -> Result<()> {
        self.get()?.commit(&offsets).await
    }
}

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

    /// Takes records just read.
    pub(super) fn accept(&mut self, records: Vec<ConsumedRecord>) {
        if self.unconverted.is_empty() {
            self.unconverted = records.into(); // as it nearly always is: nothing is moved
        } else {
            self.unconverted.extend(records);
        }
    }

    /// Converts what was read. A record whose schema cannot be fetched stays first in line.
    pub(super) async fn convert(&mut self, pipeline: &mut Pipeline) -> Result<()> {
        while let Some(record) = self.unconverted.front() {
            let partition = TopicPartition::new(record.topic.clone(), record.partition);
            let offset = record.offset;
            match self.owned.get_mut(&partition) {
                Some(first @ None) => *first = Some(offset),
                Some(Some(_)) => {}
                None => {
                    // Given up between fetch and now: whoever has it reads it.
                    self.unconverted.pop_front();
                    continue;
                }
            }
            let position = (partition.clone(), offset);
            let is_out = self.left_out.contains(&position) || self.refused.contains_key(&position);
            let fetched = match !self.stale && !is_out && pipeline.looks_up() {
                true => pipeline.fetch_for_sink(record).await,
                false => Ok(()),
            };
            let fetched = self.judge_lookup(fetched)?;
            let Some(record) = self.unconverted.pop_front() else {
                break;
            };
            if self.stale {
                continue; // read again from the committed offset
            }
            if let Err(failure) = fetched {
                self.fail((partition, offset), &record, failure)?;
                continue;
            }
            self.convert_one((partition, offset), record, pipeline)?;
        }
        Ok(())
    }

    fn convert_one(
        &mut self,
        position: Position,
        record: ConsumedRecord,
        pipeline: &mut Pipeline,
    ) -> Result<()> {
        let before = self.pending.len();
        if let Some(error) = self.refused.remove(&position) {
            self.leave_out(&record, position.clone(), error)?;
        } else if !self.left_out.contains(&position)
            && let Err(failure) = pipeline.push_for_sink(&record, &mut self.pending)
        {
            self.pending.truncate(before);
            self.fail(position.clone(), &record, failure)?;
        }
        if self.pending.len() == before {
            self.skipped.insert(position.0, position.1.next());
            return Ok(());
        }
        if !self.skipped.is_empty() {
            self.skipped.remove(&position.0);
        }
        if self.report.tolerates() {
            self.originals.insert(position, record);
        }
        Ok(())
    }

    /// Whether a record whose schema could not be fetched is to wait, which is an error, or counts as failed.
    fn judge_lookup(
        &mut self,
        fetched: Result<(), RecordFailure>,
    ) -> Result<Result<(), RecordFailure>> {
        match fetched {
            Err(failure) if failure.error.is_retriable() => {
                let since = *self.waits_since.get_or_insert_with(Instant::now);
                if !self.report.handling.gives_up(since.elapsed()) {
                    return Err(*failure.error);
                }
                self.waits_since = None;
                Ok(Err(failure.given_up()))
            }
            ended => {
                self.waits_since = None;
                Ok(ended)
            }
        }
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

    /// Begins anew at the committed offsets of all owned partitions: after a commit was refused, or after the task could
    /// not open its partitions. Until it succeeds the task gets no records.
    pub(super) async fn rewind(&mut self) -> Result<()> {
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

fn position_of(record: &SinkRecord) -> Position {
    (record.origin.clone(), record.offset)
}

fn is_first_piece(record: &SinkRecord) -> bool {
    record.piece.is_none_or(|piece| piece.number == 0)
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

/// True if an error says that somebody else owns what we meant to commit.
pub(super) fn is_conflict(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
}

/// Passes partitions that come and go on to the session.
pub(super) struct SessionListener(pub(super) Arc<Mutex<SinkSession>>);

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
