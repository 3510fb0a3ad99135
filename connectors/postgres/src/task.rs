//! The sink's task: gathers records while a transaction is under way.
//!
//! Holds always: one transaction at a time, in the order of the records; an offset is handed out only after the
//! transaction with its record is committed. While Postgres is quick every `put` is a transaction of its own; while it is
//! busy the next one grows, up to `batch.size`.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::data::{Offset, Offsets, SinkRecord, Timestamp, TopicPartition};
use connect_core::plugin::{Assignment, SinkTask, SinkTaskContext};
use connect_core::{Error, ErrorKind, Result, RetryVerdict};
use tokio::task::JoinHandle;
use tracing::{debug, warn};

use crate::config::{Guarantee, PostgresSinkConfig};
use crate::ledger::{Span, Spans};
use crate::writer::{Batch, Writer};

/// The longest that offsets of a finished transaction wait to be handed out.
const OFFSET_LAG: Duration = Duration::from_millis(500);
/// The longest that records wait behind a finished transaction.
const RECORD_LAG: Duration = Duration::from_millis(10);

/// The Postgres sink's task.
pub(crate) struct PostgresSinkTask {
    config: Arc<PostgresSinkConfig>,
    context: SinkTaskContext,
    /// Owned partitions, with the offset up to which everything is durable, as far as it is known.
    assigned: BTreeMap<TopicPartition, Option<Offset>>,
    pending: Vec<SinkRecord>,
    pending_bytes: usize,
    /// When the oldest pending record came.
    pending_since: Timestamp,
    /// The writer, unless it is under way.
    writer: Option<Writer>,
    under_way: Option<UnderWay>,
    /// A batch that is to be written again, before any other.
    failed: Option<Arc<Batch>>,
    durable: Offsets,
    /// Partitions whose last records make no row, with the offset after them.
    skipped: BTreeMap<TopicPartition, Offset>,
    /// Failed tries in a row.
    failures: u32,
    /// The topic of the record written last: its table is shown to operators.
    last_topic: Option<Arc<str>>,
}

/// A transaction under way.
struct UnderWay {
    batch: Arc<Batch>,
    started: Timestamp,
    handle: JoinHandle<(Writer, Result<()>)>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl PostgresSinkTask {
    /// Reads certificates and keys; connects with the first batch.
    ///
    /// # Errors
    /// A configuration error.
    pub(crate) fn new(config: Arc<PostgresSinkConfig>, context: SinkTaskContext) -> Result<Self> {
        Ok(Self {
            writer: Some(Writer::new(config.clone(), &context)?),
            config,
            context,
            assigned: BTreeMap::new(),
            pending: Vec::new(),
            pending_bytes: 0,
            pending_since: Timestamp::from_millis(0),
            under_way: None,
            failed: None,
            durable: Offsets::new(),
            skipped: BTreeMap::new(),
            failures: 0,
            last_topic: None,
        })
    }

    /// Begins the next transaction if none is under way; waits for one only if no more records may be gathered.
    async fn advance(&mut self) -> Result<()> {
        loop {
            let busy = self
                .under_way
                .as_ref()
                .is_some_and(|under_way| !under_way.handle.is_finished());
            if busy && !self.is_full() {
                return Ok(());
            }
            self.collect().await?;
            if !self.submit()? {
                return Ok(());
            }
        }
    }

    fn is_full(&self) -> bool {
        // A third for what is gathered, one for what is under way, one for its encoded form.
        self.pending.len() >= self.config.writes.batch_size
            || self.pending_bytes > self.context.memory.bytes() / 3
    }

    /// Begins a transaction; false if there is nothing to write.
    fn submit(&mut self) -> Result<bool> {
        let batch = match self.failed.take() {
            Some(batch) => batch,
            None if self.pending.is_empty() => return Ok(false),
            None => Arc::new(self.take_batch()),
        };
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::new(self.config.clone(), &self.context)?,
        };
        let written = batch.clone();
        let handle = tokio::spawn(async move {
            let outcome = writer.write(&written).await;
            (writer, outcome)
        });
        let started = self.context.clock.now();
        self.under_way = Some(UnderWay {
            batch,
            started,
            handle,
        });
        Ok(true)
    }

    /// The first pending records, at most `batch.size`, but never a part of those of one offset: their offset is handed
    /// out as a whole.
    fn take_batch(&mut self) -> Batch {
        let position = |record: &SinkRecord| (record.origin.clone(), record.offset);
        let mut count = self.config.writes.batch_size.min(self.pending.len());
        let last = self.pending.get(count.saturating_sub(1)).map(position);
        while self.pending.get(count).map(position) == last && count < self.pending.len() {
            count += 1;
        }
        let rest = self.pending.split_off(count);
        let records = mem::replace(&mut self.pending, rest);
        self.pending_bytes = bytes(&self.pending);
        self.pending_since = self.context.clock.now();
        let spans = self.spans(&records);
        Batch { records, spans }
    }

    fn spans(&self, records: &[SinkRecord]) -> Spans {
        let mut spans = Spans::new();
        for record in records {
            let (first, next) = (record.offset, record.offset.next());
            match spans.get_mut(&record.origin) {
                Some(span) => span.next = span.next.max(next),
                None => {
                    let committed = self.assigned.get(&record.origin).copied().flatten();
                    spans.insert(
                        record.origin.clone(),
                        Span {
                            committed,
                            first,
                            next,
                        },
                    );
                }
            }
        }
        spans
    }

    /// Waits for the transaction under way, if there is one.
    async fn collect(&mut self) -> Result<()> {
        let Some(under_way) = &mut self.under_way else {
            return Ok(());
        };
        let ended = (&mut under_way.handle).await;
        let batch = under_way.batch.clone();
        self.under_way = None;
        let (writer, outcome) = match ended {
            Ok(ended) => ended,
            Err(cause) => {
                self.failed = Some(batch);
                return Err(Error::internal("writing a batch ended early").source(cause));
            }
        };
        let unreachable = writer.is_unreachable();
        self.writer = Some(writer);
        match outcome {
            Ok(()) => {
                self.failures = 0;
                self.finished(&batch);
                Ok(())
            }
            Err(error) => {
                self.failed = Some(batch);
                Err(self.judged(error, unreachable))
            }
        }
    }

    /// Writes everything there is.
    async fn drain(&mut self) -> Result<()> {
        loop {
            self.collect().await?;
            if !self.submit()? {
                return Ok(());
            }
        }
    }

    fn finished(&mut self, batch: &Batch) {
        if let Some(record) = batch.records.last() {
            self.last_topic = Some(record.topic.clone());
        }
        for (partition, span) in &batch.spans {
            self.durable.insert(partition.clone(), span.next.into());
            if let Some(committed) = self.assigned.get_mut(partition) {
                *committed = Some(span.next);
            }
        }
        self.pass_skipped();
    }

    /// What was skipped is done once nothing before it waits any more.
    fn pass_skipped(&mut self) {
        let skipped = mem::take(&mut self.skipped);
        for (partition, next) in skipped {
            if self.is_waiting(&partition) {
                self.skipped.insert(partition, next);
            } else {
                self.durable.insert(partition, next.into());
            }
        }
    }

    /// True if records of the partition are not yet in the database.
    fn is_waiting(&self, partition: &TopicPartition) -> bool {
        let under_way = self.under_way.as_ref().map(|under_way| &under_way.batch);
        let mut batches = under_way.into_iter().chain(&self.failed);
        batches.any(|batch| batch.spans.contains_key(partition))
            || self
                .pending
                .iter()
                .any(|record| record.origin == *partition)
    }

    /// The error with the pause that the options ask for, or as the last one.
    fn judged(&mut self, error: Error, unreachable: bool) -> Error {
        if error.kind() == ErrorKind::Conflict || !error.is_retriable() {
            return error;
        }
        self.failures += 1;
        let (delivery, connection) = (&self.config.delivery, &self.config.connection);
        let (retries, pause) = if unreachable {
            let tries = connection.attempts.saturating_sub(1);
            (delivery.max_retries.max(tries), connection.backoff)
        } else {
            (delivery.max_retries, delivery.retry_backoff)
        };
        if self.failures > retries {
            let text = format!("failed {} times in a row, giving up", self.failures);
            return Error::new(error.kind(), text)
                .operation("write")
                .source(error);
        }
        let jitter = 0.9 + fastrand::f64() / 5.0;
        error.retry(RetryVerdict::After(pause.mul_f64(jitter)))
    }

    /// Ends a transaction that holds records of these partitions; nothing of it stays unless it was committed already.
    async fn interrupt(&mut self, partitions: &[TopicPartition]) {
        let affected = self.under_way.as_ref().is_some_and(|under_way| {
            partitions
                .iter()
                .any(|partition| under_way.batch.spans.contains_key(partition))
        });
        if !affected {
            return;
        }
        if let Some(under_way) = &self.under_way {
            under_way.handle.abort();
        }
        if let Err(error) = self.collect().await {
            debug!(%error, "a transaction was interrupted");
        }
    }

    /// A batch that was interrupted may have been committed, so the group had an offset: the writer that knew is gone.
    fn doubt_failed(&mut self) {
        if self.config.delivery.guarantee == Guarantee::ExactlyOnce {
            return;
        }
        let failed = self.failed.iter().flat_map(|batch| &batch.spans);
        for (partition, span) in failed {
            if let Some(committed) = self.assigned.get_mut(partition) {
                committed.get_or_insert(span.first);
            }
        }
    }

    /// What is left of a batch without these partitions.
    fn without(&self, batch: &Batch, partitions: &[TopicPartition]) -> Option<Arc<Batch>> {
        let kept = batch
            .records
            .iter()
            .filter(|record| !partitions.contains(&record.origin));
        let records: Vec<_> = kept.cloned().collect();
        let spans = self.spans(&records);
        (!records.is_empty()).then(|| Arc::new(Batch { records, spans }))
    }
}

/// Memory that records take once they are looked into: a tree is some times larger than its JSON.
fn bytes(records: &[SinkRecord]) -> usize {
    const TREE: usize = 4;
    records
        .iter()
        .map(|record| record.size as usize * TREE)
        .sum()
}

#[async_trait]
impl SinkTask for PostgresSinkTask {
    async fn open(&mut self, partitions: &[Assignment]) -> Result<()> {
        for assignment in partitions {
            let committed = assignment
                .committed
                .as_ref()
                .map(|committed| committed.offset);
            self.assigned
                .insert(assignment.partition.clone(), committed);
        }
        Ok(())
    }

    async fn put(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        if self.pending.is_empty() {
            self.pending_since = self.context.clock.now();
        }
        self.pending_bytes += bytes(records);
        self.pending.append(records);
        self.advance().await
    }

    async fn skipped(&mut self, partition: &TopicPartition, next: Offset) -> Result<()> {
        self.skipped.insert(partition.clone(), next);
        self.pass_skipped();
        Ok(())
    }

    async fn flush(&mut self) -> Result<Offsets> {
        match self.drain().await {
            Err(error) if self.durable.is_empty() => Err(error),
            // What is durable is handed out first: the batch that failed is tried again by the next call.
            Err(error) => {
                warn!(
                    error = error.trace(),
                    "a batch failed after others had been written"
                );
                Ok(mem::take(&mut self.durable))
            }
            Ok(()) => Ok(mem::take(&mut self.durable)),
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let at_once = Timestamp::from_millis(0);
        let has_records = !self.pending.is_empty();
        match &self.under_way {
            Some(under_way) => {
                let offsets = under_way.started.saturating_add(OFFSET_LAG);
                let records = self.pending_since.saturating_add(RECORD_LAG);
                Some(if has_records {
                    offsets.min(records)
                } else {
                    offsets
                })
            }
            None if has_records || self.failed.is_some() || !self.durable.is_empty() => {
                Some(at_once)
            }
            None => None,
        }
    }

    fn buffered_bytes(&self) -> usize {
        let under_way = self.under_way.as_ref().map(|under_way| &under_way.batch);
        let batches = under_way.into_iter().chain(&self.failed);
        self.pending_bytes + batches.map(|batch| bytes(&batch.records)).sum::<usize>()
    }

    fn last_written(&self) -> Option<Arc<str>> {
        let table = self.config.table(self.last_topic.as_deref()?).ok()?;
        Some(table.quoted().into())
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.interrupt(partitions).await;
        self.doubt_failed();
        self.pending
            .retain(|record| !partitions.contains(&record.origin));
        self.pending_bytes = bytes(&self.pending);
        self.failed = self
            .failed
            .take()
            .and_then(|batch| self.without(&batch, partitions));
        for partition in partitions {
            self.assigned.remove(partition);
            self.durable.remove(partition);
            self.skipped.remove(partition);
        }
        if let Some(writer) = &mut self.writer {
            writer.forget(partitions);
        }
        Ok(())
    }
}
