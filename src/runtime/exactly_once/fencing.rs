//! Tasks of older configs are fenced out before the first of the newer ones starts.
//!
//! A task that is cut off from its worker may still write. Its producer can do so no more once another one with its
//! transactional id was made; a task that is there no more in the newer configs has nobody who makes that producer but the
//! leader of the group, by [`ZombieFence::fence`]. What it has done it records beside the configs, as Kafka Connect does.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use connect_core::config::ConfigMap;
use connect_core::plugin::TaskId;
use connect_core::{Error, Result};
use tracing::{debug, info};

use super::id_of_task;
use super::transactions::connection;
use crate::kafka::client_options::Client;
use crate::kafka::{Log, ProducerOptions};
use crate::runtime::client_overrides::client_settings;
use crate::storage::{ConfigTopic, TaskGeneration};

/// What a task asks before it starts.
#[async_trait]
pub(in crate::runtime) trait TaskGate: Send + Sync {
    /// Fences out the tasks of older configs of a connector, unless that was done.
    ///
    /// # Errors
    /// What the log says.
    async fn fence(&self, connector: &str, config: &ConfigMap) -> Result<()>;

    /// The number of a connector's newest task configs.
    ///
    /// # Errors
    /// What the log says.
    async fn generation(&self, connector: &str) -> Result<i64>;

    /// Makes sure that this worker is in its group now, and that the task is its own there.
    ///
    /// # Errors
    /// Another worker may run the task.
    fn check_held(&self, task: &TaskId) -> Result<()>;
}

/// What is to be done for a generation of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Round {
    /// Nothing: it has been done.
    Nothing,
    /// Tasks 0 to this are fenced out; 0: none, since there were none before, or since the only one before has the name of
    /// the only one now, whose own producer does it. Then the count is recorded.
    Fence(u32),
}

fn round(generation: TaskGeneration) -> Round {
    if !generation.is_pending {
        return Round::Nothing;
    }
    match generation.recorded {
        Some(1) if generation.tasks == 1 => Round::Fence(0),
        before => Round::Fence(before.unwrap_or(0)),
    }
}

/// Fences out tasks, by the leader of a group.
pub(in crate::runtime) struct ZombieFence {
    log: Arc<dyn Log>,
    configs: Arc<ConfigTopic>,
    group: String,
    /// What the worker's producers are set to.
    producer_settings: ConfigMap,
    /// Held for a connector whose tasks are being fenced out: a second round would hit the tasks of the first.
    rounds: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl ZombieFence {
    pub(in crate::runtime) fn new(
        log: Arc<dyn Log>,
        configs: Arc<ConfigTopic>,
        group: String,
        producer_settings: ConfigMap,
    ) -> Self {
        let rounds = Mutex::default();
        Self {
            log,
            configs,
            group,
            producer_settings,
            rounds,
        }
    }

    fn round_of(&self, connector: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.entry(connector.to_owned()).or_default().clone()
    }

    /// Makes a producer with the transactional id of each task, and gives it up.
    async fn fence_tasks(&self, connector: &str, tasks: u32, config: &ConfigMap) -> Result<()> {
        let name: Arc<str> = connector.into();
        for task in 0..tasks {
            let id = TaskId {
                connector: name.clone(),
                task,
            };
            self.fence_task(id, config).await?;
        }
        Ok(())
    }

    async fn fence_task(&self, task: TaskId, config: &ConfigMap) -> Result<()> {
        let id = id_of_task(&self.group, &task);
        let options = ProducerOptions {
            client_id: format!("connector-fence-{task}"),
            overrides: connection(client_settings(
                Client::Producer,
                &self.producer_settings,
                config,
            )),
            ..ProducerOptions::default()
        };
        let producer = self.log.transactional_producer(&id, options).await;
        let fenced = match producer {
            Ok(producer) => producer.close().await,
            Err(error) => Err(error),
        };
        fenced.map_err(|error| {
            let text = format!("task {task} of older configs was not fenced out");
            Error::new(error.kind(), text)
                .retry(error.verdict())
                .source(error)
        })
    }
}

impl ZombieFence {
    /// Fences out the tasks of older configs of a connector, unless that was done.
    ///
    /// # Errors
    /// What the log says.
    pub(in crate::runtime) async fn fence(
        &self,
        connector: &str,
        config: &ConfigMap,
    ) -> Result<()> {
        let round_of_connector = self.round_of(connector);
        let _one_at_a_time = round_of_connector.lock().await;
        let generation = self.configs.generation(connector).await?;
        let Round::Fence(tasks) = round(generation) else {
            return Ok(());
        };
        debug!(connector, tasks, "fencing out tasks of older configs");
        self.fence_tasks(connector, tasks, config).await?;
        let now = self.configs.generation(connector).await?;
        if now.commit != generation.commit {
            return Err(newer_configs(connector));
        }
        self.configs
            .put_task_count(connector, generation.tasks)
            .await?;
        info!(connector, tasks, "tasks of older configs are fenced out");
        Ok(())
    }

    /// The number of a connector's newest task configs.
    ///
    /// # Errors
    /// What the log says.
    pub(in crate::runtime) async fn generation(&self, connector: &str) -> Result<i64> {
        Ok(self.configs.generation(connector).await?.commit)
    }
}

/// Task configs came while a task was starting: its place is another's.
pub(super) fn newer_configs(connector: &str) -> Error {
    Error::conflict("newer task configs came while the task was starting").target(connector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generation(tasks: u32, recorded: Option<u32>) -> TaskGeneration {
        TaskGeneration {
            commit: 1,
            tasks,
            recorded,
            is_pending: true,
        }
    }

    #[test]
    fn as_many_tasks_are_fenced_out_as_may_write() {
        assert_eq!(round(generation(3, Some(5))), Round::Fence(5));
        assert_eq!(round(generation(0, Some(1))), Round::Fence(1));
        assert_eq!(round(generation(2, Some(1))), Round::Fence(1));
        // Nobody has written in a transaction before.
        assert_eq!(round(generation(3, None)), Round::Fence(0));
        // The one does it by itself.
        assert_eq!(round(generation(1, Some(1))), Round::Fence(0));
        let done = TaskGeneration {
            is_pending: false,
            ..generation(3, Some(3))
        };
        assert_eq!(round(done), Round::Nothing);
    }
}
