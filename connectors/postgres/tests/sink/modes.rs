//! What insert.mode, pk.mode and deletes do.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::data::{Datum, Schema, SinkRecord, Type, Value};
use connect_core::testkit::json_datum;

use crate::harness::{
    DATABASE, config, join, json_record, partition, postgres, record, sink, structure,
};

fn keyed(offset: i64, key: i64, value: Option<&str>) -> SinkRecord {
    let key = Datum::with_schema(Arc::new(Schema::new(Type::Int64)), Value::Int64(key));
    record("t", offset, key, value.map_or_else(Datum::null, json_datum))
}

const BY_KEY: [(&str, &str); 3] = [
    ("pk.mode", "record_key"),
    ("pk.fields", "id"),
    ("auto.create", "true"),
];

#[tokio::test]
async fn inserts_of_many_batches_and_tables_all_arrive() {
    let postgres = postgres();
    postgres.sql(DATABASE, "CREATE SCHEMA shop").unwrap();
    let options = [
        ("auto.create", "true"),
        ("batch.size", "700"),
        ("table.name.format", "shop.${topic}"),
    ];
    let mut driver = sink(&config(&postgres, &options), "a").await;
    driver.open(&[partition("b")]).await;
    let records = (0..5000).map(|offset| {
        let topic = if offset % 3 == 0 { "a" } else { "b" };
        json_record(topic, offset, &format!(r#"{{"n": {offset}, "s": "x"}}"#))
    });
    driver.write(records.collect()).await.unwrap();
    let counted = "SELECT (SELECT count(*) FROM shop.a), (SELECT sum(n) FROM shop.a), \
                   (SELECT count(*) FROM shop.b), (SELECT sum(n) FROM shop.b)";
    assert_eq!(
        postgres.sql(DATABASE, counted).unwrap(),
        "1667|4165833|3333|8331667"
    );
    assert_eq!(
        driver
            .group
            .committed(&connect_core::data::TopicPartition::new("b", 0)),
        Some(5000)
    );
}

#[tokio::test]
async fn of_several_records_with_one_key_the_last_wins() {
    let postgres = postgres();
    let mut options = BY_KEY.to_vec();
    options.push(("insert.mode", "upsert"));
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let first = vec![
        keyed(0, 1, Some(r#"{"v": "old"}"#)),
        keyed(1, 2, Some(r#"{"v": "two"}"#)),
        keyed(2, 1, Some(r#"{"v": "new"}"#)),
    ];
    driver.write(first).await.unwrap();
    driver
        .write(vec![keyed(3, 2, Some(r#"{"v": "zwei"}"#))])
        .await
        .unwrap();
    let rows = postgres
        .sql(DATABASE, "SELECT id, v FROM t ORDER BY id")
        .unwrap();
    assert_eq!(rows, "1|new\n2|zwei");
}

#[tokio::test]
async fn deletes_and_writes_of_one_key_keep_their_order() {
    let postgres = postgres();
    for mode in ["insert", "upsert"] {
        postgres.sql(DATABASE, "DROP TABLE IF EXISTS t").unwrap();
        let mut options = BY_KEY.to_vec();
        options.extend([("insert.mode", mode), ("delete.enabled", "true")]);
        let mut driver = sink(&config(&postgres, &options), "t").await;
        let records = vec![
            keyed(0, 9, None),
            keyed(1, 1, Some(r#"{"v": 1}"#)),
            keyed(2, 2, Some(r#"{"v": 2}"#)),
            keyed(3, 1, None),
            keyed(4, 3, Some(r#"{"v": 3}"#)),
            keyed(5, 1, Some(r#"{"v": 11}"#)),
            keyed(6, 2, None),
        ];
        driver.write(records).await.unwrap();
        let rows = postgres
            .sql(DATABASE, "SELECT id, v FROM t ORDER BY id")
            .unwrap();
        assert_eq!(rows, "1|11\n3|3", "{mode}");
    }
}

#[tokio::test]
async fn a_tombstone_for_a_table_that_is_not_there_makes_none() {
    let postgres = postgres();
    let mut options = BY_KEY.to_vec();
    options.push(("delete.enabled", "true"));
    let mut driver = sink(&config(&postgres, &options), "t").await;
    driver.write(vec![keyed(0, 1, None)]).await.unwrap();
    let found = postgres
        .sql(DATABASE, "SELECT to_regclass('t') IS NULL")
        .unwrap();
    assert_eq!(found, "t");
}

#[tokio::test]
async fn an_update_changes_rows_that_are_there_and_makes_none() {
    let postgres = postgres();
    let made = "CREATE TABLE t (id bigint PRIMARY KEY, v text, kept text); INSERT INTO t VALUES (1, 'a', 'k')";
    postgres.sql(DATABASE, made).unwrap();
    let options = [
        ("insert.mode", "update"),
        ("pk.mode", "record_key"),
        ("pk.fields", "id"),
    ];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let records = vec![
        keyed(0, 1, Some(r#"{"v": "b"}"#)),
        keyed(1, 2, Some(r#"{"v": "c"}"#)),
        keyed(2, 1, Some(r#"{"v": "d"}"#)),
    ];
    driver.write(records).await.unwrap();
    assert_eq!(postgres.sql(DATABASE, "SELECT * FROM t").unwrap(), "1|d|k");
}

#[tokio::test]
async fn keys_come_from_a_struct_a_json_key_or_the_value() {
    let postgres = postgres();
    let upsert = |more: &[(&'static str, &'static str)]| {
        let mut options = vec![("insert.mode", "upsert"), ("auto.create", "true")];
        options.extend_from_slice(more);
        options
    };
    let by_struct = upsert(&[("pk.mode", "record_key")]);
    let mut driver = sink(&config(&postgres, &by_struct), "by_struct").await;
    let key = || {
        structure(vec![
            ("shop", Schema::new(Type::String), Value::string("s")),
            ("number", Schema::new(Type::Int32), Value::Int32(7)),
        ])
    };
    let records = [r#"{"v": 1}"#, r#"{"v": 2}"#];
    let records = (0..)
        .zip(records)
        .map(|(offset, json)| record("by_struct", offset, key(), json_datum(json)));
    driver.write(records.collect()).await.unwrap();
    let rows = postgres
        .sql(DATABASE, "SELECT shop, number, v FROM by_struct")
        .unwrap();
    assert_eq!(rows, "s|7|2");

    let by_value = upsert(&[
        ("pk.mode", "record_value"),
        ("pk.fields", "id"),
        ("fields.whitelist", "v"),
    ]);
    let mut driver = sink(&config(&postgres, &by_value), "by_value").await;
    let json = r#"{"v": 1, "id": "x", "left_out": true}"#;
    driver
        .write(vec![json_record("by_value", 0, json)])
        .await
        .unwrap();
    let json = r#"{"v": 2, "id": "x", "left_out": true}"#;
    driver
        .write(vec![json_record("by_value", 1, json)])
        .await
        .unwrap();
    let rows = postgres
        .sql(DATABASE, "SELECT to_json(by_value) FROM by_value")
        .unwrap();
    assert_eq!(rows, r#"{"id":"x","v":2}"#);
    let key = "SELECT count(*) FROM pg_index WHERE indrelid IN ('by_struct'::regclass, 'by_value'::regclass) AND indisprimary";
    assert_eq!(postgres.sql(DATABASE, key).unwrap(), "2");
}

#[tokio::test]
async fn pieces_of_one_record_stay_together_and_are_told_apart() {
    let postgres = postgres();
    let options = [
        ("pk.mode", "kafka"),
        ("pk.fields", "topic,partition,place,piece"),
        ("auto.create", "true"),
        ("batch.size", "4"),
    ];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let records = || -> Vec<_> {
        (0..12)
            .map(|n| json_record("t", n / 3, &format!(r#"{{"v": {n}}}"#)))
            .collect()
    };
    driver.put(records()).await.unwrap();
    driver.task.flush().await.unwrap();
    let group = driver.group.clone();
    drop(driver);
    // A replay after a crash before the offset commit.
    let mut driver = join(&config(&postgres, &options), "t", group).await;
    driver.write(records()).await.unwrap();
    let read = "SELECT count(*), sum(v), max(piece), count(DISTINCT place) FROM t";
    assert_eq!(postgres.sql(DATABASE, read).unwrap(), "12|66|2|4");
    let mut three = sink(&config(&postgres, &[("pk.mode", "kafka")]), "t").await;
    let error = three.write(records()).await.unwrap_err();
    assert!(
        error
            .to_string()
            .contains("name a fourth column in pk.fields"),
        "{error}"
    );
    let parts = "SELECT count(*) FROM (SELECT place FROM t GROUP BY place HAVING count(DISTINCT xmin::text) > 1) split";
    assert_eq!(postgres.sql(DATABASE, parts).unwrap(), "0");
}

/// Random writes and deletes with random fields, against a map that does the same one by one.
#[tokio::test]
async fn any_mix_of_shapes_and_deletes_ends_as_if_done_one_by_one() {
    let postgres = postgres();
    let made = "CREATE TABLE t (id numeric PRIMARY KEY, a bigint, b text, c jsonb)";
    postgres.sql(DATABASE, made).unwrap();
    let options = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_key"),
        ("pk.fields", "id"),
        ("delete.enabled", "true"),
        ("batch.size", "97"),
    ];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let mut random = fastrand::Rng::with_seed(4);
    let mut model: BTreeMap<i64, BTreeMap<&str, String>> = BTreeMap::new();
    let mut records = Vec::new();
    for offset in 0..2000 {
        let key = random.i64(0..40);
        if random.u8(0..4) == 0 {
            model.remove(&key);
            records.push(keyed(offset, key, None));
            continue;
        }
        let row = model.entry(key).or_default();
        let mut fields = Vec::new();
        for (name, json) in [
            ("a", format!("{offset}")),
            ("b", format!("\"b{offset}\"")),
            ("c", format!("[{offset}]")),
        ] {
            if random.bool() || name == "a" {
                fields.push(format!("\"{name}\":{json}"));
                row.insert(name, json.trim_matches('"').to_owned());
            }
        }
        records.push(keyed(
            offset,
            key,
            Some(&format!("{{{}}}", fields.join(","))),
        ));
    }
    for part in records.chunks(500) {
        driver.write(part.to_vec()).await.unwrap();
    }
    let expected: Vec<_> = model
        .iter()
        .map(|(key, row)| {
            let field = |name| row.get(name).map_or("", String::as_str);
            format!("{key}|{}|{}|{}", field("a"), field("b"), field("c"))
        })
        .collect();
    let rows = postgres
        .sql(DATABASE, "SELECT id, a, b, c FROM t ORDER BY id")
        .unwrap();
    assert_eq!(rows, expected.join("\n"));
}
