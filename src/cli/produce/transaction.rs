//! Events in transactions: a reader of committed records sees each exactly once, whatever had to be sent again.
//!
//! A transaction that fails before its commit is aborted and its events are sent again in another one. If a commit fails, no
//! one can tell whether its events are visible: then the run ends with an error instead of doubling them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use connect_core::retry::RetryPolicy;
use connect_core::{Error, RetryVerdict};

use super::delivery::{BATCH_BYTES, RETRIES};
use super::settings::Settings;
use crate::kafka::cluster::ClusterLog;
use crate::kafka::{
    Compression, Log, NewTopic, ProducerOptions, ProducerRecord, TransactionalProducer,
};

/// Records of one transaction, at the most.
const TRANSACTION_RECORDS: usize = 2_000;
const CONNECT_DEADLINE: Duration = Duration::from_secs(20);
const POLICY: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(5),
};

/// A transactional producer with the records of its next transaction.
pub(super) struct Transactions {
    producer: Arc<dyn TransactionalProducer>,
    topics: Vec<Topic>,
    records: Vec<ProducerRecord>,
}

struct Topic {
    name: Arc<str>,
    partitions: i32,
    next: i32,
}

impl Transactions {
    pub(super) async fn open(settings: &Settings, transactional_id: &str) -> Result<Self> {
        let brokers = settings.brokers.join(",");
        let opening = Self::connect(settings, transactional_id);
        let opened = tokio::time::timeout(CONNECT_DEADLINE, opening).await;
        opened
            .map_err(|_| anyhow!("no Kafka answers at {brokers} within {CONNECT_DEADLINE:?}: set --brokers or KAFKA_BOOTSTRAP_SERVERS"))?
            .with_context(|| format!("connecting to Kafka at {brokers}"))
    }

    async fn connect(settings: &Settings, transactional_id: &str) -> Result<Self> {
        let brokers = ("bootstrap.servers".to_owned(), settings.brokers.join(","));
        let log = ClusterLog::connect(&[brokers].into()).await?;
        let mut topics = Vec::new();
        for stream in &settings.streams {
            topics.push(Topic {
                name: stream.topic.as_str().into(),
                partitions: partitions(&log, &stream.topic, settings.partitions).await?,
                next: 0,
            });
        }
        let options = ProducerOptions {
            client_id: "sluice-produce".to_owned(),
            compression: Compression::Snappy,
            overrides: [("batch.size".to_owned(), BATCH_BYTES.to_string())].into(),
        };
        let producer = log
            .transactional_producer(transactional_id, options)
            .await?;
        Ok(Self {
            producer,
            topics,
            records: Vec::new(),
        })
    }

    pub(super) async fn send(
        &mut self,
        stream: usize,
        key: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<()> {
        let topic = self.topics.get_mut(stream).context("a known stream")?;
        let partition = key.is_none().then_some(topic.next);
        topic.next = (topic.next + 1) % topic.partitions.max(1);
        self.records.push(ProducerRecord {
            topic: topic.name.clone(),
            partition,
            timestamp: None,
            headers: Vec::new(),
            key: key.map(Bytes::from),
            value: Some(Bytes::from(value)),
        });
        if self.records.len() >= TRANSACTION_RECORDS {
            self.flush().await?;
        }
        Ok(())
    }

    /// One transaction with all that has gathered.
    pub(super) async fn flush(&mut self) -> Result<()> {
        if self.records.is_empty() {
            return Ok(());
        }
        let mut attempt = 0;
        while let Err(error) = self.write().await {
            // Aborting fails too if the producer was fenced: the first error says so.
            let _as_good_as_aborted = self.producer.abort().await;
            attempt += 1;
            if attempt > RETRIES || error.verdict() == RetryVerdict::Never {
                return Err(error).context("producing in a transaction");
            }
            tokio::time::sleep(POLICY.pause(attempt, &error)).await;
        }
        self.producer.commit().await.context(
            "committing: it is not known whether the last transaction's events are visible",
        )?;
        self.records.clear();
        Ok(())
    }

    async fn write(&self) -> Result<(), Error> {
        self.producer.begin().await?;
        self.producer.send(self.records.clone()).await?;
        Ok(())
    }

    pub(super) async fn close(&self) -> Result<()> {
        Ok(self.producer.close().await?)
    }
}

/// How many partitions the topic has; it is made if it is not there.
async fn partitions(log: &ClusterLog, topic: &str, wanted: i32) -> Result<i32> {
    let admin = log.admin();
    if let Some(known) = admin.describe_topic(topic).await? {
        return Ok(known.partitions);
    }
    let new = NewTopic {
        name: topic.to_owned(),
        partitions: Some(wanted),
        replication_factor: None,
        settings: std::collections::BTreeMap::new(),
    };
    admin.create_topic(&new).await?;
    // Made by another instance in the meantime, with another number of partitions?
    let made = admin.describe_topic(topic).await?;
    Ok(made.map_or(wanted, |topic| topic.partitions))
}
