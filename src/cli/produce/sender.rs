//! Batches to a topic's partitions with rskafka: acks of all replicas, Snappy, retries with an end.
//!
//! Several requests of a partition are under way at once, so after a retry records may stand in another order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use rskafka::BackoffConfig;
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use tokio::task::JoinSet;

use super::settings::Settings;
use crate::kafka::cluster::partition_of_key;

/// Bytes of a batch.
const BATCH_BYTES: usize = 16 * 1024;
/// Requests under way, all partitions together.
const UNDER_WAY: usize = 24;
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
const SEND_DEADLINE: Duration = Duration::from_secs(60);

/// Gathers records by partition and sends full batches.
pub(super) struct Sender {
    partitions: Vec<Batch>,
    next: usize,
    sending: JoinSet<Result<()>>,
}

struct Batch {
    client: Arc<PartitionClient>,
    records: Vec<Record>,
    bytes: usize,
}

impl Sender {
    /// Connects, and makes the topic if it is not there.
    pub(super) async fn connect(settings: &Settings) -> Result<Self> {
        let brokers = settings.brokers.join(",");
        let connecting = async {
            let backoff = BackoffConfig {
                max_backoff: Duration::from_secs(5),
                deadline: Some(SEND_DEADLINE),
                ..BackoffConfig::default()
            };
            let builder = ClientBuilder::new(settings.brokers.clone())
                .client_id("sluice-produce")
                .backoff_config(backoff);
            let client = builder.build().await?;
            open_partitions(&client, settings).await
        };
        let partitions = tokio::time::timeout(CONNECT_DEADLINE, connecting)
            .await
            .map_err(|_| anyhow!("no Kafka answers at {brokers} within {CONNECT_DEADLINE:?}: set --brokers or KAFKA_BOOTSTRAP_SERVERS"))?
            .with_context(|| format!("connecting to Kafka at {brokers}"))?;
        Ok(Self {
            partitions,
            next: 0,
            sending: JoinSet::new(),
        })
    }

    /// Takes a record; sends its batch if that is full.
    pub(super) async fn send(&mut self, key: Option<Vec<u8>>, value: Vec<u8>) -> Result<()> {
        let index = match &key {
            Some(key) => {
                let partitions = u32::try_from(self.partitions.len()).unwrap_or(1);
                partition_of_key(key, partitions) as usize
            }
            None => {
                self.next = (self.next + 1) % self.partitions.len();
                self.next
            }
        };
        let batch = self
            .partitions
            .get_mut(index)
            .context("the topic has no partitions")?;
        batch.bytes += key.as_ref().map_or(0, Vec::len) + value.len();
        batch.records.push(Record {
            key,
            value: Some(value),
            headers: std::collections::BTreeMap::new(),
            timestamp: SystemTime::now().into(),
        });
        if batch.bytes >= BATCH_BYTES {
            self.send_batch(index).await?;
        }
        Ok(())
    }

    async fn send_batch(&mut self, index: usize) -> Result<()> {
        while self.sending.len() >= UNDER_WAY {
            self.one_done().await?;
        }
        let Some(batch) = self
            .partitions
            .get_mut(index)
            .filter(|batch| !batch.records.is_empty())
        else {
            return Ok(());
        };
        batch.bytes = 0;
        let records = std::mem::take(&mut batch.records);
        let client = batch.client.clone();
        self.sending.spawn(async move {
            let sent =
                tokio::time::timeout(SEND_DEADLINE, client.produce(records, Compression::Snappy))
                    .await;
            sent.map_err(|_| anyhow!("no acknowledgement after {SEND_DEADLINE:?}"))?
                .context("producing")?;
            Ok(())
        });
        Ok(())
    }

    async fn one_done(&mut self) -> Result<()> {
        match self.sending.join_next().await {
            Some(outcome) => outcome?,
            None => Ok(()),
        }
    }

    /// Sends what has gathered and waits for every acknowledgement.
    pub(super) async fn flush(&mut self) -> Result<()> {
        for index in 0..self.partitions.len() {
            self.send_batch(index).await?;
        }
        while !self.sending.is_empty() {
            self.one_done().await?;
        }
        Ok(())
    }

    pub(super) async fn close(&mut self) -> Result<()> {
        self.flush().await
    }
}

async fn open_partitions(client: &Client, settings: &Settings) -> Result<Vec<Batch>> {
    let topic = settings.topic.as_str();
    if partition_ids(client, topic).await?.is_empty() {
        let made = client
            .controller_client()?
            .create_topic(topic, settings.partitions, 1, 5_000)
            .await;
        if let Err(error) = made
            && partition_ids(client, topic).await?.is_empty()
        {
            return Err(error).with_context(|| format!("making topic {topic}"));
        }
    }
    let mut ids = partition_ids(client, topic).await?;
    while ids.is_empty() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        ids = partition_ids(client, topic).await?;
    }
    let mut partitions = Vec::new();
    for id in ids {
        let client = client
            .partition_client(topic, id, UnknownTopicHandling::Retry)
            .await?;
        partitions.push(Batch {
            client: Arc::new(client),
            records: Vec::new(),
            bytes: 0,
        });
    }
    Ok(partitions)
}

async fn partition_ids(client: &Client, topic: &str) -> Result<Vec<i32>> {
    let topics = client.list_topics().await?;
    let found = topics.into_iter().find(|known| known.name == topic);
    Ok(found
        .map(|topic| topic.partitions.into_iter().collect())
        .unwrap_or_default())
}
