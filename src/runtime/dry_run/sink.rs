//! The dry run of a sink: records are read beside its group, pass its converters and transforms, and its own code says what
//! it would do with them.
//!
//! Holds always: what follows a record on which the task would fail does not reach the connector.

use std::sync::Arc;

use async_trait::async_trait;
use connect_core::config::{
    CommonOptions, ConnectorConfig, ErrorTolerance, SinkOptions, connector_from_map,
};
use connect_core::data::{Offsets, SinkRecord, TopicPartition};
use connect_core::plugin::{
    Assignment, Connector, Effect, MemoryBudget, SinkPreview, SinkRuntime, SinkTaskContext, TaskId,
};
use connect_core::{Error, ErrorKind, Result};
use tokio::time::timeout;

use super::reader::{self, Read, Source};
use super::report::{
    DryRunRecord, DryRunReport, Outcome, RecordError, RecordPlace, ShownHeader, ShownRecord, shown,
};
use super::shown::Display;
use super::{CONNECTOR_DEADLINE, Plan};
use crate::kafka::ConsumedRecord;
use crate::runtime::environment::Environment;
use crate::runtime::errors::{RecordFailure, Stage};
use crate::runtime::pipeline::Pipeline;
use crate::runtime::worker_config::wrong_options;

/// Bytes that a sink may count on.
const MEMORY: usize = 64 << 20;
/// Records that the connector refuses, after which nothing more is tried.
const MOST_REFUSED: usize = 50;

/// A record on its way.
struct Passing {
    read: ConsumedRecord,
    outcome: Outcome,
    failure: Option<RecordFailure>,
    output: Vec<SinkRecord>,
}

/// What `errors.*` say.
struct Errors {
    tolerates: bool,
    has_queue: bool,
}

impl Errors {
    fn outcome(&self, failure: &RecordFailure) -> Outcome {
        match (failure.is_of_record(), failure.error.is_retriable()) {
            (false, true) => Outcome::Retried,
            (false, false) => Outcome::FailsTask,
            (true, _) if !self.tolerates => Outcome::FailsTask,
            (true, _) if self.has_queue => Outcome::DeadLetter,
            (true, _) => Outcome::Skipped,
        }
    }
}

/// Commits nothing.
struct NoCommits;

#[async_trait]
impl SinkRuntime for NoCommits {
    async fn commit(&self, _offsets: Offsets) -> Result<()> {
        Err(Error::internal("a dry run commits nothing"))
    }
}

/// Runs it.
///
/// # Errors
/// What keeps it from reading: wrong options, a topic that is not there, a log that does not answer.
pub(super) async fn run(
    environment: &Environment,
    plan: &Plan,
    display: &mut Display,
) -> Result<DryRunReport> {
    let mut pipeline = Pipeline::of(&plan.config, &environment.settings)?;
    let errors = errors_of(plan)?;
    let source = Source {
        name: &plan.name,
        config: &plan.config,
        log: &*environment.log,
        consumer_settings: environment.settings.with_prefix("consumer."),
    };
    let Read {
        records,
        positions,
        assignments,
        ended,
        mut notes,
    } = reader::read(&source, &plan.request).await?;
    let mut passing = Vec::with_capacity(records.len());
    for record in records {
        passing.push(passed(record, &mut pipeline, &errors).await);
    }
    let connector = Asked {
        connector: connector_from_map(&plan.config)?,
        class: plan.class,
        assignments,
        context: context(environment, plan),
        errors: &errors,
    };
    let planned = connector.effects(&mut passing).await;
    let failing = passing.iter().find(|passing| stops(passing.outcome));
    let failing = failing.and_then(|passing| passing.failure.as_ref());
    let (effects, more, failure) = match planned {
        Ok(effects) => {
            let (effects, more) = shown(effects, display);
            (effects, more, failing.map(|failure| failure.error.trace()))
        }
        Err(error) => (Vec::new(), Vec::new(), Some(error.trace())),
    };
    notes.extend(more);
    let records = passing.iter();
    Ok(DryRunReport {
        name: plan.name.clone(),
        class: plan.class.to_owned(),
        kind: plan.kind,
        ended,
        positions,
        failure: failure.map(|trace| display.said(trace)),
        notes,
        records: records
            .map(|passing| shown_record(passing, display))
            .collect(),
        effects,
    })
}

fn errors_of(plan: &Plan) -> Result<Errors> {
    let wrong = |errors: Vec<_>| wrong_options(&errors);
    let options = CommonOptions::from_map(&plan.config).map_err(wrong)?;
    let sink = SinkOptions::from_map(&plan.config).map_err(wrong)?;
    Ok(Errors {
        tolerates: options.tolerance == ErrorTolerance::All,
        has_queue: !sink.dead_letter_topic.is_empty(),
    })
}

fn context(environment: &Environment, plan: &Plan) -> SinkTaskContext {
    SinkTaskContext {
        task: TaskId {
            connector: plan.name.as_str().into(),
            task: 0,
        },
        clock: environment.clock.clone(),
        runtime: Arc::new(NoCommits),
        // Not of the worker's budget: running tasks keep their shares.
        memory: MemoryBudget::new(MEMORY).join(),
    }
}

async fn passed(read: ConsumedRecord, pipeline: &mut Pipeline, errors: &Errors) -> Passing {
    let mut output = Vec::new();
    let failure = through(&read, pipeline, &mut output).await.err();
    let outcome = match &failure {
        Some(failure) => {
            output.clear();
            errors.outcome(failure)
        }
        None if output.is_empty() => Outcome::Dropped,
        None => Outcome::Passed,
    };
    Passing {
        read,
        outcome,
        failure,
        output,
    }
}

async fn through(
    read: &ConsumedRecord,
    pipeline: &mut Pipeline,
    output: &mut Vec<SinkRecord>,
) -> Result<(), RecordFailure> {
    if pipeline.looks_up() {
        pipeline.fetch_for_sink(read).await?;
    }
    pipeline.push_for_sink(read, output)
}

/// True if the task does not get beyond such a record.
fn stops(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::FailsTask | Outcome::Retried)
}

/// The connector, with what it is told.
struct Asked<'a> {
    connector: Box<dyn Connector>,
    class: &'static str,
    assignments: Vec<Assignment>,
    context: SinkTaskContext,
    errors: &'a Errors,
}

impl Asked<'_> {
    /// What the connector would do with the records that reach it. One that it refuses is left out, or ends the task.
    async fn effects(&self, passing: &mut [Passing]) -> Result<Vec<Effect>> {
        for _ in 0..MOST_REFUSED {
            let reached = cut_behind_failure(passing);
            let records = reached.iter().flat_map(|passing| passing.output.clone());
            let preview = SinkPreview {
                context: self.context.clone(),
                partitions: self.assignments.clone(),
                records: records.collect(),
            };
            let asked = timeout(CONNECTOR_DEADLINE, self.connector.sink_preview(preview)).await;
            let asked = asked.unwrap_or_else(|_| {
                let text = format!("no end after {CONNECTOR_DEADLINE:?}");
                Err(Error::external(text).operation("plan what to write"))
            });
            match asked {
                Ok(Some(effects)) => return Ok(effects),
                Ok(None) => {
                    let text = format!("{} cannot say what it would write", self.class);
                    return Ok(vec![Effect::Note(text)]);
                }
                Err(error) => self.leave_out(error, passing)?,
            }
        }
        Err(Error::data(format!(
            "more than {MOST_REFUSED} records are refused by the connector"
        )))
    }

    /// Leaves out the record that an error is about; the error, if it is about none.
    fn leave_out(&self, error: Error, passing: &mut [Passing]) -> Result<()> {
        let position = error.record_position().cloned();
        let is_it = |passing: &&mut Passing| {
            let at = (place(&passing.read), passing.read.offset);
            passing.outcome == Outcome::Passed && position.as_ref() == Some(&at)
        };
        let found = passing.iter_mut().find(is_it);
        let Some(refused) = found.filter(|_| error.kind() == ErrorKind::Data) else {
            return Err(error);
        };
        let failure = RecordFailure::new(Stage::TaskPut, self.class, error);
        refused.outcome = self.errors.outcome(&failure);
        refused.failure = Some(failure);
        refused.output.clear();
        Ok(())
    }
}

/// The records up to the first on which the task fails; those behind it are marked.
fn cut_behind_failure(passing: &mut [Passing]) -> &[Passing] {
    let failing = passing.iter().position(|passing| stops(passing.outcome));
    let Some(failing) = failing else {
        return passing;
    };
    let (reached, behind) = passing.split_at_mut(failing + 1);
    for passing in behind {
        if passing.failure.is_none() {
            passing.outcome = Outcome::NotReached;
        }
    }
    reached
}

fn place(record: &ConsumedRecord) -> TopicPartition {
    TopicPartition::new(record.topic.clone(), record.partition)
}

fn shown_record(passing: &Passing, display: &mut Display) -> DryRunRecord {
    let read = &passing.read;
    let input = passing.failure.is_some().then(|| as_read(read, display));
    let error = passing.failure.as_ref();
    DryRunRecord {
        position: Some(RecordPlace {
            topic: read.topic.to_string(),
            partition: read.partition,
            offset: read.offset.value(),
        }),
        source_partition: None,
        source_offset: None,
        timestamp: read.timestamp.timestamp().map(|time| time.as_millis()),
        outcome: passing.outcome,
        error: error.map(|failure| shown_error(failure, display)),
        input,
        output: passing
            .output
            .iter()
            .map(|record| as_written(record, display))
            .collect(),
    }
}

/// Why a record fails, for people.
pub(super) fn shown_error(failure: &RecordFailure, display: &Display) -> RecordError {
    RecordError {
        stage: failure.stage.name().to_owned(),
        class: failure.class.clone(),
        trace: display.said(failure.error.trace()),
    }
}

fn as_read(read: &ConsumedRecord, display: &mut Display) -> ShownRecord {
    ShownRecord {
        topic: read.topic.to_string(),
        partition: None,
        key: display.value(read.key.as_deref()),
        value: display.value(read.value.as_deref()),
        headers: read
            .headers
            .iter()
            .map(|(key, value)| ShownHeader {
                key: key.to_string(),
                value: display.value(value.as_deref()),
            })
            .collect(),
        stored: None,
    }
}

fn as_written(record: &SinkRecord, display: &mut Display) -> ShownRecord {
    ShownRecord {
        topic: record.topic.to_string(),
        partition: None,
        key: display.datum(&record.key),
        value: display.datum(&record.value),
        headers: display.headers(&record.headers),
        stored: None,
    }
}
