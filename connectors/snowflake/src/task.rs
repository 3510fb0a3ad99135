//! The sink's task: gathers records while a batch is loaded.
//!
//! Holds always: one batch at a time, and a failed one before any other; an offset is handed out only after Snowflake's
//! table of offsets has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::data::{Offset, Offsets, SinkRecord, Timestamp, TopicPartition};
use connect_core::plugin::{Assignment, SinkTask, SinkTaskContext};
use connect_core::{Error, ErrorKind, Result};
use tokio::task::JoinHandle;
use tracing::{debug, info};

use crate::batch::Batch;
use crate::buffer::Buffer;
use crate::config::SnowflakeSinkConfig;
use crate::loader::{Claim, Loader};
use crate::naming::{TableName, TopicMap};

/// The longest that offsets of a loaded batch wait to be handed out.
const OFFSET_LAG: Duration = Duration::from_millis(500);
/// How long a batch under way is waited for when its partitions are given up.
const LAST_WAIT: Duration = Duration::from_secs(20);

/// The Snowflake sink's task.
pub(crate) struct SnowflakeSinkTask {
    config: Arc<SnowflakeSinkConfig>,
    context: SinkTaskContext,
    topics: TopicMap,
    tables: BTreeMap<Arc<str>, TableName>,
    buffers: BTreeMap<TopicPartition, Buffer>,
    /// The loader, unless it is under way.
    loader: Option<Loader>,
    under_way: Option<UnderWay>,
    /// A batch that is to be loaded again, before any other.
    failed: Option<Arc<Batch>>,
    durable: Offsets,
    /// The table loaded last.
    last_written: Option<Arc<str>>,
}

/// A batch that is being loaded.
struct UnderWay {
    batch: Arc<Batch>,
    started: Timestamp,
    handle: JoinHandle<(Loader, Result<()>)>,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

impl SnowflakeSinkTask {
    pub(crate) fn new(config: Arc<SnowflakeSinkConfig>, context: SinkTaskContext) -> Self {
        Self {
            topics: config.topics(),
            loader: None,
            config,
            context,
            tables: BTreeMap::new(),
            buffers: BTreeMap::new(),
            under_way: None,
            failed: None,
            durable: Offsets::new(),
            last_written: None,
        }
    }

    fn take_loader(&mut self) -> Loader {
        let new = || Loader::new(self.config.clone(), &self.context);
        self.loader.take().unwrap_or_else(new)
    }

    /// Finds out from where on the records of new partitions are to be loaded.
    async fn claim(&mut self, records: &[SinkRecord]) -> Result<()> {
        let mut claims: BTreeMap<&TopicPartition, Claim> = BTreeMap::new();
        for record in records {
            let buffer = self.buffers.get(&record.origin);
            if let Some(buffer) = buffer.filter(|buffer| buffer.next.is_none()) {
                claims.entry(&record.origin).or_insert_with(|| Claim {
                    partition: record.origin.clone(),
                    committed: buffer.committed,
                    first: record.offset,
                });
            }
        }
        if claims.is_empty() {
            return Ok(());
        }
        let claims: Vec<_> = claims.into_values().collect();
        self.collect().await?;
        let mut loader = self.take_loader();
        let stored = loader.claim(&claims).await;
        self.loader = Some(loader);
        for (partition, next) in stored? {
            let is_new = claims.iter().any(|claim| claim.partition == partition);
            if let (true, Some(buffer)) = (is_new, self.buffers.get_mut(&partition)) {
                info!(%partition, %next, "partition claimed");
                buffer.next = Some(next);
                self.durable.insert(partition, next.into());
            }
        }
        Ok(())
    }

    fn table(&mut self, topic: &Arc<str>) -> TableName {
        if let Some(table) = self.tables.get(topic) {
            return table.clone();
        }
        let table = self.topics.table(topic);
        self.tables.insert(topic.clone(), table.clone());
        table
    }

    fn take(&mut self, record: &SinkRecord, now: Timestamp) -> Result<()> {
        let table = self.table(&record.topic);
        let Some(buffer) = self.buffers.get_mut(&record.origin) else {
            let text = format!(
                "a record of {}, which this task does not own",
                record.origin
            );
            return Err(Error::internal(text));
        };
        if buffer.has(record) {
            return Ok(());
        }
        buffer.take(record, &table, &self.config.rows, now)
    }

    /// Takes records until one is refused; removes those that were taken.
    fn take_all(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        let now = self.context.clock.now();
        let mut taken = 0;
        let mut outcome = Ok(());
        for record in records.iter() {
            outcome = self.take(record, now);
            if outcome.is_err() {
                break;
            }
            taken += 1;
        }
        records.drain(..taken);
        outcome
    }

    /// Half of the share is for what is gathered, half for what is under way.
    fn is_crowded(&self) -> bool {
        let held: usize = self.buffers.values().map(Buffer::held).sum();
        held > self.context.memory.bytes() / 2
    }

    fn is_busy(&self) -> bool {
        let under_way = self.under_way.as_ref();
        under_way.is_some_and(|under_way| !under_way.handle.is_finished())
    }

    /// Begins the next batch if none is under way; waits for one only if no more may be gathered.
    async fn advance(&mut self) -> Result<()> {
        if self.is_busy() && !self.is_crowded() {
            return Ok(());
        }
        self.collect().await?;
        self.submit(self.is_crowded()).await?;
        Ok(())
    }

    /// Begins to load what is due, or everything; false if there is nothing.
    async fn submit(&mut self, everything: bool) -> Result<bool> {
        let batch = match self.failed.take() {
            Some(batch) => batch,
            None => {
                let batch = self.close_buffers(everything).await?;
                if batch.spans.is_empty() {
                    return Ok(false);
                }
                Arc::new(batch)
            }
        };
        let mut loader = self.take_loader();
        let loaded = batch.clone();
        let handle = tokio::spawn(async move {
            let outcome = loader.load(&loaded).await;
            (loader, outcome)
        });
        self.under_way = Some(UnderWay {
            batch,
            started: self.context.clock.now(),
            handle,
        });
        Ok(true)
    }

    async fn close_buffers(&mut self, everything: bool) -> Result<Batch> {
        let now = self.context.clock.now();
        let mut batch = Batch::default();
        for (partition, buffer) in &mut self.buffers {
            let is_wanted = everything && buffer.may_close();
            if is_wanted || buffer.is_due(&self.config.buffer, now) {
                buffer.close(partition, &mut batch).await?;
            }
        }
        Ok(batch)
    }

    /// Waits for the batch under way, if there is one.
    async fn collect(&mut self) -> Result<()> {
        let Some(under_way) = &mut self.under_way else {
            return Ok(());
        };
        let ended = (&mut under_way.handle).await;
        let batch = under_way.batch.clone();
        self.under_way = None;
        let outcome = match ended {
            Ok((loader, outcome)) => {
                self.loader = Some(loader);
                outcome
            }
            Err(cause) => Err(Error::internal("loading a batch ended early").source(cause)),
        };
        match outcome {
            Ok(()) => {
                let spans = batch.spans.iter();
                let offsets = spans.map(|(partition, span)| (partition.clone(), span.next.into()));
                self.durable.extend(offsets);
                if let Some(table) = batch.by_table().keys().next_back() {
                    self.last_written = Some(table.to_string().into());
                }
                Ok(())
            }
            Err(error) => {
                // After a conflict everything is read again.
                if error.kind() != ErrorKind::Conflict {
                    self.failed = Some(batch);
                }
                Err(error)
            }
        }
    }

    /// Waits for a batch with records of these partitions; drops it, and its session, if it takes too long.
    async fn settle(&mut self, partitions: &[TopicPartition]) {
        let affected = self.under_way.as_ref().is_some_and(|under_way| {
            let spans = &under_way.batch.spans;
            partitions
                .iter()
                .any(|partition| spans.contains_key(partition))
        });
        if !affected {
            return;
        }
        match tokio::time::timeout(LAST_WAIT, self.collect()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "a batch failed while its partitions were given up"),
            Err(_) => {
                debug!("a batch is dropped");
                self.failed = self
                    .under_way
                    .take()
                    .map(|under_way| under_way.batch.clone());
            }
        }
    }
}

#[async_trait]
impl SinkTask for SnowflakeSinkTask {
    async fn open(&mut self, partitions: &[Assignment]) -> Result<()> {
        for assignment in partitions {
            let committed = assignment.committed.as_ref();
            let buffer = Buffer::new(committed.map(|committed| committed.offset));
            self.buffers.insert(assignment.partition.clone(), buffer);
        }
        Ok(())
    }

    async fn put(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        self.claim(records).await?;
        let taken = self.take_all(records);
        for buffer in self.buffers.values_mut() {
            buffer.pack().await?;
        }
        taken?;
        self.advance().await
    }

    async fn skipped(&mut self, partition: &TopicPartition, next: Offset) -> Result<()> {
        let now = self.context.clock.now();
        if let Some(buffer) = self.buffers.get_mut(partition) {
            buffer.reached(next, now);
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<Offsets> {
        loop {
            self.collect().await?;
            if !self.submit(false).await? {
                return Ok(std::mem::take(&mut self.durable));
            }
        }
    }

    fn wake_at(&self) -> Option<Timestamp> {
        if let Some(under_way) = &self.under_way {
            return Some(under_way.started.saturating_add(OFFSET_LAG));
        }
        if self.failed.is_some() || !self.durable.is_empty() {
            return Some(Timestamp::from_millis(0));
        }
        let due = self.buffers.values().filter(|buffer| buffer.may_close());
        due.filter_map(|buffer| buffer.due_at(&self.config.buffer))
            .min()
    }

    fn buffered_bytes(&self) -> usize {
        let gathered: usize = self.buffers.values().map(Buffer::held).sum();
        let under_way = self.under_way.as_ref().map(|under_way| &under_way.batch);
        let batches = under_way.into_iter().chain(&self.failed);
        gathered + batches.map(|batch| batch.bytes()).sum::<usize>()
    }

    fn last_written(&self) -> Option<Arc<str>> {
        self.last_written.clone()
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.settle(partitions).await;
        let failed = self.failed.take();
        self.failed = failed.and_then(|batch| batch.without(partitions).map(Arc::new));
        for partition in partitions {
            self.buffers.remove(partition);
            self.durable.remove(partition);
        }
        Ok(())
    }
}
