//! Who runs what: herder, worker, tasks.

mod active_topics;
mod chain;
mod client_overrides;
mod cluster_options;
mod config_providers;
mod connector_actor;
mod control;
mod desk;
pub mod distributed;
mod dry_run;
mod environment;
mod errors;
mod exactly_once;
mod healing;
mod herder;
mod info;
mod lag;
mod log_levels;
mod metrics;
mod offsets;
mod pipeline;
mod plugin_catalog;
pub mod properties;
mod rest_options;
mod sink_session;
mod sink_task;
mod source_offsets;
mod source_task;
mod stage;
mod standalone;
mod status;
mod status_writer;
mod task_runner;
mod tls_material;
mod topic_creation;
mod worker;
mod worker_config;

pub use dry_run::{
    DryRunRecord, DryRunReport, DryRunRequest, Form, Outcome, Shown, ShownEffect, ShownRecord,
};
pub use errors::ERROR_HEADERS;
pub use herder::{GivenConfig, Herder, HerderError, RestartRequest};
pub use info::{
    ConfigInfos, ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorState,
    ConnectorStateInfo, OffsetFields, PluginInfo, ServerInfo, State, TargetState, TaskDetails,
    TaskError, TaskInfo, TaskName, TaskState,
};
pub use log_levels::{LevelError, LogLevels, LoggerLevel};
pub use metrics::{
    MetricReference, MetricsSnapshot, RebalanceSample, Rebalances, metric_reference,
};
pub use rest_options::{ClientAuth, RestOptions, TlsOptions};
pub(crate) use stage::Stages;
pub use tls_material::Identity;
pub use worker::{Worker, WorkerIdentity};
pub use worker_config::{WorkerConfig, WorkerSettings};
