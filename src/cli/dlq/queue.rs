//! A topic read from its beginning to the end it had when it was opened: committed records only, without a group.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use connect_core::data::{Offset, TopicPartition};

use super::letter::Place;
use crate::kafka::{
    AutoOffsetReset, ConsumedRecord, Consumer, ConsumerOptions, Isolation, Log, Subscription,
    Watermarks,
};

const POLL_RECORDS: usize = 500;
const FETCH_BYTES: usize = 16 << 20;
const POLL: Duration = Duration::from_millis(200);
/// How long no record may come before the end is reached.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Queue {
    topic: Arc<str>,
    consumer: Arc<dyn Consumer>,
    ends: Vec<(TopicPartition, Watermarks)>,
}

impl Queue {
    /// Opens a topic; `None` if there is none of that name.
    pub(super) async fn open(log: &dyn Log, topic: &str) -> Result<Option<Self>> {
        let Some(described) = log.admin().describe_topic(topic).await? else {
            return Ok(None);
        };
        let topic: Arc<str> = topic.into();
        let partitions: Vec<_> = (0..described.partitions)
            .map(|number| TopicPartition::new(topic.clone(), number))
            .collect();
        let options = ConsumerOptions {
            group: None,
            subscription: Subscription::Partitions(partitions.clone()),
            client_id: "sluice-dlq".to_owned(),
            auto_offset_reset: AutoOffsetReset::Earliest,
            isolation: Isolation::ReadCommitted,
            max_poll_records: POLL_RECORDS,
            fetch_max_bytes: FETCH_BYTES,
            listener: None,
            overrides: [].into(),
        };
        let consumer = log.consumer(options).await?;
        let mut ends = Vec::with_capacity(partitions.len());
        for partition in partitions {
            let end = consumer.watermarks(&partition).await?;
            ends.push((partition, end));
        }
        Ok(Some(Self {
            topic,
            consumer,
            ends,
        }))
    }

    /// The queue of that name.
    pub(super) async fn existing(log: &dyn Log, topic: &str) -> Result<Self> {
        let opened = Self::open(log, topic).await?;
        opened.with_context(|| format!("there is no topic {topic}"))
    }

    /// The next records; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<ConsumedRecord>>> {
        let until = Instant::now() + PATIENCE;
        while !self.is_at_end().await {
            let mut records = self.consumer.poll(POLL).await?;
            records.retain(|record| self.is_before_end(record));
            if !records.is_empty() {
                return Ok(Some(records));
            }
            if Instant::now() > until {
                bail!(
                    "the end of {} was not reached: nothing came for {PATIENCE:?}",
                    self.topic
                );
            }
        }
        Ok(None)
    }

    async fn is_at_end(&self) -> bool {
        for (partition, ends) in &self.ends {
            // A partition has no position before its first poll.
            let position = self.consumer.position(partition).await;
            if ends.low < ends.high && position.unwrap_or_default() < ends.high {
                return false;
            }
        }
        true
    }

    fn is_before_end(&self, record: &ConsumedRecord) -> bool {
        let is_its = |(partition, _): &&(TopicPartition, Watermarks)| {
            partition.partition == record.partition
        };
        let ends = self.ends.iter().find(is_its);
        ends.is_some_and(|(_, ends)| record.offset < ends.high)
    }

    /// The record at a place; `None` if there is none.
    pub(super) async fn at(&mut self, place: Place) -> Result<Option<ConsumedRecord>> {
        let wanted = Offset::new(place.offset);
        let is_its =
            |(partition, _): &&(TopicPartition, Watermarks)| partition.partition == place.partition;
        let Some((partition, ends)) = self.ends.iter().find(is_its).cloned() else {
            return Ok(None);
        };
        if wanted < ends.low || wanted >= ends.high {
            return Ok(None);
        }
        self.ends = vec![(partition.clone(), ends)];
        // Partitions are there from the first poll on.
        self.consumer.poll(POLL).await?;
        self.consumer.seek(&partition, wanted).await?;
        while let Some(records) = self.next().await? {
            let mut behind = records.into_iter().filter(|record| record.offset >= wanted);
            if let Some(record) = behind.next() {
                return Ok((record.offset == wanted).then_some(record));
            }
        }
        Ok(None)
    }

    /// The first offset of a partition that is still there.
    pub(super) fn first(&self, partition: i32) -> i64 {
        let mut all = self.ends.iter();
        let found = all.find(|(known, _)| known.partition == partition);
        found.map_or(0, |(_, ends)| ends.low.value())
    }

    pub(super) async fn close(self) -> Result<()> {
        Ok(self.consumer.close().await?)
    }
}
