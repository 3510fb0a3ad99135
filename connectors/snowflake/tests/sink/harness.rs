//! A server, a task and its records.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_core::clock::ManualClock;
use connect_core::config::ConfigMap;
use connect_core::data::{Datum, RecordTimestamp, SinkRecord, Timestamp, TopicPartition};
use connect_core::plugin::TaskId;
use connect_core::testkit::{self, Group, SinkDriver, SinkSpec, json_datum};
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
        testkit::config(&common, options)
    }

    /// Task 0 with the options every test needs, which owns `sales`-0.
    pub(crate) async fn driver(&self, options: &[(&str, &str)]) -> SinkDriver {
        self.owner(&self.config(options), &[partition(0)]).await
    }

    /// Task 0 that owns some partitions.
    pub(crate) async fn owner(
        &self,
        config: &ConfigMap,
        partitions: &[TopicPartition],
    ) -> SinkDriver {
        let mut driver = self.task(config, 0, 256 << 20);
        driver.open(partitions).await;
        driver
    }

    /// A task by its number, with its share of memory; what it writes is due at once.
    pub(crate) fn task(&self, config: &ConfigMap, number: u32, memory: usize) -> SinkDriver {
        let spec = SinkSpec {
            config,
            task: TaskId {
                connector: "sales".into(),
                task: number,
            },
            clock: Arc::new(self.clock.clone()),
            group: self.group.clone(),
            memory,
        };
        let driver = SinkDriver::new(spec).unwrap();
        driver.with_flush_time(self.clock.clone(), FLUSH_TIME)
    }

    /// The same server and clock, with another group.
    pub(crate) fn with_group(&self, group: Group) -> Self {
        Self {
            server: self.server.clone(),
            clock: self.clock.clone(),
            group: Arc::new(group),
        }
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
        let mut driver = world.task(config, 0, 256 << 20);
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
    let moment = Timestamp::from_millis(BEGIN + offset);
    SinkRecord {
        timestamp: RecordTimestamp::CreateTime(moment),
        ..testkit::record(partition(0), offset, key, value)
    }
}

/// A record of `sales`-0 without a key.
pub(crate) fn json_record(offset: i64, text: &str) -> SinkRecord {
    record(offset, Datum::null(), json_datum(text))
}

/// Numbered records of a partition of `sales`.
pub(crate) fn numbered(number: i32, offsets: std::ops::Range<i64>) -> Vec<SinkRecord> {
    let one = |offset| SinkRecord {
        origin: partition(number),
        ..json_record(offset, &format!(r#"{{"n":{offset}}}"#))
    };
    offsets.map(one).collect()
}
