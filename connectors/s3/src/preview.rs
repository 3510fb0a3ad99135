//! What a dry run shows: the objects of some records, made by the task's own writers, and nothing sent.

use std::sync::Arc;
use std::time::Duration;

use connect_core::Result;
use connect_core::plugin::{Effect, FileEffect, SinkPreview, SinkTask};
use tokio::time::timeout;

use crate::client::Bucket;
use crate::config::S3SinkConfig;
use crate::encoder::Encoding;
use crate::object::Object;
use crate::partition_writer::PartitionWriter;
use crate::task::S3SinkTask;

/// Objects are looked for in the bucket, as many at the most.
const LOOKED_FOR: usize = 100;
/// How long the bucket may be looked at: what would be written is shown without it, too.
const LONGEST_LOOK: Duration = Duration::from_secs(5);

/// The objects of these records.
///
/// # Errors
/// A data error that names the record that cannot be written.
pub(crate) async fn preview(
    config: Arc<S3SinkConfig>,
    preview: SinkPreview,
) -> Result<Vec<Effect>> {
    let bucket = Bucket::open(&config.bucket).await;
    let encoding = Encoding::of(&config);
    let mut task = S3SinkTask::new(config.clone(), preview.context);
    task.open(&preview.partitions).await?;
    let goes_by_clock = task.goes_by_clock();
    let mut effects = Vec::new();
    for writer in task.into_writers(&preview.records)?.into_values() {
        effects.extend(files(writer, &encoding)?);
    }
    let looked = timeout(LONGEST_LOOK, notes_of_bucket(&bucket, &effects)).await;
    let mut notes = looked.unwrap_or_else(|_| {
        let text = format!("the bucket cannot be looked at: no answer in {LONGEST_LOOK:?}");
        vec![text]
    });
    if goes_by_clock && !effects.is_empty() {
        notes.push(
            "names go by the clock: those that a run writes have the time of that run".to_owned(),
        );
    }
    let effects = effects.into_iter().map(Effect::File);
    Ok(effects.chain(notes.into_iter().map(Effect::Note)).collect())
}

fn files(writer: PartitionWriter, encoding: &Encoding) -> Result<Vec<FileEffect>> {
    let waits_for = writer.waits_for();
    let mut files = Vec::new();
    for rotation in writer.into_rotations()? {
        let reason = rotation
            .cause
            .map_or_else(|| waits_for.clone(), |cause| cause.to_string());
        for object in &rotation.objects {
            files.extend(file(object, encoding, rotation.cause.is_some(), &reason)?);
        }
    }
    Ok(files)
}

fn file(
    object: &Object,
    encoding: &Encoding,
    is_complete: bool,
    reason: &str,
) -> Result<Option<FileEffect>> {
    let Some(whole) = object.whole() else {
        return Ok(None);
    };
    Ok(Some(FileEffect {
        kind: "object",
        path: object.destination.key.clone(),
        content: encoding.plain(whole)?,
        compression: encoding.compression(),
        size: whole.len() as u64,
        records: object.records,
        is_complete,
        reason: reason.to_owned(),
    }))
}

/// What the bucket says: whether it is there, and which objects are.
async fn notes_of_bucket(bucket: &Bucket, files: &[FileEffect]) -> Vec<String> {
    if let Err(error) = bucket.check().await {
        return vec![format!("the connector would not start: {}", error.trace())];
    }
    let mut notes = Vec::new();
    for file in files.iter().take(LOOKED_FOR) {
        match bucket.has(&file.path).await {
            Ok(true) => notes.push(format!("the bucket has an object {} already", file.path)),
            Ok(false) => {}
            Err(error) => {
                notes.push(format!("the bucket cannot be looked at: {}", error.trace()));
                break;
            }
        }
    }
    notes
}
