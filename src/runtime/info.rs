//! The shapes the Connect REST API shows, independent of HTTP. Field order and names are Kafka Connect's.

use connect_core::config::ConfigMap;
use connect_core::plugin::ConnectorType;
use serde::{Deserialize, Serialize};

/// `GET /`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// The Kafka Connect version this worker is compatible with.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// The cluster the log is in.
    pub kafka_cluster_id: String,
}

/// A task's name as REST writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskName {
    /// The connector.
    pub connector: String,
    /// The task's number.
    pub task: u32,
}

/// `GET /connectors/{connector}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorInfo {
    /// The name.
    pub name: String,
    /// The configuration as it was given: placeholders are not resolved. Always holds `name`.
    pub config: ConfigMap,
    /// Its tasks, by number.
    pub tasks: Vec<TaskName>,
    /// Source or sink; `None` is shown as `unknown`.
    #[serde(rename = "type", with = "connector_type")]
    pub kind: Option<ConnectorType>,
}

/// What a connector or task is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum State {
    /// Not running anywhere now.
    Unassigned,
    /// At work.
    Running,
    /// Paused by a user.
    Paused,
    /// Stopped by a user: no tasks, offsets may be changed. Connectors only.
    Stopped,
    /// Ended by an error; see the trace.
    Failed,
    /// Being started again.
    Restarting,
}

/// What a user wants a connector to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetState {
    /// Run.
    #[default]
    Started,
    /// Keep tasks and group membership, move no records.
    Paused,
    /// Run no tasks.
    Stopped,
}

impl TargetState {
    /// As it is stored.
    pub(super) fn text(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }

    /// As the `initial_state` of a connector says it.
    pub fn initial(self) -> &'static str {
        match self {
            Self::Started => "RUNNING",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
        }
    }

    /// What an `initial_state` means, written in any case.
    pub fn of_initial(text: &str) -> Option<Self> {
        let all = [Self::Started, Self::Paused, Self::Stopped];
        all.into_iter()
            .find(|state| state.initial().eq_ignore_ascii_case(text))
    }

    /// What is stored as `text`.
    pub(super) fn of(text: &str) -> Self {
        match text {
            "PAUSED" => Self::Paused,
            "STOPPED" => Self::Stopped,
            _ => Self::Started,
        }
    }
}

/// The state of a connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorState {
    /// The state.
    pub state: State,
    /// `host:port` of the worker.
    pub worker_id: String,
    /// Kafka Connect 4.1+: the plugin's version; null for one that never started.
    pub version: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What Kafka Connect does not tell; nothing unless it has failed on an outside cause.
    #[serde(rename = "sluice", default, skip_serializing_if = "Option::is_none")]
    pub details: Option<ConnectorDetails>,
}

/// The state of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskState {
    /// The task's number.
    pub id: u32,
    /// The state.
    pub state: State,
    /// `host:port` of the worker.
    pub worker_id: String,
    /// Kafka Connect 4.1+: the plugin's version; null for one that never started.
    pub version: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// What Kafka Connect does not tell.
    #[serde(rename = "sluice", default, skip_serializing_if = "Option::is_none")]
    pub details: Option<TaskDetails>,
}

/// What a task is doing, beyond what Kafka Connect tells. Rates are of the last half minute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskDetails {
    /// Since when it is in its state: RFC 3339.
    pub since: String,
    /// Records moved a second: read from the log by a sink, acknowledged by the log of a source.
    pub records_per_second: f64,
    /// Bytes of their keys and values.
    pub bytes_per_second: f64,
    /// Records of its partitions that its group has not committed. Sinks only, and once the log has been asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Bytes held in memory and not made durable. Sinks only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffered_bytes: Option<u64>,
    /// The restart after a failure on an outside cause: the last one, or the one to come.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartInfo>,
    /// When offsets were last committed: RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_commit: Option<String>,
    /// What was written last: an object's key, a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_written: Option<String>,
    /// What went wrong last, also if all is well again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<TaskError>,
}

/// What a connector is doing, beyond what Kafka Connect tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectorDetails {
    /// The restart after a failure on an outside cause: the last one, or the one to come.
    pub restart: RestartInfo,
}

/// A restart that the worker makes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartInfo {
    /// How many there were, this one included, since it last ran for long.
    pub attempts: u32,
    /// When: RFC 3339.
    pub at: String,
}

/// Something that went wrong in a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskError {
    /// When: RFC 3339.
    pub at: String,
    /// What, with its causes.
    pub message: String,
}

/// `GET /connectors/{connector}/status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorStateInfo {
    /// The name.
    pub name: String,
    /// The connector itself.
    pub connector: ConnectorState,
    /// Its tasks, by number.
    pub tasks: Vec<TaskState>,
    /// Source or sink; `None` is shown as `unknown`.
    #[serde(rename = "type", with = "connector_type")]
    pub kind: Option<ConnectorType>,
}

/// An entry of `GET /connectors/{connector}/tasks`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskInfo {
    /// The task.
    pub id: TaskName,
    /// Its configuration.
    pub config: ConfigMap,
}

/// The fields of a partition or of an offset.
pub type OffsetFields = std::collections::BTreeMap<String, serde_json::Value>;

/// How far a connector has come in one partition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectorOffset {
    /// `kafka_topic` and `kafka_partition` of a sink; a source has its own.
    #[serde(default)]
    pub partition: Option<OffsetFields>,
    /// `kafka_offset` of a sink; a source has its own. `None` takes it away.
    #[serde(default)]
    pub offset: Option<OffsetFields>,
}

/// `GET /connectors/{connector}/offsets`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConnectorOffsets {
    /// By partition.
    pub offsets: Vec<ConnectorOffset>,
}

/// An entry of `GET /connector-plugins`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginInfo {
    /// The full class name.
    pub class: String,
    /// `source`, `sink`, `converter` …
    #[serde(rename = "type")]
    pub kind: String,
    /// The version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// `PUT /connector-plugins/{class}/config/validate`: built by the config module, passed through as JSON.
pub type ConfigInfos = serde_json::Value;

mod connector_type {
    use super::ConnectorType;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde fixes the signature")]
    pub(super) fn serialize<S: Serializer>(
        kind: &Option<ConnectorType>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match kind {
            Some(ConnectorType::Source) => "source",
            Some(ConnectorType::Sink) => "sink",
            None => "unknown",
        })
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<ConnectorType>, D::Error> {
        Ok(match String::deserialize(deserializer)?.as_str() {
            "source" => Some(ConnectorType::Source),
            "sink" => Some(ConnectorType::Sink),
            _ => None,
        })
    }
}
