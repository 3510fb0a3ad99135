//! A store in one JSON file, written anew at each change and put in place by rename.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use connect_core::{Error, Result};
use serde_json::Value;
use tokio::sync::Mutex;

use super::KeyValueStore;

/// A store in a file; one process at a time.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    values: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl FileStore {
    /// Opens `path`; a file that is not there is an empty store.
    ///
    /// # Errors
    /// An error that names the file: it cannot be read, or is not what this store writes.
    pub async fn open(path: &Path) -> Result<Self> {
        let values = match tokio::fs::read(path).await {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|cause| {
                failed("read", path, cause.into())
                    .target(format!("{}: move it away to start empty", path.display()))
            })?,
            Err(cause) if cause.kind() == ErrorKind::NotFound => BTreeMap::new(),
            Err(cause) => return Err(failed("read", path, cause)),
        };
        Ok(Self {
            path: path.to_owned(),
            values: Arc::new(Mutex::new(values)),
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
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    let written = File::create(&unfinished).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    if let Err(cause) = written {
        // The disk may be full.
        let _or_not = fs::remove_file(&unfinished);
        return Err(cause);
    }
    fs::rename(&unfinished, path)?;
    // The new name is durable once its folder is.
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
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
        let mut values = self.values.clone().lock_owned().await;
        let path = self.path.clone();
        // Goes on to its end also if the caller leaves: what is in memory is what is in the file.
        let written = tokio::task::spawn_blocking(move || {
            let mut changed = values.clone();
            for (key, value) in changes {
                match value {
                    Some(value) => changed.insert(key, value),
                    None => changed.remove(&key),
                };
            }
            let bytes = serde_json::to_vec_pretty(&changed)
                .map_err(|cause| Error::internal("a store that is not JSON").source(cause))?;
            replace(&path, &bytes).map_err(|cause| failed("write", &path, cause))?;
            *values = changed;
            Ok(())
        });
        let outcome = written.await;
        outcome.map_err(|cause| Error::internal("writing a store").source(cause))?
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
