//! Every metric there is: name, help, and where its value comes from.
//!
//! A name that ends with `_total` is a counter, any other a gauge. A value that is not there leaves no series.

use connect_core::plugin::ConnectorType;

use super::rebalances::RebalanceSample;
use super::snapshot::{ConnectorSample, MetricsSnapshot, TaskSample};
use super::task::PartitionNumbers;
use crate::runtime::info::State;

/// A metric: one series for each thing of kind `S` that has a value.
pub(super) struct Family<S: 'static> {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) value: fn(&S) -> Option<f64>,
}

/// Makes a table of families of one kind of thing.
macro_rules! families {
    ($(#[$doc:meta])* $table:ident of $kind:ty, $prefix:literal { $($name:literal: $help:literal = $value:expr;)* }) => {
        $(#[$doc])*
        pub(super) const $table: &[Family<$kind>] = &[
            $(Family { name: concat!($prefix, $name), help: $help, value: $value },)*
        ];
    };
}

families! {
    /// No labels.
    WORKER of MetricsSnapshot, "kafka_connect_connect_worker_metrics_" {
        "connector_count": "Connectors of this worker" = |all| Some(all.connectors.len() as f64);
        "task_count": "Tasks of this worker" = |all| Some(all.connectors.iter().map(|connector| connector.tasks.len()).sum::<usize>() as f64);
        "connector_startup_attempts_total": "Starts of connectors" = |all| Some(all.worker.connectors.attempts() as f64);
        "connector_startup_success_total": "Starts of connectors that succeeded" = |all| Some(all.worker.connectors.succeeded as f64);
        "connector_startup_success_percentage": "Share of starts of connectors that succeeded, 0 to 1" = |all| all.worker.connectors.success_percentage();
        "connector_startup_failure_total": "Starts of connectors that failed" = |all| Some(all.worker.connectors.failed as f64);
        "connector_startup_failure_percentage": "Share of starts of connectors that failed, 0 to 1" = |all| Some(1.0 - all.worker.connectors.success_percentage()?);
        "task_startup_attempts_total": "Starts of tasks" = |all| Some(all.worker.tasks.attempts() as f64);
        "task_startup_success_total": "Starts of tasks that succeeded" = |all| Some(all.worker.tasks.succeeded as f64);
        "task_startup_success_percentage": "Share of starts of tasks that succeeded, 0 to 1" = |all| all.worker.tasks.success_percentage();
        "task_startup_failure_total": "Starts of tasks that failed" = |all| Some(all.worker.tasks.failed as f64);
        "task_startup_failure_percentage": "Share of starts of tasks that failed, 0 to 1" = |all| Some(1.0 - all.worker.tasks.success_percentage()?);
    }
}

families! {
    /// No labels; what Kafka Connect does not have.
    PROCESS of MetricsSnapshot, "" {
        "sluice_memory_budget_bytes": "Bytes of records all sink tasks may hold together" = |all| Some(all.worker.memory_budget as f64);
        "sluice_memory_buffered_bytes": "Bytes of records all sink tasks hold and have not made durable" = |all| Some(all.connectors.iter().flat_map(|connector| &connector.tasks).map(|task| task.numbers.buffered_bytes).sum::<u64>() as f64);
        "process_cpu_seconds_total": "User and system CPU time of the process in seconds" = |all| all.worker.process.cpu_seconds;
        "process_resident_memory_bytes": "Resident memory of the process in bytes" = |all| all.worker.process.resident_bytes;
        "process_open_fds": "Open files and sockets of the process" = |all| all.worker.process.open_files;
    }
}

families! {
    /// No labels; workers of a group.
    REBALANCE of RebalanceSample, "kafka_connect_connect_worker_rebalance_metrics_" {
        "epoch": "Generation of the worker's group" = |group| group.numbers.epoch.map(f64::from);
        "completed_rebalances_total": "Rebalances of the group that this worker took part in" = |group| Some(group.numbers.joins.total() as f64);
        "rebalancing": "1 while the worker joins its group, else 0" = |group| Some(f64::from(u8::from(group.numbers.joining)));
        "rebalance_max_time_ms": "Longest rebalance of the last half minute, in milliseconds" = |group| group.numbers.join_times.max(group.now);
        "rebalance_avg_time_ms": "Mean rebalance of the last half minute, in milliseconds" = |group| group.numbers.join_times.average(group.now);
        "time_since_last_rebalance_ms": "Milliseconds since the last rebalance" = |group| group.since_joined();
    }
}

families! {
    /// Label `client_id`; workers of a group.
    COORDINATOR of RebalanceSample, "kafka_connect_connect_coordinator_metrics_" {
        "assigned_connectors": "Connectors that the group has given to this worker" = |group| Some(group.numbers.connectors as f64);
        "assigned_tasks": "Tasks that the group has given to this worker" = |group| Some(group.numbers.tasks as f64);
        "heartbeat_total": "Heartbeats that the group's coordinator has answered" = |group| Some(group.numbers.heartbeats.total() as f64);
        "heartbeat_rate": "Heartbeats a second that the group's coordinator has answered" = |group| Some(group.numbers.heartbeats.rate(group.now));
        "heartbeat_response_time_max": "Longest wait of the last half minute for such an answer, in milliseconds" = |group| group.numbers.heartbeat_times.max(group.now);
        "last_heartbeat_seconds_ago": "Seconds since the last of these answers" = |group| group.since_heard();
        "join_total": "Joins of the group" = |group| Some(group.numbers.joins.total() as f64);
        "join_rate": "Joins of the group a second" = |group| Some(group.numbers.joins.rate(group.now));
        "join_time_max": "Longest join of the last half minute, in milliseconds" = |group| group.numbers.join_times.max(group.now);
        "join_time_avg": "Mean join of the last half minute, in milliseconds" = |group| group.numbers.join_times.average(group.now);
        "failed_rebalance_total": "Joins of the group that have failed" = |group| Some(group.numbers.failures.total() as f64);
    }
}

families! {
    /// Label `connector`.
    CONNECTOR of ConnectorSample, "kafka_connect_connect_worker_metrics_" {
        "connector_total_task_count": "Tasks of the connector" = |connector| Some(connector.tasks.len() as f64);
        "connector_running_task_count": "Tasks of the connector that run" = |connector| Some(connector.tasks_in(State::Running));
        "connector_paused_task_count": "Tasks of the connector that are paused" = |connector| Some(connector.tasks_in(State::Paused));
        "connector_failed_task_count": "Tasks of the connector that have failed" = |connector| Some(connector.tasks_in(State::Failed));
        "connector_unassigned_task_count": "Tasks of the connector that are starting or run nowhere" = |connector| Some(connector.tasks_in(State::Unassigned));
        "connector_restarting_task_count": "Tasks of the connector that are being restarted" = |connector| Some(connector.tasks_in(State::Restarting));
        "connector_destroyed_task_count": "Tasks of the connector that were removed and are still told of; here there are none" = |_| Some(0.0);
    }
}

families! {
    /// Labels `connector` and `task`.
    TASK of TaskSample, "kafka_connect_connector_task_metrics_" {
        "running_ratio": "Share of its time that the task has run, 0 to 1" = |task| Some(task.times.ratio(State::Running, task.now));
        "pause_ratio": "Share of its time that the task has been paused, 0 to 1" = |task| Some(task.times.ratio(State::Paused, task.now));
        "offset_commit_max_time_ms": "Longest commit of the last half minute, in milliseconds" = |task| task.numbers.commit_times.max(task.now);
        "offset_commit_avg_time_ms": "Mean commit of the last half minute, in milliseconds" = |task| task.numbers.commit_times.average(task.now);
        "offset_commit_success_percentage": "Share of commits of the last half minute that succeeded, 0 to 1" = |task| task.numbers.commit_outcomes.average(task.now);
        "offset_commit_failure_percentage": "Share of commits of the last half minute that failed, 0 to 1" = |task| Some(1.0 - task.numbers.commit_outcomes.average(task.now)?);
        "batch_size_max": "Most records of a batch in the last half minute" = |task| task.numbers.batch_sizes.max(task.now);
        "batch_size_avg": "Mean number of records of a batch in the last half minute" = |task| task.numbers.batch_sizes.average(task.now);
    }
}

families! {
    /// Labels `connector` and `task`; tasks of sources.
    SOURCE_TASK of TaskSample, "kafka_connect_source_task_metrics_" {
        "source_record_poll_rate": "Records a second polled from the source, before transforms" = |task| Some(task.numbers.read.rate(task.now));
        "source_record_poll_total": "Records polled from the source, before transforms" = |task| Some(task.numbers.read.total() as f64);
        "source_record_write_rate": "Records a second acknowledged by the log, after transforms" = |task| Some(task.numbers.written.rate(task.now));
        "source_record_write_total": "Records acknowledged by the log, after transforms" = |task| Some(task.numbers.written.total() as f64);
        "poll_batch_max_time_ms": "Longest poll of the last half minute, in milliseconds" = |task| task.numbers.batch_times.max(task.now);
        "poll_batch_avg_time_ms": "Mean poll of the last half minute, in milliseconds" = |task| task.numbers.batch_times.average(task.now);
        "source_record_active_count": "Records sent to the log and not yet acknowledged" = |task| Some(task.numbers.active_now as f64);
        "source_record_active_count_max": "Most records sent and not acknowledged in the last half minute" = |task| task.numbers.active.max(task.now);
        "source_record_active_count_avg": "Mean number of records sent and not acknowledged in the last half minute" = |task| task.numbers.active.average(task.now);
        "transaction_size_min": "Fewest records of a transaction committed in the last half minute; with exactly-once delivery" = |task| task.numbers.transactions.min(task.now);
        "transaction_size_max": "Most records of a transaction committed in the last half minute; with exactly-once delivery" = |task| task.numbers.transactions.max(task.now);
        "transaction_size_avg": "Mean number of records of a transaction committed in the last half minute; with exactly-once delivery" = |task| task.numbers.transactions.average(task.now);
    }
}

families! {
    /// Labels `connector` and `task`; tasks of sinks.
    SINK_TASK of TaskSample, "kafka_connect_sink_task_metrics_" {
        "sink_record_read_rate": "Records a second read from the log, before transforms" = |task| Some(task.numbers.read.rate(task.now));
        "sink_record_read_total": "Records read from the log, before transforms" = |task| Some(task.numbers.read.total() as f64);
        "sink_record_send_rate": "Records a second handed to the sink, after transforms" = |task| Some(task.numbers.written.rate(task.now));
        "sink_record_send_total": "Records handed to the sink, after transforms" = |task| Some(task.numbers.written.total() as f64);
        "sink_record_lag_max": "Records the task has not read yet, in the partition that has most of them" = |task| task.numbers.partitions.values().filter_map(PartitionNumbers::unread).max().map(|unread| unread as f64);
        "partition_count": "Partitions the task owns" = |task| Some(task.numbers.partitions.len() as f64);
        "offset_commit_seq_no": "Number of the last commit" = |task| Some(task.numbers.commits.total() as f64);
        "offset_commit_completion_rate": "Commits a second that succeeded" = |task| Some(task.numbers.commits.rate(task.now));
        "offset_commit_completion_total": "Commits that succeeded" = |task| Some(task.numbers.commits.total() as f64);
        "offset_commit_skip_rate": "Commits a second that came too late: another member had the partitions" = |task| Some(task.numbers.late_commits.rate(task.now));
        "offset_commit_skip_total": "Commits that came too late: another member had the partitions" = |task| Some(task.numbers.late_commits.total() as f64);
        "put_batch_max_time_ms": "Longest hand-over of a batch in the last half minute, in milliseconds" = |task| task.numbers.batch_times.max(task.now);
        "put_batch_avg_time_ms": "Mean hand-over of a batch in the last half minute, in milliseconds" = |task| task.numbers.batch_times.average(task.now);
        "sink_record_active_count": "Offsets read and not yet committed" = |task| Some(task.numbers.active_now as f64);
        "sink_record_active_count_max": "Most offsets read and not committed in the last half minute" = |task| task.numbers.active.max(task.now);
        "sink_record_active_count_avg": "Mean number of offsets read and not committed in the last half minute" = |task| task.numbers.active.average(task.now);
    }
}

families! {
    /// Labels `connector` and `task`.
    TASK_ERROR of TaskSample, "kafka_connect_task_error_metrics_" {
        "total_record_failures": "Operations on records that failed, those that were tried again included" = |task| Some(task.numbers.errors.failures as f64);
        "total_record_errors": "Records that could not be processed" = |task| Some(task.numbers.errors.records as f64);
        "total_records_skipped": "Records left out because errors are tolerated" = |task| Some(task.numbers.errors.skipped as f64);
        "total_retries": "Operations tried again" = |task| Some(task.numbers.errors.retries as f64);
        "total_errors_logged": "Errors of records that were logged" = |task| Some(task.numbers.errors.logged as f64);
        "deadletterqueue_produce_requests": "Records sent to the dead letter queue" = |task| Some(task.numbers.errors.queued as f64);
        "deadletterqueue_produce_failures": "Records the dead letter queue did not take" = |task| Some(task.numbers.errors.queue_failures as f64);
        "last_error_timestamp": "When something last went wrong, in milliseconds since 1970" = |task| Some(task.numbers.errors.last.as_ref()?.at.as_millis() as f64);
    }
}

families! {
    /// Labels `connector` and `task`; what Kafka Connect does not have.
    OWN_TASK of TaskSample, "sluice_task_" {
        "bytes_total": "Bytes of keys and values moved, as the log has them" = |task| Some(task.numbers.bytes.total() as f64);
        "buffered_bytes": "Bytes the task holds and has not made durable" = |task| Some(task.numbers.buffered_bytes as f64);
        "last_commit_timestamp_seconds": "When offsets were last committed, in seconds since 1970" = |task| Some(task.numbers.last_commit?.as_millis() as f64 / 1000.0);
    }
}

families! {
    /// Labels `connector`, `task`, `topic` and `partition`; tasks of sinks.
    PARTITION of PartitionNumbers, "sluice_sink_task_" {
        "consumer_lag": "Records in the partition that the connector's group has not committed" = |partition| partition.lag().map(|lag| lag as f64);
    }
}

/// Label `connector` and what is not a number; always 1.
pub(super) const CONNECTOR_INFO: (&str, &str) = (
    "kafka_connect_connector_metrics",
    "A connector with its state, type, class and version; always 1",
);

/// Labels of [`CONNECTOR_INFO`].
pub(super) const CONNECTOR_INFO_LABELS: [&str; 5] = [
    "connector",
    "status",
    "connector_type",
    "connector_class",
    "connector_version",
];

/// Who leads the group and how it shares work; always 1.
pub(super) const REBALANCE_INFO: (&str, &str) = (
    "kafka_connect_connect_worker_rebalance_metrics",
    "The address of the group's leader and the protocol the group shares work by; always 1",
);

/// Labels of [`REBALANCE_INFO`].
pub(super) const REBALANCE_INFO_LABELS: [&str; 2] = ["leader_name", "connect_protocol"];

/// Labels `connector`, `task`, `status`; always 1.
pub(super) const TASK_STATUS: (&str, &str) = (
    "kafka_connect_connector_task_metrics_status",
    "A task with its state; always 1",
);

/// What a task is made of; always 1.
pub(super) const TASK_INFO: (&str, &str) = (
    "kafka_connect_connector_task_metrics",
    "A task with the classes and versions of its connector, of itself and of its converters; always 1",
);

/// Labels of [`TASK_INFO`].
pub(super) const TASK_INFO_LABELS: [&str; 13] = [
    "connector",
    "task",
    "connector_type",
    "connector_class",
    "connector_version",
    "task_class",
    "task_version",
    "key_converter_class",
    "key_converter_version",
    "value_converter_class",
    "value_converter_version",
    "header_converter_class",
    "header_converter_version",
];

/// The transforms of a task; always 1.
pub(super) const TRANSFORM_INFO: (&str, &str) = (
    "kafka_connect_connector_transform_metrics",
    "A transform of a task with its class and version; always 1",
);

/// Labels of [`TRANSFORM_INFO`].
pub(super) const TRANSFORM_INFO_LABELS: [&str; 5] = [
    "connector",
    "task",
    "transform",
    "transform_class",
    "transform_version",
];

/// The predicates of a task; always 1.
pub(super) const PREDICATE_INFO: (&str, &str) = (
    "kafka_connect_connector_predicate_metrics",
    "A predicate of a task with its class and version; always 1",
);

/// Labels of [`PREDICATE_INFO`].
pub(super) const PREDICATE_INFO_LABELS: [&str; 5] = [
    "connector",
    "task",
    "predicate",
    "predicate_class",
    "predicate_version",
];

/// Labels `version`; always 1.
pub(super) const BUILD_INFO: (&str, &str) = ("sluice_build_info", "The worker's version; always 1");

/// The families of tasks of a kind.
pub(super) fn of_kind(kind: ConnectorType) -> &'static [Family<TaskSample>] {
    match kind {
        ConnectorType::Source => SOURCE_TASK,
        ConnectorType::Sink => SINK_TASK,
    }
}

/// A state as Kafka Connect's metrics write it.
pub(super) fn status_text(state: State) -> &'static str {
    match state {
        State::Unassigned => "unassigned",
        State::Running => "running",
        State::Paused => "paused",
        State::Stopped => "stopped",
        State::Failed => "failed",
        State::Restarting => "restarting",
    }
}

/// A metric as the guide lists it.
#[derive(Debug, Clone, Copy)]
pub struct MetricReference {
    /// The name.
    pub name: &'static str,
    /// Its labels, in order.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

impl MetricReference {
    /// True for a count that only grows, false for a gauge.
    pub fn is_counter(&self) -> bool {
        self.name.ends_with("_total")
    }
}

/// Every metric there is, in the order of `/metrics`.
pub fn metric_reference() -> Vec<MetricReference> {
    const TASK_LABELS: &[&str] = &["connector", "task"];
    let mut all = vec![described(BUILD_INFO, &["version"])];
    all.extend(listed(WORKER, &[]));
    all.extend(listed(PROCESS, &[]));
    all.push(described(REBALANCE_INFO, &REBALANCE_INFO_LABELS));
    all.extend(listed(REBALANCE, &[]));
    all.extend(listed(COORDINATOR, &["client_id"]));
    all.push(described(CONNECTOR_INFO, &CONNECTOR_INFO_LABELS));
    all.extend(listed(CONNECTOR, &["connector"]));
    all.push(described(TASK_STATUS, &["connector", "task", "status"]));
    all.push(described(TASK_INFO, &TASK_INFO_LABELS));
    all.push(described(TRANSFORM_INFO, &TRANSFORM_INFO_LABELS));
    all.push(described(PREDICATE_INFO, &PREDICATE_INFO_LABELS));
    for table in [TASK, TASK_ERROR, OWN_TASK, SOURCE_TASK, SINK_TASK] {
        all.extend(listed(table, TASK_LABELS));
    }
    all.extend(listed(
        PARTITION,
        &["connector", "task", "topic", "partition"],
    ));
    all
}

fn described(
    (name, help): (&'static str, &'static str),
    labels: &'static [&'static str],
) -> MetricReference {
    MetricReference { name, labels, help }
}

fn listed<S>(
    table: &'static [Family<S>],
    labels: &'static [&'static str],
) -> impl Iterator<Item = MetricReference> {
    let described = move |family: &Family<S>| described((family.name, family.help), labels);
    table.iter().map(described)
}
