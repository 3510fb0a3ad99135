//! What the sink wrote, read by Snowflake's own Python connector: an independent judge of stand-in and sink.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value as Json, json};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use connect_core::testkit::json_datum;

use crate::harness::{PASSWORD, World, record};
use crate::keys::registered;

const PACKAGE: &str = "snowflake-connector-python==4.8.1";

/// An interpreter with the connector; fetched into the cache folder the first time.
fn interpreter() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/python.sh");
    let made = Command::new(script).arg(PACKAGE).output().unwrap();
    let told = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{told}");
    PathBuf::from(String::from_utf8(made.stdout).unwrap().trim())
}

/// Runs a query; a JSON list per row.
async fn query(server: &SnowflakeStandIn, login: [&str; 2], sql: &str) -> Vec<Json> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sink/read_table.py");
    let address = server.address();
    let mut command = Command::new(interpreter());
    command
        .arg(script)
        .args([address.ip().to_string(), address.port().to_string()])
        .arg("loader")
        .args(login)
        .arg(sql);
    let ended = tokio::task::spawn_blocking(move || command.output().unwrap());
    let output = ended.await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The event of the sales generator.
fn sale(number: i64) -> Json {
    json!({
        "order_id": format!("5f0c8a52-6f7e-4a55-9a3e-{number:012}"),
        "store_id": "STORE_New York", "product_id": "Electronics_17", "product_name": "Kopfhörer \"A\"",
        "category": "Electronics", "quantity": number % 5 + 1, "unit_price": 19.99,
        "total_price": 17.99, "sale_timestamp": "2024-03-10T06:30:00Z", "customer_id": "CUST_12345",
        "payment_method": "Credit Card", "discount": 0.1, "store_location": "New York",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_connector_reads_with_both_logins_what_was_produced() {
    let key = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(key.path(), registered().plain()).unwrap();
    let world = World::with(SnowflakeOptions::local(Some(registered().public.clone()))).await;
    let mut driver = world.driver(&[]).await;
    let produced: Vec<_> = (0..500).map(sale).collect();
    let records = produced.iter().zip(0..).map(|(sale, offset)| {
        let value = json_datum(&sale.to_string());
        record(offset, json_datum("\"STORE_New York\""), value)
    });
    driver.write(records.collect()).await.unwrap();

    let sql = "SELECT RECORD_CONTENT, RECORD_METADATA:offset::NUMBER(38,0), RECORD_METADATA:key::VARCHAR, \
               RECORD_CONTENT:unit_price::FLOAT FROM SALES ORDER BY 2";
    let path = key.path().to_str().unwrap();
    for login in [["password", PASSWORD], ["key", path]] {
        let rows = query(&world.server, login, sql).await;
        assert_eq!(rows.len(), produced.len());
        for ((row, sale), offset) in rows.iter().zip(&produced).zip(0..) {
            let content: Json = serde_json::from_str(row[0].as_str().unwrap()).unwrap();
            assert_eq!(&content, sale);
            assert_eq!(row[1], offset);
            assert_eq!(row[2], "STORE_New York");
            assert_eq!(row[3], 19.99);
        }
    }
    let grouped = "SELECT RECORD_CONTENT:category::VARCHAR AS c, COUNT(*), COUNT(DISTINCT RECORD_CONTENT:order_id::VARCHAR) \
                   FROM SALES GROUP BY c";
    let grouped = query(&world.server, ["password", PASSWORD], grouped).await;
    assert_eq!(grouped, [json!(["Electronics", 500, 500])]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_connector_reads_columns_of_every_type() {
    let world = World::new().await;
    let made = "CREATE TABLE sales (RECORD_METADATA VARIANT, at TIMESTAMP_NTZ, day DATE, price NUMBER(10,2), raw BINARY)";
    world.server.sql(made).unwrap();
    let schematization = ("snowflake.enable.schematization", "true");
    let mut driver = world.driver(&[schematization]).await;
    let text = r#"{"at":"2024-03-10T06:30:00.5Z","day":"2024-03-10","price":"19.99","paid":true,"tags":["a"],"name":"Zoë","share":0.5}"#;
    driver
        .write(vec![record(0, json_datum("1"), json_datum(text))])
        .await
        .unwrap();
    let sql = "SELECT AT, DAY, PRICE, PAID, TAGS, NAME, SHARE, RAW FROM SALES";
    let rows = query(&world.server, ["password", PASSWORD], sql).await;
    let tags: Json = serde_json::from_str(rows[0][4].as_str().unwrap()).unwrap();
    assert_eq!(tags, json!(["a"]));
    let mut row = rows[0].as_array().unwrap().clone();
    row.remove(4);
    let expected = json!([
        "2024-03-10 06:30:00.500000",
        "2024-03-10",
        "19.99",
        true,
        "Zoë",
        0.5,
        null
    ]);
    assert_eq!(Json::Array(row), expected);
}
