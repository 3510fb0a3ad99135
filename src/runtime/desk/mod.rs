//! What herders of both kinds answer in the same way: checks of configurations, offsets, plugins, used topics.

mod checks;
mod offsets;

use std::sync::Arc;

use connect_core::config::ConfigMap;

pub(super) use self::checks::Checked;
pub(super) use self::offsets::not_stopped;
use super::dry_run::{self, DryRunReport, DryRunRequest};
use super::environment::Environment;
use super::herder::{GivenConfig, HerderError};
use super::info::{ConfigInfos, ServerInfo, TaskState};
use super::metrics::{ConnectorSample, MetricsSnapshot, WorkerSample};
use super::plugin_catalog;
use super::stage::{InStage, Stages};

pub(super) type Answer<T> = Result<T, HerderError>;

/// The Kafka Connect version whose interface this worker has.
const COMPATIBLE_WITH: &str = "4.3.1";

/// Where a herder has its answers from.
pub(super) struct Desk {
    pub(super) environment: Arc<Environment>,
    pub(super) stages: Stages,
}

impl Desk {
    pub(super) fn new(environment: Arc<Environment>) -> Self {
        let stages = Stages::new(environment.clock.clone());
        Self {
            environment,
            stages,
        }
    }

    pub(super) async fn server_info(&self) -> Answer<ServerInfo> {
        let id = self.environment.log.admin().cluster_id().await;
        Ok(ServerInfo {
            version: COMPATIBLE_WITH.to_owned(),
            commit: env!("CARGO_PKG_VERSION").to_owned(),
            kafka_cluster_id: id.map_err(|error| internal(&error))?,
        })
    }

    pub(super) fn topics(&self, name: &str) -> Answer<Vec<String>> {
        if !self.environment.settings.config.topic_tracking {
            return Err(HerderError::Forbidden(
                "Topic tracking is disabled.".to_owned(),
            ));
        }
        Ok(self.environment.active_topics.of(name))
    }

    pub(super) fn reset_topics(&self, name: &str) -> Answer<()> {
        self.topics(name)?;
        if !self.environment.settings.config.topic_tracking_reset {
            let text = "Topic tracking reset is disabled.";
            return Err(HerderError::Forbidden(text.to_owned()));
        }
        self.environment.active_topics.reset(name);
        Ok(())
    }

    pub(super) fn metrics(&self, connectors: Vec<ConnectorSample>) -> MetricsSnapshot {
        let environment = &self.environment;
        let worker = WorkerSample::now(
            environment.connector_startups.sample(),
            environment.task_startups.sample(),
            environment.settings.memory_budget(),
        );
        MetricsSnapshot::new(worker, connectors)
    }

    pub(super) fn modifying_offsets(&self, name: &str) -> InStage {
        let what = format!("modifying offsets for connector {name}");
        self.stages.enter(what)
    }

    /// Tries a configuration with real records: the one that is given, or else the one that is deployed.
    pub(super) async fn dry_run(
        &self,
        name: &str,
        given: Option<GivenConfig>,
        deployed: ConfigMap,
        request: DryRunRequest,
    ) -> Answer<DryRunReport> {
        let given = match given {
            Some(given) => given,
            None => patched(name, deployed, GivenConfig::new())?,
        };
        let Checked { plugin, config, .. } = self.checked(name, given)?;
        let what = format!("making a dry run of connector {name}");
        let _stage = self.stages.enter(what);
        dry_run::run(&self.environment, plugin, name, &config, request).await
    }

    pub(super) async fn validate(&self, plugin: &str, config: GivenConfig) -> Answer<ConfigInfos> {
        let _stage = self
            .stages
            .enter("performing multi-property validation for the connector".to_owned());
        plugin_catalog::validate(plugin, config, &self.environment.settings).await
    }
}

pub(super) fn internal(error: &connect_core::Error) -> HerderError {
    HerderError::Internal(error.trace())
}

pub(super) fn not_found(name: &str) -> HerderError {
    HerderError::NotFound(format!("Connector {name} not found"))
}

/// A connector whose target state is to be changed and that is not there, in the words for that.
pub(super) fn unknown(name: &str) -> HerderError {
    HerderError::NotFound(format!("Unknown connector {name}"))
}

/// A connector to be restarted that is not there, in the words for that.
pub(super) fn not_there(name: &str) -> HerderError {
    HerderError::NotFound(format!("Unknown connector: {name}"))
}

pub(super) fn already_exists(name: &str) -> HerderError {
    HerderError::Conflict(format!("Connector {name} already exists"))
}

pub(super) fn no_status(name: &str) -> HerderError {
    HerderError::NotFound(format!("No status found for connector {name}"))
}

/// The state of a task among those of its connector; `None` if nothing is known of the connector.
pub(super) fn state_of_task(
    name: &str,
    task: i32,
    states: Option<Vec<TaskState>>,
) -> Answer<TaskState> {
    let mut states = states.into_iter().flatten();
    let found = states.find(|state| i64::from(state.id) == i64::from(task));
    found.ok_or_else(|| no_task_status(name, task))
}

fn no_task_status(name: &str, task: i32) -> HerderError {
    HerderError::NotFound(format!("No status found for task {name}-{task}"))
}

pub(super) fn unknown_task(name: &str, task: i32) -> HerderError {
    HerderError::NotFound(format!("Unknown task: {name}-{task}"))
}

pub(super) fn shutting_down() -> HerderError {
    let text = "Cannot complete request because the worker is shutting down";
    HerderError::Conflict(text.to_owned())
}

/// A configuration with the changes of a patch: null takes a key away. An error if it then is another connector's.
pub(super) fn patched(
    name: &str,
    mut config: ConfigMap,
    patch: GivenConfig,
) -> Answer<GivenConfig> {
    for (key, value) in patch {
        match value {
            Some(value) => config.insert(key, value),
            None => config.remove(&key),
        };
    }
    match config.get("name") {
        Some(other) if other != name => Err(HerderError::other_name(other, name)),
        _ => Ok(config
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect()),
    }
}
