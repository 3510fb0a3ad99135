//! Who runs what: herder, worker, tasks.

mod chain;
mod config_providers;
mod connector_actor;
mod control;
mod environment;
mod herder;
mod info;
mod lag;
mod metrics;
mod pipeline;
mod plugin_catalog;
pub mod properties;
mod sink_session;
mod sink_task;
mod source_task;
mod standalone;
mod status;
mod task_runner;
mod worker;
mod worker_config;

pub use herder::{Herder, HerderError, RestartRequest};
pub use info::{
    ConfigInfos, ConnectorInfo, ConnectorState, ConnectorStateInfo, PluginInfo, ServerInfo, State,
    TargetState, TaskDetails, TaskError, TaskInfo, TaskName, TaskState,
};
pub use metrics::MetricsSnapshot;
pub use worker::Worker;
pub use worker_config::{WorkerConfig, WorkerSettings};
