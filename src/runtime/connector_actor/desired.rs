//! What is wanted of a connector in a worker, as a whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use connect_core::config::ConfigMap;

use crate::runtime::info::TargetState;

/// What is wanted of a connector in this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) struct Desired {
    /// As the user gave it: with placeholders.
    pub(in crate::runtime) config: Arc<ConfigMap>,
    /// Another one for each configuration that was given, be it the same.
    pub(in crate::runtime) revision: i64,
    pub(in crate::runtime) target: TargetState,
    pub(in crate::runtime) share: Share,
}

/// What of a connector runs in this worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::runtime) enum Share {
    /// All; its tasks are those that the configuration makes.
    Whole,
    /// Some of a cluster's connector.
    Parts(Parts),
}

/// The parts of a cluster's connector that run in this worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::runtime) struct Parts {
    /// Whether the connector itself does.
    pub(in crate::runtime) connector: bool,
    /// The tasks that do.
    pub(in crate::runtime) tasks: BTreeSet<u32>,
    /// How many tasks the connector has in all workers.
    pub(in crate::runtime) count: u32,
    /// Another one for each set of task configs that was committed.
    pub(in crate::runtime) commit: i64,
    /// The connector's configuration from which the tasks were made: there may be a newer one that has made none yet.
    pub(in crate::runtime) made_from: Arc<ConfigMap>,
}

impl Desired {
    pub(super) fn runs_connector(&self) -> bool {
        match &self.share {
            Share::Whole => true,
            Share::Parts(parts) => parts.connector,
        }
    }

    /// Whether the connector itself runs here in both, with the same configuration and target.
    pub(super) fn has_connector_of(&self, other: &Self) -> bool {
        let both_run = self.runs_connector() && other.runs_connector();
        both_run && (self.revision, self.target) == (other.revision, other.target)
    }

    /// Tasks that were started for another one of these must be started anew.
    pub(super) fn task_revision(&self) -> i64 {
        match &self.share {
            Share::Whole => self.revision,
            Share::Parts(parts) => parts.commit,
        }
    }

    pub(super) fn runs_task(&self, task: u32) -> bool {
        match &self.share {
            Share::Whole => true,
            Share::Parts(parts) => parts.tasks.contains(&task),
        }
    }

    /// Whether there is such a task in any worker.
    pub(super) fn has_task(&self, task: u32) -> bool {
        match &self.share {
            Share::Whole => true,
            Share::Parts(parts) => task < parts.count,
        }
    }
}
