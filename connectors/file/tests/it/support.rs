//! A folder of files, and a worker's part towards a task.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connect_core::Result;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::data::SourceOffset;
use connect_core::plugin::{Connector, TaskId};
use connect_core::testkit::{self, SourceDriver, StoredOffsets};
use sluice_connector_file as _;
use tempfile::TempDir;

/// For how long nothing must come.
pub(crate) const QUIET: Duration = Duration::from_millis(120);

/// A folder with a connector that reads from it.
pub(crate) struct Place {
    folder: TempDir,
    connector: Box<dyn Connector>,
    pub(crate) stored: Arc<StoredOffsets>,
}

/// A configuration for `file`.
pub(crate) fn config(file: &Path, more: &[(&str, &str)]) -> ConfigMap {
    let common = [
        ("connector.class", "sluice.file.FileSourceConnector"),
        ("file", file.to_str().unwrap()),
        ("format", "csv"),
        ("topic", "rows"),
        ("poll.interval.ms", "5"),
        ("finished.after.ms", "-1"),
    ];
    testkit::config(&common, more)
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
    pub(crate) async fn task(&self) -> SourceDriver {
        self.task_of(0, 1).await
    }

    pub(crate) async fn task_of(&self, task: u32, task_count: u32) -> SourceDriver {
        let task = TaskId {
            connector: "csv-rows".into(),
            task,
        };
        SourceDriver::start(&*self.connector, task, task_count, self.stored.clone()).await
    }

    /// What is stored for a file.
    pub(crate) fn offset(&self, name: &str) -> SourceOffset {
        let inode = std::fs::metadata(self.path(name)).unwrap().ino();
        let directory = self.folder.path().to_str().unwrap();
        let partition = [
            ("directory".to_owned(), directory.into()),
            ("inode".to_owned(), inode.into()),
        ];
        self.stored.get(&partition.into()).unwrap_or_default()
    }

    /// Stores a position under a file's name, as one is set by hand.
    pub(crate) fn store(&self, name: &str, position: u64) {
        let path = self.path(name);
        let partition = [("file".to_owned(), path.to_str().unwrap().into())].into();
        let offset = [("position".to_owned(), position.into())].into();
        self.stored.set(&partition, offset);
    }

    pub(crate) async fn start(&self) -> Result<()> {
        self.connector.start().await
    }

    pub(crate) fn task_count(&self, tasks_max: u32) -> u32 {
        self.connector.task_count(tasks_max)
    }
}

/// `content`, packed.
pub(crate) fn gzip(content: &str) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(content.as_bytes()).unwrap();
    packer.finish().unwrap()
}
