//! What must outlive the worker: connector configs, target states, source offsets.
//!
//! Keys and values are Kafka Connect's own. A worker alone keeps them in files; a worker with a `group.id` in compacted topics,
//! which a Kafka Connect cluster can take over.

mod config_topic;
mod configs;
mod connector_offsets;
mod file;
mod generations;
mod leader;
mod offsets;
pub(crate) mod statuses;
mod topic;

use async_trait::async_trait;
use connect_core::{Error, Result};

use crate::kafka::ProducerRecord;
pub use config_topic::{ClusterConfig, ClusterConnector, CommittedTasks, ConfigNews, ConfigTopic};
pub(crate) use config_topic::{TASK_CLASS, are_told};
pub use configs::{ConfigStorage, StoredConnector};
pub use connector_offsets::ConnectorOffsets;
pub use file::FileStore;
pub use generations::TaskGeneration;
pub use leader::LeaderWriter;
pub use offsets::{OffsetChange, OffsetStorage};
pub use topic::{StorageTopicOptions, TopicPurpose, TopicStore};

/// JSON values by key; a change is durable when the call returns.
#[async_trait]
pub trait KeyValueStore: Send + Sync {
    /// Everything there is.
    async fn load(&self) -> Result<Vec<(String, serde_json::Value)>>;

    /// Everything there is; transactions that are open now are waited for, since they may hide it.
    async fn load_settled(&self) -> Result<Vec<(String, serde_json::Value)>> {
        self.load().await
    }

    /// Sets or removes (`None`) values, all together.
    async fn put(&self, changes: Vec<(String, Option<serde_json::Value>)>) -> Result<()>;

    /// The records that would do so, for a transaction of the caller.
    async fn records(
        &self,
        changes: Vec<(String, Option<serde_json::Value>)>,
    ) -> Result<Vec<ProducerRecord>> {
        drop(changes);
        Err(Error::internal("the store is not a topic"))
    }

    /// Ends what it reads and writes with; nothing is asked of it afterwards.
    async fn close(&self) {}
}
