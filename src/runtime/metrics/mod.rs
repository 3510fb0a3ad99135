//! What operators see of a worker: counted where the work is done, read by `/metrics` and by the status.
//!
//! Names and meanings are Kafka Connect's, as Prometheus' JMX exporter writes them without rules
//! (`kafka.connect:type=sink-task-metrics`, attribute `sink-record-read-total` →
//! `kafka_connect_sink_task_metrics_sink_record_read_total`); what Kafka Connect does not have begins with `sluice_`. All
//! names stand in [`families`].
//!
//! Holds always: the numbers of a task live and end with its place on the status board, so that a deleted connector leaves
//! no series behind; they are changed once a batch, never once a record.

mod details;
mod exposition;
mod families;
mod plugins;
mod process;
mod rebalances;
mod snapshot;
mod startups;
mod state_times;
mod task;
mod window;

pub(super) use details::rfc3339;
pub use families::{MetricReference, metric_reference};
pub(super) use plugins::{TaskPlugins, UsedPlugin};
pub use rebalances::{RebalanceSample, Rebalances};
pub use snapshot::MetricsSnapshot;
pub(super) use snapshot::{ConnectorSample, TaskSample, WorkerSample};
pub(super) use startups::Startups;
pub(super) use state_times::StateTimes;
pub(super) use task::TaskMetrics;
