//! A server, a task and its records.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::clock::SystemClock;
use connect_core::config::ConfigMap;
use connect_core::data::{
    Datum, Field, RecordTimestamp, Schema, SinkRecord, Struct, Timestamp, TopicPartition, Type,
    Value,
};
use connect_core::plugin::TaskId;
use connect_core::testkit::{self, Group, SinkDriver, SinkSpec, json_datum};
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
    testkit::config(&common, options)
}

/// A task of a new group that owns `topic`-0.
pub(crate) async fn sink(config: &ConfigMap, topic: &str) -> SinkDriver {
    join(config, topic, Arc::default()).await
}

/// A task that owns `topic`-0 as a member of `group`.
pub(crate) async fn join(config: &ConfigMap, topic: &str, group: Arc<Group>) -> SinkDriver {
    let spec = SinkSpec {
        config,
        task: TaskId {
            connector: "rows".into(),
            task: 0,
        },
        clock: Arc::new(SystemClock),
        group,
        memory: 256 << 20,
    };
    let mut driver = SinkDriver::new(spec).unwrap();
    driver.open(&[partition(topic)]).await;
    driver
}

/// The one partition of a topic.
pub(crate) fn partition(topic: &str) -> TopicPartition {
    TopicPartition::new(topic, 0)
}

/// A record of `topic`-0.
pub(crate) fn record(topic: &str, offset: i64, key: Datum, value: Datum) -> SinkRecord {
    let moment = Timestamp::from_millis(1_700_000_000_000);
    SinkRecord {
        timestamp: RecordTimestamp::CreateTime(moment),
        ..testkit::record(partition(topic), offset, key, value)
    }
}

/// A record without a key whose value is JSON without a schema.
pub(crate) fn json_record(topic: &str, offset: i64, json: &str) -> SinkRecord {
    record(topic, offset, Datum::null(), json_datum(json))
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
