//! `FileStreamSource`: each line of a file, as it grows, or of standard input is a record.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::config::ConnectorConfig;
use connect_core::data::{Datum, Schema, SourceOffset, SourcePartition, SourceRecord, Type, Value};
use connect_core::plugin::{
    Connector, ConnectorPlugin, ConnectorType, ExactlyOnceSupport, OffsetChanges, Polled,
    SourcePreview, SourceTask, SourceTaskContext,
};
use connect_core::{Error, Result};
use serde_json::json;
use tokio::fs::File;
use tracing::warn;

use crate::input::{self, Opened};
use crate::lines::{Line, Lines};

/// Key of the source partition.
const FILENAME: &str = "filename";
/// Key of the source offset: bytes of the file that are done.
const POSITION: &str = "position";

/// Between two looks for growth.
const GROWTH: Duration = Duration::from_millis(100);
/// Between two looks for a file that is not there, or not as long as it was.
const ABSENCE: Duration = Duration::from_secs(1);

/// Options of the source.
#[derive(Debug, Clone, ConnectorConfig)]
struct FileStreamSourceConfig {
    /// The file to read. If it is not given, standard input is read.
    #[option(name = "file", importance = High)]
    file: Option<String>,
    /// The topic to write to.
    #[option(name = "topic", importance = High, validator = Validator::NonEmpty)]
    topic: String,
    /// Lines handed over at once, at the most.
    #[option(name = "batch.size", default = "2000", importance = Low, kind = Int)]
    batch_size: i64,
}

impl FileStreamSourceConfig {
    /// The file; `None` for standard input.
    fn path(&self) -> Option<PathBuf> {
        let file = self.file.as_deref().filter(|file| !file.is_empty());
        file.map(PathBuf::from)
    }
}

#[typetag::deserialize(name = "org.apache.kafka.connect.file.FileStreamSourceConnector")]
#[async_trait]
impl Connector for FileStreamSourceConfig {
    /// A file has one reader.
    fn task_count(&self, _tasks_max: u32) -> u32 {
        1
    }

    /// Standard input has no place to go on from.
    fn exactly_once_support(&self) -> Option<ExactlyOnceSupport> {
        Some(match self.path() {
            Some(_) => ExactlyOnceSupport::Supported,
            None => ExactlyOnceSupport::Unsupported,
        })
    }

    async fn alter_offsets(&self, changes: &OffsetChanges) -> Result<bool> {
        if self.path().is_none() {
            return Err(Error::config(
                "Offsets cannot be modified if the 'file' configuration is unspecified. This is because stdin is used for input and offsets are not tracked.",
            ));
        }
        if let OffsetChanges::Source(changes) = changes {
            for (partition, offset) in changes {
                check_change(partition.as_ref(), offset.as_ref())?;
            }
        }
        Ok(true)
    }

    fn source_task(&self, context: SourceTaskContext) -> Result<Box<dyn SourceTask>> {
        Ok(Box::new(FileStreamSourceTask::new(self, context)))
    }

    /// What was read of standard input is gone.
    fn source_preview(&self, context: SourceTaskContext) -> Result<SourcePreview> {
        if self.path().is_none() {
            return Err(Error::config(
                "standard input cannot be read in a dry run: what it reads no task would see again",
            ));
        }
        let task = self.source_task(context)?;
        Ok(SourcePreview { task, note: None })
    }
}

/// Kafka's checks, in its order and words. Anything may be taken away; whether the file is as long, the task sees.
fn check_change(partition: Option<&SourcePartition>, offset: Option<&SourceOffset>) -> Result<()> {
    let Some(offset) = offset else {
        return Ok(());
    };
    let refused = |message: &str| Err(Error::config(message));
    let Some(position) = offset.get(POSITION) else {
        return refused("Offset objects should either be null or contain the key 'position'");
    };
    let Some(position) = position.as_i64() else {
        return refused(
            "The value for the 'position' key in the offset is expected to be a Long value",
        );
    };
    if position < 0 {
        return refused(
            "The value for the 'position' key in the offset should be a non-negative value",
        );
    }
    match partition {
        None => refused("Partition objects cannot be null"),
        Some(partition) if !partition.contains_key(FILENAME) => {
            refused("Partition objects should contain the key 'filename'")
        }
        Some(_) => Ok(()),
    }
}

struct FileStreamSourceTask {
    context: SourceTaskContext,
    /// `None`: standard input.
    path: Option<PathBuf>,
    topic: Arc<str>,
    batch_size: usize,
    schema: Arc<Schema>,
    partition: Arc<SourcePartition>,
    /// Open once it was there and as long as what is done.
    file: Option<File>,
    /// Bytes that are done; of standard input they are not counted.
    position: Option<u64>,
    lines: Lines,
    chunk: Vec<u8>,
    is_absence_told: bool,
}

/// What a read brought.
enum Next {
    Bytes,
    NothingFor(Duration),
    End,
}

impl FileStreamSourceTask {
    fn new(config: &FileStreamSourceConfig, context: SourceTaskContext) -> Self {
        let path = config.path();
        Self {
            context,
            position: path.is_some().then_some(0),
            path,
            topic: config.topic.as_str().into(),
            // As with Kafka, a batch has one line at the least.
            batch_size: usize::try_from(config.batch_size).unwrap_or(0).max(1),
            schema: Arc::new(Schema::new(Type::String)),
            partition: Arc::new([(FILENAME.to_owned(), json!(config.file))].into()),
            file: None,
            lines: Lines::default(),
            chunk: Vec::new(),
            is_absence_told: false,
        }
    }

    /// Reads on. May be dropped at any await: bytes are either still in the file or in `chunk`.
    async fn read(&mut self) -> Result<Next> {
        let Some(path) = self.path.clone() else {
            let Some(bytes) = input::read_stdin().await else {
                return Ok(Next::End);
            };
            self.lines.push(&bytes)?;
            return Ok(Next::Bytes);
        };
        let Some(file) = &mut self.file else {
            return self.open(&path).await;
        };
        input::read(file, &path, &mut self.chunk).await?;
        if self.chunk.is_empty() {
            return Ok(Next::NothingFor(GROWTH));
        }
        self.lines.push(&self.chunk)?;
        self.chunk.clear();
        Ok(Next::Bytes)
    }

    /// Opens the file where it is to be read on.
    async fn open(&mut self, path: &Path) -> Result<Next> {
        let position = self.position.unwrap_or(0);
        let absence = match input::open(path, position).await? {
            Opened::File(file) => {
                self.file = Some(file);
                return Ok(Next::NothingFor(Duration::ZERO));
            }
            Opened::Shorter => {
                "the file is shorter than what was read of it; waiting for it to grow"
            }
            Opened::Nothing => "the file is not there; waiting for it",
        };
        if !self.is_absence_told {
            warn!(file = %path.display(), position, "{absence}");
            self.is_absence_told = true;
        }
        Ok(Next::NothingFor(ABSENCE))
    }

    /// The lines there are, one batch at the most.
    fn batch(&mut self) -> Vec<SourceRecord> {
        let mut records = Vec::new();
        while records.len() < self.batch_size
            && let Some(line) = self.lines.next()
        {
            records.push(self.record(line));
        }
        records
    }

    fn record(&mut self, line: Line) -> SourceRecord {
        self.position = self.position.map(|position| position + line.length);
        let offset = (POSITION.to_owned(), json!(self.position));
        SourceRecord {
            source_partition: self.partition.clone(),
            source_offset: Some([offset].into()),
            topic: self.topic.clone(),
            partition: None,
            timestamp: Some(self.context.clock.now()),
            headers: Vec::new(),
            key: Datum::null(),
            value: Datum::with_schema(self.schema.clone(), Value::string(line.text)),
        }
    }
}

#[async_trait]
impl SourceTask for FileStreamSourceTask {
    async fn start(&mut self) -> Result<()> {
        if self.path.is_none() {
            return Ok(());
        }
        let stored = self.context.offsets.offset(&self.partition).await?;
        let position = stored.as_ref().and_then(|offset| offset.get(POSITION));
        if let Some(position) = position.filter(|position| !position.is_null()) {
            let wrong = || Error::config("Offset position is the incorrect type");
            self.position = Some(position.as_u64().ok_or_else(wrong)?);
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<Polled> {
        loop {
            let records = self.batch();
            if !records.is_empty() {
                return Ok(Polled::Records(records));
            }
            match self.read().await? {
                Next::Bytes => {}
                Next::NothingFor(pause) => tokio::time::sleep(pause).await,
                Next::End => return Ok(Polled::Finished),
            }
        }
    }

    async fn stop(&mut self) -> Result<()> {
        Ok(())
    }
}

connect_core::inventory::submit! {
    ConnectorPlugin {
        class: "org.apache.kafka.connect.file.FileStreamSourceConnector",
        aliases: &[],
        kind: ConnectorType::Source,
        version: env!("CARGO_PKG_VERSION"),
        definition: FileStreamSourceConfig::definition,
    }
}

#[cfg(test)]
mod tests;
