//! An S3 server on a folder, for demos and tests; faults on request.
//!
//! An object is a plain file, `<folder>/<bucket>/<key>`, so that a person can look at it. It is not meant for data that
//! matters: it keeps no versions, checks no policies and syncs nothing.

mod faults;
mod server;

use std::path::{Path, PathBuf};

pub use faults::Faults;
pub use server::{S3Options, S3StandIn};

/// The files of a bucket as keys with their sizes, in order of the keys.
///
/// # Errors
/// What the file system says.
pub fn list_objects(folder: &Path, bucket: &str) -> std::io::Result<Vec<(String, u64)>> {
    let root = folder.join(bucket);
    let mut objects = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => continue,
            Err(cause) => return Err(cause),
        };
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if let Ok(key) = entry.path().strip_prefix(&root) {
                objects.push((key.to_string_lossy().into_owned(), entry.metadata()?.len()));
            }
        }
    }
    objects.sort();
    Ok(objects)
}
