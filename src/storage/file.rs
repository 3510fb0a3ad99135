//! A store in one JSON file, written anew at each change and put in place by rename.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use connect_core::{Error, Result};
use serde_json::Value;
use tokio::fs;
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;

use super::KeyValueStore;

/// A store in a file; one process at a time.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    values: Mutex<BTreeMap<String, Value>>,
}

impl FileStore {
    /// Opens `path`; a file that is not there is an empty store.
    ///
    /// # Errors
    /// An error that names the file: it cannot be read, or is not what this store writes.
    pub async fn open(path: &Path) -> Result<Self> {
        let values = match fs::read(path).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|cause| {
                failed("read", path, cause.into())
                    .target(format!("{}: move it away to start empty", path.display()))
            })?,
            Err(cause) if cause.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(cause) => return Err(failed("read", path, cause)),
        };
        Ok(Self {
            path: path.to_owned(),
            values: Mutex::new(values),
        })
    }
}

fn failed(operation: &str, path: &Path, cause: std::io::Error) -> Error {
    Error::config(cause.kind().to_string())
        .operation(operation)
        .target(path.display().to_string())
        .source(cause)
}

/// Writes beside the file, syncs, renames: whoever reads sees the old content or the new, never a part.
async fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let mut file = fs::File::create(&unfinished).await?;
    file.write_all(bytes).await?;
    file.sync_all().await?;
    fs::rename(&unfinished, path).await?;
    // The new name is durable once its folder is.
    match path.parent() {
        Some(folder) => fs::File::open(folder).await?.sync_all().await,
        None => Ok(()),
    }
}

#[async_trait]
impl KeyValueStore for FileStore {
    async fn load(&self) -> Result<Vec<(String, Value)>> {
        let values = self.values.lock().await;
        Ok(values
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    async fn put(&self, changes: Vec<(String, Option<Value>)>) -> Result<()> {
        let mut values = self.values.lock().await;
        let mut changed = values.clone();
        for (key, value) in changes {
            match value {
                Some(value) => changed.insert(key, value),
                None => changed.remove(&key),
            };
        }
        let bytes = serde_json::to_vec_pretty(&changed)
            .map_err(|cause| Error::internal("a store that is not JSON").source(cause))?;
        replace(&self.path, &bytes)
            .await
            .map_err(|cause| failed("write", &self.path, cause))?;
        *values = changed;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn values_are_there_after_opening_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        let store = FileStore::open(&path).await.unwrap();
        let changes = vec![
            ("a".to_owned(), Some(1.into())),
            ("b".to_owned(), Some(2.into())),
        ];
        store.put(changes).await.unwrap();
        store.put(vec![("a".to_owned(), None)]).await.unwrap();
        let again = FileStore::open(&path).await.unwrap();
        assert_eq!(again.load().await.unwrap(), [("b".to_owned(), 2.into())]);
    }

    #[tokio::test]
    async fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        std::fs::write(&path, "{\"a\":").unwrap();
        let error = FileStore::open(&path).await.unwrap_err();
        assert!(error.to_string().contains("store.json"), "{error}");
    }
}
