//! The place of a task in the group: which worker may have its producer, of which task configs.

use std::sync::Arc;

use connect_core::Result;
use connect_core::plugin::TaskId;

use super::fencing::{TaskGate, newer_configs};

/// The place that a task has taken.
pub(in crate::runtime) struct TaskPlace {
    gate: Arc<dyn TaskGate>,
    task: TaskId,
    /// The number of the task configs that it was started with.
    generation: i64,
}

impl TaskPlace {
    /// That of a task which is to start.
    ///
    /// # Errors
    /// The task is not this worker's, or what the log says.
    pub(in crate::runtime) async fn take(gate: &Arc<dyn TaskGate>, task: &TaskId) -> Result<Self> {
        let place = Self {
            gate: gate.clone(),
            task: task.clone(),
            generation: gate.generation(&task.connector).await?,
        };
        place.check_held()?;
        Ok(place)
    }

    /// Makes sure that the task is this worker's now.
    ///
    /// # Errors
    /// It is not.
    pub(in crate::runtime) fn check_held(&self) -> Result<()> {
        self.gate.check_held(&self.task)
    }

    /// The same, and that no newer task configs have come.
    ///
    /// # Errors
    /// `Conflict` if they have, or what the log says.
    pub(in crate::runtime) async fn check(&self) -> Result<()> {
        let connector = &*self.task.connector;
        if self.gate.generation(connector).await? != self.generation {
            return Err(newer_configs(connector));
        }
        self.check_held()
    }

    /// Whether the task is to be started again here once it was fenced out: who did it had no right to, as far as can be
    /// known. The start looks again.
    pub(in crate::runtime) async fn is_still_ours(&self) -> bool {
        let newest = self.gate.generation(&self.task.connector).await;
        let is_newer = newest.is_ok_and(|newest| newest != self.generation);
        !is_newer && self.check_held().is_ok()
    }
}
