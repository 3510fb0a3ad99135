//! The dead letter queue: a topic that takes records as they were read, with headers that say what happened.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::config::{ConfigMap, ConnectorConfig, SinkOptions};
use connect_core::data::{RawHeaders, TopicPartition};
use connect_core::plugin::TaskId;
use connect_core::{Error, ErrorKind, Result};
use tracing::warn;

use super::failure::RecordFailure;
use crate::kafka::{
    Admin, ConsumedRecord, Log, NewTopic, Producer, ProducerOptions, ProducerRecord,
};
use crate::runtime::worker_config::wrong_options;

/// What the names of all headers begin with that say what happened.
pub const ERROR_HEADERS: &str = "__connect.errors.";

/// Where a sink task's dead letters go.
pub(in crate::runtime) struct DeadLetterQueue {
    topic: Arc<str>,
    task: TaskId,
    with_headers: bool,
    producer: Arc<dyn Producer>,
    /// Letters the log has not acknowledged.
    waiting: Vec<Waiting>,
}

/// A letter that the log has not acknowledged.
struct Waiting {
    /// Where the record came from.
    origin: TopicPartition,
    letter: ProducerRecord,
    /// How many of the letter's headers are the record's own: those that say what happened stand behind them.
    own_headers: usize,
    /// True if the log has found it too large.
    is_refused: bool,
}

/// The first headers that say what happened say where the record was: topic, partition, offset.
const PLACE_HEADERS: usize = 3;

/// The settings of a queue's own clients.
pub(in crate::runtime) struct QueueClients {
    pub(in crate::runtime) producer: ConfigMap,
    pub(in crate::runtime) admin: ConfigMap,
}

impl DeadLetterQueue {
    /// The queue of a connector; none if it names none. Its topic is made if it is not there.
    pub(in crate::runtime) async fn open(
        task: &TaskId,
        config: &ConfigMap,
        clients: QueueClients,
        log: &dyn Log,
    ) -> Result<Option<Self>> {
        let options = SinkOptions::from_map(config).map_err(|errors| wrong_options(&errors))?;
        if options.dead_letter_topic.is_empty() {
            return Ok(None);
        }
        let admin_id = format!("connector-dlq-adminclient-{task}");
        let admin = log.admin_with(&admin_id, clients.admin).await?;
        provide_topic(&options, &*admin).await?;
        let settings = ProducerOptions {
            client_id: format!("connector-dlq-producer-{task}"),
            overrides: clients.producer,
            ..ProducerOptions::default()
        };
        Ok(Some(Self {
            topic: options.dead_letter_topic.into(),
            task: task.clone(),
            with_headers: options.dead_letter_headers,
            producer: log.producer(settings).await?,
            waiting: Vec::new(),
        }))
    }

    /// Takes a record. It is on its way once [`DeadLetterQueue::deliver`] is called.
    pub(super) fn push(&mut self, record: &ConsumedRecord, failure: &RecordFailure, trace: &str) {
        let mut headers = record.headers.clone();
        let own_headers = headers.len();
        if self.with_headers {
            headers.extend(self.context(record, failure, trace));
        }
        let origin = TopicPartition::new(record.topic.clone(), record.partition);
        let letter = ProducerRecord {
            topic: self.topic.clone(),
            partition: None,
            timestamp: record.timestamp.timestamp(),
            headers,
            key: record.key.clone(),
            value: record.value.clone(),
        };
        self.waiting.push(Waiting {
            origin,
            letter,
            own_headers,
            is_refused: false,
        });
    }

    fn context(&self, record: &ConsumedRecord, failure: &RecordFailure, trace: &str) -> RawHeaders {
        let said = [
            ("topic", record.topic.to_string()),
            ("partition", record.partition.to_string()),
            ("offset", record.offset.to_string()),
            ("connector.name", self.task.connector.to_string()),
            ("task.id", self.task.task.to_string()),
            ("stage", failure.stage.name().to_owned()),
            ("class.name", failure.class.clone()),
            ("exception.class.name", failure.exception_class().to_owned()),
            ("exception.message", failure.message(trace)),
            ("exception.stacktrace", trace.to_owned()),
        ];
        said.into_iter()
            .map(|(name, text)| {
                (
                    format!("{ERROR_HEADERS}{name}").into(),
                    Some(Bytes::from(text)),
                )
            })
            .collect()
    }

    /// How many letters wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Sends what waits and waits for the acknowledgements. What was not acknowledged waits on. A letter that is too large says
    /// less of what happened, rather than that the task fails for it.
    pub(super) async fn deliver(&mut self) -> Result<()> {
        let mut outcome = self.send().await;
        for headers in [PLACE_HEADERS, 0] {
            if !self.shorten_refused(headers) {
                break;
            }
            outcome = self.send().await;
        }
        outcome.map_err(|cause| self.failed(cause))
    }

    async fn send(&mut self) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let letters = self.waiting.iter().map(|waiting| waiting.letter.clone());
        let results = self.producer.send(letters.collect()).await?;
        let mut failure = None;
        let sent = std::mem::take(&mut self.waiting);
        for (mut waiting, result) in sent.into_iter().zip(results) {
            if let Err(cause) = result {
                waiting.is_refused = cause.kind() == ErrorKind::Data;
                failure.get_or_insert(cause);
                self.waiting.push(waiting);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Leaves letters that were too large only so many headers that say what happened; false if that makes none smaller.
    fn shorten_refused(&mut self, headers: usize) -> bool {
        let mut is_shorter = false;
        for waiting in self.waiting.iter_mut().filter(|waiting| waiting.is_refused) {
            let left = waiting.own_headers + headers;
            is_shorter |= waiting.letter.headers.len() > left;
            waiting.letter.headers.truncate(left);
        }
        if is_shorter {
            warn!(
                topic = &*self.topic,
                headers,
                "a letter is too large with all that it says of its error: headers are left out"
            );
        }
        is_shorter
    }

    fn failed(&self, cause: Error) -> Error {
        let text = match cause.kind() {
            ErrorKind::Data => {
                "a letter is too large: raise max.message.bytes of the dead letter queue's topic and producer.override.max.request.size of the connector"
            }
            _ => "the record was not taken by the dead letter queue",
        };
        // Not the record's fault any more, nor one that goes away by itself: somebody must let larger letters in.
        let kind = match cause.kind() {
            ErrorKind::Data => ErrorKind::Config,
            kind => kind,
        };
        Error::new(kind, text)
            .retry(cause.verdict())
            .operation("write to")
            .target(&*self.topic)
            .source(cause)
    }

    /// Drops letters of partitions that another task has now: it writes its own.
    pub(super) fn forget(&mut self, partitions: &[TopicPartition]) {
        self.waiting
            .retain(|waiting| !partitions.contains(&waiting.origin));
    }

    pub(in crate::runtime) async fn close(&self) -> Result<()> {
        self.producer.close().await
    }
}

async fn provide_topic(options: &SinkOptions, admin: &dyn Admin) -> Result<()> {
    let topic = &options.dead_letter_topic;
    if admin.describe_topic(topic).await?.is_some() {
        return Ok(());
    }
    let new = NewTopic {
        name: topic.clone(),
        partitions: Some(1),
        replication_factor: Some(options.dead_letter_replication),
        settings: [].into(),
    };
    admin.create_topic(&new).await.map_err(|cause| {
        let text = "the topic of the dead letter queue cannot be made: make it, or set errors.deadletterqueue.topic.replication.factor to at most the number of brokers";
        Error::new(cause.kind(), text)
            .retry(cause.verdict())
            .operation("create topic")
            .target(topic)
            .source(cause)
    })?;
    Ok(())
}
