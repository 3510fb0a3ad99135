//! Where the sink's lines go: the end of a file, or the process's standard output.

use std::fs::{File, OpenOptions};
use std::io::{Read, Result as IoResult, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use connect_core::{Error, ErrorKind, Result};

/// An open output. The work is done on the blocking pool.
#[derive(Debug, Clone)]
pub(crate) enum Output {
    Stdout,
    File(Arc<OpenFile>),
}

#[derive(Debug)]
pub(crate) struct OpenFile {
    path: PathBuf,
    file: File,
    /// Only what is on a disk can be waited for.
    is_on_disk: bool,
}

impl Output {
    /// The file at `path`, made if need be; standard output without one.
    pub(crate) async fn open(path: Option<PathBuf>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self::Stdout);
        };
        let shown = path.display().to_string();
        let opened = blocking(move || OpenFile::open(&path)).await?;
        let file = opened.map_err(|cause| {
            let kind = match cause.kind() {
                std::io::ErrorKind::PermissionDenied => ErrorKind::Auth,
                _ => ErrorKind::Config,
            };
            let text = format!("Couldn't find or create file '{shown}' for FileStreamSinkTask");
            Error::new(kind, text).source(cause)
        })?;
        Ok(Self::File(Arc::new(file)))
    }

    /// Appends whole lines.
    pub(crate) async fn write(&self, lines: Vec<u8>) -> Result<()> {
        let output = self.clone();
        let written = blocking(move || output.write_now(&lines)).await?;
        // Part of it may be written: whether that can be done again, somebody must see who has a look at the disk.
        written.map_err(|cause| self.failed("append to", cause))
    }

    fn write_now(&self, lines: &[u8]) -> IoResult<()> {
        match self {
            Self::File(open) => (&open.file).write_all(lines),
            Self::Stdout => {
                let mut stdout = std::io::stdout().lock();
                stdout.write_all(lines)?;
                stdout.flush()
            }
        }
    }

    /// Waits until everything written is on the disk.
    pub(crate) async fn sync(&self) -> Result<()> {
        let Self::File(open) = self else {
            return Ok(());
        };
        if !open.is_on_disk {
            return Ok(());
        }
        let open = open.clone();
        let synced = blocking(move || open.file.sync_data()).await?;
        synced.map_err(|cause| self.failed("sync", cause))
    }

    fn failed(&self, operation: &str, cause: std::io::Error) -> Error {
        let target = match self {
            Self::Stdout => "standard output".to_owned(),
            Self::File(open) => open.path.display().to_string(),
        };
        Error::new(ErrorKind::External, "lines cannot be written")
            .operation(operation)
            .target(target)
            .source(cause)
    }
}

impl OpenFile {
    fn open(path: &Path) -> IoResult<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        let is_on_disk = file.metadata()?.is_file();
        if is_on_disk && is_broken_off(path) {
            (&file).write_all(b"\n")?;
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            is_on_disk,
        })
    }
}

/// True if the last line has no end: a write was cut off, and what comes next must not be glued to it.
fn is_broken_off(path: &Path) -> bool {
    let last = |mut file: File| -> IoResult<u8> {
        file.seek(SeekFrom::End(-1))?;
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        let [byte] = byte;
        Ok(byte)
    };
    // An empty file has no last byte; one that may not be read is taken as it is.
    File::open(path)
        .and_then(last)
        .is_ok_and(|byte| byte != b'\n')
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|cause| {
        Error::internal("writing lines broke off: a defect in Sluice").source(cause)
    })
}
