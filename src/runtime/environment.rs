//! What all connectors of a worker share.

use std::sync::Arc;

use connect_core::clock::Clock;
use connect_core::plugin::MemoryBudget;

use super::active_topics::ActiveTopics;
use super::config_providers::ConfigProviders;
use super::dry_run::DryRuns;
use super::exactly_once::TaskGate;
use super::metrics::Startups;
use super::status_writer::StatusWriter;
use super::worker_config::WorkerSettings;
use crate::kafka::Log;
use crate::storage::OffsetStorage;

/// What all connectors of a worker share.
pub(super) struct Environment {
    pub(super) log: Arc<dyn Log>,
    pub(super) settings: WorkerSettings,
    pub(super) providers: ConfigProviders,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) memory: MemoryBudget,
    pub(super) offsets: OffsetStorage,
    /// What tasks of sources ask before they start; `None` unless they deliver exactly once.
    pub(super) gate: Option<Arc<dyn TaskGate>>,
    pub(super) active_topics: ActiveTopics,
    pub(super) statuses: StatusWriter,
    pub(super) connector_startups: Startups,
    pub(super) task_startups: Startups,
    pub(super) dry_runs: DryRuns,
    /// `host:port`
    pub(super) worker_id: String,
}
