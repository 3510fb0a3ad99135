//! `io.confluent.kafka.connect.datagen.DatagenConnector`: records of an Avro schema, as its `arg.properties` say.
//!
//! `config` chooses a schema (one of `quickstart`, or the user's), `avro` reads it and makes values of it, `task` makes records.

mod avro;
mod config;
mod quickstart;
mod task;

use async_trait::async_trait;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, ExactlyOnceSupport, SourceTask, SourceTaskContext,
};
use connect_core::{Error, Result};

use avro::Files;
use config::DatagenConnectorConfig;

#[typetag::deserialize(name = "io.confluent.kafka.connect.datagen.DatagenConnector")]
#[async_trait]
impl Connector for DatagenConnectorConfig {
    fn check(&self) -> Vec<OptionError> {
        self.cross_errors()
    }

    async fn validate(&self) -> Vec<OptionError> {
        let this = self.clone();
        let chosen = tokio::task::spawn_blocking(move || this.choose(Files::Read)).await;
        chosen
            .into_iter()
            .filter_map(std::result::Result::err)
            .collect()
    }

    /// The offset of a record holds all that the next one depends on.
    fn exactly_once_support(&self) -> Option<ExactlyOnceSupport> {
        Some(ExactlyOnceSupport::Supported)
    }

    fn source_task(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>> {
        let chosen = self.choose(Files::Read);
        let chosen = chosen.map_err(|error| Error::config(error.to_string()))?;
        let chosen = chosen.ok_or_else(|| Error::internal("a schema that nobody has read"))?;
        Ok(Box::new(task::DatagenTask::new(self, chosen, context)))
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: "io.confluent.kafka.connect.datagen.DatagenConnector",
        aliases: &[],
        kind: ConnectorType::Source,
        version: env!("CARGO_PKG_VERSION"),
        definition: DatagenConnectorConfig::definition,
    }
}
