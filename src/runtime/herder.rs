//! What may be asked of a herder: by REST, by the command line, by tests.

use std::collections::BTreeMap;

use async_trait::async_trait;
use connect_core::config::ConfigMap;

use super::{
    ConfigInfos, ConnectorInfo, ConnectorStateInfo, MetricsSnapshot, PluginInfo, ServerInfo,
    TargetState, TaskInfo, TaskState,
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
    /// 409
    #[error("{0}")]
    Conflict(String),
    /// 500
    #[error("{0}")]
    Internal(String),
}

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

    /// Names of all connectors.
    async fn connectors(&self) -> Result<Vec<String>, HerderError>;

    /// A connector.
    async fn connector_info(&self, name: &str) -> Result<ConnectorInfo, HerderError>;

    /// A connector's state and its tasks'.
    async fn connector_status(&self, name: &str) -> Result<ConnectorStateInfo, HerderError>;

    /// A connector's tasks with their configurations.
    async fn tasks(&self, name: &str) -> Result<Vec<TaskInfo>, HerderError>;

    /// A task's state.
    async fn task_status(&self, name: &str, task: u32) -> Result<TaskState, HerderError>;

    /// Makes a connector; `Conflict` if it is there. `config` holds `name`.
    async fn create(
        &self,
        name: &str,
        config: ConfigMap,
        initial: TargetState,
    ) -> Result<ConnectorInfo, HerderError>;

    /// Makes or replaces a connector; true if it was made.
    async fn put_config(
        &self,
        name: &str,
        config: ConfigMap,
    ) -> Result<(bool, ConnectorInfo), HerderError>;

    /// Changes single keys; `None` removes one.
    async fn patch_config(
        &self,
        name: &str,
        patch: BTreeMap<String, Option<String>>,
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
    async fn restart_task(&self, name: &str, task: u32) -> Result<(), HerderError>;

    /// The numbers of now.
    async fn metrics(&self) -> MetricsSnapshot;

    /// Linked plugins; connectors only, or all.
    fn plugins(&self, connectors_only: bool) -> Vec<PluginInfo>;

    /// A plugin's definition, as `/connector-plugins/{class}/config` shows it.
    fn plugin_config(&self, plugin: &str) -> Result<serde_json::Value, HerderError>;

    /// Checks a configuration without deploying it. `None` values came as JSON null.
    async fn validate(
        &self,
        plugin: &str,
        config: BTreeMap<String, Option<String>>,
    ) -> Result<ConfigInfos, HerderError>;
}
