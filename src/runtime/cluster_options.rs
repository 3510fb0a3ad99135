//! The options of a worker with a `group.id`: its group and its three topics, under Kafka Connect's keys.

use std::collections::BTreeMap;
use std::time::Duration;

use connect_core::config::{ConfigDef, ConfigMap, ConnectorConfig, OptionError, OptionValue};

use super::distributed::protocol::ConnectProtocol;
use super::distributed::signing_options::SigningOptions;
use super::exactly_once::SourceSupport;
use super::worker_config::strip_prefix;
use crate::storage::{StorageTopicOptions, TopicPurpose};

/// Options of a worker with a `group.id`.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Cluster")]
struct GroupConfig {
    /// The group of a cluster, whose workers share connectors and tasks. With it, connectors, source offsets and statuses are
    /// kept in topics, in Kafka Connect's own form. Without it the worker keeps them below `data.dir`.
    #[option(name = "group.id", importance = High, validator = Validator::NonEmpty)]
    group_id: String,
    /// The topic of connectors, their target states and task configs; it has one partition.
    #[option(name = "config.storage.topic", importance = High, validator = Validator::NonEmpty)]
    config_topic: String,
    /// The replicas it is made with; -1: the brokers' default. Other `config.storage.…` keys are settings it is made with.
    #[option(name = "config.storage.replication.factor", default = "3", importance = Low, validator = Validator::Custom(count))]
    config_replicas: i32,
    /// The topic of source offsets.
    #[option(name = "offset.storage.topic", importance = High, validator = Validator::NonEmpty)]
    offset_topic: String,
    /// The replicas it is made with; -1: the brokers' default. Other `offset.storage.…` keys are settings it is made with.
    #[option(name = "offset.storage.replication.factor", default = "3", importance = Low, validator = Validator::Custom(count))]
    offset_replicas: i32,
    /// The partitions it is made with; -1: the brokers' default.
    #[option(name = "offset.storage.partitions", default = "25", importance = Low, validator = Validator::Custom(count))]
    offset_partitions: i32,
    /// The topic of statuses and used topics.
    #[option(name = "status.storage.topic", importance = High, validator = Validator::NonEmpty)]
    status_topic: String,
    /// The replicas it is made with; -1: the brokers' default. Other `status.storage.…` keys are settings it is made with.
    #[option(name = "status.storage.replication.factor", default = "3", importance = Low, validator = Validator::Custom(count))]
    status_replicas: i32,
    /// The partitions it is made with; -1: the brokers' default.
    #[option(name = "status.storage.partitions", default = "5", importance = Low, validator = Validator::Custom(count))]
    status_partitions: i32,
    /// Milliseconds without a heartbeat until the group goes on without this worker, and this worker stops what it runs.
    #[option(name = "session.timeout.ms", default = "10000", importance = Low)]
    session_timeout: Duration,
    /// Milliseconds between heartbeats.
    #[option(name = "heartbeat.interval.ms", default = "3000", importance = Low)]
    heartbeat_interval: Duration,
    /// Milliseconds the worker may take to stop what is taken away from it and to join the group again.
    #[option(name = "rebalance.timeout.ms", default = "60000", importance = Low)]
    rebalance_timeout: Duration,
    /// How work is shared: `eager` stops everything at each rebalance, `compatible` only what moves, and so does
    /// `sessioned`, with which requests between workers are signed. A group does what all its workers can.
    #[option(name = "connect.protocol", default = "sessioned", importance = Low)]
    protocol: ConnectProtocol,
    /// Milliseconds the work of a worker that has left is held back for it, in case that it comes back; 0: not at all.
    #[option(name = "scheduled.rebalance.max.delay.ms", default = "300000", importance = Low)]
    max_delay: Duration,
    /// Milliseconds a worker may take to read the config topic as far as its leader has.
    #[option(name = "worker.sync.timeout.ms", default = "3000", importance = Low)]
    sync_timeout: Duration,
    /// Milliseconds a worker that could not keeps out of the group.
    #[option(name = "worker.unsync.backoff.ms", default = "300000", importance = Low)]
    unsync_backoff: Duration,
    /// Whether records of source connectors and their offsets are written in one transaction.
    /// `preparing`: not yet, but the other workers of the group may go over; a cluster goes from one to the next, all workers
    /// each time.
    #[option(name = "exactly.once.source.support", default = "disabled", importance = High)]
    exactly_once: SourceSupport,
}

/// The group of a worker and its topics, checked.
#[derive(Debug, Clone)]
pub(super) struct ClusterOptions {
    pub(super) group_id: String,
    pub(super) configs: StorageTopicOptions,
    pub(super) offsets: StorageTopicOptions,
    pub(super) statuses: StorageTopicOptions,
    pub(super) session_timeout: Duration,
    pub(super) heartbeat_interval: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) exactly_once: SourceSupport,
    pub(super) protocol: ConnectProtocol,
    pub(super) max_delay: Duration,
    pub(super) sync_timeout: Duration,
    pub(super) unsync_backoff: Duration,
    pub(super) signing: SigningOptions,
    /// Shown in broker logs as the member of the group.
    pub(super) client_id: String,
}

impl ClusterOptions {
    /// Those of a worker's properties; `None` without a `group.id`.
    ///
    /// # Errors
    /// Every wrong key.
    pub(super) fn of(properties: &ConfigMap) -> Result<Option<Self>, Vec<OptionError>> {
        if !properties.contains_key("group.id") {
            return without_group(properties).map(|()| None);
        }
        let config = GroupConfig::from_map(properties)?;
        if properties
            .get("bootstrap.servers")
            .is_none_or(String::is_empty)
        {
            let why =
                "a worker with a group.id keeps everything in Kafka: bootstrap.servers is needed";
            return Err(vec![OptionError::new("bootstrap.servers", why.to_owned())]);
        }
        let topic = |purpose: TopicPurpose, name: &str, replicas, partitions| StorageTopicOptions {
            purpose,
            name: name.to_owned(),
            partitions: or_default(partitions),
            replication_factor: or_default(replicas).and_then(|count| i16::try_from(count).ok()),
            settings: settings(properties, purpose),
            client_id: client_id(properties, &config.group_id, purpose),
        };
        let (offsets, statuses) = (config.offset_partitions, config.status_partitions);
        Ok(Some(Self {
            configs: topic(
                TopicPurpose::Configs,
                &config.config_topic,
                config.config_replicas,
                1,
            ),
            offsets: topic(
                TopicPurpose::Offsets,
                &config.offset_topic,
                config.offset_replicas,
                offsets,
            ),
            statuses: topic(
                TopicPurpose::Statuses,
                &config.status_topic,
                config.status_replicas,
                statuses,
            ),
            group_id: config.group_id.clone(),
            session_timeout: config.session_timeout,
            heartbeat_interval: config.heartbeat_interval,
            rebalance_timeout: config.rebalance_timeout,
            exactly_once: config.exactly_once,
            protocol: config.protocol,
            max_delay: config.max_delay,
            sync_timeout: config.sync_timeout,
            unsync_backoff: config.unsync_backoff,
            signing: SigningOptions::of(properties)?,
            client_id: own_client_id(properties, &config.group_id),
        }))
    }

    /// The options with their defaults.
    pub(super) fn definition() -> ConfigDef {
        let mut definition = GroupConfig::definition();
        definition.extend(SigningOptions::definition());
        definition
    }
}

/// What a worker alone cannot do: its offsets are in a file, which no transaction reaches.
fn without_group(properties: &ConfigMap) -> Result<(), Vec<OptionError>> {
    const KEY: &str = "exactly.once.source.support";
    let given = properties.get(KEY).map_or("", |given| given.trim());
    if given.is_empty() || given.eq_ignore_ascii_case("disabled") {
        return Ok(());
    }
    let text = format!(
        "Invalid value {given} for configuration {KEY}: a worker alone keeps source offsets in a file, out of reach of transactions; give it a group.id and the topics of a group"
    );
    Err(vec![OptionError::new(KEY, text)])
}

/// -1 stands for the brokers' default.
fn or_default(count: i32) -> Option<i32> {
    (count > 0).then_some(count)
}

/// The settings a topic is made with: all that stands below its prefix and is no option of the worker.
fn settings(properties: &ConfigMap, purpose: TopicPurpose) -> BTreeMap<String, String> {
    let prefix = purpose.option().trim_end_matches("topic");
    let mut settings = strip_prefix(properties, prefix);
    settings
        .retain(|key, _| !["topic", "replication.factor", "partitions"].contains(&key.as_str()));
    settings
}

/// As a Java worker calls its clients: the worker's own id, or its group, and what the client is for.
fn client_id(properties: &ConfigMap, group: &str, purpose: TopicPurpose) -> String {
    let own = own_client_id(properties, group);
    let purpose = match purpose {
        TopicPurpose::Configs => "configs",
        TopicPurpose::Offsets | TopicPurpose::ConnectorOffsets => "offsets",
        TopicPurpose::Statuses => "statuses",
    };
    format!("{own}-{purpose}")
}

fn own_client_id(properties: &ConfigMap, group: &str) -> String {
    let own = properties.get("client.id").filter(|id| !id.is_empty());
    own.map_or(group, String::as_str).to_owned()
}

fn count(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Integer(count) if *count < 1 && *count != -1 => {
            Err("Value must be positive, or -1 to use the broker's default".to_owned())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn properties(more: &[(&str, &str)]) -> ConfigMap {
        let own = [
            ("bootstrap.servers", "b:9092"),
            ("group.id", "g"),
            ("config.storage.topic", "c"),
            ("offset.storage.topic", "o"),
            ("status.storage.topic", "s"),
        ];
        let all = own.iter().chain(more);
        all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn topics_are_made_as_kafka_connect_makes_them() {
        let more = [
            ("offset.storage.replication.factor", "-1"),
            ("offset.storage.partitions", "-1"),
            ("config.storage.min.insync.replicas", "2"),
        ];
        let options = ClusterOptions::of(&properties(&more)).unwrap().unwrap();
        let (configs, offsets) = (options.configs, options.offsets);
        assert_eq!(
            (configs.partitions, configs.replication_factor),
            (Some(1), Some(3))
        );
        assert_eq!(configs.settings["min.insync.replicas"], "2");
        assert_eq!(configs.settings.len(), 1);
        assert_eq!(
            (offsets.partitions, offsets.replication_factor),
            (None, None)
        );
        assert_eq!(options.statuses.partitions, Some(5));
    }

    #[test]
    fn exactly_once_is_for_a_worker_with_a_group() {
        let enabled = [("exactly.once.source.support", "ENABLED")];
        let options = ClusterOptions::of(&properties(&enabled)).unwrap().unwrap();
        assert_eq!(options.exactly_once, SourceSupport::Enabled);
        let mut alone = properties(&enabled);
        alone.remove("group.id");
        let errors = ClusterOptions::of(&alone).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("give it a group.id"));
        alone.insert(
            "exactly.once.source.support".to_owned(),
            "disabled".to_owned(),
        );
        assert!(ClusterOptions::of(&alone).unwrap().is_none());
    }

    #[test]
    fn what_a_cluster_needs_is_asked_for_by_name() {
        assert!(ClusterOptions::of(&ConfigMap::new()).unwrap().is_none());
        let mut missing = properties(&[("status.storage.partitions", "0")]);
        missing.remove("config.storage.topic");
        let errors = ClusterOptions::of(&missing).unwrap_err();
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        let text = text.join("; ");
        assert!(
            text.contains("\"config.storage.topic\" which has no default value"),
            "{text}"
        );
        assert!(text.contains("status.storage.partitions"), "{text}");
        let mut embedded = properties(&[]);
        embedded.remove("bootstrap.servers");
        assert!(ClusterOptions::of(&embedded).is_err());
    }
}
