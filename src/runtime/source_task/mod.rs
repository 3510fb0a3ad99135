//! The loop of a source task: poll, convert, send, store offsets.
//!
//! Holds always: a source offset is stored only after every record up to it was acknowledged by the log, or together with
//! them.

mod at_least_once;
mod batch;
mod delivery;
mod exactly_once;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::clock::Clock;
use connect_core::config::{CommonOptions, ConfigMap, ConnectorConfig};
use connect_core::data::{SourceOffset, SourcePartition, SourceRecord};
use connect_core::plugin::{
    Connector, OffsetReader, Polled, SourceTask, SourceTaskContext, TaskId, TransactionBoundaries,
};
use connect_core::retry::RetryPolicy;
use tokio::time::Instant;
use tracing::{info, warn};

use self::at_least_once::AtLeastOnce;
use self::batch::{Acknowledged, Batch};
use self::delivery::{Delivery, Settle, Settled, Way};
use self::exactly_once::ExactlyOnce;
use super::active_topics::TopicTracker;
use super::control::{Control, Wanted};
use super::errors::{ErrorHandling, ErrorReport, RecordFailure};
use super::exactly_once::{Boundary, TaskGate, TaskPlace, TaskProducer, TaskTransactions};
use super::info::State;
use super::metrics::TaskMetrics;
use super::pipeline::Pipeline;
use super::status::StatusBoard;
use super::topic_creation::{TopicCreation, TopicProvider};
use super::worker_config::wrong_options;
use crate::kafka::{Log, ProducerOptions, ProducerRecord};
use crate::storage::ConnectorOffsets;

/// Pauses between tries of a failing source.
const RETRY: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(250),
    max: Duration::from_secs(30),
};

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
    pub(super) offsets: ConnectorOffsets,
    pub(super) flush_interval: Duration,
    pub(super) status: StatusBoard,
    pub(super) metrics: TaskMetrics,
    /// `None`: topics are not tracked.
    pub(super) topics: Option<TopicTracker>,
    /// `None`: records are delivered at least once.
    pub(super) exactly_once: Option<ExactlyOnceSpec>,
}

/// What a task needs to deliver exactly once.
pub(super) struct ExactlyOnceSpec {
    /// The worker's group.
    pub(super) group: String,
    /// What the task asks before it starts.
    pub(super) gate: Arc<dyn TaskGate>,
    /// Where source offsets are kept.
    pub(super) offsets_topic: String,
}

struct StoredOffsets(ConnectorOffsets);

#[async_trait]
impl OffsetReader for StoredOffsets {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        self.0.get(partition)
    }
}

/// Runs until told to stop.
pub(super) async fn run(mut spec: SourceTaskSpec, mut control: Control) -> Result<()> {
    let mut way = way(&mut spec).await?;
    while run_once(&mut spec, &mut control, &mut way).await? == Settled::Rewound {
        info!("records whose transaction was dropped are asked for again");
    }
    Ok(())
}

async fn way(spec: &mut SourceTaskSpec) -> Result<Way> {
    let options = CommonOptions::from_map(&spec.config).map_err(|errors| wrong_options(&errors))?;
    Ok(Way {
        provider: topic_provider(spec).await?,
        topics: spec.topics.take(),
        report: ErrorReport {
            handling: ErrorHandling::of(&options),
            status: spec.status.clone(),
            metrics: spec.metrics.clone(),
            clock: spec.clock.clone(),
            queue: None,
        },
        metrics: spec.metrics.clone(),
        clock: spec.clock.clone(),
    })
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

/// Runs one task object with its producer.
async fn run_once(
    spec: &mut SourceTaskSpec,
    control: &mut Control,
    way: &mut Way,
) -> Result<Settled> {
    let (delivery, transactions) = delivery(spec).await?;
    // Whatever others have stored, this task goes on from it.
    spec.offsets.refresh().await?;
    let mut task = spec.connector.source_task(SourceTaskContext {
        task: spec.id.clone(),
        task_count: spec.task_count,
        clock: spec.clock.clone(),
        offsets: Arc::new(StoredOffsets(spec.offsets.clone())),
        transactions,
    })?;
    task.start().await?;
    let mut source = SourceLoop {
        spec,
        control,
        way,
        delivery,
        attempts: 0,
    };
    let outcome = source.run(&mut *task).await;
    let outcome = match outcome {
        Ok(Settled::Yes) => {
            let settled = source.delivery.settle(Settle::Stop, source.way, &mut *task);
            // What was dropped now, the next start asks for.
            settled.await.map(|_| Settled::Yes)
        }
        Ok(Settled::Rewound) => Ok(Settled::Rewound),
        Err(failure) => Err(source.delivery.fail(failure, source.way, &mut *task).await),
    };
    let stopped = task.stop().await;
    let closed = source.delivery.close().await;
    let settled = outcome?;
    stopped.and(closed).map(|()| settled)
}

/// Opens the task's producer; with what the task is given to end transactions by.
async fn delivery(
    spec: &SourceTaskSpec,
) -> Result<(Box<dyn Delivery>, Option<TransactionBoundaries>)> {
    let mut settings = spec.producer_settings.clone();
    let offsets = spec.offsets.clone();
    let Some(exactly_once) = &spec.exactly_once else {
        let options = ProducerOptions {
            client_id: format!("connector-producer-{}", spec.id),
            overrides: settings,
            ..ProducerOptions::default()
        };
        let producer = spec.log.producer(options).await?;
        let delivery = AtLeastOnce::new(producer, offsets, spec.flush_interval);
        return Ok((Box::new(delivery), None));
    };
    let boundary = Boundary::of(&spec.config, spec.flush_interval)?;
    if let Some(timeout) = boundary.transaction_timeout() {
        let timeout = timeout.as_millis().to_string();
        settings
            .entry("transaction.timeout.ms".to_owned())
            .or_insert(timeout);
    }
    let of_connector = boundary.of_connector();
    let producer = TaskProducer {
        group: &exactly_once.group,
        task: &spec.id,
        settings,
    };
    let (transactions, place) = exactly_once.open(producer, spec).await?;
    let delivery = ExactlyOnce {
        transactions,
        place,
        boundary,
        offsets,
        offsets_topic: exactly_once.offsets_topic.clone(),
        waits_for_offsets: spec.connector.exactly_once_support().is_some(),
        acknowledged: Acknowledged::default(),
    };
    Ok((Box::new(delivery), of_connector))
}

impl ExactlyOnceSpec {
    /// Opens the task's producer once no task of older configs can write. It fences out whoever runs the task elsewhere,
    /// so the task must be this worker's; while it was opened, all may have changed.
    async fn open(
        &self,
        producer: TaskProducer<'_>,
        spec: &SourceTaskSpec,
    ) -> Result<(TaskTransactions, TaskPlace)> {
        let place = TaskPlace::take(&self.gate, &spec.id).await?;
        self.gate.fence(&spec.id.connector, &spec.config).await?;
        place.check_held()?;
        let transactions = producer.open(&*spec.log).await?;
        match place.check().await {
            Ok(()) => Ok((transactions, place)),
            Err(taken) => {
                transactions.close().await?;
                Err(taken)
            }
        }
    }
}

/// Where a record stands after the attempt to convert it.
enum Converted {
    Yes,
    /// The task is to stop while a schema cannot be fetched.
    Stopped,
}

struct SourceLoop<'a> {
    spec: &'a mut SourceTaskSpec,
    control: &'a mut Control,
    way: &'a mut Way,
    delivery: Box<dyn Delivery>,
    attempts: u32,
}

impl SourceLoop<'_> {
    /// Ends when the task is to stop, or must be made anew.
    async fn run(&mut self, task: &mut dyn SourceTask) -> Result<Settled> {
        loop {
            match self.control.wanted() {
                Wanted::Stop => return Ok(Settled::Yes),
                Wanted::Pause => {
                    self.spec.status.task(self.spec.id.task, State::Paused);
                    if self.settle(Settle::Pause, task).await? == Settled::Rewound {
                        return Ok(Settled::Rewound);
                    }
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

    async fn settle(&mut self, why: Settle, task: &mut dyn SourceTask) -> Result<Settled> {
        self.delivery.settle(why, self.way, task).await
    }

    async fn step(&mut self, task: &mut dyn SourceTask) -> Result<()> {
        let due = self.delivery.due();
        let begin = Instant::now();
        let polled = tokio::select! {
            polled = task.poll() => polled,
            () = self.control.changed() => return Ok(()),
            () = until(due) => return self.settle(Settle::Due, task).await.map(drop),
        };
        match polled {
            Ok(Polled::Records(records)) => {
                self.attempts = 0;
                self.spec.metrics.polled(records.len(), begin.elapsed());
                self.send(records, task).await
            }
            Ok(Polled::Finished) => {
                self.settle(Settle::Finish, task).await?;
                info!("the source has come to its end");
                self.control.changed().await;
                Ok(())
            }
            Err(error) if error.is_retriable() => {
                self.attempts += 1;
                self.spec.status.task_retries(self.spec.id.task, &error);
                let pauses = self.way.report.handling.pauses(RETRY);
                let pause = pauses.pause(self.attempts, &error);
                warn!(
                    error = self.spec.status.trace_of(&error),
                    ?pause,
                    "polling failed, trying again"
                );
                self.pause(pause, task).await
            }
            Err(error) => Err(error),
        }
    }

    /// Waits before the source is asked again; what is due meanwhile is not kept waiting.
    async fn pause(&mut self, pause: Duration, task: &mut dyn SourceTask) -> Result<()> {
        let end = Instant::now() + pause;
        loop {
            let due = self.delivery.due();
            tokio::select! {
                () = self.control.sleep(end.saturating_duration_since(Instant::now())) => return Ok(()),
                () = until(due) => self.settle(Settle::Due, task).await.map(drop)?,
            }
        }
    }

    async fn send(&mut self, records: Vec<SourceRecord>, task: &mut dyn SourceTask) -> Result<()> {
        let Some(batch) = self.converted(records).await? else {
            return Ok(()); // read again after the next start
        };
        self.delivery.deliver(batch, self.way, task).await
    }

    /// What transforms and converters make of polled records; `None` if the task is to stop before that is known.
    async fn converted(&mut self, records: Vec<SourceRecord>) -> Result<Option<Batch>> {
        let mut batch = Batch::default();
        for mut record in records {
            let (partition, offset) =
                (record.source_partition.clone(), record.source_offset.take());
            let (topic, before) = (record.topic.clone(), batch.records.len());
            match self.convert(record, &mut batch.records).await {
                Ok(Converted::Yes) => {}
                Ok(Converted::Stopped) => return Ok(None),
                Err(failure) => {
                    batch.records.truncate(before);
                    self.way.report.produced(&topic, failure)?;
                }
            }
            batch.polled.push(batch::Polled {
                partition,
                offset,
                end: batch.records.len(),
            });
        }
        Ok(Some(batch))
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
            let fetched = tokio::select! {
                biased;
                () = self.control.stopped() => return Ok(false),
                fetched = self.spec.pipeline.fetch_for_log(record) => fetched,
            };
            let Err(failure) = fetched else {
                return Ok(true);
            };
            if !failure.error.is_retriable() {
                return Err(failure);
            }
            if self.way.report.handling.gives_up(begin.elapsed()) {
                return Err(failure.given_up());
            }
            let error = failure.error;
            attempts += 1;
            self.spec.status.task_retries(self.spec.id.task, &error);
            let pause = self
                .way
                .report
                .handling
                .pauses(RETRY)
                .pause(attempts, &error);
            let error = self.spec.status.trace_of(&error);
            warn!(error, ?pause, "a schema cannot be fetched, trying again");
            self.control.sleep(pause).await;
        }
    }
}

/// Waits for a moment; for ever if there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
