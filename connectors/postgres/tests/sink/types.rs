//! Every type written, and read back by psql.

use bytes::Bytes;
use connect_core::data::{Datum, Decimal, Schema, Type, Value, logical as names};
use std::sync::Arc;

use crate::harness::{
    DATABASE, config, decimal, json_record, logical, postgres, record, sink, structure,
};

fn every_connect_type() -> Datum {
    let plain = Schema::new;
    structure(vec![
        ("int8", plain(Type::Int8), Value::Int8(-8)),
        ("int16", plain(Type::Int16), Value::Int16(-32_768)),
        ("int32", plain(Type::Int32), Value::Int32(i32::MAX)),
        ("int64", plain(Type::Int64), Value::Int64(i64::MIN)),
        ("float32", plain(Type::Float32), Value::Float32(1.5)),
        ("float64", plain(Type::Float64), Value::Float64(0.1)),
        ("boolean", plain(Type::Boolean), Value::Boolean(true)),
        (
            "string",
            plain(Type::String),
            Value::string("Zoë \"x\" \\ \n|"),
        ),
        (
            "bytes",
            plain(Type::Bytes),
            Value::Bytes(Bytes::from_static(&[0, 255])),
        ),
        (
            "decimal",
            decimal(2),
            Value::Decimal(Decimal {
                unscaled: Bytes::from_static(&[0xFF, 0x85]),
                scale: 2,
            }),
        ),
        (
            "date",
            logical(Type::Int32, names::DATE),
            Value::Date(19_737),
        ),
        (
            "time",
            logical(Type::Int32, names::TIME),
            Value::Time(45_296_789),
        ),
        (
            "timestamp",
            logical(Type::Int64, names::TIMESTAMP),
            Value::Timestamp(1_700_000_000_123),
        ),
        (
            "numbers",
            plain(Type::Array(Arc::new(plain(Type::Int32).optional()))),
            Value::Array(vec![Value::Int32(1), Value::Null, Value::Int32(3)]),
        ),
        (
            "texts",
            plain(Type::Array(Arc::new(plain(Type::String)))),
            Value::Array(Vec::new()),
        ),
        (
            "map",
            plain(Type::Map(
                Arc::new(plain(Type::String)),
                Arc::new(plain(Type::Int64)),
            )),
            Value::Map(vec![(Value::string("a"), Value::Int64(1))]),
        ),
        ("nothing", plain(Type::String).optional(), Value::Null),
    ])
}

#[tokio::test]
async fn every_connect_type_makes_its_column_and_comes_back() {
    let postgres = postgres();
    let config = config(&postgres, &[("auto.create", "true")]);
    let mut driver = sink(&config, "types").await;
    let written = driver.write(vec![record(
        "types",
        0,
        Datum::null(),
        every_connect_type(),
    )]);
    written.await.unwrap();
    let row = postgres
        .sql(DATABASE, "SELECT to_jsonb(types) - 'string' FROM types")
        .unwrap();
    let row: serde_json::Value = serde_json::from_str(&row).unwrap();
    let expected = serde_json::json!({
        "int8": -8, "int16": -32768, "int32": 2_147_483_647, "int64": i64::MIN,
        "float32": 1.5, "float64": 0.1, "boolean": true, "bytes": "\\x00ff", "decimal": -1.23,
        "date": "2024-01-15", "time": "12:34:56.789", "timestamp": "2023-11-14T22:13:20.123",
        "numbers": [1, null, 3], "texts": [], "map": {"a": 1}, "nothing": null,
    });
    assert_eq!(row, expected);
    let text = postgres.sql(DATABASE, "SELECT string FROM types").unwrap();
    assert_eq!(text, "Zoë \"x\" \\ \n|");
    let columns = "SELECT string_agg(column_name || ' ' || data_type || ' ' || is_nullable, ', ' ORDER BY ordinal_position) \
                   FROM information_schema.columns WHERE table_name = 'types'";
    assert_eq!(
        postgres.sql(DATABASE, columns).unwrap(),
        "int8 smallint NO, int16 smallint NO, int32 integer NO, int64 bigint NO, float32 real NO, \
         float64 double precision NO, boolean boolean NO, string text NO, bytes bytea NO, decimal numeric NO, \
         date date NO, time time without time zone NO, timestamp timestamp without time zone NO, \
         numbers ARRAY NO, texts ARRAY NO, map jsonb NO, nothing text YES"
    );
}

#[tokio::test]
async fn schemaless_json_finds_the_types_of_an_existing_table() {
    let postgres = postgres();
    let made = "CREATE TYPE mood AS ENUM ('glad', 'sad'); CREATE DOMAIN code AS varchar(5); CREATE EXTENSION citext; \
        CREATE TABLE things (s smallint, i integer, b bigint, r real, d double precision, n numeric(40, 2), \
        t text, v varchar(10), c char(3), y bytea, da date, ti time, ts timestamp, tz timestamptz, u uuid, \
        j json, jb jsonb, m mood, co code, ip inet, iv interval, ct citext, tags text[], mac macaddr, \
        made timestamptz DEFAULT 'epoch')";
    postgres.sql(DATABASE, made).unwrap();
    let json = r#"{"s": 7, "i": -1, "b": 9007199254740993, "r": 0.5, "d": 1e100,
        "n": 12345678901234567890123456789012345, "t": "text", "v": "varchar", "c": "ab", "y": "\\x00ff",
        "da": "2024-02-29", "ti": "23:59:59.999999", "ts": "2025-12-13T10:30:00", "tz": "2025-12-13T10:30:00+02:00",
        "u": "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "j": {"a": [1, "x"]}, "jb": "text", "m": "sad", "co": "abcde",
        "ip": "10.0.0.0/8", "iv": "1 day 02:03:04", "ct": "CiText", "tags": ["a", null, "b\"c"],
        "mac": "08:00:2b:01:02:03"}"#;
    for mode in ["insert", "upsert"] {
        postgres.sql(DATABASE, "TRUNCATE things").unwrap();
        let mut options = vec![("insert.mode", mode)];
        if mode == "upsert" {
            postgres
                .sql(DATABASE, "CREATE UNIQUE INDEX ON things (i)")
                .unwrap();
            options.extend([("pk.mode", "record_value"), ("pk.fields", "i")]);
        }
        let mut driver = sink(&config(&postgres, &options), "things").await;
        driver
            .write(vec![json_record("things", 0, json)])
            .await
            .unwrap();
        let read = "SET TimeZone = 'UTC'; SELECT things::text FROM things";
        assert_eq!(
            postgres.sql(DATABASE, read).unwrap(),
            "(7,-1,9007199254740993,0.5,1e+100,12345678901234567890123456789012345.00,text,varchar,\"ab \",\
             \"\\\\x00ff\",2024-02-29,23:59:59.999999,\"2025-12-13 10:30:00\",\"2025-12-13 08:30:00+00\",\
             a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,\"{\"\"a\"\": [1, \"\"x\"\"]}\",\"\"\"text\"\"\",sad,abcde,\
             10.0.0.0/8,\"1 day 02:03:04\",CiText,\"{a,NULL,\"\"b\\\\\"\"c\"\"}\",08:00:2b:01:02:03,\
             \"1970-01-01 00:00:00+00\")",
            "{mode}"
        );
    }
}

#[tokio::test]
async fn text_with_a_schema_is_json_where_the_column_is() {
    let postgres = postgres();
    postgres
        .sql(DATABASE, "CREATE TABLE docs (doc jsonb)")
        .unwrap();
    let mut driver = sink(&config(&postgres, &[]), "docs").await;
    let value = structure(vec![(
        "doc",
        Schema::new(Type::String),
        Value::string(r#"{"a": 1}"#),
    )]);
    driver
        .write(vec![record("docs", 0, Datum::null(), value)])
        .await
        .unwrap();
    let read = postgres
        .sql(DATABASE, "SELECT doc->>'a' FROM docs")
        .unwrap();
    assert_eq!(read, "1");
}

#[tokio::test]
async fn moments_are_local_in_columns_without_a_zone_and_exact_in_those_with_one() {
    let postgres = postgres();
    let made =
        "CREATE TABLE moments (plain timestamp, zoned timestamptz, day date, listed timestamp)";
    postgres.sql(DATABASE, made).unwrap();
    let options = [
        ("db.timezone", "Europe/Berlin"),
        ("timestamp.fields.list", "listed"),
        ("timestamp.precision.mode", "nanoseconds"),
    ];
    let mut driver = sink(&config(&postgres, &options), "moments").await;
    // 2024-06-30T22:30:00Z
    let millis = 1_719_786_600_000;
    let moment = || logical(Type::Int64, names::TIMESTAMP);
    let value = structure(vec![
        ("plain", moment(), Value::Timestamp(millis)),
        ("zoned", moment(), Value::Timestamp(millis)),
        ("day", moment(), Value::Timestamp(millis)),
        (
            "listed",
            Schema::new(Type::Int64),
            Value::Int64(millis * 1_000_000 + 1999),
        ),
    ]);
    driver
        .write(vec![record("moments", 0, Datum::null(), value)])
        .await
        .unwrap();
    let read = postgres
        .sql(DATABASE, "SET TimeZone = 'UTC'; SELECT * FROM moments")
        .unwrap();
    assert_eq!(
        read,
        "2024-07-01 00:30:00|2024-06-30 22:30:00+00|2024-07-01|2024-07-01 00:30:00.000001"
    );
}
