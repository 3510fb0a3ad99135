//! Snowflake sink: stage and COPY, exactly once with the offsets in the same transaction.
//!
//! Answers to `com.snowflake.kafka.connector.SnowflakeSinkConnector` with its keys. A record's way: `row` makes a line of
//! it, `buffer` gathers the lines of a partition in a `file` per table, `task` cuts batches, `loader` uploads (`upload`) and
//! loads them (`copy`, `tables`, `offsets`) over a `session`, whose middleware is `wire` (tries again: `exchange`).

#[cfg(test)]
mod assumptions;
mod batch;
mod buffer;
mod check;
mod columns;
mod config;
mod content;
mod converter;
mod copy;
mod error;
mod exchange;
mod fields;
mod file;
mod key;
mod loader;
mod naming;
mod offsets;
mod preview;
mod row;
mod session;
mod tables;
mod task;
mod upload;
mod url;
mod wire;

use std::sync::Arc;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, Effect, SinkPreview, SinkTask, SinkTaskContext,
};
use tracing::warn;

use config::SnowflakeSinkConfig;
use task::SnowflakeSinkTask;

#[typetag::deserialize(name = "com.snowflake.kafka.connector.SnowflakeSinkConnector")]
#[async_trait]
impl Connector for SnowflakeSinkConfig {
    fn check(&self) -> Vec<OptionError> {
        self.cross_errors()
    }

    async fn validate(&self) -> Vec<OptionError> {
        match check::check(self).await {
            Err(wrong) if !wrong.error.is_retriable() => {
                vec![OptionError::new(wrong.option, wrong.error.message())]
            }
            _ => Vec::new(),
        }
    }

    async fn start(&self) -> Result<()> {
        match check::check(self).await {
            Ok(()) => Ok(()),
            // What may pass is left to the tasks, which try again.
            Err(wrong) if wrong.error.is_retriable() => {
                warn!(
                    error = wrong.error.trace(),
                    "Snowflake cannot be reached now"
                );
                Ok(())
            }
            Err(wrong) => Err(wrong.error),
        }
    }

    fn sink_task(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(SnowflakeSinkTask::new(
            Arc::new(self.clone()),
            context,
        )))
    }

    async fn sink_preview(&self, records: SinkPreview) -> Result<Option<Vec<Effect>>> {
        let effects = preview::preview(Arc::new(self.clone()), records).await?;
        Ok(Some(effects))
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: "com.snowflake.kafka.connector.SnowflakeSinkConnector",
        aliases: &[
            "com.snowflake.kafka.connector.SnowflakeStreamingSinkConnector",
            "SnowflakeStreamingSinkConnector",
            "SnowflakeSink",
        ],
        kind: ConnectorType::Sink,
        version: env!("CARGO_PKG_VERSION"),
        definition: SnowflakeSinkConfig::definition,
    }
}
