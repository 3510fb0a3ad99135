//! Offsets of connectors: read, set and removed from outside.
//!
//! The herders see to it that they are changed only while a connector is stopped and its tasks have ended.

use std::sync::Arc;

use connect_core::config::{ConfigMap, connector_from_map, find_connector_plugin};
use connect_core::data::{SourceOffset, SourcePartition, TopicPartition};
use connect_core::plugin::{Connector, ConnectorType, OffsetChanges};
use connect_core::{Error, ErrorKind};

use super::{Answer, Desk, internal};
use crate::kafka::Admin;
use crate::kafka::client_options::Client;
use crate::runtime::client_overrides::{self, client_settings};
use crate::runtime::herder::HerderError;
use crate::runtime::info::{ConnectorOffset, ConnectorOffsets};
use crate::runtime::offsets::{changes_of, shown_sink, shown_source};
use crate::runtime::sink_task::group_id;
use crate::runtime::source_offsets;

/// What is done with offsets; the words of Kafka Connect's messages.
#[derive(Clone, Copy)]
enum Change {
    Alter,
    Reset,
}

impl Change {
    fn verb(self) -> &'static str {
        match self {
            Self::Alter => "alter",
            Self::Reset => "reset",
        }
    }

    /// `by_connector`: the connector has taken the change over, wherever it keeps offsets.
    fn done(self, by_connector: bool) -> String {
        let done = match self {
            Self::Alter => "altered",
            Self::Reset => "reset",
        };
        if by_connector {
            return format!("The offsets for this connector have been {done} successfully");
        }
        format!(
            "The Connect framework-managed offsets for this connector have been {done} successfully. However, if this connector manages offsets externally, they will need to be manually {done} in the system that the connector uses."
        )
    }
}

/// A stopped connector.
struct Stopped {
    name: String,
    /// Placeholders looked up.
    config: ConfigMap,
    connector: Arc<dyn Connector>,
    /// The group of a sink.
    group: Option<String>,
}

/// The refusal to change offsets of a connector that is not stopped.
pub(in crate::runtime) fn not_stopped(name: &str) -> HerderError {
    HerderError::BadRequest(format!(
        "Connectors must be in the STOPPED state before their offsets can be modified. This can be done for the specified connector by issuing a 'PUT' request to the '/connectors/{name}/stop' endpoint"
    ))
}

impl Desk {
    /// The offsets of a connector that is there.
    pub(in crate::runtime) async fn read_offsets(
        &self,
        name: &str,
        config: &ConfigMap,
    ) -> Answer<ConnectorOffsets> {
        let stopped = self.opened(name, config)?;
        let offsets = match &stopped.group {
            None => {
                let stored = self.source_offsets(name, &stopped.config).await?;
                stored.into_iter().map(shown_source).collect()
            }
            Some(group) => {
                let admin = self.admin_of(name, &stopped.config).await?;
                let committed = admin.group_offsets(group).await;
                let committed = committed.map_err(|error| internal(&error))?;
                let shown = |(partition, offset)| shown_sink(partition, offset);
                committed.iter().map(shown).collect()
            }
        };
        Ok(ConnectorOffsets { offsets })
    }

    /// Changes offsets of a stopped connector.
    pub(in crate::runtime) async fn change_offsets(
        &self,
        name: &str,
        config: &ConfigMap,
        offsets: &[ConnectorOffset],
    ) -> Answer<String> {
        let stopped = self.opened(name, config)?;
        let changes = changes_of(stopped.kind(), name, offsets)?;
        self.apply(&stopped, Change::Alter, changes).await
    }

    /// Removes all offsets of a stopped connector.
    pub(in crate::runtime) async fn remove_offsets(
        &self,
        name: &str,
        config: &ConfigMap,
    ) -> Answer<String> {
        let stopped = self.opened(name, config)?;
        let changes = match &stopped.group {
            None => {
                let stored = self
                    .source_offsets(name, &stopped.config)
                    .await?
                    .into_iter();
                let gone = stored.map(|(partition, _)| (Some(partition), None));
                OffsetChanges::Source(gone.collect())
            }
            Some(group) => {
                let admin = self.admin_of(name, &stopped.config).await?;
                let committed = admin.group_offsets(group).await;
                let committed = committed.map_err(|error| internal(&error))?;
                let gone = committed.into_keys().map(|partition| (partition, None));
                OffsetChanges::Sink(gone.collect())
            }
        };
        self.apply(&stopped, Change::Reset, changes).await
    }

    /// What is stored of a source, by whatever worker.
    async fn source_offsets(
        &self,
        name: &str,
        config: &ConfigMap,
    ) -> Answer<Vec<(SourcePartition, SourceOffset)>> {
        let read = async {
            let offsets = source_offsets::open(&self.environment, name, config).await?;
            offsets.refresh().await?;
            offsets.all()
        };
        read.await.map_err(|error| internal(&error))
    }

    /// The group of a sink.
    pub(in crate::runtime) fn group_of(&self, name: &str, config: &ConfigMap) -> String {
        group_id(
            name,
            config,
            &self.environment.settings.with_prefix("consumer."),
        )
    }

    fn opened(&self, name: &str, config: &ConfigMap) -> Answer<Stopped> {
        let resolved = self.environment.providers.resolve(config);
        let resolved = resolved.map_err(|error| internal(&error))?;
        let class = resolved.config.get("connector.class");
        let plugin = find_connector_plugin(class.map_or("", String::as_str));
        let plugin = plugin.map_err(|error| internal(&error))?;
        let connector = connector_from_map(&resolved.config).map_err(|error| internal(&error))?;
        let is_sink = plugin.kind == ConnectorType::Sink;
        Ok(Stopped {
            name: name.to_owned(),
            connector: connector.into(),
            group: is_sink.then(|| self.group_of(name, &resolved.config)),
            config: resolved.config,
        })
    }

    async fn apply(
        &self,
        stopped: &Stopped,
        change: Change,
        changes: OffsetChanges,
    ) -> Answer<String> {
        let by_connector = stopped
            .connector
            .alter_offsets(&changes)
            .await
            .map_err(|error| HerderError::Internal(error.message().to_owned()))?;
        match changes {
            OffsetChanges::Source(changes) => {
                let mut stored = Vec::new();
                for (partition, offset) in changes {
                    let Some(partition) = partition else {
                        let text =
                            "The partition for a source connector offset cannot be null or missing";
                        return Err(HerderError::BadRequest(text.to_owned()));
                    };
                    stored.push((partition, offset));
                }
                let (name, config) = (&stopped.name, &stopped.config);
                let altered = source_offsets::alter(&self.environment, name, config, &stored).await;
                altered.map_err(|error| internal(&error))?;
            }
            OffsetChanges::Sink(changes) => {
                let group = stopped.group.as_deref().unwrap_or_default();
                let admin = self.admin_of(&stopped.name, &stopped.config).await?;
                let done = match change {
                    Change::Reset => admin.delete_group(group).await.map(|_there_or_not| ()),
                    Change::Alter => {
                        check_partitions(&*admin, &stopped.name, changes.keys()).await?;
                        admin.alter_group_offsets(group, &changes).await
                    }
                };
                done.map_err(|error| group_error(&stopped.name, change, &error))?;
            }
        }
        Ok(change.done(by_connector))
    }

    /// The admin client of a sink's group, which may be one of other brokers or of another login than the worker's.
    async fn admin_of(&self, name: &str, config: &ConfigMap) -> Answer<Arc<dyn Admin>> {
        let settings = &self.environment.settings;
        let admin = async {
            client_overrides::check_client(Client::Admin, config, &settings.override_policy())?;
            let worker = settings.client_settings(Client::Admin);
            let overrides = client_settings(Client::Admin, &worker, config);
            let id = format!("connector-worker-adminclient-{name}");
            self.environment.log.admin_with(&id, overrides).await
        };
        admin.await.map_err(|error| internal(&error))
    }
}

/// An offset of a partition that is not there would never be used.
async fn check_partitions(
    admin: &dyn Admin,
    name: &str,
    partitions: impl Iterator<Item = &TopicPartition>,
) -> Answer<()> {
    for partition in partitions {
        let described = admin.describe_topic(&partition.topic).await;
        let known = described.map_err(|error| group_error(name, Change::Alter, &error))?;
        let there = known.is_some_and(|topic| (0..topic.partitions).contains(&partition.partition));
        if !there {
            return Err(HerderError::Internal(format!(
                "Failed to alter consumer group offsets for connector {name}: there is no partition {partition}"
            )));
        }
    }
    Ok(())
}

impl Stopped {
    fn kind(&self) -> ConnectorType {
        match self.group {
            Some(_) => ConnectorType::Sink,
            None => ConnectorType::Source,
        }
    }
}

fn group_error(name: &str, change: Change, error: &Error) -> HerderError {
    let failed = format!(
        "Failed to {} consumer group offsets for connector {name}",
        change.verb()
    );
    if error.kind() == ErrorKind::Conflict {
        return HerderError::Internal(format!(
            "{failed}: its group still has members, maybe a zombie sink task. If the connector is in a stopped state, this operation can be safely retried."
        ));
    }
    HerderError::Internal(format!("{failed}: {}", error.trace()))
}
