//! Source offsets, under the keys of Kafka Connect's offset topic: `["connector",{source partition}]`.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connect_core::data::{SourceOffset, SourcePartition};
use connect_core::{Error, Result};
use serde_json::{Value, json};

use super::KeyValueStore;
use crate::kafka::ProducerRecord;

/// Offsets to be set or removed (`None`).
pub type OffsetChange = (SourcePartition, Option<SourceOffset>);

/// Stored source offsets. All clones are one.
#[derive(Clone)]
pub struct OffsetStorage {
    store: Arc<dyn KeyValueStore>,
    known: Arc<Mutex<Known>>,
    /// Held while the store is read.
    reading: Arc<tokio::sync::Mutex<()>>,
}

/// What is known of the store: what was read of it, and what was written since.
#[derive(Default)]
struct Known {
    read: BTreeMap<String, Value>,
    /// Each with the number of its write.
    written: BTreeMap<String, (u64, Option<Value>)>,
    writes: u64,
}

impl Known {
    fn get(&self, key: &str) -> Option<&Value> {
        match self.written.get(key) {
            Some((_, value)) => value.as_ref(),
            None => self.read.get(key),
        }
    }

    fn all(&self) -> impl Iterator<Item = (&String, &Value)> {
        let written = self.written.iter();
        let written = written.filter_map(|(key, (_, value))| Some((key, value.as_ref()?)));
        let read = self.read.iter();
        written.chain(read.filter(|(key, _)| !self.written.contains_key(*key)))
    }

    fn wrote(&mut self, changes: Vec<(String, Option<Value>)>) {
        self.writes += 1;
        for (key, value) in changes {
            self.written.insert(key, (self.writes, value));
        }
    }

    /// What was read holds everything that had been written when reading began.
    fn has_read(&mut self, read: BTreeMap<String, Value>, writes_before: u64) {
        self.read = read;
        self.written.retain(|_, (write, _)| *write > writes_before);
    }
}

impl OffsetStorage {
    /// Stands on `store`, reading what is there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn open(store: Arc<dyn KeyValueStore>) -> Result<Self> {
        let read = store.load().await?.into_iter().collect();
        let known = Known {
            read,
            ..Known::default()
        };
        Ok(Self {
            store,
            known: Arc::new(Mutex::new(known)),
            reading: Arc::default(),
        })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes up what others have written by now, in transactions, too, that are not ended yet.
    ///
    /// # Errors
    /// What the store says.
    pub async fn refresh(&self) -> Result<()> {
        let _one_at_a_time = self.reading.lock().await;
        let writes_before = self.known().writes;
        let read = self.store.load_settled().await?.into_iter().collect();
        self.known().has_read(read, writes_before);
        Ok(())
    }

    /// Ends the store; nothing is asked of it afterwards.
    pub async fn close(&self) {
        self.store.close().await;
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
        let known = self.known();
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
        let known = self.known();
        // Keys of one connector stand together, but not at a place that its name alone tells.
        let mut mine: Vec<_> = known
            .all()
            .filter_map(|(key, value)| {
                let (name, partition): (String, Value) = serde_json::from_str(key).ok()?;
                (name == connector).then_some((key, partition, value.clone()))
            })
            .collect();
        mine.sort_by_key(|(key, _, _)| *key);
        mine.into_iter()
            .map(|(_, partition, offset)| {
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

    /// Sets or removes offsets of a connector.
    ///
    /// # Errors
    /// What the store says; then nothing is changed.
    pub async fn alter(&self, connector: &str, offsets: &[OffsetChange]) -> Result<()> {
        let changes = entries(connector, offsets);
        self.store.put(changes.clone()).await?;
        self.known().wrote(changes);
        Ok(())
    }

    /// The records that set or remove offsets of a connector, for a transaction of somebody else.
    ///
    /// # Errors
    /// An internal error if the store is not a topic.
    pub async fn records(
        &self,
        connector: &str,
        offsets: &[OffsetChange],
    ) -> Result<Vec<ProducerRecord>> {
        self.store.records(entries(connector, offsets)).await
    }

    /// That transaction is committed.
    pub fn committed(&self, connector: &str, offsets: &[OffsetChange]) {
        self.known().wrote(entries(connector, offsets));
    }
}

fn entries(connector: &str, offsets: &[OffsetChange]) -> Vec<(String, Option<Value>)> {
    let entry = |(partition, offset): &OffsetChange| {
        let offset = offset.as_ref().map(|offset| json!(offset));
        (key(connector, partition), offset)
    };
    offsets.iter().map(entry).collect()
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

    /// A store whose answers come when the test says so.
    struct Slow {
        values: Mutex<Vec<(String, Value)>>,
        loads: tokio::sync::Semaphore,
    }

    #[async_trait::async_trait]
    impl KeyValueStore for Slow {
        async fn load(&self) -> Result<Vec<(String, Value)>> {
            let values = self.values.lock().unwrap().clone();
            self.loads.acquire().await.unwrap().forget();
            Ok(values)
        }

        async fn put(&self, changes: Vec<(String, Option<Value>)>) -> Result<()> {
            let mut values = self.values.lock().unwrap();
            values.extend(
                changes
                    .into_iter()
                    .map(|(key, value)| (key, value.unwrap())),
            );
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_written_while_the_store_is_read_is_not_forgotten() {
        let store = Arc::new(Slow {
            values: Mutex::default(),
            loads: tokio::sync::Semaphore::new(1),
        });
        let storage = OffsetStorage::open(store.clone()).await.unwrap();
        let partition = SourcePartition::from([("file".to_owned(), json!("x"))]);
        let at = |at: i64| SourceOffset::from([("at".to_owned(), json!(at))]);
        let set = async |number| {
            let change = (partition.clone(), Some(at(number)));
            storage.alter("c", &[change]).await.unwrap();
        };
        let stored = || storage.get("c", &partition).unwrap();
        set(1).await;
        let mut refreshing = Box::pin(storage.refresh());
        tokio::select! {
            biased;
            _ = &mut refreshing => panic!("the store has not answered"),
            () = std::future::ready(()) => {}
        }
        set(2).await;
        store.loads.add_permits(1);
        refreshing.await.unwrap();
        assert_eq!(stored(), Some(at(2)));
        // Once it was read, what somebody else writes counts.
        let theirs = (key("c", &partition), Some(json!({ "at": 3 })));
        store.put(vec![theirs]).await.unwrap();
        store.loads.add_permits(1);
        storage.refresh().await.unwrap();
        assert_eq!(stored(), Some(at(3)));
    }

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
