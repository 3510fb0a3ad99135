//! `snowflake.enable.schematization`: fields become columns.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::ErrorKind;
use connect_core::data::{
    Datum, Decimal, Field, Offset, Schema, SinkRecord, Struct, Type, Value, logical,
};
use serde_json::{Value as Json, json};

use crate::harness::{World, each_once, json_record, numbered, partition, record};

const ON: (&str, &str) = ("snowflake.enable.schematization", "true");

async fn written(records: Vec<SinkRecord>) -> World {
    let world = World::new().await;
    world.driver(&[ON]).await.write(records).await.unwrap();
    world
}

fn column(world: &World, name: &str) -> Option<String> {
    let columns = world.server.columns("SALES");
    let found = columns.into_iter().find(|(column, _)| column == name);
    found.map(|(_, kind)| kind)
}

#[tokio::test]
async fn fields_of_json_become_columns() {
    let text = r#"{"order_id":"b2f1","quantity":2,"price":19.9,"paid":true,"tags":["a"],"buyer":{"id":1},"gone":null}"#;
    let world = written(vec![json_record(0, text)]).await;
    let kinds = [
        ("ORDER_ID", Some("VARCHAR(16777216)")),
        ("QUANTITY", Some("NUMBER(38,0)")),
        ("PRICE", Some("FLOAT")),
        ("PAID", Some("BOOLEAN")),
        ("TAGS", Some("ARRAY")),
        ("BUYER", Some("VARIANT")),
        ("GONE", None),
        ("RECORD_CONTENT", None),
        ("RECORD_METADATA", Some("VARIANT")),
    ];
    for (name, kind) in kinds {
        assert_eq!(column(&world, name).as_deref(), kind, "{name}");
    }
    let row = &world.rows("SALES")[0];
    assert_eq!(row["ORDER_ID"], "b2f1");
    assert_eq!(row["QUANTITY"], "2");
    assert_eq!(row["PRICE"], "19.9");
    assert_eq!(row["PAID"], "1");
    assert_eq!(row["TAGS"], json!(["a"]));
    assert_eq!(row["BUYER"], json!({"id": 1}));
    assert_eq!(row["RECORD_METADATA"]["offset"], 0);
}

#[tokio::test]
async fn logical_types_become_their_columns() {
    let named = |kind, name: &str| Schema::new(kind).named(name).version(1);
    let fields = [
        (
            "day",
            named(Type::Int32, logical::DATE),
            Value::Date(19_792),
        ),
        ("at", named(Type::Int32, logical::TIME), Value::Time(1_000)),
        (
            "moment",
            named(Type::Int64, logical::TIMESTAMP),
            Value::Timestamp(1_710_052_200_123),
        ),
        (
            "amount",
            named(Type::Bytes, logical::DECIMAL),
            Value::Decimal(Decimal {
                unscaled: Bytes::from_static(&[0x30, 0x39]),
                scale: 2,
            }),
        ),
        (
            "raw",
            Schema::new(Type::Bytes),
            Value::Bytes(Bytes::from_static(b"\xff\x00")),
        ),
    ];
    let declared = fields.iter().map(|(name, schema, _)| Field {
        name: (*name).into(),
        schema: Arc::new(schema.clone()),
    });
    let schema = Arc::new(Schema::new(Type::Struct(declared.collect())));
    let values = fields.iter().map(|(_, _, value)| value.clone()).collect();
    let value = Value::Struct(Struct {
        schema: schema.clone(),
        values,
    });
    let world = written(vec![record(
        0,
        Datum::null(),
        Datum::with_schema(schema, value),
    )])
    .await;
    let row = &world.rows("SALES")[0];
    assert_eq!(row["DAY"], "19792");
    assert_eq!(row["AT"], "1.000000000");
    assert_eq!(row["MOMENT"], "1710052200.123000000");
    assert_eq!(row["AMOUNT"], "123.45");
    assert_eq!(row["RAW"], "FF00");
    assert_eq!(column(&world, "DAY").as_deref(), Some("DATE"));
    assert_eq!(
        column(&world, "AMOUNT").as_deref(),
        Some("VARCHAR(16777216)")
    );
}

#[tokio::test]
async fn columns_are_added_as_fields_appear_and_older_rows_are_null_there() {
    let world = World::new().await;
    let mut driver = world.driver(&[ON]).await;
    driver.write(numbered(0, 0..2)).await.unwrap();
    let more = r#"{"n":2,"Store":"S","\"exact Case\"":1}"#;
    driver.write(vec![json_record(2, more)]).await.unwrap();
    driver.write(vec![json_record(3, "{}")]).await.unwrap();
    assert_eq!(
        world.column("SALES", "N"),
        [json!("0"), json!("1"), json!("2"), Json::Null]
    );
    let stores = world.column("SALES", "STORE");
    assert_eq!(stores, [Json::Null, Json::Null, json!("S"), Json::Null]);
    assert_eq!(world.column("SALES", "exact Case")[2], "1");
}

#[tokio::test]
async fn columns_are_widened_and_freed_of_not_null() {
    let world = World::new().await;
    let made = "CREATE TABLE sales (RECORD_METADATA VARIANT, name VARCHAR(3), n NUMBER(2,0) NOT NULL, old DATE NOT NULL)";
    world.server.sql(made).unwrap();
    let mut driver = world.driver(&[ON]).await;
    let records = vec![
        json_record(0, r#"{"name":"longer than three","n":12345}"#),
        json_record(1, r#"{"name":"x"}"#),
    ];
    driver.write(records).await.unwrap();
    assert_eq!(column(&world, "NAME").as_deref(), Some("VARCHAR(16777216)"));
    assert_eq!(world.column("SALES", "N"), [json!("12345"), Json::Null]);
}

#[tokio::test]
async fn what_no_column_can_hold_fails_by_name_and_place() {
    let world = World::new().await;
    let made = "CREATE TABLE sales (RECORD_METADATA VARIANT, n NUMBER(38,0))";
    world.server.sql(made).unwrap();
    let mut driver = world.driver(&[ON]).await;
    let records = vec![json_record(0, "{\"n\":1}"), json_record(1, "{\"n\":{}}")];
    let error = driver.write(records).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    for text in ["column N", "NUMBER(38,0)", "sales-0 at offset 1"] {
        assert!(error.trace().contains(text), "{}", error.trace());
    }
    assert!(world.rows("SALES").is_empty());
}

#[tokio::test]
async fn a_value_without_fields_is_refused_alone() {
    let world = World::new().await;
    let mut driver = world.driver(&[ON]).await;
    let mut records = vec![
        json_record(0, "{\"n\":0}"),
        json_record(1, "5"),
        json_record(2, "{\"n\":2}"),
    ];
    let error = driver.try_write(&mut records).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(
        error.trace().contains("sales-0 at offset 1"),
        "{}",
        error.trace()
    );
    // The worker sends it to the dead letter queue and goes on behind it.
    assert_eq!(records.len(), 2);
    records.remove(0);
    driver.write(records).await.unwrap();
    assert_eq!(world.column("SALES", "N"), [json!("0"), json!("2")]);
    assert_eq!(world.group.committed(&partition(0)), Some(3));
}

#[tokio::test]
async fn a_value_refused_before_any_other_leaves_no_empty_file() {
    let world = World::new().await;
    let mut driver = world.driver(&[ON]).await;
    let mut records = vec![json_record(0, "5")];
    driver.try_write(&mut records).await.unwrap_err();
    let next = Offset::new(1);
    driver.task.skipped(&partition(0), next).await.unwrap();
    driver.write(Vec::new()).await.unwrap();
    assert_eq!(world.group.committed(&partition(0)), Some(1));
    assert!(!world.server.tables().contains(&"SALES".to_owned()));
}

#[tokio::test]
async fn tasks_that_add_the_same_column_at_once_do_not_collide() {
    let world = World::new().await;
    let config = world.config(&[ON]);
    let mut tasks = Vec::new();
    for number in 0..3 {
        let task = u32::try_from(number).unwrap();
        let mut driver = world.task(&config, task, 64 << 20);
        tasks.push(tokio::spawn(async move {
            driver.open(&[partition(number)]).await;
            for offset in 0..10 {
                let text = format!("{{\"f{offset}\":{number}}}");
                let one = SinkRecord {
                    origin: partition(number),
                    ..json_record(offset, &text)
                };
                driver.write(vec![one]).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.places("SALES"), each_once(3, 10));
    assert_eq!(world.server.columns("SALES").len(), 11);
}
