//! A server, a task and its records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::clock::{Clock, ManualClock};
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::data::{
    Datum, Offset, Offsets, RawJson, RecordTimestamp, SinkRecord, Timestamp, TopicPartition,
};
use connect_core::plugin::{
    Assignment, MemoryBudget, SinkRuntime, SinkTask, SinkTaskContext, TaskId,
};
use connect_core::{Error, ErrorKind, Result};
use serde_json::Value as Json;
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

/// The clock when a test begins.
pub(crate) const BEGIN: i64 = 1_710_052_200_000;
/// `buffer.flush.time` of [`World::config`].
pub(crate) const FLUSH_TIME: Duration = Duration::from_secs(120);
/// How long anything may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const PASSWORD: &str = "test-secret";
/// What the connector `sales` keeps in Snowflake.
pub(crate) const STAGE: &str = "SLUICE_STAGE_SALES";
pub(crate) const OFFSETS: &str = "SLUICE_OFFSETS_SALES";

/// The consumer group as a task sees it: remembers what is committed; may say that the task is no longer a member.
#[derive(Default)]
pub(crate) struct Group {
    committed: Mutex<Offsets>,
    expelled: Mutex<bool>,
}

impl Group {
    pub(crate) fn committed(&self, partition: &TopicPartition) -> Option<i64> {
        let committed = self.committed.lock().unwrap();
        committed
            .get(partition)
            .map(|committed| committed.offset.value())
    }

    pub(crate) fn set(&self, partition: &TopicPartition, offset: i64) {
        let offset = Offset::new(offset).into();
        self.committed
            .lock()
            .unwrap()
            .insert(partition.clone(), offset);
    }

    /// Every offset is forgotten, as after `offsets.retention.minutes`.
    pub(crate) fn forget(&self) {
        self.committed.lock().unwrap().clear();
    }

    /// What the next member of the group finds.
    pub(crate) fn successor(&self) -> Self {
        Self {
            committed: Mutex::new(self.committed.lock().unwrap().clone()),
            expelled: Mutex::new(false),
        }
    }

    pub(crate) fn expel(&self) {
        *self.expelled.lock().unwrap() = true;
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

/// A server, a clock and a group.
pub(crate) struct World {
    pub(crate) server: Arc<SnowflakeStandIn>,
    pub(crate) clock: ManualClock,
    pub(crate) group: Arc<Group>,
}

impl World {
    /// A server that knows a user by password.
    pub(crate) async fn new() -> Self {
        Self::with(SnowflakeOptions::local(None)).await
    }

    pub(crate) async fn with(options: SnowflakeOptions) -> Self {
        Self {
            server: Arc::new(SnowflakeStandIn::start(options).await.unwrap()),
            clock: ManualClock::at(Timestamp::from_millis(BEGIN)),
            group: Arc::default(),
        }
    }

    /// The options every test needs, and its own. The schema's lock is waited for as short as can be.
    pub(crate) fn config(&self, options: &[(&str, &str)]) -> ConfigMap {
        let url = self.server.url();
        let common = [
            (
                "connector.class",
                "com.snowflake.kafka.connector.SnowflakeSinkConnector",
            ),
            ("snowflake.url.name", url.as_str()),
            ("snowflake.account.name", "testaccount"),
            ("snowflake.user.name", "loader"),
            ("snowflake.password", PASSWORD),
            ("snowflake.database.name", "SHOP"),
            ("snowflake.schema.name", "PUBLIC"),
            ("snowflake.lock.timeout", "1"),
        ];
        common
            .iter()
            .chain(options)
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// Task 0 with the options every test needs, which owns `sales`-0.
    pub(crate) async fn driver(&self, options: &[(&str, &str)]) -> Driver {
        let mut driver = Driver::new(self, &self.config(options)).unwrap();
        driver.open(&[partition(0)]).await;
        driver
    }

    /// The rows of a table by column; documents are parsed.
    pub(crate) fn rows(&self, table: &str) -> Vec<BTreeMap<String, Json>> {
        let columns = self.server.columns(table);
        let parsed = |kind: &str, value: Json| match (kind, &value) {
            ("VARIANT" | "ARRAY" | "OBJECT", Json::String(text)) => {
                serde_json::from_str(text).unwrap()
            }
            _ => value,
        };
        let row = |values: Vec<Json>| {
            let named = columns.iter().zip(values);
            named
                .map(|((name, kind), value)| (name.clone(), parsed(kind, value)))
                .collect()
        };
        self.server.rows(table).into_iter().map(row).collect()
    }

    /// One column of a table, in the order of the rows' partitions and offsets.
    pub(crate) fn column(&self, table: &str, column: &str) -> Vec<Json> {
        let mut rows = self.rows(table);
        rows.sort_by_key(place);
        let value = |row: BTreeMap<String, Json>| row.get(column).cloned().unwrap();
        rows.into_iter().map(value).collect()
    }

    /// Partition and offset of every row of a table, in order.
    pub(crate) fn places(&self, table: &str) -> Vec<(i64, i64)> {
        let mut places: Vec<_> = self.rows(table).iter().map(place).collect();
        places.sort_unstable();
        places
    }
}

fn place(row: &BTreeMap<String, Json>) -> (i64, i64) {
    let metadata = row.get("RECORD_METADATA").unwrap();
    let number = |name: &str| metadata.get(name).and_then(Json::as_i64).unwrap();
    (number("partition"), number("offset"))
}

/// The places of `count` records in each of `partitions` partitions.
pub(crate) fn each_once(partitions: i64, count: i64) -> Vec<(i64, i64)> {
    (0..partitions)
        .flat_map(|partition| (0..count).map(move |offset| (partition, offset)))
        .collect()
}

/// A task, driven as the worker drives it.
pub(crate) struct Driver {
    task: Box<dyn SinkTask>,
    clock: ManualClock,
    pub(crate) group: Arc<Group>,
    owned: Vec<TopicPartition>,
}

impl Driver {
    pub(crate) fn new(world: &World, config: &ConfigMap) -> Result<Self> {
        Self::numbered(world, config, 0, 256 << 20)
    }

    /// A task by its number, with its share of memory.
    pub(crate) fn numbered(
        world: &World,
        config: &ConfigMap,
        task: u32,
        memory: usize,
    ) -> Result<Self> {
        let connector = connector_from_map(config)?;
        let task = connector.sink_task(SinkTaskContext {
            task: TaskId {
                connector: "sales".into(),
                task,
            },
            clock: Arc::new(world.clock.clone()),
            runtime: world.group.clone(),
            memory: MemoryBudget::new(memory).join(),
        })?;
        Ok(Self {
            task,
            clock: world.clock.clone(),
            group: world.group.clone(),
            owned: Vec::new(),
        })
    }

    /// Gives it partitions, with what the group has committed.
    pub(crate) async fn open(&mut self, partitions: &[TopicPartition]) {
        let assignment = |partition: &TopicPartition| {
            let committed = self.group.committed(partition);
            Assignment {
                partition: partition.clone(),
                committed: committed.map(|offset| Offset::new(offset).into()),
            }
        };
        let assignments: Vec<_> = partitions.iter().map(assignment).collect();
        self.owned.extend(partitions.iter().cloned());
        self.task.open(&assignments).await.unwrap();
    }

    pub(crate) async fn close(&mut self) {
        let owned = std::mem::take(&mut self.owned);
        self.task.close(&owned).await.unwrap();
    }

    pub(crate) async fn put(&mut self, mut records: Vec<SinkRecord>) -> Result<()> {
        self.task.put(&mut records).await
    }

    pub(crate) async fn flush(&mut self) -> Result<Offsets> {
        self.task.flush().await
    }

    pub(crate) async fn skipped(&mut self, next: i64) {
        let next = Offset::new(next);
        self.task.skipped(&partition(0), next).await.unwrap();
    }

    pub(crate) fn wake_at(&self) -> Option<i64> {
        self.task.wake_at().map(Timestamp::as_millis)
    }

    pub(crate) fn is_due(&self) -> bool {
        self.task
            .wake_at()
            .is_some_and(|due| due <= self.clock.now())
    }

    pub(crate) fn buffered(&self) -> usize {
        self.task.buffered_bytes()
    }

    /// One round of the worker's loop, after which everything is due.
    pub(crate) async fn try_write(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        if !records.is_empty() {
            self.task.put(records).await?;
        }
        self.clock.advance(FLUSH_TIME);
        let durable = self.task.flush().await?;
        self.group.commit(durable).await
    }

    /// Hands records over and makes them durable; errors that may pass are tried again, as the worker does.
    pub(crate) async fn write(&mut self, mut records: Vec<SinkRecord>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.try_write(&mut records).await {
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Reads a log from where the group stands; after a conflict again, as the worker does.
    pub(crate) async fn deliver(&mut self, log: &[SinkRecord]) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let rest = log.iter().filter(|record| {
                let committed = self.group.committed(&record.origin);
                record.offset.value() >= committed.unwrap_or(0)
            });
            match self.write(rest.cloned().collect()).await {
                Err(error) if error.kind() == ErrorKind::Conflict && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    let owned = self.owned.clone();
                    self.close().await;
                    self.open(&owned).await;
                }
                outcome => return outcome,
            }
        }
    }
}

/// A worker of its own, which can be killed: what it had begun stays as it is.
pub(crate) struct Worker(Option<tokio::runtime::Runtime>);

impl Worker {
    /// Begins to deliver a log through a task that owns all its partitions.
    pub(crate) fn deliver(world: &World, config: &ConfigMap, log: &[SinkRecord]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let mut driver = Driver::new(world, config).unwrap();
        let log = log.to_vec();
        runtime.spawn(async move {
            driver.open(&partitions_of(&log)).await;
            driver.deliver(&log).await.unwrap();
        });
        Self(Some(runtime))
    }

    /// As kill -9: no session is closed, nothing is rolled back by us.
    pub(crate) fn kill(mut self) {
        self.0.take().unwrap().shutdown_background();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) fn partitions_of(log: &[SinkRecord]) -> Vec<TopicPartition> {
    let mut partitions: Vec<_> = log.iter().map(|record| record.origin.clone()).collect();
    partitions.sort();
    partitions.dedup();
    partitions
}

/// Waits until something holds.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn partition(number: i32) -> TopicPartition {
    TopicPartition::new("sales", number)
}

/// A record of `sales`-0.
pub(crate) fn record(offset: i64, key: Datum, value: Datum) -> SinkRecord {
    SinkRecord {
        origin: partition(0),
        topic: "sales".into(),
        offset: Offset::new(offset),
        timestamp: RecordTimestamp::CreateTime(Timestamp::from_millis(BEGIN + offset)),
        headers: Vec::new(),
        key,
        value,
        piece: None,
        size: 100,
    }
}

pub(crate) fn json(text: &str) -> Datum {
    Datum::json(RawJson::validate(Bytes::copy_from_slice(text.as_bytes())).unwrap())
}

/// A record of `sales`-0 without a key.
pub(crate) fn json_record(offset: i64, text: &str) -> SinkRecord {
    record(offset, Datum::null(), json(text))
}

/// Numbered records of a partition of `sales`.
pub(crate) fn numbered(number: i32, offsets: std::ops::Range<i64>) -> Vec<SinkRecord> {
    let one = |offset| SinkRecord {
        origin: partition(number),
        ..json_record(offset, &format!(r#"{{"n":{offset}}}"#))
    };
    offsets.map(one).collect()
}
