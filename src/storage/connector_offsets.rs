//! Source offsets of one connector: in the worker's store, and before it in a topic of the connector's own if it has one.
//!
//! Holds always: what is in the worker's store is never ahead of the connector's own topic, so that the topic, where both
//! have an offset, is right.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::data::{SourceOffset, SourcePartition};
use connect_core::{Error, Result};
use tracing::warn;

use super::offsets::{OffsetChange, OffsetStorage};
use crate::kafka::ProducerRecord;

/// Source offsets of one connector.
#[derive(Clone)]
pub struct ConnectorOffsets {
    connector: Arc<str>,
    /// The topic of its own.
    own: Option<OffsetStorage>,
    worker: OffsetStorage,
}

impl ConnectorOffsets {
    /// Those of a connector that keeps them in `own`, or else in the worker's store.
    pub fn new(connector: &str, own: Option<OffsetStorage>, worker: OffsetStorage) -> Self {
        Self {
            connector: connector.into(),
            own,
            worker,
        }
    }

    /// Takes up what others have written by now.
    ///
    /// # Errors
    /// What the stores say.
    pub async fn refresh(&self) -> Result<()> {
        if let Some(own) = &self.own {
            own.refresh().await?;
        }
        self.worker.refresh().await
    }

    /// The stored offset of a source partition.
    ///
    /// # Errors
    /// An internal error if what is stored is not an offset.
    pub fn get(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        if let Some(own) = &self.own
            && let Some(offset) = own.get(&self.connector, partition)?
        {
            return Ok(Some(offset));
        }
        self.worker.get(&self.connector, partition)
    }

    /// All stored partitions, each with its offset.
    ///
    /// # Errors
    /// An internal error if something stored is no offset.
    pub fn all(&self) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        let mut all: BTreeMap<_, _> = self
            .worker
            .of_connector(&self.connector)?
            .into_iter()
            .map(keyed)
            .collect();
        if let Some(own) = &self.own {
            all.extend(own.of_connector(&self.connector)?.into_iter().map(keyed));
        }
        Ok(all.into_values().collect())
    }

    /// Sets or removes offsets.
    ///
    /// # Errors
    /// What the stores say; some may be changed then.
    pub async fn alter(&self, offsets: &[OffsetChange]) -> Result<()> {
        let Some(own) = &self.own else {
            return self.worker.alter(&self.connector, offsets).await;
        };
        self.remove_copies(offsets).await?;
        own.alter(&self.connector, offsets).await?;
        self.copy(offsets).await;
        Ok(())
    }

    /// The records that set or remove offsets, for a transaction of the caller. [`ConnectorOffsets::remove_copies`] comes
    /// before it, [`ConnectorOffsets::committed`] after.
    ///
    /// # Errors
    /// An internal error if offsets are not kept in a topic.
    pub async fn records(&self, offsets: &[OffsetChange]) -> Result<Vec<ProducerRecord>> {
        self.first().records(&self.connector, offsets).await
    }

    /// That transaction is committed.
    pub async fn committed(&self, offsets: &[OffsetChange]) {
        self.first().committed(&self.connector, offsets);
        self.copy(offsets).await;
    }

    /// Removes from the worker's store what is to be removed from the connector's own topic: once it is gone there, what
    /// the worker's store has would stand for it.
    ///
    /// # Errors
    /// What the worker's store says.
    pub async fn remove_copies(&self, offsets: &[OffsetChange]) -> Result<()> {
        let removed = offsets.iter().filter(|(_, offset)| offset.is_none());
        let removed: Vec<_> = removed.cloned().collect();
        if self.own.is_none() || removed.is_empty() {
            return Ok(());
        }
        self.worker.alter(&self.connector, &removed).await
    }

    /// Where offsets are stored first.
    fn first(&self) -> &OffsetStorage {
        self.own.as_ref().unwrap_or(&self.worker)
    }

    /// Offsets of a topic of the connector's own are there for the worker, too, should the connector give the topic up.
    async fn copy(&self, offsets: &[OffsetChange]) {
        let set = offsets.iter().filter(|(_, offset)| offset.is_some());
        let set: Vec<_> = set.cloned().collect();
        if self.own.is_none() || set.is_empty() {
            return;
        }
        if let Err(error) = self.worker.alter(&self.connector, &set).await {
            let error: Error = error;
            warn!(
                connector = &*self.connector,
                error = error.trace(),
                "offsets are in the connector's own topic, but not in the worker's"
            );
        }
    }
}

/// By the text of its partition.
fn keyed(
    (partition, offset): (SourcePartition, SourceOffset),
) -> (String, (SourcePartition, SourceOffset)) {
    let key = serde_json::json!(partition).to_string();
    (key, (partition, offset))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::FileStore;

    async fn storage(folder: &tempfile::TempDir, name: &str) -> OffsetStorage {
        let store = FileStore::open(&folder.path().join(name)).await.unwrap();
        OffsetStorage::open(Arc::new(store)).await.unwrap()
    }

    fn partition(name: &str) -> SourcePartition {
        [("file".to_owned(), json!(name))].into()
    }

    fn at(position: i64) -> SourceOffset {
        [("at".to_owned(), json!(position))].into()
    }

    #[tokio::test]
    async fn the_connectors_own_topic_is_right_and_the_workers_store_stands_in() {
        let folder = tempfile::tempdir().unwrap();
        let (own, worker) = (
            storage(&folder, "own").await,
            storage(&folder, "worker").await,
        );
        let before = [(partition("x"), Some(at(1))), (partition("y"), Some(at(1)))];
        worker.alter("c", &before).await.unwrap();
        let offsets = ConnectorOffsets::new("c", Some(own.clone()), worker.clone());
        offsets
            .alter(&[(partition("x"), Some(at(2)))])
            .await
            .unwrap();
        // Ahead, as it must never be.
        worker
            .alter("c", &[(partition("x"), Some(at(9)))])
            .await
            .unwrap();
        assert_eq!(offsets.get(&partition("x")).unwrap(), Some(at(2)));
        assert_eq!(offsets.get(&partition("y")).unwrap(), Some(at(1)));
        let all = [(partition("x"), at(2)), (partition("y"), at(1))];
        assert_eq!(offsets.all().unwrap(), all);
        assert_eq!(own.of_connector("c").unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_removed_is_gone_from_both() {
        let folder = tempfile::tempdir().unwrap();
        let (own, worker) = (
            storage(&folder, "own").await,
            storage(&folder, "worker").await,
        );
        let offsets = ConnectorOffsets::new("c", Some(own), worker.clone());
        offsets
            .alter(&[(partition("x"), Some(at(2)))])
            .await
            .unwrap();
        assert_eq!(worker.get("c", &partition("x")).unwrap(), Some(at(2)));
        offsets.alter(&[(partition("x"), None)]).await.unwrap();
        assert!(offsets.all().unwrap().is_empty());
        assert!(worker.of_connector("c").unwrap().is_empty());
    }
}
