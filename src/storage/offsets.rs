//! Source offsets, under the keys of Kafka Connect's offset topic: `["connector",{source partition}]`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use connect_core::data::{SourceOffset, SourcePartition};
use connect_core::{Error, Result};
use serde_json::{Value, json};

use super::KeyValueStore;

/// Stored source offsets.
#[derive(Clone)]
pub struct OffsetStorage {
    store: Arc<dyn KeyValueStore>,
    known: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl OffsetStorage {
    /// Stands on `store`, reading what is there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(store: Arc<dyn KeyValueStore>) -> Result<Self> {
        let known = store.load().await?.into_iter().collect();
        Ok(Self {
            store,
            known: Arc::new(Mutex::new(known)),
        })
    }

    /// The stored offset of a connector's source partition.
    ///
    /// # Errors
    /// An internal error if what is stored is not an offset.
    pub fn get(
        &self,
        connector: &str,
        partition: &SourcePartition,
    ) -> Result<Option<SourceOffset>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(value) = known.get(&key(connector, partition)) else {
            return Ok(None);
        };
        serde_json::from_value(value.clone())
            .map(Some)
            .map_err(|cause| {
                Error::internal(format!("the stored offset of {connector} is not a map"))
                    .source(cause)
            })
    }

    /// All stored partitions of a connector, each with its offset.
    ///
    /// # Errors
    /// An internal error if something stored is no offset.
    pub fn of_connector(&self, connector: &str) -> Result<Vec<(SourcePartition, SourceOffset)>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Keys of one connector stand together, but not at a place that its name alone tells.
        let mine = known.iter().filter_map(|(key, value)| {
            let (name, partition): (String, Value) = serde_json::from_str(key).ok()?;
            (name == connector).then_some((partition, value.clone()))
        });
        mine.map(|(partition, offset)| {
            let partition = serde_json::from_value(partition);
            let offset = serde_json::from_value(offset);
            partition.and_then(|partition| Ok((partition, offset?)))
        })
        .collect::<serde_json::Result<Vec<_>>>()
        .map_err(|cause| {
            let text = format!("an offset stored for {connector} is not a map");
            Error::internal(text).source(cause)
        })
    }

    /// Sets or removes (`None`) offsets of a connector.
    ///
    /// # Errors
    /// What the store says; then nothing is changed.
    pub async fn alter(
        &self,
        connector: &str,
        offsets: &[(SourcePartition, Option<SourceOffset>)],
    ) -> Result<()> {
        let changes: Vec<_> = offsets
            .iter()
            .map(|(partition, offset)| {
                let offset = offset.as_ref().map(|offset| json!(offset));
                (key(connector, partition), offset)
            })
            .collect();
        self.store(changes).await
    }

    /// Stores offsets of a connector.
    ///
    /// # Errors
    /// What the store says; then nothing is changed.
    pub async fn put(
        &self,
        connector: &str,
        offsets: &[(Arc<SourcePartition>, SourceOffset)],
    ) -> Result<()> {
        let changes: Vec<_> = offsets
            .iter()
            .map(|(partition, offset)| (key(connector, partition), Some(json!(offset))))
            .collect();
        self.store(changes).await
    }

    async fn store(&self, changes: Vec<(String, Option<Value>)>) -> Result<()> {
        self.store.put(changes.clone()).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, value) in changes {
            match value {
                Some(value) => known.insert(key, value),
                None => known.remove(&key),
            };
        }
        Ok(())
    }
}

fn key(connector: &str, partition: &SourcePartition) -> String {
    json!([connector, partition]).to_string()
}

/// A key as this worker writes it, whoever wrote it: the fields of a partition have no order.
pub(super) fn own_key(written: &str) -> String {
    let parsed = serde_json::from_str::<(String, SourcePartition)>(written);
    parsed.map_or_else(
        |_| written.to_owned(),
        |(connector, partition)| key(&connector, &partition),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::FileStore;

    #[tokio::test]
    async fn offsets_are_altered_for_one_connector_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::open(&folder.path().join("offsets.json"))
            .await
            .unwrap();
        let storage = OffsetStorage::open(Arc::new(store)).await.unwrap();
        let partition = |file: &str| SourcePartition::from([("file".to_owned(), json!(file))]);
        let offset = |at: i64| SourceOffset::from([("at".to_owned(), json!(at))]);
        for name in ["a", "a\",b"] {
            let changes = [
                (partition("x"), Some(offset(1))),
                (partition("y"), Some(offset(2))),
            ];
            storage.alter(name, &changes).await.unwrap();
        }
        let gone = [(partition("x"), None), (partition("never"), None)];
        storage.alter("a", &gone).await.unwrap();
        assert_eq!(
            storage.of_connector("a").unwrap(),
            [(partition("y"), offset(2))]
        );
        assert_eq!(storage.of_connector("a\",b").unwrap().len(), 2);
        assert_eq!(storage.get("a", &partition("x")).unwrap(), None);
    }
}
