//! The ordered store on disk: batches, and small JSON values about topics and groups.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use connect_core::data::Offset;
use connect_core::{Error, Result};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::batch;

/// Memory for reading: the page cache of the operating system does the rest.
const CACHE_BYTES: u64 = 4 << 20;
/// Memory for writing, in each of the two keyspaces.
const MEMTABLE_BYTES: u64 = 4 << 20;
const JOURNAL_BYTES: u64 = 64 << 20;

/// The store.
pub(super) struct Store {
    database: Database,
    batches: Keyspace,
    values: Keyspace,
    folder: PathBuf,
    /// Set once nothing can be written any more.
    broken: CancellationToken,
}

/// Key of a batch: topic id, partition, first offset; in this order batches of a partition stand one after another.
pub(super) fn batch_key(topic: u32, partition: u32, offset: u64) -> [u8; 16] {
    let mut key = [0; 16];
    let (ids, position) = key.split_at_mut(8);
    let (first, second) = ids.split_at_mut(4);
    first.copy_from_slice(&topic.to_be_bytes());
    second.copy_from_slice(&partition.to_be_bytes());
    position.copy_from_slice(&offset.to_be_bytes());
    key
}

fn offset_of(key: &[u8]) -> u64 {
    key.get(8..16)
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_be_bytes)
}

impl Store {
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let failed = |cause: fjall::Error| explain(folder, cause);
        std::fs::create_dir_all(folder).map_err(|cause| {
            Error::config("the folder cannot be made")
                .operation("log")
                .target(folder.display().to_string())
                .source(cause)
        })?;
        let database = Database::builder(folder)
            .cache_size(CACHE_BYTES)
            .max_journaling_size(JOURNAL_BYTES)
            .worker_threads(1)
            .open()
            .map_err(failed)?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
        let batches = database.keyspace("batches", options).map_err(failed)?;
        let values = database.keyspace("values", options).map_err(failed)?;
        Ok(Self {
            database,
            batches,
            values,
            folder: folder.to_owned(),
            broken: CancellationToken::new(),
        })
    }

    /// Waits until nothing can be written any more, since a write has failed half way: what is in memory may not be what is
    /// on disk. Opened anew it is what was acknowledged.
    pub(super) async fn broken(&self) -> Error {
        self.broken.cancelled().await;
        self.failed(fjall::Error::Poisoned)
    }

    fn failed(&self, cause: fjall::Error) -> Error {
        if matches!(cause, fjall::Error::Poisoned) {
            self.broken.cancel();
        }
        explain(&self.folder, cause)
    }

    /// Writes batches and ends of partitions, all or none. Survives the end of the process when it returns.
    pub(super) fn append(
        &self,
        batches: Vec<([u8; 16], Vec<u8>)>,
        ends: Vec<(String, Offset)>,
    ) -> Result<()> {
        let mut write = self.database.batch().durability(Some(PersistMode::Buffer));
        for (key, batch) in batches {
            write.insert(&self.batches, key, batch);
        }
        for (key, end) in ends {
            write.insert(&self.values, key, end.value().to_string());
        }
        write.commit().map_err(|cause| self.failed(cause))
    }

    /// Batches of a partition from the one that holds `offset` on, with their first offsets, up to about `max_bytes`; at
    /// least one, if there is a record at `offset` or behind it.
    pub(super) fn read(
        &self,
        topic: u32,
        partition: u32,
        offset: u64,
        max_bytes: usize,
    ) -> Result<Vec<(u64, Bytes)>> {
        let first = batch_key(topic, partition, 0);
        let last = batch_key(topic, partition, u64::MAX);
        let at = batch_key(topic, partition, offset);
        let holder = self
            .batches
            .range(first..=at)
            .next_back()
            .map(fjall::Guard::key)
            .transpose();
        let start = holder.map_err(|cause| self.failed(cause))?;
        let range = match &start {
            Some(start) => self.batches.range(&**start..=&last[..]),
            None => self.batches.range(&first[..]..=&last[..]),
        };
        let mut found = Vec::new();
        let mut bytes = 0;
        for guard in range {
            let (key, value) = guard.into_inner().map_err(|cause| self.failed(cause))?;
            let batch = Bytes::from(value);
            if offset_of(&key) + u64::from(batch::count(&batch)?) <= offset {
                continue;
            }
            bytes += batch.len();
            found.push((offset_of(&key), batch));
            if bytes >= max_bytes {
                break;
            }
        }
        Ok(found)
    }

    /// The last batch of a partition, with its first offset.
    pub(super) fn last_batch(&self, topic: u32, partition: u32) -> Result<Option<(u64, Bytes)>> {
        let range = batch_key(topic, partition, 0)..=batch_key(topic, partition, u64::MAX);
        let Some(last) = self.batches.range(range).next_back() else {
            return Ok(None);
        };
        let (key, value) = last.into_inner().map_err(|cause| self.failed(cause))?;
        Ok(Some((offset_of(&key), Bytes::from(value))))
    }

    /// Puts others in the place of a batch, all at once.
    pub(super) fn replace_batch(&self, old: [u8; 16], new: Vec<([u8; 16], Vec<u8>)>) -> Result<()> {
        let mut write = self.database.batch().durability(Some(PersistMode::Buffer));
        write.remove(&self.batches, old);
        for (key, batch) in new {
            write.insert(&self.batches, key, batch);
        }
        write.commit().map_err(|cause| self.failed(cause))
    }

    /// Removes the batch that begins at `offset`.
    pub(super) fn remove_batch(&self, topic: u32, partition: u32, offset: u64) -> Result<()> {
        self.batches
            .remove(batch_key(topic, partition, offset))
            .map_err(|cause| self.failed(cause))
    }

    /// Stores small values, all or none; `None` removes.
    pub(super) fn put<T: Serialize>(&self, changes: Vec<(String, Option<T>)>) -> Result<()> {
        let mut write = self.database.batch().durability(Some(PersistMode::Buffer));
        for (key, value) in changes {
            match value {
                Some(value) => {
                    let json = serde_json::to_vec(&value).map_err(|cause| {
                        Error::internal("a value that is not JSON").source(cause)
                    })?;
                    write.insert(&self.values, key, json);
                }
                None => write.remove(&self.values, key),
            }
        }
        write.commit().map_err(|cause| self.failed(cause))
    }

    /// A small value.
    pub(super) fn get<T: DeserializeOwned>(&self, key: &str) -> Result<Option<T>> {
        let value = self.values.get(key).map_err(|cause| self.failed(cause))?;
        value.map(|value| self.parse(key, &value)).transpose()
    }

    fn parse<T: DeserializeOwned>(&self, key: &str, value: &[u8]) -> Result<T> {
        serde_json::from_slice(value).map_err(|cause| {
            Error::config(format!("the entry {key} is damaged"))
                .operation("log")
                .target(self.folder.display().to_string())
                .source(cause)
        })
    }

    /// All small values whose key begins with `prefix`, without it.
    pub(super) fn list<T: DeserializeOwned>(&self, prefix: &str) -> Result<Vec<(String, T)>> {
        let mut found = Vec::new();
        for guard in self.values.prefix(prefix) {
            let (key, value) = guard.into_inner().map_err(|cause| self.failed(cause))?;
            let key = String::from_utf8_lossy(&key);
            let value = self.parse(&key, &value)?;
            found.push((key.strip_prefix(prefix).unwrap_or(&key).to_owned(), value));
        }
        Ok(found)
    }
}

fn explain(folder: &Path, cause: fjall::Error) -> Error {
    let reason = match &cause {
        fjall::Error::Locked => {
            "another worker has it open: stop that one, or set data.dir to another folder"
        }
        fjall::Error::Io(cause) => {
            return Error::external(cause.kind().to_string())
                .operation("log")
                .target(folder.display().to_string());
        }
        fjall::Error::Poisoned => {
            return Error::external("a write has failed half way: it must be opened anew")
                .operation("log")
                .target(folder.display().to_string());
        }
        _ => "it cannot be used",
    };
    Error::config(reason)
        .operation("log")
        .target(folder.display().to_string())
        .source(cause)
}
