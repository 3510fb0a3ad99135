//! File source: rows of CSV and JSON lines files, as they grow.
//!
//! `discover` (which files) → `tracked` (what to do with each) → `opened` over `bytes` and `header` (from a position to the
//! end for now) → `row`, `csv`, `column` (what a row is) → `files` (one file after the other) → `task`.

mod born;
mod bytes;
mod column;
mod config;
mod csv;
mod discover;
mod files;
mod finish;
mod header;
mod names;
mod opened;
mod position;
mod row;
mod stored;
mod task;
mod tracked;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, ExactlyOnceSupport, OffsetChanges, SourcePreview,
    SourceTask, SourceTaskContext,
};

use config::{FileSourceConfig, FinishedAction};

/// The class name; it replaces no Java class.
const CLASS: &str = "sluice.file.FileSourceConnector";

#[typetag::deserialize(name = "sluice.file.FileSourceConnector")]
#[async_trait]
impl Connector for FileSourceConfig {
    fn check(&self) -> Vec<OptionError> {
        self.cross_errors()
    }

    async fn start(&self) -> Result<()> {
        finish::prepare(&self.files)
    }

    /// Tasks share files; one file is one task's.
    fn task_count(&self, tasks_max: u32) -> u32 {
        if discover::is_single(&self.files.file) {
            1
        } else {
            tasks_max
        }
    }

    /// The offset of a batch is the place behind its last row.
    fn exactly_once_support(&self) -> Option<ExactlyOnceSupport> {
        Some(ExactlyOnceSupport::Supported)
    }

    async fn alter_offsets(&self, changes: &OffsetChanges) -> Result<bool> {
        stored::FORM.check(changes)?;
        Ok(true)
    }

    fn source_task(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(task::FileSourceTask::new(self.clone(), context)))
    }

    /// Files stay where they are.
    fn source_preview(&self, context: SourceTaskContext) -> Result<SourcePreview> {
        let mut config = self.clone();
        config.files.finished_action = FinishedAction::Leave;
        let task = Box::new(task::FileSourceTask::new(config, context));
        Ok(SourcePreview { task, note: None })
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: CLASS,
        aliases: &[],
        kind: ConnectorType::Source,
        version: env!("CARGO_PKG_VERSION"),
        definition: FileSourceConfig::definition,
    }
}
