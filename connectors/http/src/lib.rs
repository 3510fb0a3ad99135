//! HTTP source: records of a JSON API, page by page, again and again.
//!
//! `config` (options) → `request` (a page's request) → `client` (limits, errors) → `json` (records in an answer) →
//! `pagination` (what follows) → `position` (what is stored) → `task` (one after the other).

mod client;
mod config;
mod json;
mod mark;
mod pagination;
mod position;
mod request;
mod task;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, ExactlyOnceSupport, OffsetChanges, SourcePreview,
    SourceTask, SourceTaskContext,
};
use tracing::warn;

use client::Client;
use config::{HttpSourceConfig, PaginationMode};
use request::Requests;

/// The class name; it replaces no Java class.
const CLASS: &str = "sluice.http.HttpSourceConnector";

#[typetag::deserialize(name = "sluice.http.HttpSourceConnector")]
#[async_trait]
impl Connector for HttpSourceConfig {
    fn check(&self) -> Vec<OptionError> {
        self.cross_errors()
    }

    async fn start(&self) -> Result<()> {
        let requests = Requests::new(self)?;
        Client::new(self, &requests)?;
        if requests.sends_keys_in_the_clear() {
            warn!("credentials go over http:// and can be read on the way: use https://");
        }
        Ok(())
    }

    /// Pages follow one another: there is nothing to share out.
    fn task_count(&self, _tasks_max: u32) -> u32 {
        1
    }

    /// The offset of a page's last record is the next page, which a server may have forgotten, or moved, after a crash. A fetch
    /// of one page has no such place.
    fn exactly_once_support(&self) -> Option<ExactlyOnceSupport> {
        Some(match self.pagination.mode {
            PaginationMode::None => ExactlyOnceSupport::Supported,
            PaginationMode::Link | PaginationMode::Page | PaginationMode::Cursor => {
                ExactlyOnceSupport::Unsupported
            }
        })
    }

    async fn alter_offsets(&self, changes: &OffsetChanges) -> Result<bool> {
        position::FORM.check(changes)?;
        Ok(true)
    }

    fn source_task(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(task::HttpSourceTask::new(self, context)?))
    }

    fn source_preview(&self, context: SourceTaskContext) -> Result<SourcePreview> {
        Ok(SourcePreview {
            task: self.source_task(context)?,
            note: Some(
                "the requests to http.url were made: they count against limits there, and a POST may change something",
            ),
        })
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: CLASS,
        aliases: &[],
        kind: ConnectorType::Source,
        version: env!("CARGO_PKG_VERSION"),
        definition: HttpSourceConfig::definition,
    }
}
