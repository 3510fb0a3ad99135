//! Kafka's own keys for connections, consumers and producers: what is understood, with Kafka's defaults.
//!
//! Every other key of a connector's overrides is refused by name; of the worker's properties, keys that are not for
//! clients are left alone.

use std::collections::BTreeMap;
use std::time::Duration;

use connect_core::config::{ConfigMap, ConnectorConfig, OptionError, wrong_options};
use connect_core::{Result, option_names};
use krafka::{Kafka, KafkaBuilder};

use super::security;

/// How to reach the cluster.
#[derive(Debug, ConnectorConfig)]
#[config(group = "Kafka")]
pub(super) struct ConnectionSettings {
    /// Brokers to ask first: `host:port`, separated by commas.
    #[option(name = "bootstrap.servers", importance = High)]
    pub(super) bootstrap_servers: Vec<String>,
    /// Shown in broker logs.
    #[option(name = "client.id", default = "sluice")]
    client_id: String,
    /// Milliseconds one request may take.
    #[option(name = "request.timeout.ms", default = "30000")]
    pub(super) request_timeout: Duration,
    /// Milliseconds until a connection is given up.
    #[option(name = "socket.connection.setup.timeout.ms", default = "10000")]
    connect_timeout: Duration,
    /// Milliseconds until metadata are asked for again.
    #[option(name = "metadata.max.age.ms", default = "300000")]
    pub(super) metadata_max_age: Duration,
    /// Milliseconds until an idle connection is closed.
    #[option(name = "connections.max.idle.ms", default = "540000")]
    connections_max_idle: Duration,
}

impl ConnectionSettings {
    pub(super) fn read(properties: &ConfigMap) -> Result<Self> {
        Self::from_map(properties).map_err(|errors| wrong_options(&errors))
    }

    pub(super) fn builder(&self, properties: &ConfigMap) -> Result<KafkaBuilder> {
        let security = security::settings(properties).map_err(|errors| wrong_options(&errors))?;
        Ok(Kafka::builder(self.bootstrap_servers.join(","))
            .client_id(&self.client_id)
            .security(security)
            .request_timeout(self.request_timeout)
            // A request that is to be quicker than a connection makes the connection quicker.
            .connect_timeout(self.connect_timeout.min(self.request_timeout))
            .metadata_max_age(self.metadata_max_age)
            .connections_max_idle(Some(self.connections_max_idle)))
    }
}

/// Where a new group begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum Reset {
    Earliest,
    Latest,
    None,
}

option_names!(Reset { "earliest" => Earliest, "latest" => Latest, "none" => None });

/// Which records are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum Isolation {
    ReadUncommitted,
    ReadCommitted,
}

option_names!(Isolation { "read_uncommitted" => ReadUncommitted, "read_committed" => ReadCommitted });

/// Which group protocol is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) enum GroupProtocol {
    Classic,
    Consumer,
}

option_names!(GroupProtocol { "classic" => Classic, "consumer" => Consumer });

/// How a consumer reads.
#[derive(Debug, ConnectorConfig)]
#[config(group = "Consumer")]
pub(in crate::kafka) struct ConsumerSettings {
    /// Where to begin without a committed offset.
    #[option(name = "auto.offset.reset")]
    pub(in crate::kafka) auto_offset_reset: Option<Reset>,
    /// Which records are seen.
    #[option(name = "isolation.level")]
    pub(in crate::kafka) isolation: Option<Isolation>,
    /// Milliseconds without a heartbeat until the group goes on without this member.
    #[option(name = "session.timeout.ms", default = "45000")]
    pub(in crate::kafka) session_timeout: Duration,
    /// Milliseconds between heartbeats.
    #[option(name = "heartbeat.interval.ms", default = "3000")]
    pub(in crate::kafka) heartbeat_interval: Duration,
    /// Milliseconds between two polls until the group goes on without this member.
    #[option(name = "max.poll.interval.ms", default = "300000")]
    pub(in crate::kafka) max_poll_interval: Duration,
    /// Records a poll returns at the most.
    #[option(name = "max.poll.records", validator = Validator::AtLeast(1))]
    pub(in crate::kafka) max_poll_records: Option<i32>,
    /// Bytes a broker collects before it answers.
    #[option(name = "fetch.min.bytes", default = "1", validator = Validator::AtLeast(0))]
    pub(in crate::kafka) fetch_min_bytes: i32,
    /// Bytes of one answer.
    #[option(name = "fetch.max.bytes", validator = Validator::AtLeast(0))]
    pub(in crate::kafka) fetch_max_bytes: Option<i32>,
    /// Bytes of one partition in one answer.
    #[option(name = "max.partition.fetch.bytes", default = "1048576", validator = Validator::AtLeast(0))]
    pub(in crate::kafka) max_partition_fetch_bytes: i32,
    /// Milliseconds a broker waits for `fetch.min.bytes`.
    #[option(name = "fetch.max.wait.ms", default = "500")]
    pub(in crate::kafka) fetch_max_wait: Duration,
    /// A name that lasts over restarts: a restarted member takes its partitions up again without a rebalance.
    #[option(name = "group.instance.id")]
    pub(in crate::kafka) group_instance_id: Option<String>,
    /// The rack to fetch from.
    #[option(name = "client.rack")]
    pub(in crate::kafka) client_rack: Option<String>,
    /// Which group protocol is spoken.
    #[option(name = "group.protocol", default = "classic")]
    pub(in crate::kafka) group_protocol: GroupProtocol,
    /// Which partitioner of work is offered, by the Java class.
    #[option(name = "partition.assignment.strategy", default = "")]
    pub(in crate::kafka) assignors: Vec<String>,
}

/// How a producer writes.
#[derive(Debug, ConnectorConfig)]
#[config(group = "Producer")]
pub(in crate::kafka) struct ProducerSettings {
    /// Compression of batches.
    #[option(name = "compression.type", validator = Validator::OneOfIgnoreCase(&["none", "gzip", "snappy", "lz4", "zstd"]))]
    pub(in crate::kafka) compression: Option<String>,
    /// Bytes of a batch.
    #[option(name = "batch.size", default = "65536", validator = Validator::AtLeast(0))]
    pub(in crate::kafka) batch_size: usize,
    /// Milliseconds a batch waits to be filled.
    #[option(name = "linger.ms", default = "5")]
    pub(in crate::kafka) linger: Duration,
    /// Milliseconds until a record that was not acknowledged is given up.
    #[option(name = "delivery.timeout.ms", default = "120000")]
    pub(in crate::kafka) delivery_timeout: Duration,
    /// Bytes of one request.
    #[option(name = "max.request.size", default = "10485760", validator = Validator::AtLeast(0))]
    pub(in crate::kafka) max_request_size: usize,
    /// Bytes of records that wait to be sent.
    #[option(name = "buffer.memory", default = "33554432", validator = Validator::AtLeast(0))]
    pub(in crate::kafka) buffer_memory: usize,
    /// Milliseconds to wait for metadata and buffer space.
    #[option(name = "max.block.ms", default = "60000")]
    pub(in crate::kafka) max_block: Duration,
    /// Whether a repeated send is written once.
    #[option(name = "enable.idempotence", default = "true")]
    pub(in crate::kafka) idempotence: bool,
    /// Who must have a record before it counts; only `all`.
    #[option(name = "acks", default = "all", validator = Validator::OneOfIgnoreCase(&["all", "-1"]))]
    pub(in crate::kafka) _acks: String,
    /// Milliseconds an open transaction lasts.
    #[option(name = "transaction.timeout.ms", default = "60000")]
    pub(in crate::kafka) transaction_timeout: Duration,
}

/// Divides a client's overrides into those about the connection (addresses, `security.`, `sasl.`, `ssl.`) and the others.
pub(super) fn divided(overrides: BTreeMap<String, String>) -> (ConfigMap, ConfigMap) {
    let definition = ConnectionSettings::definition();
    let families = ["security.", "sasl.", "ssl."];
    overrides.into_iter().partition(|(key, _)| {
        definition.option(key).is_some() || families.iter().any(|prefix| key.starts_with(prefix))
    })
}

/// Refuses every one of these settings by name.
pub(in crate::kafka) fn none_of(given: &BTreeMap<String, String>) -> Result<()> {
    let errors: Vec<_> = given.keys().map(|key| not_supported(key)).collect();
    if errors.is_empty() {
        return Ok(());
    }
    Err(wrong_options(&errors))
}

/// Without the value: it may be a secret.
fn not_supported(key: &str) -> OptionError {
    OptionError::new(key, format!("the client setting {key} is not supported"))
}

/// Reads overrides; a key that is not understood is refused by name.
pub(in crate::kafka) fn overrides<T: ConnectorConfig>(
    given: &BTreeMap<String, String>,
) -> Result<T> {
    let definition = T::definition();
    let unknown = given.keys().filter(|key| definition.option(key).is_none());
    let mut errors: Vec<_> = unknown.map(|key| not_supported(key)).collect();
    match T::from_map(given) {
        Ok(settings) if errors.is_empty() => Ok(settings),
        Ok(_) => Err(wrong_options(&errors)),
        Err(more) => {
            errors.extend(more);
            Err(wrong_options(&errors))
        }
    }
}
