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
        self.store.put(changes.clone()).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(
            changes
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?))),
        );
        Ok(())
    }
}

fn key(connector: &str, partition: &SourcePartition) -> String {
    json!([connector, partition]).to_string()
}
