//! `FileStreamSink`: each record's value is a line at the end of a file, or on standard output.
//!
//! A value is written as Java's `toString` writes it, which is what Kafka's own sink does. Lines are in the file when `put`
//! is over, and on the disk when `flush` is.

use std::path::PathBuf;

use async_trait::async_trait;
use connect_core::config::ConnectorConfig;
use connect_core::data::{Offset, Offsets, SinkRecord, Timestamp, TopicPartition, java};
use connect_core::plugin::{
    Assignment, Connector, ConnectorPlugin, ConnectorType, Effect, FileEffect, OffsetChanges,
    SinkPreview, SinkTask, SinkTaskContext,
};
use connect_core::{Error, Result};

use crate::output::Output;

/// Options of the sink.
#[derive(Debug, Clone, ConnectorConfig)]
struct FileStreamSinkConfig {
    /// The file to append to; made if it is not there. If it is not given, standard output is written to.
    #[option(name = "file", importance = High)]
    file: Option<String>,
}

#[typetag::deserialize(name = "org.apache.kafka.connect.file.FileStreamSinkConnector")]
#[async_trait]
impl Connector for FileStreamSinkConfig {
    /// Any will do: the group's offsets are the only ones.
    async fn alter_offsets(&self, _changes: &OffsetChanges) -> Result<bool> {
        Ok(true)
    }

    fn sink_task(&self, _context: SinkTaskContext) -> Result<Box<dyn SinkTask>> {
        let file = self.file.as_deref().filter(|file| !file.is_empty());
        Ok(Box::new(FileStreamSinkTask {
            path: file.map(PathBuf::from),
            output: None,
            written: Offsets::new(),
        }))
    }

    async fn sink_preview(&self, preview: SinkPreview) -> Result<Option<Vec<Effect>>> {
        if preview.records.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let text = lines(&preview.records);
        let file = self.file.clone().filter(|file| !file.is_empty());
        let lines = FileEffect {
            kind: "lines",
            path: file.unwrap_or_else(|| "standard output".to_owned()),
            size: text.len() as u64,
            content: text.into(),
            compression: None,
            records: preview.records.len() as u64,
            is_complete: true,
            reason: "appended".to_owned(),
        };
        Ok(Some(vec![Effect::File(lines)]))
    }
}

/// Each record's line.
fn lines(records: &[SinkRecord]) -> String {
    let mut text = String::new();
    for record in records {
        text.push_str(&java::text(record.value.value()));
        text.push('\n');
    }
    text
}

struct FileStreamSinkTask {
    /// `None`: standard output.
    path: Option<PathBuf>,
    output: Option<Output>,
    /// Up to where each partition is in the file, as far as that is not committed.
    written: Offsets,
}

#[async_trait]
impl SinkTask for FileStreamSinkTask {
    async fn open(&mut self, _partitions: &[Assignment]) -> Result<()> {
        if self.output.is_none() {
            self.output = Some(Output::open(self.path.clone()).await?);
        }
        Ok(())
    }

    async fn put(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        let not_open = || Error::internal("records came before a partition was given");
        let output = self.output.as_ref().ok_or_else(not_open)?;
        output.write(lines(records).into_bytes()).await?;
        for record in records.drain(..).filter(SinkRecord::completes_offset) {
            self.written
                .insert(record.origin, record.offset.next().into());
        }
        Ok(())
    }

    async fn skipped(&mut self, partition: &TopicPartition, next: Offset) -> Result<()> {
        self.written.insert(partition.clone(), next.into());
        Ok(())
    }

    async fn flush(&mut self) -> Result<Offsets> {
        if let Some(output) = self.output.as_ref().filter(|_| !self.written.is_empty()) {
            output.sync().await?;
        }
        Ok(std::mem::take(&mut self.written))
    }

    fn wake_at(&self) -> Option<Timestamp> {
        None
    }

    async fn close(&mut self, partitions: &[TopicPartition]) -> Result<()> {
        self.written
            .retain(|partition, _| !partitions.contains(partition));
        Ok(())
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: "org.apache.kafka.connect.file.FileStreamSinkConnector",
        aliases: &[],
        kind: ConnectorType::Sink,
        version: env!("CARGO_PKG_VERSION"),
        definition: FileStreamSinkConfig::definition,
    }
}

#[cfg(test)]
mod tests;
