//! Batches to the partitions of topics with rskafka: acks of all replicas, Snappy, three retries.
//!
//! Several requests of a partition are under way at once, so after a retry records may stand in another order.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use rskafka::BackoffConfig;
use rskafka::client::error::{Error as KafkaError, ProtocolError};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use tokio::task::JoinSet;

use super::delivery::{BATCH_BYTES, RETRIES};
use super::settings::Settings;
use crate::kafka::cluster::partition_of_key;

/// Requests under way, all partitions together.
const UNDER_WAY: usize = 24;
/// Bytes of the largest batch: while the brokers have enough to do, batches grow instead of waiting.
const LARGEST_BATCH: usize = 16 * BATCH_BYTES;
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// How long one try may take; within it rskafka looks for a new leader and connects again.
const TRY_DEADLINE: Duration = Duration::from_secs(15);
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Gathers records by partition and sends full batches.
pub(super) struct Sender {
    topics: Vec<Topic>,
    sending: JoinSet<Result<()>>,
}

struct Topic {
    partitions: Vec<Batch>,
    next: usize,
}

struct Batch {
    client: Arc<PartitionClient>,
    records: Vec<Record>,
    bytes: usize,
}

impl Sender {
    /// Connects, and makes the topics that are not there.
    pub(super) async fn connect(settings: &Settings) -> Result<Self> {
        let brokers = settings.brokers.join(",");
        let connecting = async {
            let backoff = BackoffConfig {
                max_backoff: Duration::from_secs(5),
                deadline: Some(TRY_DEADLINE),
                ..BackoffConfig::default()
            };
            let builder = ClientBuilder::new(settings.brokers.clone())
                .client_id("sluice-produce")
                .backoff_config(backoff);
            let client = builder.build().await?;
            let mut topics = Vec::new();
            for stream in &settings.streams {
                let partitions = open_partitions(&client, &stream.topic, settings.partitions);
                topics.push(Topic {
                    partitions: partitions.await?,
                    next: 0,
                });
            }
            Ok::<_, anyhow::Error>(topics)
        };
        let topics = tokio::time::timeout(CONNECT_DEADLINE, connecting)
            .await
            .map_err(|_| anyhow!("no Kafka answers at {brokers} within {CONNECT_DEADLINE:?}: set --brokers or KAFKA_BOOTSTRAP_SERVERS"))?
            .with_context(|| format!("connecting to Kafka at {brokers}"))?;
        Ok(Self {
            topics,
            sending: JoinSet::new(),
        })
    }

    /// Takes a record; sends its batch if that is full.
    pub(super) async fn send(
        &mut self,
        stream: usize,
        key: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<()> {
        let topic = self.topics.get_mut(stream).context("a known stream")?;
        let partition = topic.partition(key.as_deref());
        let batch = topic
            .partitions
            .get_mut(partition)
            .context("the topic has no partitions")?;
        batch.bytes += key.as_ref().map_or(0, Vec::len) + value.len();
        batch.records.push(Record {
            key,
            value: Some(value),
            headers: std::collections::BTreeMap::new(),
            timestamp: SystemTime::now().into(),
        });
        if batch.bytes < BATCH_BYTES {
            return Ok(());
        }
        while let Some(outcome) = self.sending.try_join_next() {
            outcome??;
        }
        let may_grow = self.sending.len() >= UNDER_WAY && batch.bytes < LARGEST_BATCH;
        if !may_grow && let Some((client, records)) = batch.take() {
            self.send_batch(client, records).await?;
        }
        Ok(())
    }

    async fn send_batch(
        &mut self,
        client: Arc<PartitionClient>,
        records: Vec<Record>,
    ) -> Result<()> {
        while self.sending.len() >= UNDER_WAY {
            self.one_done().await?;
        }
        self.sending.spawn(produce(client, records));
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
        let batches = self
            .topics
            .iter_mut()
            .flat_map(|topic| &mut topic.partitions);
        let waiting: Vec<_> = batches.filter_map(Batch::take).collect();
        for (client, records) in waiting {
            self.send_batch(client, records).await?;
        }
        while !self.sending.is_empty() {
            self.one_done().await?;
        }
        Ok(())
    }
}

impl Topic {
    /// By the key as Kafka does, or in turn.
    fn partition(&mut self, key: Option<&[u8]>) -> usize {
        if let Some(key) = key {
            let partitions = u32::try_from(self.partitions.len()).unwrap_or(1);
            return partition_of_key(key, partitions) as usize;
        }
        self.next = (self.next + 1) % self.partitions.len().max(1);
        self.next
    }
}

impl Batch {
    fn take(&mut self) -> Option<(Arc<PartitionClient>, Vec<Record>)> {
        self.bytes = 0;
        let records = std::mem::take(&mut self.records);
        (!records.is_empty()).then(|| (self.client.clone(), records))
    }
}

/// Writes a batch; tries again where that may help.
async fn produce(client: Arc<PartitionClient>, records: Vec<Record>) -> Result<()> {
    for attempt in 0..RETRIES {
        match try_once(&client, records.clone()).await {
            Ok(()) => return Ok(()),
            Err(error) if is_passing(&error) => {
                let range = FIRST_PAUSE * 2_u32.pow(attempt);
                tokio::time::sleep(range.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            }
            Err(error) => return Err(error).context("producing"),
        }
    }
    let last = try_once(&client, records).await;
    last.with_context(|| format!("producing, after {RETRIES} retries"))
}

async fn try_once(client: &PartitionClient, records: Vec<Record>) -> Result<(), KafkaError> {
    let producing = client.produce(records, Compression::Snappy);
    match tokio::time::timeout(TRY_DEADLINE, producing).await {
        Ok(produced) => produced.map(|_| ()),
        Err(_) => Err(KafkaError::Timeout),
    }
}

/// True for what may pass; what a broker refuses for good is not tried again.
fn is_passing(error: &KafkaError) -> bool {
    match error {
        KafkaError::ServerError { protocol_error, .. } => matches!(
            protocol_error,
            ProtocolError::RequestTimedOut
                | ProtocolError::NotEnoughReplicas
                | ProtocolError::NotEnoughReplicasAfterAppend
                | ProtocolError::NotLeaderOrFollower
                | ProtocolError::LeaderNotAvailable
                | ProtocolError::NetworkException
                | ProtocolError::KafkaStorageError
        ),
        KafkaError::InvalidResponse(_) => false,
        _ => true,
    }
}

async fn open_partitions(client: &Client, topic: &str, partitions: i32) -> Result<Vec<Batch>> {
    if partition_ids(client, topic).await?.is_empty() {
        let made = client
            .controller_client()?
            // -1: as many replicas as the brokers have by default.
            .create_topic(topic, partitions, -1, 5_000)
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
