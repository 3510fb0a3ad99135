//! The worker's own configuration, from Kafka Connect's keys.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub(super) use connect_core::config::wrong_options;
use connect_core::config::{
    ConfigMap, ConnectorConfig, OptionError, OptionValue, WorkerAbilities, find_converter_plugin,
    nearest,
};
use connect_core::retry::RetryPolicy;
use connect_core::{Error, Result};

use super::client_overrides::{OverridePolicy, policy};
use super::cluster_options::ClusterOptions;
use super::config_providers::{ConfigProviders, Redaction, Resolved};
use super::exactly_once::SourceSupport;
use super::rest_options::RestOptions;
use crate::kafka::client_options::Client;

/// Options of the worker.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Worker")]
pub struct WorkerConfig {
    /// Brokers to ask first; without it the worker keeps its own log on disk.
    #[option(name = "bootstrap.servers", default = "", importance = High)]
    pub bootstrap_servers: Vec<String>,
    /// Milliseconds to wait for brokers when the worker starts.
    #[option(name = "default.api.timeout.ms", default = "60000", importance = Low)]
    pub api_timeout: Duration,
    /// Converter for record keys of connectors that name none.
    #[option(name = "key.converter", default = "org.apache.kafka.connect.json.JsonConverter", importance = High, kind = Class, validator = Validator::Custom(converter))]
    pub key_converter: String,
    /// Converter for record values of connectors that name none.
    #[option(name = "value.converter", default = "org.apache.kafka.connect.json.JsonConverter", importance = High, kind = Class, validator = Validator::Custom(converter))]
    pub value_converter: String,
    /// Converter for headers of connectors that name none.
    #[option(name = "header.converter", default = "org.apache.kafka.connect.storage.SimpleHeaderConverter", kind = Class, validator = Validator::Custom(converter))]
    pub header_converter: String,
    /// Where REST listens: `http://host:port`; without a host on all addresses, with port 0 on a free one.
    #[option(name = "listeners", default = "http://:8083", importance = High)]
    pub listeners: Vec<String>,
    /// The host other workers and clients reach this one by.
    #[option(name = "rest.advertised.host.name")]
    pub advertised_host: Option<String>,
    /// The port other workers and clients reach this one by.
    #[option(name = "rest.advertised.port")]
    pub advertised_port: Option<u16>,
    /// Milliseconds between commits of offsets.
    #[option(name = "offset.flush.interval.ms", default = "60000")]
    pub offset_flush_interval: Duration,
    /// Milliseconds all tasks together have to stop in good order.
    #[option(name = "task.shutdown.graceful.timeout.ms", default = "5000")]
    pub graceful_timeout: Duration,
    /// Whether `/connectors/{connector}/topics` tells which topics a connector has used.
    #[option(name = "topic.tracking.enable", default = "true", importance = Low)]
    pub topic_tracking: bool,
    /// Whether what it tells may be reset.
    #[option(name = "topic.tracking.allow.reset", default = "true", importance = Low)]
    pub topic_tracking_reset: bool,
    /// The first pause, in milliseconds, before what has failed on an outside cause is started again; 0: never, as Kafka
    /// Connect. Each further pause is twice as long.
    #[option(name = "task.restart.backoff.ms", default = "1000", importance = Low)]
    pub restart_backoff: Duration,
    /// The longest such pause, in milliseconds.
    #[option(name = "task.restart.backoff.max.ms", default = "300000", importance = Low)]
    pub restart_backoff_max: Duration,
    /// Whether source connectors may have topics made with settings of their own: `topic.creation.*`.
    #[option(name = "topic.creation.enable", default = "true", importance = Low)]
    pub topic_creation: bool,
    /// Which settings of its clients a connector may override with `producer.override.*`, `consumer.override.*` and
    /// `admin.override.*`: `All`, `None`, `Principal` (`sasl.jaas.config`, `sasl.mechanism`, `security.protocol`) or
    /// `Allowlist`; the names of Kafka Connect's classes mean the same.
    #[option(name = "connector.client.config.override.policy", default = "All", importance = Medium, validator = Validator::Custom(policy))]
    pub override_policy: String,
    /// The settings that the policy `Allowlist` allows, without a prefix.
    #[option(name = "connector.client.config.override.allowlist", default = "", importance = Medium, validator = Validator::UniqueList)]
    pub override_allowlist: Vec<String>,
    /// The folder for connector configs, offsets and, without `bootstrap.servers`, the log.
    #[option(name = "data.dir", default = "sluice-data", importance = High)]
    pub data_dir: String,
    /// Bytes of records all sink tasks may hold in memory together; a quarter of the memory there is if not given.
    #[option(name = "memory.budget.bytes", validator = Validator::AtLeast(1_048_576))]
    pub memory_budget: Option<usize>,
    /// Aliases of config providers, each with `config.providers.<alias>.class` and `config.providers.<alias>.param.…`.
    #[option(name = "config.providers", default = "")]
    pub config_providers: Vec<String>,
    /// Where Java plugins lie: there are none to load.
    #[option(name = "plugin.path")]
    pub plugin_path: Option<String>,
    /// A Java worker's file of source offsets: not read; offsets are kept below `data.dir`.
    #[option(name = "offset.storage.file.filename")]
    pub offset_file: Option<String>,
}

/// Families of keys that are handed on: to the log's clients, to converters.
const PASSED_ON: &[&str] = &[
    "security.",
    "sasl.",
    "ssl.",
    "aws.",
    "client.",
    "request.",
    "metadata.",
    "connections.",
    "socket.",
    "consumer.",
    "producer.",
    "admin.",
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "config.providers.",
    "listeners.https.",
];

/// Families of keys of the topics a cluster keeps; a worker alone has none.
const TOPICS: &[&str] = &["config.storage.", "offset.storage.", "status.storage."];

/// Keys of a worker in a group; they mean nothing to a worker alone.
const GROUP: &[&str] = &[
    "connect.protocol",
    "heartbeat.interval.",
    "rebalance.timeout.",
    "scheduled.rebalance.",
    "session.timeout.",
    "worker.sync.",
    "worker.unsync.",
];

/// Keys of a Kafka Connect worker that mean nothing to this one.
const OTHERS: &[&str] = &["inter.worker.", "internal.", "plugin.", "rest."];

/// A worker's configuration with the properties it came from.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// The checked options.
    pub config: WorkerConfig,
    /// Those of the REST API.
    pub rest: RestOptions,
    /// Those of a worker with a `group.id`.
    pub(super) cluster: Option<ClusterOptions>,
    /// All properties, for clients and converters.
    pub properties: ConfigMap,
    /// Where placeholders in configurations are looked up.
    pub(super) providers: ConfigProviders,
    /// What placeholders of the properties stand for.
    pub(super) redaction: Redaction,
    /// What should be said about them at start.
    pub warnings: Vec<String>,
}

impl WorkerSettings {
    /// Reads a worker's properties; placeholders in them are looked up.
    ///
    /// # Errors
    /// A configuration error that lists every wrong key.
    pub fn read(properties: &ConfigMap) -> Result<Self> {
        let providers = ConfigProviders::of(properties).map_err(|errors| wrong(&errors))?;
        let Resolved {
            config: properties,
            redaction,
        } = providers.resolve(properties)?;
        let mut errors = Vec::new();
        let config = kept(WorkerConfig::from_map(&properties), &mut errors);
        let rest = kept(RestOptions::from_map(&properties), &mut errors);
        let cluster = kept(ClusterOptions::of(&properties), &mut errors);
        let (Some(config), Some(rest), Some(cluster)) = (config, rest, cluster) else {
            return Err(wrong(&errors));
        };
        let warnings = warnings(&properties, cluster.is_some());
        Ok(Self {
            config,
            rest,
            cluster,
            properties,
            providers,
            redaction,
            warnings,
        })
    }

    /// The folder for everything kept on disk.
    pub fn data_dir(&self) -> PathBuf {
        PathBuf::from(&self.config.data_dir)
    }

    /// True if the worker keeps its own log.
    pub fn is_embedded(&self) -> bool {
        self.config.bootstrap_servers.is_empty()
    }

    /// True if the worker is one of a group.
    pub fn is_in_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Properties that begin with `prefix`, without it.
    pub fn with_prefix(&self, prefix: &str) -> BTreeMap<String, String> {
        strip_prefix(&self.properties, prefix)
    }

    /// What connectors may insist on.
    pub(super) fn abilities(&self) -> WorkerAbilities {
        let cluster = self.cluster.as_ref();
        WorkerAbilities {
            exactly_once: cluster
                .is_some_and(|cluster| cluster.exactly_once == SourceSupport::Enabled),
        }
    }

    /// The pauses before restarts of what has failed; none if nothing is restarted.
    pub(super) fn restart_policy(&self) -> Option<RetryPolicy> {
        let initial = self.config.restart_backoff;
        (!initial.is_zero()).then(|| RetryPolicy {
            initial,
            max: self.config.restart_backoff_max.max(initial),
        })
    }

    /// What connectors may set of their clients.
    pub(super) fn override_policy(&self) -> OverridePolicy {
        let WorkerConfig {
            override_policy,
            override_allowlist,
            ..
        } = &self.config;
        // The name was checked.
        OverridePolicy::of(override_policy, override_allowlist).unwrap_or(OverridePolicy::None)
    }

    /// Settings for the clients of all connectors: the properties that begin with the client's name.
    pub(super) fn client_settings(&self, client: Client) -> ConfigMap {
        let mut settings = self.with_prefix(&format!("{}.", client.name()));
        // Where `/admin` is served.
        settings.retain(|key, _| key != "listeners" && !key.starts_with("listeners."));
        settings
    }

    /// Bytes sink tasks may hold together.
    pub fn memory_budget(&self) -> usize {
        self.config
            .memory_budget
            .unwrap_or_else(|| memory_limit() / 4)
    }
}

/// Entries whose key begins with `prefix`, without it.
pub(super) fn strip_prefix(properties: &ConfigMap, prefix: &str) -> ConfigMap {
    properties
        .iter()
        .filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())))
        .collect()
}

/// What was read; errors are gathered.
fn kept<T>(read: Result<T, Vec<OptionError>>, errors: &mut Vec<OptionError>) -> Option<T> {
    read.map_err(|wrong| errors.extend(wrong)).ok()
}

fn wrong(errors: &[OptionError]) -> Error {
    wrong_options(errors).operation("worker configuration")
}

fn warnings(properties: &ConfigMap, in_cluster: bool) -> Vec<String> {
    let mut definition = WorkerConfig::definition();
    definition.extend(RestOptions::definition());
    if in_cluster {
        definition.extend(ClusterOptions::definition());
    }
    let known: Vec<&'static str> = definition
        .options()
        .iter()
        .map(|option| option.name)
        .collect();
    let foreign =
        |key: &str, families: &[&str]| families.iter().any(|prefix| key.starts_with(prefix));
    properties
        .keys()
        .filter(|key| !known.contains(&key.as_str()) && !foreign(key, PASSED_ON))
        .filter(|key| !(in_cluster && foreign(key, TOPICS)))
        .map(|key| match nearest(key, &known) {
            _ if [OTHERS, TOPICS, GROUP]
                .iter()
                .any(|keys| foreign(key, keys)) =>
            {
                format!("{key} has no meaning for this worker and is not used")
            }
            Some(meant) => format!("{key} is not known and not used: was {meant} meant?"),
            None => format!("{key} is not known and not used"),
        })
        .collect()
}

fn converter(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(class) if find_converter_plugin(class).is_none() => {
            Err(format!("Class {class} could not be found."))
        }
        _ => Ok(()),
    }
}

/// The memory this process may use: the control group's limit, else the machine's memory, else 1 GiB.
fn memory_limit() -> usize {
    let group_files = [
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    ];
    let limit = |path: &&str| {
        std::fs::read_to_string(path)
            .ok()?
            .trim()
            .parse::<usize>()
            .ok()
    };
    let group = group_files.iter().find_map(limit);
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            let kilobytes: usize = line.trim().strip_suffix(" kB")?.parse().ok()?;
            kilobytes.checked_mul(1024)
        });
    match (group, machine) {
        (Some(group), Some(machine)) => group.min(machine),
        (Some(limit), None) | (None, Some(limit)) => limit,
        (None, None) => 1 << 30,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_property_is_named_at_once() {
        let properties = [
            ("offset.flush.interval.ms", "soon"),
            ("rest.request.timeout.ms", "soon"),
            ("group.id", "workers"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let error = WorkerSettings::read(&properties.into()).unwrap_err();
        for key in [
            "offset.flush.interval.ms",
            "rest.request.timeout.ms",
            "config.storage.topic",
        ] {
            assert!(error.message().contains(key), "{error}");
        }
    }
}
