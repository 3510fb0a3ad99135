//! Reading a compacted topic: to its end, then whatever comes.
//!
//! For what is kept in topics: connector configs, source offsets, statuses. All partitions, from the beginning, committed
//! records only; each record is handed over once, those of a partition in order. No group takes part.

use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_core::data::{Offset, TopicPartition};
use connect_core::{Error, Result, RetryVerdict};

use super::{
    Admin, AutoOffsetReset, ConsumedRecord, Consumer, ConsumerOptions, Isolation, Log, Subscription,
};

/// Records a poll returns at the most.
const POLL_RECORDS: usize = 500;
/// Bytes of records that may wait in the client.
const FETCH_BYTES: usize = 4 << 20;
/// How long one poll waits while the end is not reached.
const POLL: Duration = Duration::from_millis(200);

/// A compacted topic, read as far as asked for.
pub struct CompactedTopic {
    topic: Arc<str>,
    consumer: Arc<dyn Consumer>,
    admin: Arc<dyn Admin>,
    partitions: Vec<TopicPartition>,
}

impl CompactedTopic {
    /// Opens a topic that is there.
    ///
    /// # Errors
    /// `Config` if there is no such topic; worth retrying if it was made a moment ago.
    pub async fn open(log: &dyn Log, topic: &str, client_id: &str) -> Result<Self> {
        let admin = log.admin();
        let described = admin.describe_topic(topic).await?;
        let missing = || {
            let missing = Error::config(format!("there is no topic {topic}"));
            missing.retry(RetryVerdict::Backoff)
        };
        let described = described.ok_or_else(missing)?;
        let topic: Arc<str> = topic.into();
        let partitions: Vec<_> = (0..described.partitions)
            .map(|number| TopicPartition::new(topic.clone(), number))
            .collect();
        let consumer = log
            .consumer(ConsumerOptions {
                group: None,
                subscription: Subscription::Partitions(partitions.clone()),
                client_id: client_id.to_owned(),
                auto_offset_reset: AutoOffsetReset::Earliest,
                isolation: Isolation::ReadCommitted,
                max_poll_records: POLL_RECORDS,
                fetch_max_bytes: FETCH_BYTES,
                listener: None,
                overrides: std::collections::BTreeMap::new(),
            })
            .await?;
        Ok(Self {
            topic,
            consumer,
            admin,
            partitions,
        })
    }

    /// How many partitions it has.
    pub fn partitions(&self) -> usize {
        self.partitions.len()
    }

    /// Hands over every record that was there when this was called and that was not handed over before. An open
    /// transaction is not waited for.
    ///
    /// # Errors
    /// `External`, worth retrying, if the end is not reached within `deadline`: the next call goes on from there.
    pub async fn read_to_end(
        &self,
        deadline: Duration,
        take: impl FnMut(ConsumedRecord) + Send,
    ) -> Result<()> {
        let until = Instant::now() + deadline;
        let ends = self.ends(until).await?;
        self.read_to(&ends, until, take).await
    }

    /// As [`CompactedTopic::read_to_end`], but transactions that are open now are waited for: until they end, nothing that
    /// was committed behind their beginning is read.
    ///
    /// # Errors
    /// `External`, worth retrying, if the end is not reached within `deadline`: the next call goes on from there.
    pub async fn read_through(
        &self,
        deadline: Duration,
        take: impl FnMut(ConsumedRecord) + Send,
    ) -> Result<()> {
        let until = Instant::now() + deadline;
        let ends = self.settled_ends(until).await?;
        self.read_to(&ends, until, take).await
    }

    /// Up to where each partition may be read now.
    ///
    /// # Errors
    /// What the log says, if it still says so at `until`.
    pub async fn ends(&self, until: Instant) -> Result<Vec<Offset>> {
        let mut ends = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            ends.push(self.end(partition, until).await?);
        }
        Ok(ends)
    }

    /// Up to where each partition may be read once all transactions that are open now have ended.
    ///
    /// # Errors
    /// What the log says, if it still says so at `until`.
    pub async fn settled_ends(&self, until: Instant) -> Result<Vec<Offset>> {
        loop {
            match self.admin.end_offsets(&self.partitions).await {
                Ok(ends) => {
                    let end = |partition| ends.get(partition).copied().unwrap_or_default();
                    return Ok(self.partitions.iter().map(end).collect());
                }
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// How far each partition was handed over.
    pub async fn positions(&self) -> Vec<Offset> {
        let mut positions = Vec::with_capacity(self.partitions.len());
        for partition in &self.partitions {
            // A partition has no position before its first poll.
            let position = self.consumer.position(partition).await;
            positions.push(position.unwrap_or_default());
        }
        positions
    }

    /// Hands over what was not handed over before, up to these ends of the partitions.
    ///
    /// # Errors
    /// `External`, worth retrying, if they are not reached at `until`: the next call goes on from there.
    pub async fn read_to(
        &self,
        ends: &[Offset],
        until: Instant,
        mut take: impl FnMut(ConsumedRecord) + Send,
    ) -> Result<()> {
        loop {
            let positions = self.positions().await;
            let pairs = positions.iter().zip(ends);
            let behind = pairs.filter(|(position, end)| position < end).count();
            if behind == 0 {
                return Ok(());
            }
            if Instant::now() >= until {
                return Err(Error::external(format!(
                    "the end of {behind} partitions was not reached in time"
                ))
                .operation("read topic")
                .target(&*self.topic));
            }
            self.follow(POLL, &mut take).await?;
        }
    }

    /// The end of a partition. One made a moment ago may not be known to its broker yet.
    async fn end(&self, partition: &TopicPartition, until: Instant) -> Result<Offset> {
        loop {
            match self.consumer.watermarks(partition).await {
                Ok(watermarks) => return Ok(watermarks.high),
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    tokio::time::sleep(POLL).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits up to `timeout` for records and hands them over; returns early after [`CompactedTopic::wakeup`].
    ///
    /// # Errors
    /// What the log says.
    pub async fn follow(
        &self,
        timeout: Duration,
        take: impl FnMut(ConsumedRecord) + Send,
    ) -> Result<()> {
        let records = self.consumer.poll(timeout).await?;
        records.into_iter().for_each(take);
        Ok(())
    }

    /// Makes a waiting (or the next) [`CompactedTopic::follow`] return at once.
    pub fn wakeup(&self) {
        self.consumer.wakeup();
    }

    /// Closes the reader.
    ///
    /// # Errors
    /// What the log says.
    pub async fn close(&self) -> Result<()> {
        self.consumer.close().await
    }
}
