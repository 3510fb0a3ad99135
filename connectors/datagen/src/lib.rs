//! Generator source: plausible events, seeded and repeatable.
//!
//! [`events`] makes them; the connector writes them to a topic at a given rate. A second connector, in `confluent`, makes records
//! of any Avro schema, as Confluent's generator does.

mod config;
mod confluent;
pub mod events;
mod task;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, ExactlyOnceSupport, FieldKind, OffsetChanges,
    OffsetForm, SourceTask, SourceTaskContext,
};

use config::DatagenConfig;

/// The class name; it replaces no Java class.
const CLASS: &str = "sluice.datagen.DatagenSourceConnector";

/// What a user may set.
const FORM: OffsetForm = OffsetForm {
    partitions: &[&[("task", FieldKind::Whole), ("tasks", FieldKind::Whole)]],
    offset: &[("index", FieldKind::Whole)],
    required: &["index"],
};

#[typetag::deserialize(name = "sluice.datagen.DatagenSourceConnector")]
#[async_trait]
impl Connector for DatagenConfig {
    fn check(&self) -> Vec<OptionError> {
        self.cross_errors()
    }

    /// The offset of a batch is the number of the next event.
    fn exactly_once_support(&self) -> Option<ExactlyOnceSupport> {
        Some(ExactlyOnceSupport::Supported)
    }

    async fn alter_offsets(&self, changes: &OffsetChanges) -> Result<bool> {
        FORM.check(changes)?;
        Ok(true)
    }

    fn source_task(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(task::DatagenTask::new(self.clone(), context)))
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: CLASS,
        aliases: &["DatagenSource"],
        kind: ConnectorType::Source,
        version: env!("CARGO_PKG_VERSION"),
        definition: DatagenConfig::definition,
    }
}
