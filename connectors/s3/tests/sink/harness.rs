//! A topic, a group and a bucket around sink tasks: what the runtime is to them, and what it does when it dies.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connect_core::clock::ManualClock;
use connect_core::config::{ConfigMap, connector_from_map, find_converter_plugin};
use connect_core::data::{
    Datum, OffsetAndMetadata, Offsets, RecordTimestamp, SinkRecord, Timestamp, TopicPartition,
};
use connect_core::plugin::{
    Assignment, Converter, ConverterRole, MemoryBudget, SinkRuntime, SinkTask, SinkTaskContext,
    TaskId,
};
use connect_core::{Error, Result, testkit};
use sluice_stand_in_s3::{S3Options, S3StandIn, list_objects};

pub(crate) const TOPIC: &str = "sales";
pub(crate) const BUCKET: &str = "bkt";

/// What happens to commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum CommitFault {
    #[default]
    None,
    /// The worker dies before the broker has the commit.
    DieBefore,
    /// The worker dies after the broker has the commit, before it hears of it.
    DieAfter,
    /// The broker knows a newer owner of the partition.
    Refused,
}

/// The group's offsets, as the broker keeps them.
#[derive(Default)]
pub(crate) struct Group {
    pub(crate) committed: Mutex<Offsets>,
    fault: Mutex<CommitFault>,
    /// A clock, and how long a commit takes by it.
    pub(crate) slow: Mutex<Option<(ManualClock, Duration)>>,
}

impl Group {
    /// What happens to the next commit.
    pub(crate) fn fail_next(&self, fault: CommitFault) {
        *self.fault.lock().unwrap() = fault;
    }

    pub(crate) fn note_of(&self, partition: i32) -> String {
        let committed = self.committed.lock().unwrap();
        let committed = committed.get(&TopicPartition::new(TOPIC, partition));
        committed
            .map(|committed| committed.metadata.clone())
            .unwrap_or_default()
    }
}

#[async_trait]
impl SinkRuntime for Group {
    async fn commit(&self, offsets: Offsets) -> Result<()> {
        if let Some((clock, takes)) = &*self.slow.lock().unwrap() {
            clock.advance(*takes);
        }
        let fault = std::mem::take(&mut *self.fault.lock().unwrap());
        match fault {
            CommitFault::Refused => return Err(Error::conflict("another member owns it")),
            CommitFault::DieBefore => return Err(Error::internal("died")),
            CommitFault::None | CommitFault::DieAfter => {
                self.committed.lock().unwrap().extend(offsets);
            }
        }
        if fault == CommitFault::DieAfter {
            return Err(Error::internal("died"));
        }
        Ok(())
    }
}

/// A record of the topic before conversion.
#[derive(Debug, Clone)]
pub(crate) struct LogRecord {
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) timestamp: i64,
}

impl LogRecord {
    pub(crate) fn text(value: impl Into<String>, timestamp: i64) -> Self {
        Self {
            value: Some(value.into().into_bytes()),
            timestamp,
        }
    }
}

/// Topic, group, bucket and clock: what survives a task.
pub(crate) struct World {
    pub(crate) server: S3StandIn,
    pub(crate) group: Arc<Group>,
    pub(crate) clock: ManualClock,
    pub(crate) partitions: BTreeMap<i32, Vec<LogRecord>>,
    pub(crate) memory: MemoryBudget,
    pub(crate) topic: String,
    folder: tempfile::TempDir,
}

/// The fields of a record that are not empty, as text.
pub(crate) type Row = BTreeMap<String, String>;

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = S3StandIn::start(S3Options::local(folder.path(), BUCKET))
            .await
            .unwrap();
        Self {
            server,
            group: Arc::default(),
            clock: ManualClock::at(Timestamp::from_millis(1_710_052_200_000)),
            partitions: BTreeMap::new(),
            memory: MemoryBudget::new(256 << 20),
            topic: TOPIC.to_owned(),
            folder,
        }
    }

    /// The least a connector needs, with `more` over it.
    pub(crate) fn config(&self, more: &[(&str, &str)]) -> ConfigMap {
        let url = self.server.url();
        let common = [
            ("connector.class", "io.confluent.connect.s3.S3SinkConnector"),
            ("s3.bucket.name", BUCKET),
            ("s3.region", "us-east-1"),
            ("store.url", &url),
            ("aws.access.key.id", "test"),
            ("aws.secret.access.key", "test-secret"),
            ("storage.class", "io.confluent.connect.s3.storage.S3Storage"),
            (
                "format.class",
                "io.confluent.connect.s3.format.json.JsonFormat",
            ),
            ("flush.size", "3"),
            ("s3.part.retries", "1"),
        ];
        testkit::config(&common, more)
    }

    /// A task that owns all partitions, from their committed offsets on.
    pub(crate) async fn task(&self, config: &ConfigMap) -> RunningTask {
        let connector = connector_from_map(config).unwrap();
        let mut task = connector.sink_task(self.context()).unwrap();
        let committed = self.group.committed.lock().unwrap().clone();
        let assignments: Vec<_> = self
            .partitions
            .keys()
            .map(|number| {
                let partition = TopicPartition::new(self.topic.as_str(), *number);
                Assignment {
                    committed: committed.get(&partition).cloned(),
                    partition,
                }
            })
            .collect();
        task.open(&assignments).await.unwrap();
        let next = assignments
            .iter()
            .map(|assignment| (assignment.partition.partition, start_of(assignment)))
            .collect();
        RunningTask {
            task,
            topic: self.topic.clone(),
            converter: converter(config),
            next,
        }
    }

    fn context(&self) -> SinkTaskContext {
        SinkTaskContext {
            task: TaskId {
                connector: "s3".into(),
                task: 0,
            },
            clock: Arc::new(self.clock.clone()),
            runtime: self.group.clone(),
            memory: self.memory.join(),
        }
    }

    /// Keys and contents of the bucket, in order of the keys.
    pub(crate) fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let listed = list_objects(self.folder.path(), BUCKET).unwrap();
        listed
            .into_iter()
            .map(|(key, _)| {
                let path = self.folder.path().join(BUCKET).join(&key);
                (key, std::fs::read(path).unwrap())
            })
            .collect()
    }

    /// All records of all objects, of JSON lines and of CSV, sorted.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let objects = self.objects();
        let mut rows: Vec<_> = objects
            .iter()
            .flat_map(|(key, content)| {
                if key.ends_with(".csv") {
                    rows_of_csv(content)
                } else {
                    rows_of_json(content)
                }
            })
            .collect();
        rows.sort();
        rows
    }

    /// All lines of all objects, sorted.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines: Vec<_> = self
            .objects()
            .into_values()
            .flat_map(|content| {
                let text = String::from_utf8(content).unwrap();
                text.lines().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        lines.sort();
        lines
    }
}

/// The rows of an object; every row must have as many cells as the header.
pub(crate) fn rows_of_csv(content: &[u8]) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(content);
    reader
        .deserialize()
        .map(|row| filled(row.unwrap()))
        .collect()
}

/// JSON lines as rows.
pub(crate) fn rows_of_json(content: &[u8]) -> Vec<Row> {
    let lines = content.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let fields: BTreeMap<String, serde_json::Value> = serde_json::from_slice(line).unwrap();
            let text = |value: serde_json::Value| match value {
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            };
            let fields = fields.into_iter();
            filled(fields.map(|(name, value)| (name, text(value))).collect())
        })
        .collect()
}

fn filled(mut row: Row) -> Row {
    row.retain(|_, value| !value.is_empty());
    row
}

fn start_of(assignment: &Assignment) -> usize {
    let committed = assignment.committed.as_ref();
    committed.map_or(0, |committed| {
        usize::try_from(committed.offset.value()).unwrap()
    })
}

fn converter(config: &ConfigMap) -> Arc<dyn Converter> {
    let class = config
        .get("value.converter")
        .map_or("JsonConverter", String::as_str);
    let with_schemas = config
        .get("value.converter.schemas.enable")
        .map_or("false", String::as_str);
    let options = ConfigMap::from([("schemas.enable".to_owned(), with_schemas.to_owned())]);
    let options = if class.ends_with("JsonConverter") {
        options
    } else {
        ConfigMap::new()
    };
    let make = find_converter_plugin(class).unwrap().make.unwrap();
    make(&options, ConverterRole::Value).unwrap()
}

/// A task with how far it has read.
pub(crate) struct RunningTask {
    pub(crate) task: Box<dyn SinkTask>,
    topic: String,
    converter: Arc<dyn Converter>,
    next: BTreeMap<i32, usize>,
}

impl RunningTask {
    /// Gives the task up to `most` more records of a partition; false if there are none.
    pub(crate) async fn feed(
        &mut self,
        world: &World,
        partition: i32,
        most: usize,
    ) -> Result<bool> {
        let from = self.next.get(&partition).copied().unwrap_or(0);
        let log = world
            .partitions
            .get(&partition)
            .map_or(&[][..], Vec::as_slice);
        let mut batch: Vec<_> = log
            .iter()
            .enumerate()
            .skip(from)
            .take(most)
            .map(|(offset, record)| self.record(partition, offset, record))
            .collect();
        let fed = batch.len();
        self.task.put(&mut batch).await?;
        self.next.insert(partition, from + fed);
        Ok(fed > 0)
    }

    pub(crate) fn record(&self, partition: i32, offset: usize, record: &LogRecord) -> SinkRecord {
        let bytes = record.value.clone().map(bytes::Bytes::from);
        let size = bytes.as_ref().map_or(0, bytes::Bytes::len);
        let value = self
            .converter
            .to_connect(&self.topic, &Vec::new(), bytes.as_ref());
        let partition = TopicPartition::new(self.topic.as_str(), partition);
        let offset = i64::try_from(offset).unwrap();
        let moment = Timestamp::from_millis(record.timestamp);
        SinkRecord {
            timestamp: RecordTimestamp::CreateTime(moment),
            size: u32::try_from(size).unwrap(),
            ..testkit::record(partition, offset, Datum::null(), value.unwrap())
        }
    }

    /// Flushes and commits what is durable, as the runtime does.
    pub(crate) async fn flush(&mut self, world: &World) -> Result<()> {
        let durable = self.task.flush().await?;
        if durable.is_empty() {
            return Ok(());
        }
        world.group.commit(durable).await
    }

    /// Gives the task everything there is, and flushes.
    pub(crate) async fn run_to_end(&mut self, world: &World) -> Result<()> {
        for partition in world.partitions.keys() {
            while self.feed(world, *partition, 7).await? {
                self.flush(world).await?;
            }
        }
        self.flush(world).await
    }
}

/// The committed offset of a partition.
pub(crate) fn committed(world: &World, partition: i32) -> Option<OffsetAndMetadata> {
    let committed = world.group.committed.lock().unwrap();
    committed
        .get(&TopicPartition::new(world.topic.as_str(), partition))
        .cloned()
}
