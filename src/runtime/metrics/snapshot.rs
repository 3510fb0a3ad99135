//! All numbers of a worker at one moment.

use std::time::Instant;

use connect_core::plugin::ConnectorType;

use super::exposition;
use super::process::ProcessSample;
use super::rebalances::RebalanceSample;
use super::startups::StartupsSample;
use super::state_times::StateTimes;
use super::task::TaskNumbers;
use crate::runtime::info::State;

/// All numbers of a worker at one moment; shown by `/metrics`.
#[derive(Debug)]
pub struct MetricsSnapshot {
    pub(super) worker: WorkerSample,
    pub(super) connectors: Vec<ConnectorSample>,
    /// `None` for a worker alone.
    pub(super) rebalances: Option<RebalanceSample>,
}

/// A worker's own numbers.
#[derive(Debug)]
pub(in crate::runtime) struct WorkerSample {
    pub(super) connectors: StartupsSample,
    pub(super) tasks: StartupsSample,
    pub(super) memory_budget: usize,
    pub(super) process: ProcessSample,
}

/// A connector.
#[derive(Debug)]
pub(in crate::runtime) struct ConnectorSample {
    pub(in crate::runtime) name: String,
    pub(in crate::runtime) class: &'static str,
    pub(in crate::runtime) kind: ConnectorType,
    pub(in crate::runtime) version: &'static str,
    pub(in crate::runtime) state: State,
    pub(in crate::runtime) tasks: Vec<TaskSample>,
}

/// A task.
#[derive(Debug)]
pub(in crate::runtime) struct TaskSample {
    pub(in crate::runtime) id: u32,
    pub(in crate::runtime) state: State,
    pub(in crate::runtime) times: StateTimes,
    pub(in crate::runtime) numbers: TaskNumbers,
    pub(in crate::runtime) now: Instant,
}

impl MetricsSnapshot {
    pub(in crate::runtime) fn new(worker: WorkerSample, connectors: Vec<ConnectorSample>) -> Self {
        Self {
            worker,
            connectors,
            rebalances: None,
        }
    }

    /// With those of the worker's group.
    #[must_use]
    pub fn with_rebalances(mut self, sample: RebalanceSample) -> Self {
        self.rebalances = Some(sample);
        self
    }

    /// The snapshot in OpenMetrics' text format.
    pub fn to_open_metrics(self) -> String {
        exposition::open_metrics(self)
    }

    /// The snapshot in Prometheus' text format.
    pub fn to_text(self) -> String {
        exposition::plain(&self.to_open_metrics())
    }
}

impl WorkerSample {
    /// The numbers of now; `memory_budget` in bytes.
    pub(in crate::runtime) fn now(
        connectors: StartupsSample,
        tasks: StartupsSample,
        memory_budget: usize,
    ) -> Self {
        Self {
            connectors,
            tasks,
            memory_budget,
            process: ProcessSample::now(),
        }
    }
}

impl ConnectorSample {
    /// How many tasks are in this state.
    pub(super) fn tasks_in(&self, state: State) -> f64 {
        self.tasks.iter().filter(|task| task.state == state).count() as f64
    }
}
