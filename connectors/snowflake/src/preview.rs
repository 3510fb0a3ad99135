//! What a dry run shows: staged files, changes of tables and COPY, planned by the task's own code over a session that only
//! looks.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{Offset, SinkRecord, TopicPartition};
use connect_core::plugin::{Effect, FileEffect, SinkPreview, StatementEffect};
use connect_core::{Error, Result};
use flate2::read::GzDecoder;

use crate::batch::{Batch, BatchFile};
use crate::buffer::Buffer;
use crate::config::{BufferOptions, SnowflakeSinkConfig};
use crate::error::SnowflakeError;
use crate::loader::Loader;
use crate::offsets::Stored;
use crate::session::Session;

/// What these records would do.
///
/// # Errors
/// A data error that names the record that cannot be loaded; what Snowflake says.
pub(crate) async fn preview(
    config: Arc<SnowflakeSinkConfig>,
    preview: SinkPreview,
) -> Result<Vec<Effect>> {
    let target = format!("{}.{}", config.login.database, config.login.schema);
    let failed = |error: SnowflakeError| error.into_error("look at", &target);
    let session = Session::new(&config).map_err(failed)?;
    let mut loader = Loader::new(config.clone(), &preview.context);
    let (stored, setup) = loader.look(&session).await.map_err(failed)?;
    let (batch, known) = gathered(&config, &preview, &stored).await?;
    let (changes, copies) = loader.plan(&session, &batch).await.map_err(failed)?;
    let mut effects = Vec::new();
    if known > 0 {
        effects.push(Effect::Note(format!(
            "{known} of the records are in Snowflake already, by its table of offsets: they are not loaded again"
        )));
    }
    let statement = |sql, reason: &str| {
        Effect::Statement(StatementEffect {
            target: target.clone(),
            sql,
            reason: reason.to_owned(),
        })
    };
    let made = "the connector has never run: its stage and its table of offsets are made";
    effects.extend(setup.into_iter().map(|sql| statement(sql, made)));
    let changed = "the table is made, or gets what the records need";
    effects.extend(changes.into_iter().map(|sql| statement(sql, changed)));
    for file in &batch.files {
        effects.push(Effect::File(staged(file, loader.stage(), &config.buffer)?));
    }
    let loaded = "the staged files are loaded, in one transaction with the offsets";
    effects.extend(copies.into_iter().map(|sql| statement(sql, loaded)));
    Ok(effects)
}

/// All records as one batch, and how many of them are loaded already.
async fn gathered(
    config: &SnowflakeSinkConfig,
    preview: &SinkPreview,
    stored: &Stored,
) -> Result<(Batch, usize)> {
    let (topics, now) = (config.topics(), preview.context.clock.now());
    let mut buffers = buffers(preview, stored);
    let mut known = 0;
    for record in &preview.records {
        let Some(buffer) = buffers.get_mut(&record.origin) else {
            continue;
        };
        if buffer.has(record) {
            known += 1;
            continue;
        }
        buffer.take(record, &topics.table(&record.topic), &config.rows, now)?;
    }
    let mut batch = Batch::default();
    for (partition, buffer) in &mut buffers {
        buffer.close(partition, &mut batch).await?;
    }
    Ok((batch, known))
}

/// A buffer for each partition, as it stands once it is claimed.
fn buffers(preview: &SinkPreview, stored: &Stored) -> BTreeMap<TopicPartition, Buffer> {
    let mut buffers = BTreeMap::new();
    for assignment in &preview.partitions {
        let partition = &assignment.partition;
        let committed = assignment
            .committed
            .as_ref()
            .map(|committed| committed.offset);
        let is_mine = |record: &&SinkRecord| record.origin == *partition;
        let first = preview
            .records
            .iter()
            .find(is_mine)
            .map(|record| record.offset);
        let mut buffer = Buffer::new(committed);
        buffer.next = stored
            .get(partition)
            .copied()
            .or(committed)
            .or(first)
            .or(Some(Offset::new(0)));
        buffers.insert(partition.clone(), buffer);
    }
    buffers
}

fn staged(file: &BatchFile, stage: &str, buffer: &BufferOptions) -> Result<FileEffect> {
    let file = &file.file;
    let (records, seconds) = (buffer.records, buffer.seconds);
    Ok(FileEffect {
        kind: "staged file",
        path: format!("@{stage}/{}{}", file.folder, file.name),
        content: unpacked(&file.content)?,
        compression: Some("gzip"),
        size: file.content.len() as u64,
        records: file.rows,
        is_complete: file.rows >= records,
        reason: format!(
            "all records in one file; a run begins another at {records} records (buffer.count.records), at buffer.size.bytes, or after {seconds} s (buffer.flush.time)"
        ),
    })
}

fn unpacked(content: &Bytes) -> Result<Bytes> {
    let mut plain = Vec::new();
    let mut reader = GzDecoder::new(&**content);
    reader
        .read_to_end(&mut plain)
        .map_err(|cause| Error::internal("reading what was compressed in memory").source(cause))?;
    Ok(plain.into())
}
