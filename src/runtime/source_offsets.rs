//! Where the source offsets of a connector are, and how they are changed from outside.
//!
//! They are in the worker's store, or in a topic of the connector's own (`offsets.storage.topic`) and then in the worker's
//! store, too. Of a worker that delivers exactly once they are changed in a transaction, after the connector's tasks were
//! fenced out.

use std::sync::Arc;

use connect_core::Result;
use connect_core::config::ConfigMap;
use connect_core::plugin::TaskId;

use super::client_overrides::client_settings;
use super::environment::Environment;
use super::exactly_once::TaskProducer;
use crate::kafka::client_options::Client;
use crate::storage::{
    ConnectorOffsets, OffsetChange, OffsetStorage, StorageTopicOptions, TopicPurpose, TopicStore,
};

/// The option that names a connector's own topic.
const OWN_TOPIC: &str = "offsets.storage.topic";

/// Opens the offsets of a connector. `config` is without placeholders.
///
/// # Errors
/// `Config` if its own topic would lose entries; otherwise what the log says.
pub(super) async fn open(
    environment: &Environment,
    connector: &str,
    config: &ConfigMap,
) -> Result<ConnectorOffsets> {
    let own = match own_topic(environment, config) {
        None => None,
        Some(options) => {
            let store = TopicStore::open(&*environment.log, &options).await?;
            Some(OffsetStorage::open(Arc::new(store)).await?)
        }
    };
    let worker = environment.offsets.clone();
    Ok(ConnectorOffsets::new(connector, own, worker))
}

/// As [`open`], for whoever only reads: a topic of the connector's own that is not there is not made.
///
/// # Errors
/// As [`open`].
pub(super) async fn open_to_read(
    environment: &Environment,
    connector: &str,
    config: &ConfigMap,
) -> Result<ConnectorOffsets> {
    if let Some(own) = own_topic(environment, config) {
        let found = environment.log.admin().describe_topic(&own.name).await?;
        if found.is_none() {
            let worker = environment.offsets.clone();
            return Ok(ConnectorOffsets::new(connector, None, worker));
        }
    }
    open(environment, connector, config).await
}

/// The topic that offsets are stored in first; `None` if that is none.
pub(super) fn first_topic(environment: &Environment, config: &ConfigMap) -> Option<String> {
    let own = own_topic(environment, config).map(|own| own.name);
    let cluster = environment.settings.cluster.as_ref();
    own.or_else(|| cluster.map(|cluster| cluster.offsets.name.clone()))
}

/// A connector's own topic, made as the worker's is; `None` if it has none, or names the worker's.
fn own_topic(environment: &Environment, config: &ConfigMap) -> Option<StorageTopicOptions> {
    let name = config.get(OWN_TOPIC).map(|name| name.trim())?;
    let cluster = environment.settings.cluster.as_ref();
    let workers = cluster.map(|cluster| cluster.offsets.clone());
    if workers.as_ref().is_some_and(|workers| workers.name == name) {
        return None;
    }
    let made_as = workers.unwrap_or_else(|| StorageTopicOptions {
        purpose: TopicPurpose::ConnectorOffsets,
        name: String::new(),
        partitions: None,
        replication_factor: None,
        settings: ConfigMap::new(),
        client_id: "connector-offsets".to_owned(),
    });
    Some(StorageTopicOptions {
        purpose: TopicPurpose::ConnectorOffsets,
        name: name.to_owned(),
        ..made_as
    })
}

/// Sets or removes offsets of a connector that does not run.
///
/// # Errors
/// What the log says; without exactly-once delivery some may be changed then.
pub(super) async fn alter(
    environment: &Environment,
    connector: &str,
    config: &ConfigMap,
    changes: &[OffsetChange],
) -> Result<()> {
    let offsets = open(environment, connector, config).await?;
    let group = environment.settings.cluster.as_ref();
    let group = group.map(|cluster| cluster.group_id.as_str());
    let (Some(gate), Some(group)) = (&environment.gate, group) else {
        return offsets.alter(changes).await;
    };
    gate.fence(connector, config).await?;
    let task = TaskId {
        connector: connector.into(),
        task: 0,
    };
    let producer = TaskProducer {
        group,
        task: &task,
        settings: client_settings(
            Client::Producer,
            &environment.settings.client_settings(Client::Producer),
            config,
        ),
    };
    let mut transactions = producer.open(&*environment.log).await?;
    offsets.remove_copies(changes).await?;
    let records = offsets.records(changes).await?;
    let committed = transactions.commit(records).await;
    let closed = transactions.close().await;
    committed.and(closed)?;
    offsets.committed(changes).await;
    Ok(())
}
