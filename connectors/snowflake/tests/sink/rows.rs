//! What a row holds: RECORD_CONTENT and RECORD_METADATA as the official connector writes them.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{
    Datum, Field, Header, Piece, RecordTimestamp, Schema, SinkRecord, Struct, Timestamp,
    TopicPartition, Type, Value,
};
use connect_core::testkit::json_datum;
use serde_json::{Value as Json, json};

use crate::harness::{
    BEGIN, FLUSH_TIME, World, each_once, json_record, numbered, partition, partitions_of, record,
};

const CONTENT: &str = "RECORD_CONTENT";
const METADATA: &str = "RECORD_METADATA";

fn text(value: &str) -> Datum {
    Datum::schemaless(Value::String(value.into()))
}

fn header(key: &str, value: Datum) -> Header {
    Header {
        key: key.into(),
        value,
    }
}

async fn written(options: &[(&str, &str)], records: Vec<SinkRecord>) -> World {
    let world = World::new().await;
    world.driver(options).await.write(records).await.unwrap();
    world
}

#[tokio::test]
async fn a_row_has_the_value_and_where_the_record_was() {
    let sale = r#"{"order_id":"b2f1","quantity":2,"unit_price":19.90,"tags":[],"note":null}"#;
    let world = written(
        &[],
        vec![SinkRecord {
            headers: vec![header("source", text("shop"))],
            ..record(0, text("STORE_7"), json_datum(sale))
        }],
    )
    .await;
    let columns = world.server.columns("SALES");
    let expected = [(METADATA, "VARIANT"), (CONTENT, "VARIANT")];
    assert_eq!(
        columns,
        expected.map(|(name, kind)| (name.to_owned(), kind.to_owned()))
    );
    let expected: Json = serde_json::from_str(sale).unwrap();
    assert_eq!(world.column("SALES", CONTENT), [expected]);
    let metadata = json!({
        "topic": "sales", "partition": 0, "offset": 0, "key": "STORE_7",
        "CreateTime": BEGIN, "headers": {"source": "shop"},
    });
    assert_eq!(world.column("SALES", METADATA), [metadata]);
}

#[tokio::test]
async fn what_a_record_does_not_have_is_absent() {
    let mut one = json_record(0, "1");
    one.timestamp = RecordTimestamp::LogAppendTime(Timestamp::from_millis(77));
    let mut two = json_record(1, "2");
    two.timestamp = RecordTimestamp::Unknown;
    let world = written(&[], vec![one, two]).await;
    let expected = [
        json!({"topic": "sales", "partition": 0, "offset": 0, "LogAppendTime": 77}),
        json!({"topic": "sales", "partition": 0, "offset": 1}),
    ];
    assert_eq!(world.column("SALES", METADATA), expected);
}

#[tokio::test]
async fn keys_headers_and_values_of_every_kind_are_json() {
    let bytes = Datum::schemaless(Value::Bytes(Bytes::from_static(b"\x00\xffA")));
    let records = vec![
        record(0, json_datum(r#"{"id":7}"#), text("plain \"text\"\n")),
        record(1, bytes.clone(), bytes.clone()),
        SinkRecord {
            headers: vec![
                header("twice", text("first")),
                header("number", json_datum("5")),
                header("twice", text("last")),
                header("none", Datum::null()),
            ],
            ..record(
                2,
                Datum::schemaless(Value::Int64(9)),
                json_datum("[1,\"a\"]"),
            )
        },
    ];
    let world = written(&[], records).await;
    assert_eq!(
        world.column("SALES", CONTENT),
        [json!("plain \"text\"\n"), json!("AP9B"), json!([1, "a"])]
    );
    let metadata = world.column("SALES", METADATA);
    let keys: Vec<_> = metadata.iter().map(|row| row["key"].clone()).collect();
    assert_eq!(keys, [json!({"id": 7}), json!("AP9B"), json!(9)]);
    let headers = json!({"number": 5, "twice": "last", "none": null});
    assert_eq!(metadata[2]["headers"], headers);
}

#[tokio::test]
async fn structs_are_written_field_by_field() {
    let field = |name: &str, kind| Field {
        name: name.into(),
        schema: Arc::new(Schema::new(kind)),
    };
    let schema = Arc::new(Schema::new(Type::Struct(vec![
        field("id", Type::Int32),
        field("share", Type::Float64),
    ])));
    let value = Value::Struct(Struct {
        schema: schema.clone(),
        values: vec![Value::Int32(4), Value::Float64(f64::INFINITY)],
    });
    let records = vec![record(0, Datum::null(), Datum::with_schema(schema, value))];
    let world = written(&[], records).await;
    let expected = json!({"id": 4, "share": "Infinity"});
    assert_eq!(world.column("SALES", CONTENT), [expected]);
}

#[tokio::test]
async fn numbers_keep_every_digit() {
    let exact = r#"{"big":12345678901234567890123456789,"price":0.1000}"#;
    let world = written(&[], vec![json_record(0, exact)]).await;
    let [content] = world.column("SALES", CONTENT).try_into().unwrap();
    assert_eq!(content["big"].to_string(), "12345678901234567890123456789");
}

#[tokio::test]
async fn tombstones_are_empty_documents_or_no_rows() {
    let records = || {
        vec![
            json_record(0, "{\"n\":0}"),
            record(1, text("k"), Datum::null()),
            record(2, text("k"), json_datum("null")),
            json_record(3, "{\"n\":3}"),
            record(4, text("k"), Datum::null()),
        ]
    };
    let world = written(&[], records()).await;
    let empty = || json!({});
    let expected = [json!({"n": 0}), empty(), empty(), json!({"n": 3}), empty()];
    assert_eq!(world.column("SALES", CONTENT), expected);
    for spelling in ["ignore", "IGNORE"] {
        let world = written(&[("behavior.on.null.values", spelling)], records()).await;
        let expected = [json!({"n": 0}), json!({"n": 3})];
        assert_eq!(world.column("SALES", CONTENT), expected);
        // The last one is done with, too.
        assert_eq!(world.group.committed(&partition(0)), Some(5));
    }
}

#[tokio::test]
async fn parts_of_the_metadata_can_be_left_out() {
    let cases = [
        ("snowflake.metadata.topic", vec!["topic"]),
        (
            "snowflake.metadata.offset.and.partition",
            vec!["offset", "partition"],
        ),
        ("snowflake.metadata.createtime", vec!["CreateTime"]),
    ];
    for (option, gone) in cases {
        let world = written(&[(option, "false")], vec![json_record(0, "{}")]).await;
        let rows = world.rows("SALES");
        let metadata = rows[0][METADATA].as_object().unwrap();
        for field in ["topic", "offset", "partition", "CreateTime"] {
            assert_eq!(
                metadata.contains_key(field),
                !gone.contains(&field),
                "{option}"
            );
        }
    }
    let world = written(
        &[("snowflake.metadata.all", "false")],
        vec![json_record(0, "{}")],
    )
    .await;
    assert_eq!(world.rows("SALES")[0][METADATA], Json::Null);
    let none = [
        ("snowflake.metadata.topic", "false"),
        ("snowflake.metadata.offset.and.partition", "false"),
        ("snowflake.metadata.createtime", "false"),
    ];
    let world = written(&none, vec![json_record(0, "{}")]).await;
    assert_eq!(world.rows("SALES")[0][METADATA], json!({}));
}

fn of_topic(topic: &str, offset: i64) -> SinkRecord {
    SinkRecord {
        origin: TopicPartition::new(topic, 0),
        topic: topic.into(),
        ..json_record(offset, "{}")
    }
}

#[tokio::test]
async fn topics_go_to_mapped_tables_and_others_to_tables_of_their_sanitized_names() {
    let world = World::new().await;
    let map = r#"orders.*:all_orders,"eu:sales":"Mixed Case",plain:shop.public.place"#;
    let config = world.config(&[("snowflake.topic2table.map", map)]);
    let topics = [
        "orders_eu",
        "orders_us",
        "eu:sales",
        "plain",
        "data-stream",
        "Sales_1",
        "12345",
    ];
    let log: Vec<_> = topics.iter().map(|topic| of_topic(topic, 0)).collect();
    let mut driver = world.owner(&config, &partitions_of(&log)).await;
    driver.write(log).await.unwrap();
    let count = |table: &str| world.rows(table).len();
    assert_eq!(count("ALL_ORDERS"), 2);
    assert_eq!(count("Mixed Case"), 1);
    assert_eq!(count("PLACE"), 1);
    assert_eq!(count("SALES_1"), 1);
    let tables = world.server.tables();
    for start in ["DATA_STREAM_", "_12345_"] {
        let found = tables.iter().filter(|table| table.starts_with(start));
        assert_eq!(found.count(), 1, "{tables:?}");
    }
}

#[tokio::test]
async fn a_table_that_is_there_keeps_its_layout() {
    let world = World::new().await;
    let made =
        "CREATE TABLE sales (id NUMBER(38,0), RECORD_CONTENT VARIANT, RECORD_METADATA VARIANT)";
    world.server.sql(made).unwrap();
    let mut driver = world.driver(&[]).await;
    driver
        .write(vec![json_record(0, "{\"a\":1}")])
        .await
        .unwrap();
    let rows = world.rows("SALES");
    assert_eq!(rows[0]["ID"], Json::Null);
    assert_eq!(rows[0][CONTENT], json!({"a": 1}));
}

#[tokio::test]
async fn two_tasks_that_need_the_same_table_at_once_do_not_collide() {
    let world = World::new().await;
    let config = world.config(&[]);
    let mut tasks = Vec::new();
    for task in 0..2 {
        let mut driver = world.task(&config, task, 256 << 20);
        tasks.push(tokio::spawn(async move {
            let number = i32::try_from(task).unwrap();
            driver.open(&[partition(number)]).await;
            let log = numbered(number, 0..50);
            driver.write(log).await.unwrap();
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(world.places("SALES"), each_once(2, 50));
}

#[tokio::test]
async fn pieces_of_a_split_record_are_rows_of_their_own_and_one_offset() {
    let piece = |offset, number, is_last| SinkRecord {
        piece: Some(Piece { number, is_last }),
        ..json_record(offset, &format!("{{\"piece\":{number}}}"))
    };
    let world = World::new().await;
    let mut driver = world.driver(&[]).await;
    driver
        .put(vec![piece(0, 0, false), piece(0, 1, false)])
        .await
        .unwrap();
    // Half a record is not loaded, however old it is.
    world.clock.advance(FLUSH_TIME);
    driver.task.flush().await.unwrap();
    assert_eq!(world.group.committed(&partition(0)), Some(0));
    driver.write(vec![piece(0, 2, true)]).await.unwrap();
    assert_eq!(world.rows("SALES").len(), 3);
    assert_eq!(world.group.committed(&partition(0)), Some(1));
    // A replay is known as a whole.
    world.group.set(&partition(0), 0);
    driver.reopen().await;
    let again = vec![piece(0, 0, false), piece(0, 1, false), piece(0, 2, true)];
    driver.write(again).await.unwrap();
    assert_eq!(world.rows("SALES").len(), 3);
}

#[tokio::test]
async fn a_transformed_topic_decides_the_table_and_the_origin_the_offset() {
    let renamed = SinkRecord {
        topic: "by_day".into(),
        ..json_record(0, "{}")
    };
    let world = written(&[], vec![renamed, json_record(1, "{}")]).await;
    assert_eq!(world.rows("BY_DAY").len(), 1);
    assert_eq!(world.rows("SALES").len(), 1);
    assert_eq!(world.group.committed(&partition(0)), Some(2));
    assert_eq!(world.rows("BY_DAY")[0][METADATA]["topic"], "by_day");
}
