//! Where the source's bytes come from: an open file, or the process's standard input.
//!
//! Reads may be dropped at any await without losing bytes.

use std::io::{ErrorKind as IoErrorKind, Read, SeekFrom};
use std::path::Path;
use std::sync::OnceLock;

use connect_core::{Error, ErrorKind, Result};
use rustix::fs::OFlags;
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::sync::{Mutex, mpsc};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// Chunks of standard input that wait for a task.
const WAITING_CHUNKS: usize = 4;

/// What was found where the file should be.
pub(crate) enum Opened {
    /// The file, to be read from the position on.
    File(File),
    /// A file that is not as long.
    Shorter,
    Nothing,
}

/// Opens the file at `position`.
pub(crate) async fn open(path: &Path, position: u64) -> Result<Opened> {
    // A named pipe is opened, and read, without waiting for somebody who writes to it.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or_default();
    let mut options = OpenOptions::new();
    let mut file = match options.read(true).custom_flags(flags).open(path).await {
        Ok(file) => file,
        Err(cause) if cause.kind() == IoErrorKind::NotFound => return Ok(Opened::Nothing),
        Err(cause) => return Err(failed("open", path, cause)),
    };
    // What has no length, a named pipe, can be read from the beginning only.
    if position == 0 {
        return Ok(Opened::File(file));
    }
    let metadata = file.metadata().await;
    let metadata = metadata.map_err(|cause| failed("look at", path, cause))?;
    if metadata.len() < position {
        return Ok(Opened::Shorter);
    }
    let sought = file.seek(SeekFrom::Start(position)).await;
    sought.map_err(|cause| failed("go on in", path, cause))?;
    Ok(Opened::File(file))
}

/// Puts what comes next into `chunk`; nothing at the end for now.
pub(crate) async fn read(file: &mut File, path: &Path, chunk: &mut Vec<u8>) -> Result<()> {
    chunk.reserve(CHUNK);
    match file.read_buf(chunk).await {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == IoErrorKind::WouldBlock => Ok(()),
        Err(cause) => Err(failed("read", path, cause)),
    }
}

/// Not worth retrying: somebody has to change the file or its rights.
fn failed(operation: &str, path: &Path, cause: std::io::Error) -> Error {
    let kind = match cause.kind() {
        IoErrorKind::PermissionDenied => ErrorKind::Auth,
        _ => ErrorKind::External,
    };
    Error::new(kind, "the file cannot be read")
        .operation(operation)
        .target(path.display().to_string())
        .source(cause)
}

/// The next bytes of standard input; `None` at its end. What one task has taken no other one gets.
pub(crate) async fn read_stdin() -> Option<Vec<u8>> {
    static CHUNKS: OnceLock<Mutex<mpsc::Receiver<Vec<u8>>>> = OnceLock::new();
    let chunks = CHUNKS.get_or_init(|| Mutex::new(start_reading_stdin()));
    chunks.lock().await.recv().await
}

/// A thread of its own: a read of standard input cannot be called off, and must hold up neither the runtime nor its end.
fn start_reading_stdin() -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
    std::thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            match std::io::stdin().lock().read(&mut buffer) {
                Ok(0) => return,
                Ok(length) => {
                    let bytes = buffer.iter().copied().take(length).collect();
                    if sender.blocking_send(bytes).is_err() {
                        return;
                    }
                }
                Err(cause) if cause.kind() == IoErrorKind::Interrupted => {}
                Err(cause) => {
                    tracing::error!(%cause, "standard input cannot be read");
                    return;
                }
            }
        }
    });
    receiver
}
