//! Who runs what: herder, worker, tasks.

mod herder;
mod info;

pub use herder::{Herder, HerderError, RestartRequest};
pub use info::{
    ConfigInfos, ConnectorInfo, ConnectorState, ConnectorStateInfo, PluginInfo, ServerInfo, State,
    TargetState, TaskInfo, TaskName, TaskState,
};
