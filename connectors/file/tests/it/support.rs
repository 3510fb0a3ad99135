//! A folder of files, and a worker's part towards a task.

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connect_core::clock::SystemClock;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::data::{SourceOffset, SourcePartition, SourceRecord, json};
use connect_core::plugin::{
    Connector, OffsetReader, Polled, SourceTask, SourceTaskContext, TaskId,
};
use connect_core::{Error, Result};
use sluice_connector_file as _;
use tempfile::TempDir;

/// No step of a test takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// For how long nothing must come.
pub(crate) const QUIET: Duration = Duration::from_millis(120);

/// Offsets that were stored.
#[derive(Default)]
pub(crate) struct Stored(Mutex<BTreeMap<String, SourceOffset>>);

fn key(partition: &SourcePartition) -> String {
    serde_json::to_string(partition).unwrap()
}

#[async_trait]
impl OffsetReader for Stored {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        Ok(self.0.lock().unwrap().get(&key(partition)).cloned())
    }
}

/// A folder with a connector that reads from it.
pub(crate) struct Place {
    folder: TempDir,
    connector: Box<dyn Connector>,
    pub(crate) stored: Arc<Stored>,
}

/// A configuration for `file`.
pub(crate) fn config(file: &Path, more: &[(&str, &str)]) -> ConfigMap {
    let basic = [
        ("connector.class", "sluice.file.FileSourceConnector"),
        ("file", file.to_str().unwrap()),
        ("format", "csv"),
        ("topic", "rows"),
        ("poll.interval.ms", "5"),
        ("finished.after.ms", "-1"),
    ];
    let all = basic.iter().chain(more);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

impl Place {
    /// Reads what `file` names in a new folder.
    pub(crate) fn new(file: &str, more: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        // Options that end in `directory` name a folder within.
        let more: Vec<(String, String)> = more
            .iter()
            .map(|(key, value)| match key.ends_with("directory") {
                true => (
                    (*key).to_owned(),
                    folder.path().join(value).to_str().unwrap().to_owned(),
                ),
                false => ((*key).to_owned(), (*value).to_owned()),
            })
            .collect();
        let more: Vec<_> = more
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let config = config(&folder.path().join(file), &more);
        Self {
            connector: connector_from_map(&config).unwrap(),
            folder,
            stored: Arc::default(),
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub(crate) fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .append(true)
            .create(true)
            .open(self.path(name))
            .unwrap();
        file.write_all(content.as_ref()).unwrap();
    }

    pub(crate) fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.path(from), self.path(to)).unwrap();
    }

    /// A task, as after a start or restart.
    pub(crate) async fn task(&self) -> Running {
        self.task_of(0, 1).await
    }

    pub(crate) async fn task_of(&self, task: u32, task_count: u32) -> Running {
        let context = SourceTaskContext {
            task: TaskId {
                connector: "csv-rows".into(),
                task,
            },
            task_count,
            clock: Arc::new(SystemClock),
            offsets: self.stored.clone(),
            transactions: None,
        };
        let mut task = self.connector.source_task(context).unwrap();
        task.start().await.unwrap();
        Running {
            task,
            stored: self.stored.clone(),
        }
    }

    /// What is stored for a file.
    pub(crate) fn offset(&self, name: &str) -> SourceOffset {
        let inode = std::fs::metadata(self.path(name)).unwrap().ino();
        let directory = self.folder.path().to_str().unwrap();
        let partition = [
            ("directory".to_owned(), directory.into()),
            ("inode".to_owned(), inode.into()),
        ];
        let stored = self.stored.0.lock().unwrap();
        stored
            .get(&key(&partition.into()))
            .cloned()
            .unwrap_or_default()
    }

    /// Stores a position under a file's name, as one is set by hand.
    pub(crate) fn store(&self, name: &str, position: u64) {
        let path = self.path(name);
        let partition = [("file".to_owned(), path.to_str().unwrap().into())].into();
        let offset = [("position".to_owned(), position.into())].into();
        self.stored
            .0
            .lock()
            .unwrap()
            .insert(key(&partition), offset);
    }

    pub(crate) async fn start(&self) -> Result<()> {
        self.connector.start().await
    }

    pub(crate) fn task_count(&self, tasks_max: u32) -> u32 {
        self.connector.task_count(tasks_max)
    }
}

/// A running task.
pub(crate) struct Running {
    task: Box<dyn SourceTask>,
    stored: Arc<Stored>,
}

impl Running {
    /// One poll; nothing is stored.
    pub(crate) async fn poll(&mut self) -> Result<Vec<SourceRecord>> {
        match tokio::time::timeout(DEADLINE, self.task.poll()).await {
            Ok(Ok(Polled::Records(records))) => Ok(records),
            Ok(Ok(Polled::Finished)) => panic!("a file source has no end"),
            Ok(Err(error)) => Err(error),
            Err(_) => panic!("no rows in time"),
        }
    }

    /// Stores offsets and tells the task.
    pub(crate) async fn acknowledge(&mut self, records: &[SourceRecord]) {
        for record in records {
            if let Some(offset) = &record.source_offset {
                let key = key(&record.source_partition);
                self.stored.0.lock().unwrap().insert(key, offset.clone());
            }
        }
        self.task.acked(records.len()).await.unwrap();
    }

    /// One poll whose rows are acknowledged, as text.
    pub(crate) async fn next(&mut self) -> Vec<String> {
        let records = self.poll().await.unwrap();
        self.acknowledge(&records).await;
        values(&records)
    }

    /// Polls until there are `count` rows.
    pub(crate) async fn rows(&mut self, count: usize) -> Vec<String> {
        let mut rows = Vec::new();
        while rows.len() < count {
            rows.extend(self.next().await);
        }
        rows
    }

    pub(crate) async fn failure(&mut self) -> Error {
        self.poll().await.unwrap_err()
    }

    /// A poll that is dropped after `patience`, as a worker drops one; acknowledged if it brings something.
    pub(crate) async fn within(&mut self, patience: Duration) -> Option<Vec<String>> {
        match tokio::time::timeout(patience, self.task.poll()).await {
            Ok(Ok(Polled::Records(records))) => {
                self.acknowledge(&records).await;
                Some(values(&records))
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    /// Polls on until `done`, with rows that must not come.
    pub(crate) async fn quiet_until(&mut self, done: impl Fn() -> bool) {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        while !done() {
            assert!(tokio::time::Instant::now() < deadline, "not in time");
            let rows = self.within(Duration::from_millis(10)).await;
            assert_eq!(rows, None);
        }
    }
}

/// Values as JSON.
pub(crate) fn values(records: &[SourceRecord]) -> Vec<String> {
    let written = records.iter().map(|record| {
        let mut text = Vec::new();
        json::write(&record.value, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    });
    written.collect()
}

/// `content`, packed.
pub(crate) fn gzip(content: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(content.as_bytes()).unwrap();
    packer.finish().unwrap()
}
