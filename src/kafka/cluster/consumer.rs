//! Reading from a Kafka cluster.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::data::{Offset, Offsets, RecordTimestamp, Timestamp, TopicPartition};
use connect_core::{Error, Result};
use krafka::admin::AdminClient;
use krafka::consumer::{
    ConsumerBuilder, ConsumerRebalanceListener, ConsumerRecord, PartitionAssignmentStrategy,
    TimestampType, TopicPartition as WirePartition,
};
use krafka::{Kafka, KrafkaError};
use tokio::sync::Mutex;

use super::admin::{from_wire, group_offsets, to_wire};
use super::errors::mapped;
use super::leaders::Leaders;
use super::settings::{ConsumerSettings, GroupProtocol, Isolation, Reset, overrides};
use super::subscription::{self, Watch};
use crate::kafka::{
    AutoOffsetReset, ConsumedRecord, Consumer, ConsumerOptions, RebalanceListener, Watermarks,
};

pub(super) struct ClusterConsumer {
    consumer: krafka::consumer::Consumer,
    watch: Option<Mutex<Watch>>,
    leaders: Leaders,
    admin: AdminClient,
    group: Option<String>,
}

impl ClusterConsumer {
    /// Opens a consumer on `kafka`; `admin` looks for topics, each `interval`, without making them.
    pub(super) async fn open(
        kafka: &Kafka,
        (admin, interval): (AdminClient, Duration),
        options: ConsumerOptions,
    ) -> Result<Self> {
        let settings: ConsumerSettings = overrides(&options.overrides)?;
        subscription::check(&admin, &options.subscription).await?;
        let builder = match &options.group {
            Some(group) => kafka.consumer(group),
            None => kafka.consumer_without_group(),
        };
        let mut builder = configured(builder, &options, &settings)?;
        if let Some(listener) = options.listener {
            builder = builder.rebalance_listener(Bridge(listener));
        }
        let consumer = builder.build().await.map_err(mapped)?;
        let watch = subscription::subscribe(&consumer, options.subscription, interval).await?;
        Ok(Self {
            consumer,
            watch: watch.map(Mutex::new),
            leaders: Leaders::new(kafka.clone()),
            admin,
            group: options.group,
        })
    }
}

fn configured(
    builder: ConsumerBuilder,
    options: &ConsumerOptions,
    settings: &ConsumerSettings,
) -> Result<ConsumerBuilder> {
    let max_poll_records = settings
        .max_poll_records
        .unwrap_or_else(|| i32::try_from(options.max_poll_records).unwrap_or(i32::MAX));
    let fetch_max_bytes = settings
        .fetch_max_bytes
        .unwrap_or_else(|| i32::try_from(options.fetch_max_bytes).unwrap_or(i32::MAX));
    let mut builder = builder
        .enable_auto_commit(false)
        .auto_offset_reset(reset(options, settings))
        .isolation_level(isolation(options, settings))
        .session_timeout(settings.session_timeout)
        .heartbeat_interval(settings.heartbeat_interval)
        .max_poll_interval(settings.max_poll_interval)
        .max_poll_records(max_poll_records)
        // One delivery may wait while another is taken: what waits is bounded by fetch.max.bytes as well.
        .max_buffered_records(max_poll_records.saturating_mul(2))
        .fetch_min_bytes(settings.fetch_min_bytes)
        .fetch_max_bytes(fetch_max_bytes)
        .max_partition_fetch_bytes(settings.max_partition_fetch_bytes.min(fetch_max_bytes))
        .fetch_max_wait(settings.fetch_max_wait)
        .group_protocol(match settings.group_protocol {
            GroupProtocol::Classic => krafka::consumer::GroupProtocol::Classic,
            GroupProtocol::Consumer => krafka::consumer::GroupProtocol::Consumer,
        })
        .metrics_push(false);
    if !settings.assignors.is_empty() {
        builder = builder.partition_assignment_strategies(assignors(&settings.assignors)?);
    }
    if let Some(id) = &settings.group_instance_id {
        builder = builder.group_instance_id(id);
    }
    if let Some(rack) = &settings.client_rack {
        builder = builder.client_rack(rack);
    }
    Ok(builder)
}

fn reset(
    options: &ConsumerOptions,
    settings: &ConsumerSettings,
) -> krafka::consumer::AutoOffsetReset {
    use krafka::consumer::AutoOffsetReset as Wire;
    match (settings.auto_offset_reset, options.auto_offset_reset) {
        (Some(Reset::Earliest), _) | (None, AutoOffsetReset::Earliest) => Wire::Earliest,
        (Some(Reset::Latest), _) | (None, AutoOffsetReset::Latest) => Wire::Latest,
        (Some(Reset::None), _) | (None, AutoOffsetReset::None) => Wire::None,
    }
}

fn isolation(
    options: &ConsumerOptions,
    settings: &ConsumerSettings,
) -> krafka::consumer::IsolationLevel {
    use crate::kafka::Isolation as Wanted;
    use krafka::consumer::IsolationLevel as Wire;
    match (settings.isolation, options.isolation) {
        (Some(Isolation::ReadCommitted), _) | (None, Wanted::ReadCommitted) => Wire::ReadCommitted,
        _ => Wire::ReadUncommitted,
    }
}

fn assignors(classes: &[String]) -> Result<Vec<PartitionAssignmentStrategy>> {
    classes
        .iter()
        .map(|class| match class.rsplit('.').next() {
            Some("RangeAssignor") => Ok(PartitionAssignmentStrategy::Range),
            Some("RoundRobinAssignor") => Ok(PartitionAssignmentStrategy::RoundRobin),
            Some("CooperativeStickyAssignor") => Ok(PartitionAssignmentStrategy::CooperativeSticky),
            _ => Err(Error::config(format!(
                "Invalid value {class} for configuration partition.assignment.strategy: must be RangeAssignor, RoundRobinAssignor or CooperativeStickyAssignor"
            ))),
        })
        .collect()
}

/// krafka calls it, our listener hears it.
struct Bridge(Arc<dyn RebalanceListener>);

fn all_from_wire(partitions: &[WirePartition]) -> Vec<TopicPartition> {
    partitions.iter().map(from_wire).collect()
}

impl ConsumerRebalanceListener for Bridge {
    async fn on_partitions_assigned(&self, partitions: &[WirePartition]) {
        self.0.assigned(&all_from_wire(partitions)).await;
    }

    async fn on_partitions_revoked(&self, partitions: &[WirePartition]) {
        self.0.revoked(&all_from_wire(partitions)).await;
    }

    async fn on_partitions_lost(&self, partitions: &[WirePartition]) {
        self.0.lost(&all_from_wire(partitions)).await;
    }
}

fn from_wire_record(record: ConsumerRecord) -> ConsumedRecord {
    ConsumedRecord {
        topic: record.topic,
        partition: record.partition,
        offset: Offset::new(record.offset),
        timestamp: timestamp(record.timestamp_type, record.timestamp),
        headers: record
            .headers
            .into_iter()
            .map(|(key, value)| (key.into(), value))
            .collect(),
        key: record.key,
        value: record.value,
    }
}

/// On topics with log-append time krafka reports the producer's time: that is not the record's, so it is unknown.
fn timestamp(kind: TimestampType, millis: i64) -> RecordTimestamp {
    match kind {
        TimestampType::CreateTime if millis >= 0 => {
            RecordTimestamp::CreateTime(Timestamp::from_millis(millis))
        }
        _ => RecordTimestamp::Unknown,
    }
}

#[async_trait]
impl Consumer for ClusterConsumer {
    async fn poll(&self, timeout: Duration) -> Result<Vec<ConsumedRecord>> {
        if let Some(watch) = &self.watch {
            let mut watch = watch.lock().await;
            let group = self.group.as_deref();
            watch.look(&self.consumer, &self.admin, group).await?;
        }
        let polled = self.consumer.poll(timeout).await;
        self.leaders.look(&self.consumer).await;
        match polled {
            Ok(records) => Ok(records.into_iter().map(from_wire_record).collect()),
            Err(KrafkaError::Wakeup) => Ok(Vec::new()),
            Err(error) => Err(mapped(error).operation("poll")),
        }
    }

    fn wakeup(&self) {
        self.consumer.wakeup();
    }

    async fn commit(&self, offsets: &Offsets) -> Result<()> {
        if self.group.is_none() {
            return Err(Error::internal("a reader without a group cannot commit"));
        }
        let wire = offsets.iter().map(|(partition, committed)| {
            let offset = committed.offset.value();
            (
                to_wire(partition),
                krafka::consumer::OffsetAndMetadata::with_metadata(offset, &*committed.metadata),
            )
        });
        let committed = self.consumer.commit_offsets(wire.collect::<Vec<_>>()).await;
        committed.map_err(|error| match error {
            // It left the group: closed, or too long between two polls.
            KrafkaError::IllegalState { .. } | KrafkaError::Closed { .. } => {
                Error::conflict("this member is no longer in its group")
                    .source(error)
                    .operation("commit offsets")
            }
            _ => mapped(error).operation("commit offsets"),
        })
    }

    async fn committed(&self, partitions: &[TopicPartition]) -> Result<Offsets> {
        // The consumer's own call leaves the notes out.
        match &self.group {
            Some(group) => group_offsets(&self.admin, group, Some(partitions)).await,
            None => Ok(Offsets::new()),
        }
    }

    async fn assignment(&self) -> Vec<TopicPartition> {
        let assignment = self.consumer.assignment().await;
        assignment
            .into_iter()
            .flat_map(|(topic, partitions)| {
                let topic: Arc<str> = topic.into();
                partitions
                    .into_iter()
                    .map(move |partition| TopicPartition::new(topic.clone(), partition))
            })
            .collect()
    }

    async fn position(&self, partition: &TopicPartition) -> Result<Offset> {
        let position = self
            .consumer
            .position(&partition.topic, partition.partition)
            .await;
        position.map(Offset::new).ok_or_else(|| {
            Error::conflict("not assigned, or without a position yet")
                .operation("position of")
                .target(partition.to_string())
        })
    }

    async fn seek(&self, partition: &TopicPartition, offset: Offset) -> Result<()> {
        let sought = self
            .consumer
            .seek(&partition.topic, partition.partition, offset.value())
            .await;
        sought.map_err(|error| {
            mapped(error)
                .operation("seek")
                .target(partition.to_string())
        })
    }

    async fn pause(&self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.consumer
                .pause(&partition.topic, &[partition.partition])
                .await;
        }
    }

    async fn resume(&self, partitions: &[TopicPartition]) {
        for partition in partitions {
            self.consumer
                .resume(&partition.topic, &[partition.partition])
                .await;
        }
    }

    async fn watermarks(&self, partition: &TopicPartition) -> Result<Watermarks> {
        let (low, high) = self
            .consumer
            .fetch_watermarks(&partition.topic, partition.partition)
            .await
            .map_err(|error| {
                mapped(error)
                    .operation("read the ends of")
                    .target(partition.to_string())
            })?;
        Ok(Watermarks {
            low: Offset::new(low),
            high: Offset::new(high),
        })
    }

    async fn close(&self) -> Result<()> {
        self.consumer.close().await.map_err(mapped)
    }
}
