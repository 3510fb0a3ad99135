//! A server, a task and its records.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use connect_core::clock::SystemClock;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::data::{
    Datum, Field, Offset, Offsets, RawJson, RecordTimestamp, Schema, SinkRecord, Struct, Timestamp,
    TopicPartition, Type, Value,
};
use connect_core::plugin::{
    Assignment, MemoryBudget, SinkRuntime, SinkTask, SinkTaskContext, TaskId,
};
use connect_core::{Error, Result};
use sluice_services::{Postgres, PostgresOptions};

pub(crate) const DATABASE: &str = "postgres";

/// A server with the usual settings.
pub(crate) fn postgres() -> Postgres {
    Postgres::start(&PostgresOptions::default()).unwrap()
}

/// The options every test needs, and its own.
pub(crate) fn config(postgres: &Postgres, options: &[(&str, &str)]) -> ConfigMap {
    let url = postgres.jdbc_url(DATABASE);
    let common = [
        (
            "connector.class",
            "io.confluent.connect.jdbc.JdbcSinkConnector",
        ),
        ("connection.url", url.as_str()),
        ("connection.user", Postgres::USER),
        ("connection.password", Postgres::PASSWORD),
        ("retry.backoff.ms", "100"),
        ("connection.backoff.ms", "100"),
        ("max.retries", "200"),
    ];
    common
        .iter()
        .chain(options)
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

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

    pub(crate) fn expel(&self) {
        *self.expelled.lock().unwrap() = true;
    }

    pub(crate) fn set(&self, partition: &TopicPartition, offset: i64) {
        let offset = Offset::new(offset).into();
        self.committed
            .lock()
            .unwrap()
            .insert(partition.clone(), offset);
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

/// A task, driven as the worker drives it.
pub(crate) struct Driver {
    task: Box<dyn SinkTask>,
    pub(crate) group: Arc<Group>,
}

impl Driver {
    /// Makes a task that owns `topic`-0.
    pub(crate) async fn start(config: &ConfigMap, topic: &str) -> Self {
        Self::join(config, topic, Arc::default()).await.unwrap()
    }

    /// Makes a task that owns `topic`-0 as a member of `group`.
    pub(crate) async fn join(config: &ConfigMap, topic: &str, group: Arc<Group>) -> Result<Self> {
        let connector = connector_from_map(config)?;
        let task = connector.sink_task(SinkTaskContext {
            task: TaskId {
                connector: "rows".into(),
                task: 0,
            },
            clock: Arc::new(SystemClock),
            runtime: group.clone(),
            memory: MemoryBudget::new(256 << 20).join(),
        })?;
        let mut driver = Self { task, group };
        driver.open(topic).await?;
        Ok(driver)
    }

    pub(crate) async fn open(&mut self, topic: &str) -> Result<()> {
        let partition = TopicPartition::new(topic, 0);
        let committed = self
            .group
            .committed(&partition)
            .map(|offset| Offset::new(offset).into());
        self.task
            .open(&[Assignment {
                partition,
                committed,
            }])
            .await
    }

    /// Hands records over and flushes; errors that may pass are tried again, as the worker does.
    pub(crate) async fn write(&mut self, records: Vec<SinkRecord>) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(60);
        let mut records = records;
        loop {
            match self.try_write(&mut records).await {
                Err(error) if error.is_retriable() && Instant::now() < until => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// One round of the worker's loop.
    pub(crate) async fn try_write(&mut self, records: &mut Vec<SinkRecord>) -> Result<()> {
        if !records.is_empty() {
            self.task.put(records).await?;
        }
        let durable = self.task.flush().await?;
        self.group.commit(durable).await
    }

    /// Hands records over without waiting for them.
    pub(crate) async fn put(&mut self, mut records: Vec<SinkRecord>) -> Result<()> {
        self.task.put(&mut records).await
    }

    pub(crate) async fn flush(&mut self) -> Result<Offsets> {
        self.task.flush().await
    }

    pub(crate) async fn close(&mut self, topic: &str) {
        let partition = TopicPartition::new(topic, 0);
        self.task.close(&[partition]).await.unwrap();
    }
}

/// A record of `topic`-0.
pub(crate) fn record(topic: &str, offset: i64, key: Datum, value: Datum) -> SinkRecord {
    SinkRecord {
        origin: TopicPartition::new(topic, 0),
        topic: topic.into(),
        offset: Offset::new(offset),
        timestamp: RecordTimestamp::CreateTime(Timestamp::from_millis(1_700_000_000_000)),
        headers: Vec::new(),
        key,
        value,
        piece: None,
        size: 100,
    }
}

/// A record without a key whose value is JSON without a schema.
pub(crate) fn json_record(topic: &str, offset: i64, json: &str) -> SinkRecord {
    record(topic, offset, Datum::null(), json_datum(json))
}

pub(crate) fn json_datum(json: &str) -> Datum {
    Datum::json(RawJson::validate(Bytes::copy_from_slice(json.as_bytes())).unwrap())
}

/// A struct with a schema, from names, schemas and values.
pub(crate) fn structure(fields: Vec<(&str, Schema, Value)>) -> Datum {
    let mut declared = Vec::new();
    let mut values = Vec::new();
    for (name, schema, value) in fields {
        declared.push(Field {
            name: name.into(),
            schema: Arc::new(schema),
        });
        values.push(value);
    }
    let schema = Arc::new(Schema::new(Type::Struct(declared)).named("record"));
    let value = Value::Struct(Struct {
        schema: schema.clone(),
        values,
    });
    Datum::with_schema(schema, value)
}

/// A schema of a logical type.
pub(crate) fn logical(kind: Type, name: &str) -> Schema {
    Schema::new(kind).named(name).version(1)
}

/// A decimal's schema.
pub(crate) fn decimal(scale: i32) -> Schema {
    let mut schema = logical(Type::Bytes, connect_core::data::logical::DECIMAL);
    schema.parameters = BTreeMap::from([("scale".to_owned(), scale.to_string())]);
    schema
}
