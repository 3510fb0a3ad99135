//! S3 sink: records to objects, exactly once by a planned cut.
//!
//! Answers to `io.confluent.connect.s3.S3SinkConnector` with its keys and object names. How exactly once is reached is in
//! this crate's README and in `plan`.

mod client;
mod config;
mod csv;
mod encoder;
mod joda;
mod naming;
mod object;
mod origin;
mod partition_writer;
mod partitioner;
mod plan;
mod preview;
mod rotation;
mod task;
mod template;
mod waiting;

use std::sync::Arc;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, Effect, SinkPreview, SinkTask, SinkTaskContext,
};

use client::Bucket;
use config::S3SinkConfig;
use task::S3SinkTask;

#[typetag::deserialize(name = "io.confluent.connect.s3.S3SinkConnector")]
#[async_trait]
impl Connector for S3SinkConfig {
    fn check(&self) -> Vec<OptionError> {
        self.cross_errors()
    }

    async fn start(&self) -> Result<()> {
        Bucket::open(&self.bucket).await.check().await
    }

    fn sink_task(&self, context: SinkTaskContext) -> Result<Box<dyn SinkTask>> {
        Ok(Box::new(S3SinkTask::new(Arc::new(self.clone()), context)))
    }

    async fn sink_preview(&self, records: SinkPreview) -> Result<Option<Vec<Effect>>> {
        let effects = preview::preview(Arc::new(self.clone()), records).await?;
        Ok(Some(effects))
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: "io.confluent.connect.s3.S3SinkConnector",
        aliases: &[],
        kind: ConnectorType::Sink,
        version: env!("CARGO_PKG_VERSION"),
        definition: S3SinkConfig::definition,
    }
}
