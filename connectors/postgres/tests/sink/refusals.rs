//! What cannot be written is named, and nothing else is.

use connect_core::ErrorKind;
use connect_core::config::connector_from_map;
use connect_core::data::{Datum, Value};

use crate::harness::{DATABASE, config, json_record, postgres, record, sink};

#[tokio::test]
async fn a_value_that_does_not_fit_is_named_with_table_column_and_position() {
    let postgres = postgres();
    postgres.sql(DATABASE, "CREATE TABLE t (a int)").unwrap();
    let mut driver = sink(&config(&postgres, &[]), "t").await;
    let records = vec![
        json_record("t", 5, r#"{"a": 1}"#),
        json_record("t", 6, r#"{"a": 3000000000}"#),
    ];
    let error = driver.write(records).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert_eq!(
        error.to_string(),
        "record t-0 at offset 6: table \"t\", column \"a\": an integer does not fit a column of type integer"
    );
}

#[tokio::test]
async fn the_one_record_that_the_database_refuses_is_found_among_many() {
    let postgres = postgres();
    let made = "CREATE TABLE t (id int PRIMARY KEY, v varchar(5) NOT NULL, n int CHECK (n < 1000), \
                secret text UNIQUE, host inet, other int REFERENCES t DEFERRABLE INITIALLY DEFERRED)";
    postgres.sql(DATABASE, made).unwrap();
    let wrong = [
        (
            r#"{"id": 777, "v": "hush longer than five"}"#,
            "22001",
            "column v",
        ),
        (
            r#"{"id": 777, "v": null, "secret": "hush"}"#,
            "23502",
            "column: v",
        ),
        (
            r#"{"id": 777, "v": "x", "secret": "hush", "n": 1000}"#,
            "23514",
            "t_n_check",
        ),
        (
            r#"{"id": 5, "v": "x", "secret": "hush"}"#,
            "23505",
            "t_pkey",
        ),
        (
            r#"{"id": 777, "v": "x", "secret": "hushed"}"#,
            "23505",
            "t_secret_key",
        ),
        (
            r#"{"id": 777, "v": "x", "host": "hush"}"#,
            "22P02",
            "type inet: …",
        ),
        (
            r#"{"id": 777, "v": "x", "secret": "hush", "other": 99999}"#,
            "23503",
            "t_other_fkey",
        ),
    ];
    for (json, state, named) in wrong {
        let mut driver = sink(&config(&postgres, &[]), "t").await;
        let records = (0..1000).map(|offset| match offset {
            777 => json_record("t", offset, json),
            6 => json_record("t", offset, r#"{"id": 6, "v": "x", "secret": "hushed"}"#),
            _ => json_record("t", offset, &format!(r#"{{"id": {offset}, "v": "x"}}"#)),
        });
        let error = driver.write(records.collect()).await.unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Data, "{text}");
        assert!(
            text.starts_with("record t-0 at offset 777: refused by the database: table \"t\": "),
            "{text}"
        );
        assert!(text.contains(state) && text.contains(named), "{text}");
        let shown = format!("{} {error:?}", error.trace());
        assert!(!shown.contains("hush"), "values stay out of logs: {shown}");
        assert_eq!(
            postgres.sql(DATABASE, "SELECT count(*) FROM t").unwrap(),
            "0"
        );
    }
}

#[tokio::test]
async fn a_refusal_early_in_megabytes_of_rows_is_no_lost_connection() {
    let postgres = postgres();
    postgres
        .sql(DATABASE, "CREATE TABLE t (v text CHECK (length(v) < 3000))")
        .unwrap();
    for mode in ["insert", "upsert"] {
        let mut options = vec![("insert.mode", mode), ("batch.size", "10000")];
        if mode == "upsert" {
            postgres
                .sql(
                    DATABASE,
                    "CREATE UNIQUE INDEX ON t (md5(v)); ALTER TABLE t ADD id int UNIQUE",
                )
                .unwrap();
            options.extend([("pk.mode", "record_value"), ("pk.fields", "id")]);
        }
        let mut driver = sink(&config(&postgres, &options), "t").await;
        let records = (0..8000).map(|offset| {
            let length = if offset == 3 { 3001 } else { 2000 };
            let id = if mode == "upsert" {
                format!("\"id\": {offset}, ")
            } else {
                String::new()
            };
            let json = format!(r#"{{{id}"v": "{offset}{}"}}"#, "x".repeat(length));
            json_record("t", offset, &json)
        });
        let error = driver.write(records.collect()).await.unwrap_err();
        assert!(
            error.to_string().starts_with("record t-0 at offset 3: "),
            "{error}"
        );
    }
}

#[tokio::test]
async fn records_that_are_no_rows_say_what_the_options_require() {
    let postgres = postgres();
    let mut driver = sink(&config(&postgres, &[]), "t").await;
    let error = driver
        .write(vec![record("t", 3, Datum::null(), Datum::null())])
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "Sink connector 'rows' is configured with 'delete.enabled=false' and 'pk.mode=none' and therefore requires \
         records with a non-null Struct value and non-null Struct schema, or a JSON object, but found record at \
         (topic='t',partition=0,offset=3,timestamp=1700000000000) with null value"
    );
    let text = Datum::schemaless(Value::string("plain"));
    let mut driver = sink(&config(&postgres, &[]), "t").await;
    let error = driver
        .write(vec![record("t", 4, Datum::null(), text)])
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("record t-0 at offset 4: "),
        "{error}"
    );
}

#[tokio::test]
async fn an_upsert_without_a_unique_constraint_says_what_is_needed() {
    let postgres = postgres();
    postgres.sql(DATABASE, "CREATE TABLE t (id int)").unwrap();
    let options = [
        ("insert.mode", "upsert"),
        ("pk.mode", "record_value"),
        ("pk.fields", "id"),
    ];
    let mut driver = sink(&config(&postgres, &options), "t").await;
    let error = driver
        .write(vec![json_record("t", 0, r#"{"id": 1}"#)])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(
        error
            .to_string()
            .contains("need a primary key or a unique constraint"),
        "{error}"
    );
}

#[tokio::test]
async fn a_wrong_password_or_database_fails_the_connector_at_its_start_and_shows_no_secret() {
    let postgres = postgres();
    let start = async |key: &str, value: &str| {
        let mut config = config(&postgres, &[]);
        config.insert(key.to_owned(), value.to_owned());
        connector_from_map(&config).unwrap().start().await
    };
    let error = start("connection.password", "hunter2").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(!error.trace().contains("hunter2"));
    let mut without = config(&postgres, &[]);
    without.remove("connection.password");
    let error = connector_from_map(&without).unwrap().start().await;
    let error = error.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    assert!(!error.is_retriable());
    assert!(error.to_string().contains("connection.password"), "{error}");
    let error = start("connection.url", &postgres.jdbc_url("nowhere"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    // A server that is not there may come back: the tasks wait for it.
    start("connection.url", "jdbc:postgresql://127.0.0.1:1/d")
        .await
        .unwrap();
}

#[tokio::test]
async fn missing_privileges_fail_the_task_and_are_not_tried_again() {
    let postgres = postgres();
    let made = "CREATE TABLE t (a int); CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON t TO reader";
    postgres.sql(DATABASE, made).unwrap();
    let mut config = config(&postgres, &[]);
    config.insert("connection.user".to_owned(), "reader".to_owned());
    config.insert("connection.password".to_owned(), "reader".to_owned());
    let mut driver = sink(&config, "t").await;
    let error = driver
        .write(vec![json_record("t", 0, r#"{"a": 1}"#)])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth);
    assert!(error.to_string().contains("permission denied"), "{error}");
}

#[test]
fn options_that_are_not_supported_are_refused_by_name() {
    let refused = [
        ("dialect.name", "MySqlDatabaseDialect"),
        ("jdbc.credentials.provider.class", "com.example.Vault"),
        ("string.output.value.column.name", "text"),
        ("insert.mode", "multi"),
        ("connection.url", "jdbc:mysql://h/d"),
        ("connection.url", "jdbc:postgresql://h/d?gssEncMode=require"),
        ("delete.enabled", "true"),
        ("pk.fields", "a,b"),
        ("db.timezone", "Mars/Olympus"),
    ];
    for (key, value) in refused {
        let mut config: connect_core::config::ConfigMap = [
            (
                "connector.class",
                "io.confluent.connect.jdbc.JdbcSinkConnector",
            ),
            ("connection.url", "jdbc:postgresql://h/d"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        if key == "pk.fields" {
            config.insert("pk.mode".to_owned(), "kafka".to_owned());
        }
        config.insert(key.to_owned(), value.to_owned());
        let error = connector_from_map(&config).unwrap_err();
        assert!(error.to_string().contains(key), "{key}: {error}");
        assert!(
            !error.to_string().contains("h/d"),
            "a URL may hold a password: {error}"
        );
    }
}
