//! The dry run of a source: its task is polled, and what the log would be given is shown.
//!
//! Holds always: nothing is acknowledged to the task, no offset is stored, nothing is produced, no schema registered.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::config::{CommonOptions, ConnectorConfig, ErrorTolerance, connector_from_map};
use connect_core::data::{SourceOffset, SourcePartition, SourceRecord};
use connect_core::plugin::{
    Connector, OffsetReader, Polled, SourcePreview, SourceTask, SourceTaskContext, TaskId,
};
use connect_core::{Error, Result};
use tokio::time::{Instant, timeout_at};

use super::Plan;
use super::report::{DryRunRecord, DryRunReport, Outcome, ShownRecord, Stored};
use super::request::Beginning;
use super::shown::Display;
use super::sink::shown_error;
use crate::runtime::connector_actor::task_count;
use crate::runtime::environment::Environment;
use crate::runtime::errors::RecordFailure;
use crate::runtime::pipeline::Pipeline;
use crate::runtime::source_offsets;
use crate::runtime::worker_config::wrong_options;
use crate::storage::ConnectorOffsets;

/// How long all tasks together may be polled.
const POLL_DEADLINE: Duration = Duration::from_secs(15);
/// How long a task may bring nothing before the next one is asked.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

/// Stored offsets, to be read only; none for a run from the beginning.
struct StoredOffsets(Option<ConnectorOffsets>);

#[async_trait]
impl OffsetReader for StoredOffsets {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        match &self.0 {
            Some(stored) => stored.get(partition),
            None => Ok(None),
        }
    }
}

/// Runs it.
///
/// # Errors
/// What keeps it from polling: wrong options, a source that cannot be read without effect.
pub(super) async fn run(
    environment: &Environment,
    plan: &Plan,
    display: &mut Display,
) -> Result<DryRunReport> {
    let offsets = Arc::new(offsets_of(environment, plan).await?);
    let connector: Arc<dyn Connector> = connector_from_map(&plan.config)?.into();
    let tasks = Tasks {
        count: task_count(&*connector, &plan.config)?,
        connector,
        environment,
        plan,
        offsets,
    };
    let mut polled = tasks.poll().await?;
    let mut converting = Converting {
        pipeline: Pipeline::of(&plan.config, &environment.settings)?,
        tolerates: tolerates(plan)?,
        has_failed: false,
        notes: Vec::new(),
        display,
    };
    let mut records = Vec::with_capacity(polled.records.len());
    for record in polled.records {
        records.push(converting.record(record).await);
    }
    let failed = records
        .iter()
        .find(|record| record.outcome == Outcome::FailsTask);
    let failure = failed.and_then(|record| Some(record.error.as_ref()?.trace.clone()));
    polled.notes.append(&mut converting.notes);
    Ok(DryRunReport {
        name: plan.name.clone(),
        class: plan.class.to_owned(),
        kind: plan.kind,
        ended: polled.ended.to_owned(),
        positions: Vec::new(),
        failure: failure.or(polled.failure.map(|error| display.said(error.trace()))),
        notes: polled.notes,
        records,
        effects: Vec::new(),
    })
}

/// What the tasks are told of offsets.
async fn offsets_of(environment: &Environment, plan: &Plan) -> Result<StoredOffsets> {
    if !plan.request.partitions.is_empty() {
        let text = "partition: a source has no partitions to choose";
        return Err(Error::config(text));
    }
    let stored = match &plan.request.from {
        Beginning::Committed => {
            let opened = source_offsets::open_to_read(environment, &plan.name, &plan.config);
            Some(opened.await?)
        }
        Beginning::Earliest => None,
        _ => {
            let text = "from: a source is polled from committed or from earliest";
            return Err(Error::config(text));
        }
    };
    Ok(StoredOffsets(stored))
}

fn tolerates(plan: &Plan) -> Result<bool> {
    let options = CommonOptions::from_map(&plan.config).map_err(|errors| wrong_options(&errors))?;
    Ok(options.tolerance == ErrorTolerance::All)
}

/// What polling brought.
struct Gathered {
    records: Vec<SourceRecord>,
    ended: &'static str,
    failure: Option<Error>,
    notes: Vec<String>,
}

/// The tasks that a run would have.
struct Tasks<'a> {
    connector: Arc<dyn Connector>,
    environment: &'a Environment,
    plan: &'a Plan,
    offsets: Arc<StoredOffsets>,
    count: u32,
}

impl Tasks<'_> {
    /// Polls one task after the other until there are records enough.
    async fn poll(&self) -> Result<Gathered> {
        let mut gathered = Gathered {
            records: Vec::new(),
            ended: "the source brought no more",
            failure: None,
            notes: Vec::new(),
        };
        let deadline = Instant::now() + POLL_DEADLINE;
        for number in 0..self.count {
            let SourcePreview { mut task, note } =
                self.connector.source_preview(self.context(number))?;
            if let Some(note) = note.filter(|_| number == 0) {
                gathered.notes.push(note.to_owned());
            }
            self.poll_one(&mut *task, deadline, &mut gathered).await;
            task.stop().await?;
            if gathered.records.len() >= self.plan.request.records {
                gathered.records.truncate(self.plan.request.records);
                gathered.ended = "as many records as asked for were polled";
                break;
            }
            if Instant::now() >= deadline {
                gathered.ended = "the time was up";
                break;
            }
        }
        if gathered.records.is_empty() && gathered.failure.is_none() {
            gathered.notes.push("no records came".to_owned());
        }
        Ok(gathered)
    }

    async fn poll_one(
        &self,
        task: &mut dyn SourceTask,
        deadline: Instant,
        gathered: &mut Gathered,
    ) {
        let mut silent_until = deadline.min(Instant::now() + LONGEST_SILENCE);
        match timeout_at(silent_until, task.start()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                gathered.failure = Some(error);
                return;
            }
            Err(_) => return,
        }
        while gathered.records.len() < self.plan.request.records {
            match timeout_at(silent_until, task.poll()).await {
                Ok(Ok(Polled::Records(records))) if !records.is_empty() => {
                    gathered.records.extend(records);
                    silent_until = deadline.min(Instant::now() + LONGEST_SILENCE);
                }
                Ok(Ok(Polled::Records(_))) => tokio::task::yield_now().await,
                Ok(Ok(Polled::Finished)) | Err(_) => return,
                Ok(Err(error)) => {
                    gathered.failure = Some(error);
                    return;
                }
            }
        }
    }

    fn context(&self, task: u32) -> SourceTaskContext {
        SourceTaskContext {
            task: TaskId {
                connector: self.plan.name.as_str().into(),
                task,
            },
            task_count: self.count,
            clock: self.environment.clock.clone(),
            offsets: self.offsets.clone(),
            transactions: None,
        }
    }
}

/// What converters and transforms make of polled records.
struct Converting<'a> {
    pipeline: Pipeline,
    tolerates: bool,
    has_failed: bool,
    notes: Vec<String>,
    display: &'a mut Display,
}

impl Converting<'_> {
    async fn record(&mut self, record: SourceRecord) -> DryRunRecord {
        let mut shown = DryRunRecord {
            position: None,
            source_partition: Some(record.source_partition.iter().map(own).collect()),
            source_offset: record
                .source_offset
                .as_ref()
                .map(|offset| offset.iter().map(own).collect()),
            timestamp: record.timestamp.map(|time| time.as_millis()),
            outcome: Outcome::NotReached,
            error: None,
            input: None,
            output: Vec::new(),
        };
        if self.has_failed {
            return shown;
        }
        let input = record.clone();
        match self.converted(record).await {
            Ok(output) if output.is_empty() => shown.outcome = Outcome::Dropped,
            Ok(output) => {
                shown.outcome = Outcome::Passed;
                shown.output = output;
            }
            Err(failure) => {
                shown.outcome = self.outcome(&failure);
                self.has_failed = shown.outcome == Outcome::FailsTask;
                shown.error = Some(shown_error(&failure, self.display));
                shown.input = Some(self.plain(&input));
            }
        }
        shown
    }

    fn outcome(&self, failure: &RecordFailure) -> Outcome {
        match (failure.is_of_record(), failure.error.is_retriable()) {
            (true, _) if self.tolerates => Outcome::Skipped,
            (false, true) => Outcome::Retried,
            _ => Outcome::FailsTask,
        }
    }

    async fn converted(&mut self, record: SourceRecord) -> Result<Vec<ShownRecord>, RecordFailure> {
        let mut shown = Vec::new();
        for record in self.pipeline.transformed(record)? {
            let unregistered = self.pipeline.fetch_for_dry_run(&record).await?;
            let mut one = self.plain(&record);
            if unregistered.is_empty() {
                let stored = self.pipeline.to_bytes(&record)?;
                one.stored = Some(Stored {
                    key: self.display.value(stored.key.as_deref()),
                    value: self.display.value(stored.value.as_deref()),
                });
            }
            for note in unregistered {
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
            shown.push(one);
        }
        Ok(shown)
    }

    fn plain(&mut self, record: &SourceRecord) -> ShownRecord {
        ShownRecord {
            topic: record.topic.to_string(),
            partition: record.partition,
            key: self.display.datum(&record.key),
            value: self.display.datum(&record.value),
            headers: self.display.headers(&record.headers),
            stored: None,
        }
    }
}

fn own((key, value): (&String, &serde_json::Value)) -> (String, serde_json::Value) {
    (key.clone(), value.clone())
}
