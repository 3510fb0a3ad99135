//! Tables made, widened, shared by tasks and changed behind the sink's back.

use connect_core::data::{Datum, Schema, Type, Value};

use crate::harness::{DATABASE, config, json_record, postgres, record, sink, structure};

#[tokio::test]
async fn two_tasks_make_and_widen_one_table_at_once() {
    let postgres = postgres();
    let options = [
        ("auto.create", "true"),
        ("auto.evolve", "true"),
        ("table.name.format", "shared"),
    ];
    let config = config(&postgres, &options);
    let mut tasks = Vec::new();
    for task in 0..6 {
        let config = config.clone();
        tasks.push(tokio::spawn(async move {
            let topic = format!("t{task}");
            let mut driver = sink(&config, &topic).await;
            for offset in 0..8 {
                let json = format!(
                    r#"{{"task": {task}, "common{offset}": 1, "own{task}_{offset}": "x"}}"#
                );
                driver
                    .write(vec![json_record(&topic, offset, &json)])
                    .await
                    .unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let counted = "SELECT count(*), count(common7), (SELECT count(*) FROM pg_attribute \
                   WHERE attrelid = 'shared'::regclass AND attnum > 0) FROM shared";
    assert_eq!(postgres.sql(DATABASE, counted).unwrap(), "48|6|57");
}

#[tokio::test]
async fn fields_with_defaults_are_added_with_them_and_required_ones_refused() {
    let postgres = postgres();
    let options = [("auto.create", "true"), ("auto.evolve", "true")];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let base = || ("a", Schema::new(Type::Int32), Value::Int32(1));
    driver
        .write(vec![record("t", 0, Datum::null(), structure(vec![base()]))])
        .await
        .unwrap();
    let mut schema = Schema::new(Type::String);
    schema.default = Some(Value::string("it's"));
    let with_default = structure(vec![base(), ("b", schema, Value::Null)]);
    driver
        .write(vec![record("t", 1, Datum::null(), with_default)])
        .await
        .unwrap();
    let rows = postgres.sql(DATABASE, "SELECT a, b FROM t").unwrap();
    assert_eq!(rows, "1|it's\n1|it's");
    let required = structure(vec![
        base(),
        ("c", Schema::new(Type::Int32), Value::Int32(1)),
    ]);
    let error = driver
        .write(vec![record("t", 2, Datum::null(), required)])
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "Cannot ALTER TABLE \"t\" to add missing field c, as the field is not optional and does not have a default value"
    );
}

#[tokio::test]
async fn a_backslash_in_a_default_or_a_name_means_itself_whatever_the_database_is_set_to() {
    let postgres = postgres();
    let set = "ALTER DATABASE postgres SET standard_conforming_strings = off";
    postgres.sql(DATABASE, set).unwrap();
    let options = [("auto.create", "true"), ("table.name.format", "\"t\\'\"")];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let text = "a\\b\\' || current_user || '";
    let mut schema = Schema::new(Type::String);
    schema.default = Some(Value::string(text));
    let fields = structure(vec![
        ("n", Schema::new(Type::Int32), Value::Int32(1)),
        ("b", schema, Value::Null),
    ]);
    let written = driver.write(vec![record("t", 0, Datum::null(), fields)]);
    written.await.unwrap();
    let conforming = "SET standard_conforming_strings = on; ";
    let made = format!("{conforming}INSERT INTO \"t\\'\" (n) VALUES (2)");
    postgres.sql(DATABASE, &made).unwrap();
    let rows = postgres
        .sql(DATABASE, "SELECT b FROM \"t\\'\" ORDER BY n")
        .unwrap();
    assert_eq!(rows, format!("{text}\n{text}"));
}

#[tokio::test]
async fn what_is_missing_is_named_where_nothing_may_be_made() {
    let postgres = postgres();
    let mut driver = sink(&config(&postgres, &[]), "t").await;
    let records = || vec![json_record("t", 0, r#"{"a": 1, "b": 2, "c": null}"#)];
    let error = driver.write(records()).await.unwrap_err();
    assert_eq!(
        error.message(),
        "Table \"t\" is missing and auto-creation is disabled"
    );
    postgres.sql(DATABASE, "CREATE TABLE t (a int)").unwrap();
    let mut driver = sink(&config(&postgres, &[]), "t").await;
    let error = driver.write(records()).await.unwrap_err();
    assert_eq!(
        error.message(),
        "Table \"t\" is missing fields ([b]) and auto-evolution is disabled"
    );
    assert!(!error.is_retriable());
}

#[tokio::test]
async fn a_table_changed_by_hand_is_looked_at_again() {
    let postgres = postgres();
    postgres
        .sql(DATABASE, "CREATE TABLE t (id int PRIMARY KEY, v int)")
        .unwrap();
    for mode in ["insert", "upsert"] {
        let options = [
            ("insert.mode", mode),
            ("pk.mode", "record_value"),
            ("pk.fields", "id"),
        ];
        let mut driver = sink(&config(&postgres, &options), "t").await;
        let changes = [
            "TRUNCATE t",
            "ALTER TABLE t ALTER v TYPE text",
            // As long in binary, and another number.
            "ALTER TABLE t ALTER v TYPE real USING v::real",
            "ALTER TABLE t DROP v; ALTER TABLE t ADD v bigint",
            "DROP TABLE t; CREATE TABLE t (v int, id int PRIMARY KEY)",
        ];
        for (offset, change) in (0..).zip(changes) {
            postgres.sql(DATABASE, change).unwrap();
            let json = format!(r#"{{"id": {offset}, "v": {offset}}}"#);
            driver
                .write(vec![json_record("t", offset, &json)])
                .await
                .unwrap();
            let row = postgres.sql(DATABASE, "SELECT id, v FROM t ORDER BY id DESC LIMIT 1");
            assert_eq!(
                row.unwrap(),
                format!("{offset}|{offset}"),
                "{mode}: {change}"
            );
        }
    }
}

#[tokio::test]
async fn views_and_partitioned_tables_take_rows_where_table_types_allows_them() {
    let postgres = postgres();
    let made = "CREATE TABLE base (a int); CREATE VIEW v AS SELECT a FROM base; \
                CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p DEFAULT";
    postgres.sql(DATABASE, made).unwrap();
    for table in ["v", "p"] {
        let records = || vec![json_record(table, 0, r#"{"a": 1}"#)];
        let mut refused = sink(&config(&postgres, &[]), table).await;
        let error = refused.write(records()).await.unwrap_err();
        assert!(error.message().contains("table.types is TABLE"), "{error}");
        let allowed = [("table.types", "TABLE, VIEW, PARTITIONED TABLE")];
        let mut driver = sink(&config(&postgres, &allowed), table).await;
        driver.write(records()).await.unwrap();
        let count = postgres
            .sql(DATABASE, &format!("SELECT count(*) FROM {table}"))
            .unwrap();
        assert_eq!(count, "1", "{table}");
    }
}

#[tokio::test]
async fn names_with_capitals_quotes_and_dots_are_kept_or_folded() {
    let postgres = postgres();
    let options = [
        ("auto.create", "true"),
        ("table.name.format", "\"My.${topic}\""),
    ];
    let mut driver = sink(&config(&postgres, &options), "Topic").await;
    driver
        .write(vec![json_record("Topic", 0, r#"{"order \"Id\"": 1}"#)])
        .await
        .unwrap();
    let read = r#"SELECT "order ""Id""" FROM "My.Topic""#;
    assert_eq!(postgres.sql(DATABASE, read).unwrap(), "1");
    let options = [("auto.create", "true"), ("quote.sql.identifiers", "never")];
    let mut driver = sink(&config(&postgres, &options), "Orders").await;
    driver
        .write(vec![json_record("Orders", 0, r#"{"orderId": 1}"#)])
        .await
        .unwrap();
    assert_eq!(
        postgres
            .sql(DATABASE, "SELECT orderid FROM orders")
            .unwrap(),
        "1"
    );
    let mut driver = sink(&config(&postgres, &[]), "orders").await;
    driver
        .write(vec![json_record("orders", 0, r#"{"orderId": 2}"#)])
        .await
        .unwrap();
    assert_eq!(
        postgres
            .sql(DATABASE, "SELECT sum(orderid) FROM orders")
            .unwrap(),
        "3"
    );
}
