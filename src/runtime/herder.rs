//! What may be asked of a herder: by REST, by the command line, by tests.

use std::collections::BTreeMap;

use async_trait::async_trait;
use connect_core::config::ConfigMap;

use super::distributed::signature::RequestSignature;
use super::{
    ConfigInfos, ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorStateInfo,
    DryRunReport, DryRunRequest, MetricsSnapshot, PluginInfo, ServerInfo, TargetState, TaskInfo,
    TaskState,
};

/// Why a request was refused. REST maps each variant to Kafka Connect's status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HerderError {
    /// 404
    #[error("{0}")]
    NotFound(String),
    /// 400
    #[error("{0}")]
    BadRequest(String),
    /// 403
    #[error("{0}")]
    Forbidden(String),
    /// 409
    #[error("{0}")]
    Conflict(String),
    /// Another worker of the cluster must be asked: REST asks it. `None` while nobody knows which (409).
    #[error(
        "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway."
    )]
    Forward {
        /// Where that worker's REST API is.
        url: Option<String>,
    },
    /// 503
    #[error("{0}")]
    Unavailable(String),
    /// 429
    #[error("{0}")]
    TooMany(String),
    /// 500
    #[error("{0}")]
    Internal(String),
}

impl HerderError {
    /// 409: a config changed, or the group was shared anew, while the request was worked on.
    pub fn stale() -> Self {
        Self::Conflict(
            "Cannot complete request momentarily due to stale configuration (typically caused by a concurrent config change)"
                .to_owned(),
        )
    }

    /// A worker alone is asked what only workers of a group ask each other.
    fn alone(what: &str) -> Self {
        Self::Internal(format!("a worker without a group.id knows no {what}"))
    }

    /// A config holds another name than that of the connector it is for.
    pub fn other_name(held: &str, name: &str) -> Self {
        Self::BadRequest(format!(
            "Connector name configuration ({held}) doesn't match connector name in the URL ({name})"
        ))
    }
}

/// A configuration as it came: `None` is JSON null.
pub type GivenConfig = BTreeMap<String, Option<String>>;

/// Which parts of a connector to restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RestartRequest {
    /// Restart tasks too.
    pub include_tasks: bool,
    /// Restart only what is FAILED.
    pub only_failed: bool,
}

/// Keeps connectors and their tasks as users want them. Shapes, refusals and messages are Kafka Connect's.
#[async_trait]
pub trait Herder: Send + Sync {
    /// Version and cluster.
    async fn server_info(&self) -> Result<ServerInfo, HerderError>;

    /// True once everything stored has been taken up.
    async fn is_ready(&self) -> bool;

    /// Why a worker that has started cannot do its work at the moment; `None` if it can.
    async fn trouble(&self) -> Option<String> {
        None
    }

    /// Names of all connectors.
    async fn connectors(&self) -> Result<Vec<String>, HerderError>;

    /// A connector.
    async fn connector_info(&self, name: &str) -> Result<ConnectorInfo, HerderError>;

    /// A connector's state and its tasks'.
    async fn connector_status(&self, name: &str) -> Result<ConnectorStateInfo, HerderError>;

    /// A connector's tasks with their configurations.
    async fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError>;

    /// A task's state.
    async fn task_status(&self, name: &str, task: i32) -> Result<TaskState, HerderError>;

    /// Makes a connector; `Conflict` if it is there. `config` holds `name`.
    async fn create(
        &self,
        name: &str,
        config: GivenConfig,
        initial: TargetState,
    ) -> Result<ConnectorInfo, HerderError>;

    /// Makes or replaces a connector; true if it was made.
    async fn put_config(
        &self,
        name: &str,
        config: GivenConfig,
    ) -> Result<(bool, ConnectorInfo), HerderError>;

    /// Changes single keys; `None` removes one.
    async fn patch_config(
        &self,
        name: &str,
        patch: GivenConfig,
    ) -> Result<ConnectorInfo, HerderError>;

    /// Removes a connector; its offsets stay.
    async fn delete(&self, name: &str) -> Result<(), HerderError>;

    /// Pause, resume, stop.
    async fn set_target_state(&self, name: &str, target: TargetState) -> Result<(), HerderError>;

    /// Restarts the connector alone and waits, if `request` is the default; else chooses, marks RESTARTING and goes on by itself.
    async fn restart(
        &self,
        name: &str,
        request: RestartRequest,
    ) -> Result<Option<ConnectorStateInfo>, HerderError>;

    /// Restarts a task and waits.
    async fn restart_task(&self, name: &str, task: i32) -> Result<(), HerderError>;

    /// How far a connector has come: what a sink's group has committed, what is stored of a source.
    async fn offsets(&self, name: &str) -> Result<ConnectorOffsets, HerderError>;

    /// Sets offsets of a stopped connector, and removes those that are null; says what it has done.
    async fn alter_offsets(
        &self,
        name: &str,
        offsets: &[ConnectorOffset],
    ) -> Result<String, HerderError>;

    /// Removes all offsets of a stopped connector; says what it has done.
    async fn reset_offsets(&self, name: &str) -> Result<String, HerderError>;

    /// The topics a connector has used; none for one that is not there.
    async fn topics(&self, name: &str) -> Result<Vec<String>, HerderError>;

    /// Forgets the topics a connector has used.
    async fn reset_topics(&self, name: &str) -> Result<(), HerderError>;

    /// Checks that another worker of the group has made a request.
    ///
    /// # Errors
    /// It is refused.
    fn check_signature(&self, _signature: Option<&RequestSignature>) -> Result<(), HerderError> {
        Err(HerderError::alone("requests of another worker"))
    }

    /// Writes the task configs of a connector that another worker runs and has made them of; only a leader does. The signature
    /// must have been checked.
    async fn put_task_configs(
        &self,
        _name: &str,
        _configs: Vec<ConfigMap>,
    ) -> Result<(), HerderError> {
        Err(HerderError::alone("task configurations of another worker"))
    }

    /// Fences the producers that earlier tasks of a source connector have had; only a leader does. The signature
    /// must have been checked.
    async fn fence_zombies(&self, _name: &str) -> Result<(), HerderError> {
        Err(HerderError::alone("fencing for another worker"))
    }

    /// Has all other workers of the cluster log at a level. A worker alone has none.
    async fn set_cluster_level(&self, logger: &str, level: &str) -> Result<(), HerderError> {
        let _nobody_to_tell = (logger, level);
        Ok(())
    }

    /// What the worker is doing or has done last, for whoever waited in vain; empty if that is nothing.
    fn stage(&self) -> String;

    /// The numbers of now.
    async fn metrics(&self) -> MetricsSnapshot;

    /// Linked plugins; connectors only, or all.
    fn plugins(&self, connectors_only: bool) -> Vec<PluginInfo>;

    /// A plugin's definition, as `/connector-plugins/{class}/config` shows it.
    fn plugin_config(&self, plugin: &str) -> Result<serde_json::Value, HerderError>;

    /// Checks a configuration without deploying it. `None` values came as JSON null.
    async fn validate(&self, plugin: &str, config: GivenConfig)
    -> Result<ConfigInfos, HerderError>;

    /// What a configuration would do with real records, without doing it; the connector's own configuration if none is given,
    /// and `NotFound` if there is no such connector either. `config` holds `name`.
    async fn dry_run(
        &self,
        name: &str,
        config: Option<GivenConfig>,
        request: DryRunRequest,
    ) -> Result<DryRunReport, HerderError>;
}
