//! The sink task: writes records into objects, plans, publishes, reports.
//!
//! Holds always: no more rotations wait to be published than a plan holds, and a few; records that come then wait as they
//! are, and a flush publishes and writes in turn until none waits. After a flush that failed the next thing to be committed
//! is what a flush returns, so that nothing returned before takes the place of a plan.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::config::OptionError;
use connect_core::data::{
    Offset, OffsetAndMetadata, Offsets, SinkRecord, Timestamp, TopicPartition,
};
use connect_core::plugin::{Assignment, SinkTask, SinkTaskContext};
use connect_core::{Error, ErrorKind, Result, RetryVerdict};
use futures_util::future::join_all;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

use crate::client::Bucket;
use crate::config::{NullValues, S3SinkConfig};
use crate::encoder::Encoding;
use crate::naming::Naming;
use crate::object::Object;
use crate::partition_writer::{PartitionWriter, Rotation};
use crate::plan::{MAX_CUTS, to_note};
use crate::rotation::{Cause, RotationRules};
use crate::waiting::Waiting;

/// Parts sent at the same time by one task.
const PARTS_UNDER_WAY: usize = 4;
/// Bytes of records taken between two looks at the memory.
const LOOK_AFTER: usize = 1 << 20;
/// A flush that is not done by then fails and is called again: the consumer must be polled in between.
const LONGEST_FLUSH: Duration = Duration::from_secs(30);

/// The S3 sink's task.
pub(crate) struct S3SinkTask {
    config: Arc<S3SinkConfig>,
    context: SinkTaskContext,
    encoding: Arc<Encoding>,
    naming: Arc<Naming>,
    bucket: Option<Bucket>,
    permits: Arc<Semaphore>,
    writers: BTreeMap<TopicPartition, PartitionWriter>,
    /// What came while too much waited to be published, in order.
    waiting: VecDeque<Waiting>,
    /// Bytes of records taken since the last look at the memory.
    since_look: usize,
    warned_of_memory: bool,
    /// True from the begin of a flush until one succeeds.
    is_flushing: bool,
    /// The key of the object published last.
    last_written: Option<Arc<str>>,
}

impl S3SinkTask {
    pub(crate) fn new(config: Arc<S3SinkConfig>, context: SinkTaskContext) -> Self {
        Self {
            encoding: Arc::new(Encoding::of(&config)),
            naming: Arc::new(config.naming(&context.task.connector)),
            config,
            context,
            bucket: None,
            permits: Arc::new(Semaphore::new(PARTS_UNDER_WAY)),
            writers: BTreeMap::new(),
            waiting: VecDeque::new(),
            since_look: 0,
            warned_of_memory: false,
            is_flushing: false,
            last_written: None,
        }
    }

    async fn bucket(&mut self) -> Bucket {
        match &self.bucket {
            Some(bucket) => bucket.clone(),
            None => self
                .bucket
                .insert(Bucket::open(&self.config.bucket).await)
                .clone(),
        }
    }

    fn writer(&self, assignment: &Assignment) -> Result<PartitionWriter, OptionError> {
        let partitioner = self.config.partitioner(&assignment.partition)?;
        let rules = RotationRules::of(
            &self.config,
            partitioner.is_time_based(),
            partitioner.is_wallclock(),
        );
        Ok(PartitionWriter::new(
            assignment,
            partitioner,
            rules,
            self.encoding.clone(),
            self.naming.clone(),
        ))
    }

    /// Writes a record into its object. True if more must wait until something is published.
    fn take(&mut self, record: &SinkRecord, now: Timestamp) -> Result<bool> {
        let Some(writer) = self.writers.get_mut(&record.origin) else {
            let partition = &record.origin;
            return Err(Error::internal(format!(
                "a record of {partition}, which this task does not own"
            )));
        };
        match self.config.connector.null_values {
            _ if !record.value.is_null() => writer.write(record, now)?,
            NullValues::Ignore if record.completes_offset() => {
                writer.skip_to(record.offset.next())?;
            }
            NullValues::Ignore => {}
            NullValues::Fail => {
                let text = "Null valued records are not writeable with current behavior.on.null.values 'settings.";
                return Err(Error::data(text).record(&record.origin, record.offset));
            }
        }
        let is_crowded = writer.closed.len() >= MAX_CUTS;
        self.since_look += record.size as usize;
        Ok(is_crowded || self.is_over_share())
    }

    /// True if names or paths depend on when they are written.
    pub(crate) fn goes_by_clock(&self) -> bool {
        let mut writers = self.writers.values();
        writers.any(PartitionWriter::goes_by_clock)
    }

    /// Writes records into objects of which none is sent: for a dry run.
    pub(crate) fn into_writers(
        mut self,
        records: &[SinkRecord],
    ) -> Result<BTreeMap<TopicPartition, PartitionWriter>> {
        let now = self.context.clock.now();
        for record in records {
            self.take(record, now)?;
        }
        Ok(self.writers)
    }

    /// Looks at the memory now and then.
    fn is_over_share(&mut self) -> bool {
        if self.since_look < LOOK_AFTER {
            return false;
        }
        self.since_look = 0;
        self.written_bytes() > self.context.memory.bytes()
    }

    /// Writes what waits, until more must wait.
    fn take_waiting(&mut self, now: Timestamp) -> Result<()> {
        while let Some(next) = self.waiting.pop_front() {
            let outcome = match &next {
                Waiting::Record(record) => self.take(record, now),
                Waiting::Skip(partition, offset) => self.skip(partition, *offset).map(|()| false),
            };
            match outcome {
                Ok(false) => {}
                Ok(true) => break,
                Err(error) => {
                    self.waiting.push_front(next);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn skip(&mut self, partition: &TopicPartition, next: Offset) -> Result<()> {
        match self.writers.get_mut(partition) {
            Some(writer) => writer.skip_to(next),
            None => Ok(()),
        }
    }

    /// Bytes of what is written into objects.
    fn written_bytes(&self) -> usize {
        self.writers.values().map(PartitionWriter::buffered).sum()
    }

    async fn send_parts(&mut self) -> Result<()> {
        let bucket = self.bucket().await;
        let largest = self.config.bucket.part_size;
        for object in self
            .writers
            .values_mut()
            .flat_map(PartitionWriter::objects_mut)
        {
            object.reap().await?;
            if object.has_part(largest) {
                object.send_part(&bucket, &self.permits).await?;
            }
        }
        Ok(())
    }

    /// Sends parts early and, if that is not enough, ends the largest open rotations that no plan has: memory stays within
    /// the share, except for what a plan being replayed holds together. What is closed leaves with the next flush.
    async fn relieve_memory(&mut self) -> Result<()> {
        self.send_parts().await?;
        let share = self.context.memory.bytes();
        let (mut closable, mut planned) = (0, 0);
        for writer in self.writers.values() {
            let bytes = if writer.is_closable() {
                &mut closable
            } else {
                &mut planned
            };
            *bytes += writer.open_bytes();
        }
        // A large plan does not make everything else end at every record.
        let room = share.saturating_sub(planned).max(share / 4);
        while closable > room {
            let Some(freed) = self.close_largest()? else {
                break;
            };
            closable -= freed;
            if !std::mem::replace(&mut self.warned_of_memory, true) {
                warn!(
                    share,
                    "objects are finished before flush.size: the memory budget is used up"
                );
            }
        }
        Ok(())
    }

    /// Ends the largest open rotation that may be ended; its bytes.
    fn close_largest(&mut self) -> Result<Option<usize>> {
        let open = self.writers.values_mut();
        let largest = open
            .filter(|writer| writer.is_closable())
            .max_by_key(|writer| writer.open_bytes());
        let Some(writer) = largest else {
            return Ok(None);
        };
        let bytes = writer.open_bytes();
        writer.close(Cause::Memory)?;
        Ok(Some(bytes))
    }

    /// Commits what is about to be published, for all partitions at once, unless it stands in a plan already.
    async fn commit_plan(&mut self) -> Result<()> {
        let mut plan = Offsets::new();
        for (partition, writer) in &self.writers {
            let count = writer.closed.len().min(MAX_CUTS);
            if let Some(first) = writer.closed.front().filter(|_| writer.planned < count) {
                plan.insert(
                    partition.clone(),
                    OffsetAndMetadata {
                        offset: first.start,
                        metadata: to_note(&writer.cuts(count)),
                    },
                );
            }
        }
        if plan.is_empty() {
            return Ok(());
        }
        debug!(partitions = plan.len(), "committing the plan");
        let partitions: Vec<_> = plan.keys().cloned().collect();
        self.context.runtime.commit(plan).await?;
        for partition in partitions {
            if let Some(writer) = self.writers.get_mut(&partition) {
                writer.planned = writer.closed.len().min(MAX_CUTS);
            }
        }
        Ok(())
    }

    /// Publishes every planned rotation, all partitions at the same time, each partition in order.
    async fn publish(&mut self) -> Result<()> {
        let bucket = self.bucket().await;
        let permits = self.permits.clone();
        let publishing = self
            .writers
            .values_mut()
            .map(|writer| publish_planned(writer, &bucket, &permits));
        let outcome = join_all(publishing).await.into_iter().collect();
        let keys = self
            .writers
            .values_mut()
            .filter_map(PartitionWriter::take_last_key);
        self.last_written = keys.last().or(self.last_written.take());
        outcome
    }

    /// What is durable and was not reported before.
    fn progress(&mut self) -> Offsets {
        let writers = self.writers.iter_mut();
        writers
            .filter_map(|(partition, writer)| {
                let offset = writer.progress()?;
                Some((partition.clone(), committed(offset, writer)))
            })
            .collect()
    }

    /// Publishes what is closed and writes what waits, in turn, until nothing waits.
    async fn catch_up(&mut self) -> Result<()> {
        let begin = self.context.clock.now();
        loop {
            self.commit_plan().await?;
            self.publish().await?;
            if self.waiting.is_empty() {
                return Ok(());
            }
            let now = self.context.clock.now();
            if begin.duration_until(now) >= LONGEST_FLUSH {
                return Err(self.is_behind());
            }
            self.take_waiting(now)?;
            self.relieve_memory().await?;
        }
    }

    /// The runtime reads nothing more, polls, and flushes again.
    fn is_behind(&self) -> Error {
        let waiting = self.waiting.len();
        Error::external(format!(
            "objects are slower than records: {waiting} wait (a larger flush.size makes fewer objects)"
        ))
        .operation("publish objects")
        .retry(RetryVerdict::After(Duration::ZERO))
    }
}

/// The offset to commit, with the cuts that are planned behind it.
fn committed(offset: Offset, writer: &PartitionWriter) -> OffsetAndMetadata {
    let planned = writer.cuts(writer.planned);
    let metadata = if planned.is_empty() {
        String::new()
    } else {
        to_note(&planned)
    };
    OffsetAndMetadata { offset, metadata }
}

async fn publish_planned(
    writer: &mut PartitionWriter,
    bucket: &Bucket,
    permits: &Arc<Semaphore>,
) -> Result<()> {
    while writer.planned > 0 {
        let Some(rotation) = writer.closed.front_mut() else {
            return Ok(());
        };
        publish_rotation(rotation, bucket, permits).await?;
        writer.finish_first();
    }
    Ok(())
}

async fn publish_rotation(
    rotation: &mut Rotation,
    bucket: &Bucket,
    permits: &Arc<Semaphore>,
) -> Result<()> {
    let publishing = rotation
        .objects
        .iter_mut()
        .map(|object| object.publish(bucket, permits));
    join_all(publishing).await.into_iter().collect()
}

#[async_trait]
impl SinkTask for S3SinkTask {
    async fn open(&mut self, partitions: &[Assignment]) -> Result<()> {
        for assignment in partitions {
            let writer = self
                .writer(assignment)
                .map_err(|error| Error::new(ErrorKind::Config, error.message))?;
            self.writers.insert(assignment.partition.clone(), writer);
        }
        Ok(())
    }

    async fn put(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        let now = self.context.clock.now();
        let mut taken = 0;
        let mut must_wait = Ok(!self.waiting.is_empty());
        for record in records.iter() {
            if !matches!(must_wait, Ok(false)) {
                break;
            }
            must_wait = self.take(record, now);
            taken += usize::from(must_wait.is_ok());
        }
        records.drain(..taken);
        must_wait?;
        self.waiting.extend(records.drain(..).map(Waiting::Record));
        self.relieve_memory().await
    }

    async fn skipped(&mut self, partition: &TopicPartition, next: Offset) -> Result<()> {
        if self.waiting.is_empty() {
            return self.skip(partition, next);
        }
        let skip = Waiting::Skip(partition.clone(), next);
        self.waiting.push_back(skip);
        Ok(())
    }

    async fn flush(&mut self) -> Result<Offsets> {
        self.is_flushing = true;
        let now = self.context.clock.now();
        for writer in self.writers.values_mut() {
            writer.close_if_due(now)?;
        }
        self.catch_up().await?;
        self.is_flushing = false;
        Ok(self.progress())
    }

    fn wake_at(&self) -> Option<Timestamp> {
        let has_closed = |writer: &PartitionWriter| !writer.closed.is_empty();
        if self.is_flushing || !self.waiting.is_empty() || self.writers.values().any(has_closed) {
            return Some(Timestamp::from_millis(0));
        }
        self.writers
            .values()
            .filter_map(PartitionWriter::deadline)
            .min()
    }

    fn buffered_bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(Waiting::bytes).sum();
        self.written_bytes() + waiting
    }

    fn last_written(&self) -> Option<Arc<str>> {
        self.last_written.clone()
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let bucket = self.bucket().await;
        self.waiting
            .retain(|waiting| !partitions.contains(waiting.partition()));
        let writers: Vec<_> = partitions
            .iter()
            .filter_map(|partition| self.writers.remove(partition))
            .collect();
        let objects: Vec<Object> = writers
            .into_iter()
            .flat_map(PartitionWriter::into_objects)
            .collect();
        // In the background: a rebalance must not wait for an S3 that does not answer.
        tokio::spawn(async move {
            for object in objects {
                object.discard(&bucket).await;
            }
        });
        Ok(())
    }
}
