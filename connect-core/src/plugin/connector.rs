//! A connector: its checked configuration, and the maker of its tasks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{
    Effect, ExactlyOnceSupport, SinkPreview, SinkTask, SinkTaskContext, SourcePreview, SourceTask,
    SourceTaskContext,
};
use crate::config::OptionError;
use crate::data::{Offset, SourceOffset, SourcePartition, TopicPartition};
use crate::{Error, Result};

/// Source or sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorType {
    /// Reads from elsewhere, writes to the log.
    Source,
    /// Reads from the log, writes elsewhere.
    Sink,
}

/// A task's name: connector and number, written `name-0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId {
    /// The connector's name.
    pub connector: Arc<str>,
    /// The task's number, from 0.
    pub task: u32,
}

impl fmt::Display for TaskId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.connector, self.task)
    }
}

/// Offsets that somebody sets from outside while the connector is stopped; `None` as an offset takes the stored one away.
#[derive(Debug, Clone, PartialEq)]
pub enum OffsetChanges {
    /// Of a source. What was given as a partition may be nothing.
    Source(Vec<(Option<SourcePartition>, Option<SourceOffset>)>),
    /// Of a sink.
    Sink(BTreeMap<TopicPartition, Option<Offset>>),
}

/// A connector with its checked configuration.
///
/// The implementing type *is* the configuration: a struct with `#[derive(ConnectorConfig)]`, registered with
/// `#[typetag::deserialize(name = "…")]` under its `connector.class`. Values were checked one by one before it was made.
#[typetag::deserialize(tag = "connector.class")]
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// Checks that need several options at once; no input or output. Every error, by key.
    fn check(&self) -> Vec<OptionError> {
        Vec::new()
    }

    /// Looks at the outside world for somebody who asks whether this configuration would work. Every error, by key; what may
    /// pass by itself is none.
    async fn validate(&self) -> Vec<OptionError> {
        Vec::new()
    }

    /// Runs once before tasks are made, and again after each change: looks whether the outside world is as it must be
    /// (bucket exists, login works). An error makes the connector FAILED.
    async fn start(&self) -> Result<()> {
        Ok(())
    }

    /// How many tasks to run: at most `tasks_max`. A sink's tasks share its partitions by themselves.
    fn task_count(&self, tasks_max: u32) -> u32 {
        tasks_max
    }

    /// Looks at offsets before the worker stores them, and takes them over if the connector keeps offsets of its own elsewhere.
    /// True if it has: the offsets then hold wherever there are any; false if it does not know about offsets.
    ///
    /// Must bear being called again with the same changes.
    ///
    /// # Errors
    /// What is wrong with them: nothing is stored then.
    async fn alter_offsets(&self, changes: &OffsetChanges) -> Result<bool> {
        let _unknown = changes;
        Ok(false)
    }

    /// Whether a source, so configured, can deliver each record exactly once; `None` if it does not say.
    fn exactly_once_support(&self) -> Option<ExactlyOnceSupport> {
        None
    }

    /// Whether the tasks of a source, so configured, can say where transactions end.
    fn defines_transactions(&self) -> bool {
        false
    }

    /// Makes a sink task. Called for sinks only.
    ///
    /// # Errors
    /// A configuration error if this connector is a source.
    fn sink_task(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>> {
        Err(not_of_type("sink", &context.task))
    }

    /// Makes a source task. Called for sources only.
    ///
    /// # Errors
    /// A configuration error if this connector is a sink.
    fn source_task(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>> {
        Err(not_of_type("source", &context.task))
    }

    /// What a sink's tasks would do with these records, without doing it: nothing outside is changed. In the order in which
    /// it would be done. `None`: the connector cannot say.
    ///
    /// May be called again with fewer records.
    ///
    /// # Errors
    /// As of a task: a data error that names its record is about that one alone.
    async fn sink_preview(&self, preview: SinkPreview) -> Result<Option<Vec<Effect>>> {
        let _cannot_say = preview;
        Ok(None)
    }

    /// A source task for a dry run: one that leaves what it reads as it is.
    ///
    /// # Errors
    /// A configuration error if the source cannot be read without effect.
    fn source_preview(&self, context: SourceTaskContext) -> Result<SourcePreview> {
        let task = self.source_task(context)?;
        Ok(SourcePreview { task, note: None })
    }
}

fn not_of_type(expected: &str, task: &TaskId) -> Error {
    Error::internal(format!("the connector of task {task} is not a {expected}"))
}
