//! The loop of a source task: poll, convert, send, store offsets.
//!
//! Holds always: a source offset is stored only after every record up to it was acknowledged by the log.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::clock::Clock;
use connect_core::config::{CommonOptions, ConfigMap, ConnectorConfig};
use connect_core::data::{Offsets, SourceOffset, SourcePartition, SourceRecord};
use connect_core::plugin::{
    Connector, OffsetReader, Polled, SourceTask, SourceTaskContext, TaskId,
};
use connect_core::retry::RetryPolicy;
use connect_core::{Error, Result};
use tokio::time::Instant;
use tracing::{info, warn};

use super::active_topics::TopicTracker;
use super::control::{Control, Wanted};
use super::errors::{ErrorHandling, ErrorReport, RecordFailure, Stage};
use super::info::State;
use super::metrics::TaskMetrics;
use super::pipeline::Pipeline;
use super::status::StatusBoard;
use super::topic_creation::{TopicCreation, TopicProvider};
use super::worker_config::wrong_options;
use crate::kafka::{Log, Producer, ProducerOptions, ProducerRecord};
use crate::storage::OffsetStorage;

/// Pauses between tries of a failing source.
const RETRY: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(250),
    max: Duration::from_secs(30),
};

/// Who refuses a record that the log does not take, as Kafka Connect names it.
const PRODUCER: &str = "org.apache.kafka.clients.producer.KafkaProducer";

/// What a source task is made of.
pub(super) struct SourceTaskSpec {
    pub(super) id: TaskId,
    pub(super) task_count: u32,
    pub(super) connector: Arc<dyn Connector>,
    pub(super) config: ConfigMap,
    pub(super) log: Arc<dyn Log>,
    /// The settings of its producer: the worker's with the connector's above them.
    pub(super) producer_settings: ConfigMap,
    /// Those of its admin client, which makes topics.
    pub(super) admin_settings: ConfigMap,
    /// Whether `topic.creation.*` counts.
    pub(super) makes_topics: bool,
    pub(super) pipeline: Pipeline,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) offsets: OffsetStorage,
    pub(super) flush_interval: Duration,
    pub(super) status: StatusBoard,
    pub(super) metrics: TaskMetrics,
    /// `None`: topics are not tracked.
    pub(super) topics: Option<TopicTracker>,
}

struct ConnectorOffsets {
    connector: Arc<str>,
    storage: OffsetStorage,
}

#[async_trait]
impl OffsetReader for ConnectorOffsets {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        self.storage.get(&self.connector, partition)
    }
}

/// Runs until told to stop.
pub(super) async fn run(spec: SourceTaskSpec, control: Control) -> Result<()> {
    let options = ProducerOptions {
        client_id: format!("connector-producer-{}", spec.id),
        overrides: spec.producer_settings.clone(),
        ..ProducerOptions::default()
    };
    let producer = spec.log.producer(options).await?;
    let mut task = spec.connector.source_task(SourceTaskContext {
        task: spec.id.clone(),
        task_count: spec.task_count,
        clock: spec.clock.clone(),
        offsets: Arc::new(ConnectorOffsets {
            connector: spec.id.connector.clone(),
            storage: spec.offsets.clone(),
        }),
    })?;
    task.start().await?;
    let options = CommonOptions::from_map(&spec.config).map_err(|errors| wrong_options(&errors))?;
    let provider = topic_provider(&spec).await?;
    let mut source = SourceLoop {
        provider,
        report: ErrorReport {
            handling: ErrorHandling::of(&options),
            status: spec.status.clone(),
            metrics: spec.metrics.clone(),
            clock: spec.clock.clone(),
            queue: None,
        },
        last_stored: Instant::now(),
        spec,
        control,
        producer: producer.clone(),
        acknowledged: Vec::new(),
        acknowledged_records: 0,
        attempts: 0,
    };
    let outcome = source.run(&mut *task).await;
    let stored = source.store(&mut *task).await;
    let stopped = task.stop().await;
    let closed = producer.close().await;
    outcome.and(stored).and(stopped).and(closed)
}

/// What makes the connector's topics; `None` if the broker does.
async fn topic_provider(spec: &SourceTaskSpec) -> Result<Option<TopicProvider>> {
    if !spec.makes_topics {
        return Ok(None);
    }
    let Some(creation) = TopicCreation::of(&spec.config)? else {
        return Ok(None);
    };
    let client_id = format!("connector-adminclient-{}", spec.id);
    let admin = spec.log.admin_with(&client_id, spec.admin_settings.clone());
    Ok(Some(TopicProvider::new(creation, admin.await?)))
}

/// Where a record stands after the attempt to convert it.
enum Converted {
    Yes,
    /// The task is to stop while a schema cannot be fetched.
    Stopped,
}

struct SourceLoop {
    /// `None`: topics are made by the broker.
    provider: Option<TopicProvider>,
    report: ErrorReport,
    spec: SourceTaskSpec,
    control: Control,
    producer: Arc<dyn Producer>,
    /// Offsets of acknowledged records, the last of each partition.
    acknowledged: Vec<(Arc<SourcePartition>, SourceOffset)>,
    acknowledged_records: usize,
    last_stored: Instant,
    attempts: u32,
}

impl SourceLoop {
    async fn run(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        loop {
            match self.control.wanted() {
                Wanted::Stop => return Ok(()),
                Wanted::Pause => {
                    self.spec.status.task(self.spec.id.task, State::Paused);
                    self.store(task).await?;
                    self.control.changed().await;
                    continue;
                }
                Wanted::Run => self.spec.status.task(self.spec.id.task, State::Running),
            }
            while self.control.wanted() == Wanted::Run {
                self.step(task).await?;
            }
        }
    }

    async fn step(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        let due = self.last_stored + self.spec.flush_interval;
        let begin = Instant::now();
        let polled = tokio::select! {
            polled = task.poll() => polled,
            () = self.control.changed() => return Ok(()),
            () = tokio::time::sleep_until(due) => return self.store(task).await,
        };
        match polled {
            Ok(Polled::Records(records)) => {
                self.attempts = 0;
                self.spec.metrics.polled(records.len(), begin.elapsed());
                self.send(records).await
            }
            Ok(Polled::Finished) => {
                self.store(task).await?;
                info!("the source has come to its end");
                self.control.changed().await;
                Ok(())
            }
            Err(error) if error.is_retriable() => {
                self.attempts += 1;
                self.spec.status.task_retries(self.spec.id.task, &error);
                let pause = self
                    .report
                    .handling
                    .pauses(RETRY)
                    .pause(self.attempts, &error);
                warn!(
                    error = self.spec.status.trace_of(&error),
                    ?pause,
                    "polling failed, trying again"
                );
                self.control.sleep(pause).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Sends all and keeps the offsets of what was acknowledged before the first failure.
    async fn send(&mut self, records: Vec<SourceRecord>) -> Result<()> {
        let mut converted = Vec::with_capacity(records.len());
        let mut originals = Vec::with_capacity(records.len());
        for mut record in records {
            let (partition, offset) =
                (record.source_partition.clone(), record.source_offset.take());
            let (topic, before) = (record.topic.clone(), converted.len());
            match self.convert(record, &mut converted).await {
                Ok(Converted::Yes) => {}
                Ok(Converted::Stopped) => return Ok(()), // read again after the next start
                Err(failure) => {
                    converted.truncate(before);
                    self.report.produced(&topic, failure)?;
                }
            }
            originals.push((partition, offset, converted.len()));
        }
        let (count, bytes) = (converted.len(), converted.iter().map(size).sum());
        self.spec.metrics.sending(count);
        let topics: Vec<_> = converted
            .iter()
            .map(|record| record.topic.clone())
            .collect();
        let mut distinct = topics.clone();
        distinct.dedup();
        if let Some(provider) = &mut self.provider {
            for topic in &distinct {
                provider.provide(topic).await?;
            }
        }
        let results = self.producer.send(converted).await;
        let taken = results.as_ref().map_or(0, |results| {
            results.iter().filter(|result| result.is_ok()).count()
        });
        self.spec
            .metrics
            .acknowledged(taken, if taken > 0 { bytes } else { 0 });
        let results = results?;
        let mut results = results.into_iter().zip(&topics);
        let mut acknowledged = 0;
        for (partition, offset, end) in originals {
            // A record is acknowledged with the last of its pieces; at once if a transform has dropped it.
            for (result, topic) in results.by_ref().take(end - acknowledged) {
                if let Err(error) = result {
                    let failure = RecordFailure::new(Stage::KafkaProduce, PRODUCER, error);
                    self.report.produced(topic, failure)?;
                }
            }
            acknowledged = end;
            self.acknowledge(partition, offset);
        }
        if let Some(tracker) = &mut self.spec.topics {
            distinct.iter().for_each(|topic| tracker.used(topic));
        }
        Ok(())
    }

    async fn convert(
        &mut self,
        record: SourceRecord,
        out: &mut Vec<ProducerRecord>,
    ) -> Result<Converted, RecordFailure> {
        let looks_up = self.spec.pipeline.looks_up();
        for record in &self.spec.pipeline.transformed(record)? {
            if looks_up && !self.fetch_schemas(record).await? {
                return Ok(Converted::Stopped);
            }
            out.push(self.spec.pipeline.to_bytes(record)?);
        }
        Ok(Converted::Yes)
    }

    /// Tries until it succeeds; false if the task is to stop. A pause does not end it: what was polled must not be lost.
    async fn fetch_schemas(&mut self, record: &SourceRecord) -> Result<bool, RecordFailure> {
        let (mut attempts, begin) = (0, Instant::now());
        loop {
            let failure = match self.spec.pipeline.fetch_for_log(record).await {
                Ok(()) => return Ok(true),
                Err(failure) => failure,
            };
            if !failure.error.is_retriable() {
                return Err(failure);
            }
            if self.report.handling.gives_up(begin.elapsed()) {
                return Err(failure.given_up());
            }
            let error = failure.error;
            if self.control.wanted() == Wanted::Stop {
                return Ok(false);
            }
            attempts += 1;
            self.spec.status.task_retries(self.spec.id.task, &error);
            let pause = self.report.handling.pauses(RETRY).pause(attempts, &error);
            let error = self.spec.status.trace_of(&error);
            warn!(error, ?pause, "a schema cannot be fetched, trying again");
            self.control.sleep(pause).await;
        }
    }

    fn acknowledge(&mut self, partition: Arc<SourcePartition>, offset: Option<SourceOffset>) {
        self.acknowledged_records += 1;
        let Some(offset) = offset else {
            return;
        };
        let same =
            |known: &Arc<SourcePartition>| Arc::ptr_eq(known, &partition) || *known == partition;
        match self.acknowledged.iter_mut().find(|(known, _)| same(known)) {
            Some((_, last)) => *last = offset,
            None => self.acknowledged.push((partition, offset)),
        }
    }

    async fn store(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        self.last_stored = Instant::now();
        if self.acknowledged_records == 0 {
            return Ok(());
        }
        let begin = Instant::now();
        let offsets = &self.spec.offsets;
        let stored = offsets
            .put(&self.spec.id.connector, &self.acknowledged)
            .await;
        let metrics = &self.spec.metrics;
        match &stored {
            Ok(()) => {
                let now = self.spec.clock.now();
                metrics.committed(&Offsets::new(), begin.elapsed(), now);
            }
            Err(_) => metrics.commit_failed(begin.elapsed(), false),
        }
        stored.map_err(|cause: Error| {
            Error::external("source offsets were not stored").source(cause)
        })?;
        self.acknowledged.clear();
        task.acked(std::mem::take(&mut self.acknowledged_records))
            .await
    }
}

/// Bytes of key and value.
fn size(record: &ProducerRecord) -> u64 {
    let length = |bytes: Option<&bytes::Bytes>| bytes.map_or(0, |bytes| bytes.len() as u64);
    length(record.key.as_ref()) + length(record.value.as_ref())
}
