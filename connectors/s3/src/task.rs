//! The sink task: writes records into objects, plans, publishes, reports.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use connect_core::config::OptionError;
use connect_core::data::{
    Offset, OffsetAndMetadata, Offsets, SinkRecord, Timestamp, TopicPartition,
};
use connect_core::plugin::{Assignment, SinkTask, SinkTaskContext};
use connect_core::{Error, ErrorKind, Result};
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
use crate::rotation::RotationRules;

/// Parts sent at the same time by one task.
const PARTS_UNDER_WAY: usize = 4;

/// The S3 sink's task.
pub(crate) struct S3SinkTask {
    config: Arc<S3SinkConfig>,
    context: SinkTaskContext,
    encoding: Arc<Encoding>,
    naming: Arc<Naming>,
    bucket: Option<Bucket>,
    permits: Arc<Semaphore>,
    writers: BTreeMap<TopicPartition, PartitionWriter>,
    warned_of_memory: bool,
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
            warned_of_memory: false,
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

    fn take(&mut self, record: &SinkRecord, now: Timestamp) -> Result<()> {
        let Some(writer) = self.writers.get_mut(&record.origin) else {
            let partition = &record.origin;
            return Err(Error::internal(format!(
                "a record of {partition}, which this task does not own"
            )));
        };
        if !record.value.is_null() {
            return writer.write(record, now);
        }
        match self.config.connector.null_values {
            NullValues::Ignore if record.completes_offset() => writer.skip_to(record.offset.next()),
            NullValues::Ignore => Ok(()),
            NullValues::Fail => {
                let position = format!("{} at offset {}", record.origin, record.offset);
                let text = "Null valued records are not writeable with current behavior.on.null.values 'settings.";
                Err(Error::data(text).operation("record").target(position))
            }
        }
    }

    /// Sends parts early and, if that is not enough, ends the largest open rotation that no plan has: memory stays within
    /// the share, except for what a plan being replayed holds together.
    async fn relieve_memory(&mut self) -> Result<()> {
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
        let share = self.context.memory.bytes();
        if self.buffered_bytes() <= share {
            return Ok(());
        }
        let largest = self
            .writers
            .values_mut()
            .max_by_key(|writer| writer.closable_bytes());
        let Some(writer) = largest.filter(|writer| writer.closable_bytes() > 0) else {
            return Ok(());
        };
        writer.close()?;
        if !std::mem::replace(&mut self.warned_of_memory, true) {
            warn!(
                share,
                "objects are finished before flush.size: the memory budget is used up"
            );
        }
        Ok(())
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
    async fn publish(&mut self) -> Result<Offsets> {
        let bucket = self.bucket().await;
        let permits = self.permits.clone();
        let publishing = self
            .writers
            .values_mut()
            .map(|writer| publish_planned(writer, &bucket, &permits));
        let outcomes = join_all(publishing).await;
        let mut durable = Offsets::new();
        for (partition, writer) in &mut self.writers {
            if let Some(offset) = writer.progress() {
                durable.insert(partition.clone(), committed(offset, writer));
            }
        }
        match outcomes.into_iter().find_map(Result::err) {
            // What other partitions have finished is committed with the next success: it is reported again.
            Some(error) => {
                for writer in self.writers.values_mut() {
                    writer.forget_report();
                }
                Err(error)
            }
            None => Ok(durable),
        }
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
        let mut outcome = Ok(());
        for record in records.iter() {
            outcome = self.take(record, now);
            if outcome.is_err() {
                break;
            }
            taken += 1;
        }
        records.drain(..taken);
        outcome?;
        self.relieve_memory().await
    }

    async fn skipped(&mut self, partition: &TopicPartition, next: Offset) -> Result<()> {
        match self.writers.get_mut(partition) {
            Some(writer) => writer.skip_to(next),
            None => Ok(()),
        }
    }

    async fn flush(&mut self) -> Result<Offsets> {
        let now = self.context.clock.now();
        for writer in self.writers.values_mut() {
            writer.close_if_due(now)?;
        }
        self.commit_plan().await?;
        self.publish().await
    }

    fn wake_at(&self) -> Option<Timestamp> {
        if self
            .writers
            .values()
            .any(|writer| !writer.closed.is_empty())
        {
            return Some(Timestamp::from_millis(0));
        }
        self.writers
            .values()
            .filter_map(PartitionWriter::deadline)
            .min()
    }

    fn buffered_bytes(&self) -> usize {
        self.writers.values().map(PartitionWriter::buffered).sum()
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        let bucket = self.bucket().await;
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
