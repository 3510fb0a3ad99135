//! The topics, read back from where this run began.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use connect_core::data::{Offset, TopicPartition};
use serde_json::Value;

use super::Stage;
use crate::cli::log_topics;
use crate::cli::pipeline::demo::plan::{Origin, Stream};
use crate::cli::produce::text_field;
use crate::kafka::{
    AutoOffsetReset, Consumer, ConsumerOptions, Isolation, Log, NewTopic, Subscription,
};

/// How long it may take to read a topic back.
const READ_DEADLINE: Duration = Duration::from_secs(60);
/// How long one poll waits.
const POLL: Duration = Duration::from_millis(200);
/// How long a new topic may take to be seen.
const TOPIC_DEADLINE: Duration = Duration::from_secs(15);

/// The ends of the topics when the run began.
pub(in crate::cli::pipeline::demo) type Starts = BTreeMap<TopicPartition, Offset>;

/// The log.
pub(in crate::cli::pipeline::demo) struct LogStage {
    pub(in crate::cli::pipeline::demo) log: Arc<dyn Log>,
    pub(in crate::cli::pipeline::demo) starts: Starts,
    /// The brokers; `None` for the log inside this process.
    pub(in crate::cli::pipeline::demo) brokers: Option<String>,
}

impl LogStage {
    /// Makes the topics that are not there, and remembers where they end.
    pub(in crate::cli::pipeline::demo) async fn open(
        log: Arc<dyn Log>,
        streams: &[Stream],
        partitions: i32,
        brokers: Option<String>,
    ) -> Result<Self> {
        let mut starts = Starts::new();
        for stream in streams {
            starts.extend(open_topic(&*log, &stream.topic, partitions).await?);
        }
        Ok(Self {
            log,
            starts,
            brokers,
        })
    }

    /// The first offset of this run in each partition of these topics.
    pub(in crate::cli::pipeline::demo) fn starts_of(&self, topics: &[&str]) -> Starts {
        let starts = self.starts.iter();
        let wanted = starts.filter(|(partition, _)| topics.contains(&&*partition.topic));
        wanted
            .map(|(partition, start)| (partition.clone(), *start))
            .collect()
    }

    async fn values(&self, topic: &str) -> Result<Vec<bytes::Bytes>> {
        let ends = log_topics::ends(&*self.log, topic).await?;
        let options = ConsumerOptions {
            group: None,
            subscription: Subscription::Partitions(ends.keys().cloned().collect()),
            client_id: "sluice-pipeline-demo".to_owned(),
            auto_offset_reset: AutoOffsetReset::Earliest,
            isolation: Isolation::ReadCommitted,
            max_poll_records: 1000,
            fetch_max_bytes: 8 << 20,
            listener: None,
            overrides: BTreeMap::new(),
        };
        let consumer = self.log.consumer(options).await?;
        let read = self.read(&*consumer, &ends).await;
        consumer.close().await?;
        read.with_context(|| format!("reading {topic} back"))
    }

    async fn read(&self, consumer: &dyn Consumer, ends: &Starts) -> Result<Vec<bytes::Bytes>> {
        let deadline = Instant::now() + READ_DEADLINE;
        let mut values = Vec::new();
        // A partition has no position before the first poll.
        let mut records = consumer.poll(POLL).await?;
        self.skip_older(consumer, ends).await?;
        loop {
            let inside = records.into_iter().filter(|record| {
                let partition = TopicPartition::new(record.topic.clone(), record.partition);
                let is_before_end = ends.get(&partition).is_some_and(|end| record.offset < *end);
                is_before_end && record.offset >= self.start(&partition)
            });
            values.extend(inside.filter_map(|record| record.value));
            if is_read(consumer, ends).await? {
                return Ok(values);
            }
            if Instant::now() > deadline {
                bail!("not within {READ_DEADLINE:?}");
            }
            records = consumer.poll(POLL).await?;
        }
    }

    /// The first offset of this run.
    fn start(&self, partition: &TopicPartition) -> Offset {
        self.starts
            .get(partition)
            .copied()
            .unwrap_or(Offset::new(0))
    }

    /// Goes on at the first event of this run.
    async fn skip_older(&self, consumer: &dyn Consumer, ends: &Starts) -> Result<()> {
        for partition in ends.keys() {
            let start = self.start(partition);
            if consumer.position(partition).await.unwrap_or_default() < start {
                consumer.seek(partition, start).await?;
            }
        }
        Ok(())
    }
}

/// True if the consumer is at the ends.
async fn is_read(consumer: &dyn Consumer, ends: &Starts) -> Result<bool> {
    for (partition, end) in ends {
        if consumer.position(partition).await.unwrap_or_default() < *end {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn open_topic(log: &dyn Log, topic: &str, partitions: i32) -> Result<Starts> {
    let wanted = NewTopic {
        name: topic.to_owned(),
        partitions: Some(partitions),
        replication_factor: None,
        settings: BTreeMap::new(),
    };
    log.admin().create_topic(&wanted).await?;
    let deadline = Instant::now() + TOPIC_DEADLINE;
    loop {
        match log_topics::ends(log, topic).await {
            Ok(ends) if !ends.is_empty() => return Ok(ends),
            outcome if Instant::now() > deadline => {
                outcome?;
                bail!("topic {topic} was made and is not there after {TOPIC_DEADLINE:?}");
            }
            // A broker may know a new topic before it leads its partitions.
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

#[async_trait]
impl Stage for LogStage {
    fn name(&self) -> &'static str {
        match self.brokers {
            Some(_) => "Kafka",
            None => "the log",
        }
    }

    fn place(&self) -> String {
        match &self.brokers {
            Some(brokers) => format!("Kafka at {brokers}"),
            None => "a log inside this process, on disk".to_owned(),
        }
    }

    async fn ids(&self, stream: &Stream) -> Result<Vec<String>> {
        let values = self.values(&stream.topic).await?;
        let mut ids = Vec::with_capacity(values.len());
        for value in values {
            match stream.origin {
                Origin::Generated(_) => ids.push(id_of(&value, stream)),
                Origin::Api | Origin::Csv => ids.extend(ids_of_envelope(&value, stream)?),
            }
        }
        Ok(ids)
    }

    async fn count(&self, stream: &Stream) -> Result<usize> {
        if !stream.is_generated() {
            return Ok(self.ids(stream).await?.len());
        }
        let ends = log_topics::ends(&*self.log, &stream.topic).await?;
        let written = ends.iter().map(|(partition, end)| {
            let written = end.value() - self.start(partition).value();
            usize::try_from(written).unwrap_or(0)
        });
        Ok(written.sum())
    }
}

/// An event's id; what is no event of ours has none, and is foreign.
fn id_of(value: &[u8], stream: &Stream) -> String {
    let id = text_field(value, stream.id_field());
    id.unwrap_or_default().to_owned()
}

/// The ids of a message's rows, if they come from this stream's source.
fn ids_of_envelope(value: &[u8], stream: &Stream) -> Result<Vec<String>> {
    let message: Value = serde_json::from_slice(value).context("a message that is not JSON")?;
    if message.get("source").and_then(Value::as_str) != Some(stream.name.as_str()) {
        return Ok(Vec::new());
    }
    let rows = message.get("data").and_then(Value::as_array);
    let rows = rows.context("a message without rows")?;
    let id = |row: &Value| match row.get(stream.id_field()) {
        Some(Value::String(id)) => id.clone(),
        Some(id) => id.to_string(),
        None => String::new(),
    };
    Ok(rows.iter().map(id).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_message_belong_to_the_stream_of_its_source() {
        let stream = |name: &str| Stream {
            name: name.to_owned(),
            topic: "data-stream".to_owned(),
            origin: Origin::Csv,
        };
        let message = br#"{"source": "csv_users", "data": [{"id": 7}, {"id": "8"}]}"#;
        let ids = |name: &str| ids_of_envelope(message, &stream(name)).unwrap();
        assert_eq!(ids("csv_users"), ["7", "8"]);
        assert!(ids("api_users").is_empty());
        assert!(ids_of_envelope(b"{", &stream("csv_users")).is_err());
    }
}
