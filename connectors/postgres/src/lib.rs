//! Postgres sink: rows by COPY, exactly once with the offsets in the same transaction.
//!
//! Answers to `io.confluent.connect.jdbc.JdbcSinkConnector` with its keys. A record's way: `layout` finds its columns,
//! `rows` sorts by table, `table` provides what is missing, `groups` encodes, `writer` runs the transaction, `ledger`
//! keeps the offsets beside the rows, `task` gathers the next batch meanwhile.

mod cell;
mod column;
mod config;
mod connection;
mod encode;
mod error;
mod groups;
mod identifier;
mod json_text;
mod layout;
mod ledger;
mod numeric;
mod preview;
mod raw_fields;
mod rows;
mod session;
mod side;
mod statement;
mod table;
mod task;
mod temporal;
mod tls;
mod url;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, Effect, SinkPreview, SinkTask, SinkTaskContext,
};
use tracing::warn;

use config::PostgresSinkConfig;
use task::PostgresSinkTask;

#[typetag::deserialize(name = "io.confluent.connect.jdbc.JdbcSinkConnector")]
#[async_trait]
impl Connector for PostgresSinkConfig {
    fn check(&self) -> Vec<OptionError> {
        self.cross_errors()
    }

    async fn start(&self) -> Result<()> {
        match writer::check(self).await {
            // What may pass is left to the tasks, which try again.
            Err(error) if error.is_retriable() => {
                warn!(error = error.trace(), "the database cannot be reached now");
                Ok(())
            }
            outcome => outcome,
        }
    }

    fn sink_task(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>> {
        let task = PostgresSinkTask::new(Arc::new(self.clone()), context)?;
        Ok(Box::new(task))
    }

    async fn sink_preview(&self, records: SinkPreview) -> Result<Option<Vec<Effect>>> {
        let effects = preview::preview(Arc::new(self.clone()), records).await?;
        Ok(Some(effects))
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: "io.confluent.connect.jdbc.JdbcSinkConnector",
        aliases: &["PostgresSink", "PostgresSinkConnector"],
        kind: ConnectorType::Sink,
        version: env!("CARGO_PKG_VERSION"),
        definition: PostgresSinkConfig::definition,
    }
}
