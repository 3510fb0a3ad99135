//! A home of the log under test, and what every case does with it: make topics, write, read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use bytes::Bytes;
use connect_core::data::{Offset, TopicPartition};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::embedded::EmbeddedLog;
use sluice::kafka::{
    AutoOffsetReset, ConsumedRecord, Consumer, ConsumerOptions, Isolation, Log, NewTopic, Produced,
    Producer, ProducerOptions, ProducerRecord, Subscription,
};
use sluice_services::Kafka;
use tempfile::TempDir;

/// How long anything may take that a case waits for.
pub(super) const DEADLINE: Duration = Duration::from_secs(40);
/// How long one poll waits.
pub(super) const POLL: Duration = Duration::from_millis(200);

/// Where the log lives.
pub(super) trait Home: Sized + Send + Sync {
    /// A home that is ready; cases may share it, so topics and groups get names of their own.
    async fn open() -> Result<Self>;

    /// The log.
    fn log(&self) -> Arc<dyn Log>;

    /// Makes a topic whose name begins with `name`.
    async fn topic(&self, name: &str, partitions: i32) -> Result<Arc<str>> {
        self.topic_with(name, partitions, &[]).await
    }

    /// Makes a topic with settings.
    async fn topic_with(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Result<Arc<str>> {
        let name = unique(name);
        let topic = new_topic(&name, partitions, settings);
        if !self.log().admin().create_topic(&topic).await? {
            bail!("topic {name} was there");
        }
        Ok(name.into())
    }

    async fn producer(&self) -> Result<Arc<dyn Producer>> {
        Ok(self.log().producer(ProducerOptions::default()).await?)
    }

    /// Writes records; an error if one was not written.
    async fn write(&self, records: Vec<ProducerRecord>) -> Result<Vec<Produced>> {
        let producer = self.producer().await?;
        let produced = all_written(producer.send(records).await?)?;
        producer.close().await?;
        Ok(produced)
    }

    /// Writes values without keys to partition 0.
    async fn write_values(&self, topic: &Arc<str>, values: &[&str]) -> Result<Vec<Produced>> {
        self.write(values.iter().map(|value| record(topic, value)).collect())
            .await
    }

    /// A reader of all records of partition 0, without a group.
    async fn reader(&self, topic: &Arc<str>) -> Result<Arc<dyn Consumer>> {
        let options = options(Subscription::Partitions(vec![partition(topic, 0)]));
        Ok(self.log().consumer(options).await?)
    }

    /// All of partition 0.
    async fn read_all(&self, topic: &Arc<str>) -> Result<Vec<ConsumedRecord>> {
        let reader = self.reader(topic).await?;
        let records = read_to_end(&*reader, &partition(topic, 0)).await?;
        reader.close().await?;
        Ok(records)
    }
}

/// A real Kafka, one for all cases.
pub(super) struct ClusterHome {
    log: Arc<ClusterLog>,
    pub(super) kafka: &'static Kafka,
}

impl Home for ClusterHome {
    async fn open() -> Result<Self> {
        let kafka = tokio::task::spawn_blocking(Kafka::shared).await??;
        Ok(Self {
            log: Arc::new(connect(&kafka.bootstrap(), &[]).await?),
            kafka,
        })
    }

    fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }
}

/// Connects to a broker with more client properties.
pub(super) async fn connect(bootstrap: &str, more: &[(&str, &str)]) -> Result<ClusterLog> {
    let properties = [("bootstrap.servers", bootstrap)]
        .iter()
        .chain(more)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    Ok(ClusterLog::connect(&properties).await?)
}

/// The log in a folder, one for each case.
pub(super) struct EmbeddedHome {
    log: Arc<EmbeddedLog>,
    _folder: TempDir,
}

impl Home for EmbeddedHome {
    async fn open() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        Ok(Self {
            log: EmbeddedLog::open(folder.path()).await?,
            _folder: folder,
        })
    }

    fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }
}

/// `name` with a number that no other case has.
pub(super) fn unique(name: &str) -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn new_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: None,
        settings: map(settings),
    }
}

pub(super) fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) fn partition(topic: &Arc<str>, number: i32) -> TopicPartition {
    TopicPartition::new(topic.clone(), number)
}

/// A record of partition 0 without a key.
pub(super) fn record(topic: &Arc<str>, value: &str) -> ProducerRecord {
    ProducerRecord {
        topic: topic.clone(),
        partition: Some(0),
        timestamp: None,
        headers: Vec::new(),
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
    }
}

/// How to read from the beginning without a group, everything there is.
pub(super) fn options(subscription: Subscription) -> ConsumerOptions {
    ConsumerOptions {
        group: None,
        subscription,
        client_id: "conformance".to_owned(),
        auto_offset_reset: AutoOffsetReset::Earliest,
        isolation: Isolation::ReadUncommitted,
        max_poll_records: 500,
        fetch_max_bytes: 50 << 20,
        listener: None,
        overrides: BTreeMap::new(),
    }
}

pub(super) fn all_written(results: Vec<connect_core::Result<Produced>>) -> Result<Vec<Produced>> {
    Ok(results.into_iter().collect::<connect_core::Result<_>>()?)
}

/// Exactly the next `count` records; more in the same poll is an error.
pub(super) async fn read(consumer: &dyn Consumer, count: usize) -> Result<Vec<ConsumedRecord>> {
    let until = Instant::now() + DEADLINE;
    let mut records = Vec::new();
    while records.len() < count {
        if Instant::now() > until {
            bail!(
                "{} of {count} records came: {:?}",
                records.len(),
                values(&records)
            );
        }
        records.extend(consumer.poll(POLL).await?);
    }
    if records.len() > count {
        bail!(
            "{} records came, {count} were expected: {:?}",
            records.len(),
            values(&records)
        );
    }
    Ok(records)
}

/// Reads until the position is at the end of the partition: the end may stand behind offsets without a record.
pub(super) async fn read_to_end(
    consumer: &dyn Consumer,
    partition: &TopicPartition,
) -> Result<Vec<ConsumedRecord>> {
    let until = Instant::now() + DEADLINE;
    let mut records = consumer.poll(POLL).await?;
    let end = consumer.watermarks(partition).await?.high;
    loop {
        let position = consumer.position(partition).await.unwrap_or_default();
        if position >= end {
            return Ok(records);
        }
        if Instant::now() > until {
            bail!(
                "still at {position} of {end} after {} records",
                records.len()
            );
        }
        records.extend(consumer.poll(POLL).await?);
    }
}

pub(super) fn values(records: &[ConsumedRecord]) -> Vec<String> {
    let text = |record: &ConsumedRecord| match &record.value {
        Some(value) => String::from_utf8_lossy(value.get(..40).unwrap_or(value)).into_owned(),
        None => "(null)".to_owned(),
    };
    records.iter().map(text).collect()
}

pub(super) fn offsets(records: &[ConsumedRecord]) -> Vec<i64> {
    records.iter().map(|record| record.offset.value()).collect()
}

pub(super) fn offset(value: i64) -> Offset {
    Offset::new(value)
}
