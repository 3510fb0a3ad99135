//! The objects of an S3 server inside this process, read from its folder.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use sluice_stand_in_s3::list_objects;

/// An object.
#[derive(Debug)]
pub(super) struct StoredObject {
    pub(super) key: String,
    pub(super) content: Vec<u8>,
    /// When the file system last changed it or gave it its name: it is whole since then. As fine as the kernel's clock
    /// tick, some milliseconds.
    pub(super) appeared: SystemTime,
}

/// All objects of a bucket, in order of their keys. One that is removed meanwhile is left out.
pub(super) async fn objects(folder: &Path, bucket: &str) -> Result<Vec<StoredObject>> {
    let mut objects = Vec::new();
    for (key, _size) in list_objects(folder, bucket)? {
        let path = folder.join(bucket).join(&key);
        let reading = async {
            let metadata = tokio::fs::metadata(&path).await?;
            Ok((metadata, tokio::fs::read(&path).await?))
        };
        let (metadata, content) = match reading.await {
            Ok(read) => read,
            Err(cause) if is_gone(&cause) => continue,
            Err(cause) => return Err(cause).with_context(|| format!("reading {}", path.display())),
        };
        objects.push(StoredObject {
            key,
            content,
            appeared: changed(&metadata),
        });
    }
    Ok(objects)
}

fn is_gone(cause: &std::io::Error) -> bool {
    cause.kind() == std::io::ErrorKind::NotFound
}

fn changed(metadata: &std::fs::Metadata) -> SystemTime {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or(0);
    let nanos = u32::try_from(metadata.ctime_nsec()).unwrap_or(0);
    UNIX_EPOCH + Duration::new(seconds, nanos)
}
