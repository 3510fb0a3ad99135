//! What must outlive the worker: connector configs, target states, source offsets.
//!
//! Keys and values are Kafka Connect's own. A worker alone keeps them in files; a worker with a `group.id` in compacted topics,
//! which a Kafka Connect cluster can take over.

mod config_topic;
mod configs;
mod file;
mod offsets;
pub(crate) mod statuses;
mod topic;

use async_trait::async_trait;
use connect_core::Result;

pub use config_topic::ConfigTopic;
pub use configs::{ConfigStorage, StoredConnector};
pub use file::FileStore;
pub use offsets::OffsetStorage;
pub use topic::{StorageTopicOptions, TopicPurpose, TopicStore};

/// JSON values by key; a change is durable when the call returns.
#[async_trait]
pub trait KeyValueStore: Send + Sync {
    /// Everything there is.
    async fn load(&self) -> Result<Vec<(String, serde_json::Value)>>;

    /// Sets or removes (`None`) values, all together.
    async fn put(&self, changes: Vec<(String, Option<serde_json::Value>)>) -> Result<()>;
}
