//! Sink tasks: the group they belong to, and the rounds of a worker's loop.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;

use crate::clock::{Clock, ManualClock};
use crate::config::{ConfigMap, connector_from_map};
use crate::data::{Datum, Offset, Offsets, RawJson, RecordTimestamp, SinkRecord, TopicPartition};
use crate::plugin::{Assignment, MemoryBudget, SinkRuntime, SinkTask, SinkTaskContext, TaskId};
use crate::{Error, ErrorKind, Result};

/// For how long what may pass is tried again.
const PATIENCE: Duration = Duration::from_secs(60);
/// The pause between tries.
const PAUSE: Duration = Duration::from_millis(20);

/// The consumer group as a task sees it: remembers what is committed; may say that the task is no longer a member.
#[derive(Debug, Default)]
pub struct Group {
    committed: Mutex<Offsets>,
    expelled: Mutex<bool>,
}

impl Group {
    /// The committed offset of a partition.
    pub fn committed(&self, partition: &TopicPartition) -> Option<i64> {
        let committed = self.committed.lock().unwrap();
        let committed = committed.get(partition)?;
        Some(committed.offset.value())
    }

    /// Sets an offset from outside.
    pub fn set(&self, partition: &TopicPartition, offset: i64) {
        let offset = Offset::new(offset).into();
        let mut committed = self.committed.lock().unwrap();
        committed.insert(partition.clone(), offset);
    }

    /// Every offset is forgotten, as after `offsets.retention.minutes`.
    pub fn forget(&self) {
        self.committed.lock().unwrap().clear();
    }

    /// The task is no member any more: its commits are refused.
    pub fn expel(&self) {
        *self.expelled.lock().unwrap() = true;
    }

    /// What the next member of the group finds.
    pub fn successor(&self) -> Self {
        Self {
            committed: Mutex::new(self.committed.lock().unwrap().clone()),
            expelled: Mutex::new(false),
        }
    }
}

#[async_trait]
impl SinkRuntime for Group {
    async fn commit(&self, offsets: Offsets) -> Result<()> {
        if *self.expelled.lock().unwrap() {
            return Err(Error::conflict("not a member"));
        }
        self.committed.lock().unwrap().extend(offsets);
        Ok(())
    }
}

/// What a sink task is made of.
pub struct SinkSpec<'a> {
    /// The connector's options.
    pub config: &'a ConfigMap,
    /// Who the task is.
    pub task: TaskId,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The group it is a member of.
    pub group: Arc<Group>,
    /// Bytes that it may hold.
    pub memory: usize,
}

/// A sink task, driven as a worker drives it.
pub struct SinkDriver {
    /// The task itself.
    pub task: Box<dyn SinkTask>,
    /// The group it is a member of.
    pub group: Arc<Group>,
    owned: Vec<TopicPartition>,
    flush_time: Option<(ManualClock, Duration)>,
}

impl SinkDriver {
    /// Makes a task that owns nothing yet.
    ///
    /// # Errors
    /// What the connector says about its options.
    pub fn new(spec: SinkSpec<'_>) -> Result<Self> {
        let connector = connector_from_map(spec.config)?;
        let task = connector.sink_task(SinkTaskContext {
            task: spec.task,
            clock: spec.clock,
            runtime: spec.group.clone(),
            memory: MemoryBudget::new(spec.memory).join(),
        })?;
        Ok(Self {
            task,
            group: spec.group,
            owned: Vec::new(),
            flush_time: None,
        })
    }

    /// Moves this clock before each flush of a write, so that all that was put is due.
    #[must_use]
    pub fn with_flush_time(mut self, clock: ManualClock, time: Duration) -> Self {
        self.flush_time = Some((clock, time));
        self
    }

    /// Gives it partitions, with what the group has committed.
    pub async fn open(&mut self, partitions: &[TopicPartition]) {
        let assignment = |partition: &TopicPartition| Assignment {
            partition: partition.clone(),
            committed: self.group.committed.lock().unwrap().get(partition).cloned(),
        };
        let assignments: Vec<_> = partitions.iter().map(assignment).collect();
        self.owned.extend_from_slice(partitions);
        self.task.open(&assignments).await.unwrap();
    }

    /// Takes partitions from it.
    pub async fn close(&mut self, partitions: &[TopicPartition]) {
        self.owned.retain(|owned| !partitions.contains(owned));
        self.task.close(partitions).await.unwrap();
    }

    /// Takes all partitions from it and gives them back, as a worker does after a conflict.
    pub async fn reopen(&mut self) {
        let owned = self.owned.clone();
        self.close(&owned).await;
        self.open(&owned).await;
    }

    /// Hands records over without a flush.
    ///
    /// # Errors
    /// What the task says.
    pub async fn put(&mut self, mut records: Vec<SinkRecord>) -> Result<()> {
        self.task.put(&mut records).await
    }

    /// One round of a worker's loop: hands records over, flushes, commits what is durable.
    ///
    /// # Errors
    /// What the task or the group says; `records` has what the task has not taken.
    pub async fn try_write(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        if !records.is_empty() {
            self.task.put(records).await?;
        }
        if let Some((clock, time)) = &self.flush_time {
            clock.advance(*time);
        }
        let durable = self.task.flush().await?;
        self.group.commit(durable).await
    }

    /// Hands records over and makes them durable; errors that may pass are tried again.
    ///
    /// # Errors
    /// What does not pass.
    pub async fn write(&mut self, mut records: Vec<SinkRecord>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.try_write(&mut records).await {
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Writes a log from where the group stands; after a conflict again.
    ///
    /// # Errors
    /// What does not pass.
    pub async fn deliver(&mut self, log: &[SinkRecord]) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let is_ahead = |record: &&SinkRecord| {
                let committed = self.group.committed(&record.origin);
                record.offset.value() >= committed.unwrap_or(0)
            };
            let rest = log.iter().filter(is_ahead).cloned().collect();
            match self.write(rest).await {
                Err(error) if error.kind() == ErrorKind::Conflict && Instant::now() < until => {
                    tokio::time::sleep(PAUSE).await;
                    self.reopen().await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// A record of a partition, without a timestamp and headers.
pub fn record(partition: TopicPartition, offset: i64, key: Datum, value: Datum) -> SinkRecord {
    SinkRecord {
        topic: partition.topic.clone(),
        origin: partition,
        offset: Offset::new(offset),
        timestamp: RecordTimestamp::Unknown,
        headers: Vec::new(),
        key,
        value,
        piece: None,
        size: 100,
    }
}

/// JSON without a schema.
pub fn json_datum(json: &str) -> Datum {
    Datum::json(RawJson::validate(Bytes::copy_from_slice(json.as_bytes())).unwrap())
}
