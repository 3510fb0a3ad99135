//! The Postgres sink: tables, statements and rows of a dry run are those of the run; nothing is written by it.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Postgres, PostgresOptions};

use super::world::{World, effects, outcomes};
use crate::support::changed;

const DATABASE: &str = "warehouse";

fn config(name: &str, postgres: &Postgres, more: &[(&str, &str)]) -> Value {
    let config = json!({
        "name": name,
        "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
        "topics": name,
        "connection.url": postgres.jdbc_url(DATABASE),
        "connection.user": Postgres::USER,
        "connection.password": Postgres::PASSWORD,
        "insert.mode": "upsert",
        "pk.mode": "record_value",
        "pk.fields": "id",
        "auto.create": "true",
        "auto.evolve": "true",
        "table.name.format": "orders",
    });
    changed(config, more)
}

fn server() -> Result<Postgres> {
    let postgres = Postgres::start(&PostgresOptions::default())?;
    postgres.sql("postgres", &format!("CREATE DATABASE {DATABASE}"))?;
    Ok(postgres)
}

/// Every table with its columns, and how often anything was written to any.
fn schema(postgres: &Postgres) -> Result<String> {
    postgres.sql(
        DATABASE,
        "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns \
         WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
    )
}

fn orders() -> Vec<Vec<u8>> {
    let orders = [
        r#"{"id":1,"customer":"Anna","total":12.5,"paid":true,"tags":["a","b"]}"#,
        r#"{"id":2,"customer":null,"total":0.1,"paid":false,"tags":[]}"#,
        r#"{"id":3,"customer":"Łukasz | \"x\"","total":1e3,"paid":true,"tags":null}"#,
    ];
    orders.map(|order| order.as_bytes().to_vec()).to_vec()
}

/// The rows that a dry run shows, as psql would print them.
fn shown_rows(report: &Value) -> Result<Vec<String>> {
    let mut shown = Vec::new();
    for effect in effects(report, "rows") {
        for row in effect["rows"].as_array().context("rows")? {
            let cells = row.as_array().context("a row")?.iter();
            let cells: Vec<_> = cells
                .map(|cell| cell.as_str().unwrap_or_default())
                .collect();
            shown.push(cells.join("|"));
        }
    }
    Ok(shown)
}

fn statements(report: &Value) -> Vec<&str> {
    let statements = effects(report, "statement").into_iter();
    statements
        .filter_map(|statement| statement["sql"].as_str())
        .collect()
}

/// The table in text, columns in the order of a dry run's.
fn stored_rows(postgres: &Postgres, report: &Value) -> Result<Vec<String>> {
    let columns = effects(report, "rows")[0]["columns"]
        .as_array()
        .context("columns")?;
    let columns: Vec<_> = columns
        .iter()
        .map(|column| format!("\"{}\"::text", column["name"].as_str().unwrap_or_default()))
        .collect();
    let sql = format!("SELECT {} FROM orders ORDER BY id", columns.join(", "));
    Ok(postgres
        .sql(DATABASE, &sql)?
        .lines()
        .map(str::to_owned)
        .collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_and_rows_are_those_that_the_run_then_makes() -> Result<()> {
    let name = "dry-postgres";
    let world = World::start(name).await?;
    let postgres = server()?;
    world.topic(name, 1).await?;
    world.write(name, 0, orders()).await?;
    let config = config(name, &postgres, &[]);
    let report = world.dry_run(name, "", Some(&config)).await?;
    ensure!(schema(&postgres)?.is_empty(), "a dry run has made a table");
    ensure!(
        outcomes(&report) == ["passed"; 3] && report["failure"].is_null(),
        "{report:#}"
    );
    let create = statements(&report)[0].to_owned();
    ensure!(create.starts_with("CREATE TABLE"), "{create}");
    ensure!(
        statements(&report)[1].contains("ON CONFLICT (\"id\") DO UPDATE SET"),
        "{report:#}"
    );

    world.worker.put_config(name, &config).await?;
    world.wait_until_committed(name, 3).await?;
    let (expected, stored) = (shown_rows(&report)?, stored_rows(&postgres, &report)?);
    ensure!(stored == expected, "{expected:#?} {stored:#?}");
    let made = schema(&postgres)?;
    // What was said would be made is what was made.
    postgres.sql(DATABASE, "DROP TABLE orders")?;
    postgres.sql(DATABASE, &create)?;
    ensure!(schema(&postgres)? == made, "{create} {made}");

    // The real table as it is now decides what is altered.
    world.stop(name).await?;
    world
        .write(
            name,
            0,
            [br#"{"id":2,"customer":"Ben","note":"new"}"#.to_vec()],
        )
        .await?;
    let report = world.dry_run(name, "?from=3", None).await?;
    let alter = statements(&report)[0];
    ensure!(
        alter.starts_with("ALTER TABLE") && alter.contains("\"note\" TEXT NULL"),
        "{report:#}"
    );
    ensure!(
        effects(&report, "rows")[0]["action"] == "upsert",
        "{report:#}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_every_kind_of_column_shows_what_it_then_holds() -> Result<()> {
    let name = "dry-columns";
    let world = World::start(name).await?;
    let postgres = server()?;
    postgres.sql(
        DATABASE,
        "CREATE TABLE orders (id bigint PRIMARY KEY, price numeric(10,2), host inet, at timestamptz, day date, \
         code varchar(8), doc jsonb, tags text[], ratio real)",
    )?;
    world.topic(name, 1).await?;
    let order = br#"{"id":7,"price":"19.999","host":"10.0.0.1","at":"2024-05-06T07:08:09.123Z","day":"2024-05-06",
        "code":"abc","doc":{"b":1,"a":[1,2]},"tags":["x","y z"],"ratio":0.1}"#;
    world.write(name, 0, [order.to_vec()]).await?;
    let config = config(name, &postgres, &[]);
    let before = schema(&postgres)?;
    let report = world.dry_run(name, "", Some(&config)).await?;
    ensure!(report["failure"].is_null(), "{report:#}");
    ensure!(
        schema(&postgres)? == before,
        "a dry run has changed the table"
    );
    ensure!(postgres.sql(DATABASE, "SELECT count(*) FROM orders")? == "0");
    world.worker.put_config(name, &config).await?;
    world.wait_until_committed(name, 1).await?;
    let (expected, stored) = (shown_rows(&report)?, stored_rows(&postgres, &report)?);
    ensure!(stored == expected, "{expected:#?} {stored:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_connector_refuses_and_what_is_written_already_is_told() -> Result<()> {
    let name = "dry-refused";
    let world = World::start(name).await?;
    let postgres = server()?;
    postgres.sql(
        DATABASE,
        "CREATE TABLE orders (id bigint PRIMARY KEY, total int)",
    )?;
    world.topic(name, 1).await?;
    let values = [
        &br#"{"id":1,"total":1}"#[..],
        br#"{"id":2,"total":"many"}"#,
        br#"{"id":3,"total":3}"#,
    ];
    world.write(name, 0, values.map(<[u8]>::to_vec)).await?;
    let strict = config(name, &postgres, &[("delivery.guarantee", "exactly_once")]);
    let report = world.dry_run(name, "", Some(&strict)).await?;
    ensure!(
        outcomes(&report) == ["passed", "fails-task", "not-reached"],
        "{report:#}"
    );
    let error = &report["records"][1]["error"];
    ensure!(
        error["stage"] == "TASK_PUT" && error["trace"].to_string().contains("total"),
        "{error}"
    );
    ensure!(shown_rows(&report)? == ["1|1"], "{report:#}");
    ensure!(
        statements(&report)[0].contains("next_offset"),
        "its table of offsets: {report:#}"
    );

    let mut tolerant = strict.clone();
    tolerant["errors.tolerance"] = json!("all");
    let report = world.dry_run(name, "", Some(&tolerant)).await?;
    ensure!(
        outcomes(&report) == ["passed", "skipped", "passed"],
        "{report:#}"
    );
    world.worker.put_config(name, &tolerant).await?;
    world.wait_until_committed(name, 3).await?;
    ensure!(
        stored_rows(&postgres, &report)? == shown_rows(&report)?,
        "{report:#}"
    );

    // The database knows what is in it, whatever is read.
    let report = world.dry_run(name, "?from=earliest", None).await?;
    let notes = report["notes"].to_string();
    ensure!(notes.contains("in the database already"), "{report:#}");
    ensure!(shown_rows(&report)?.is_empty(), "{report:#}");

    let mut elsewhere = tolerant.clone();
    elsewhere["connection.url"] = json!("jdbc:postgresql://127.0.0.1:1/none");
    let report = world
        .dry_run(name, "?from=earliest", Some(&elsewhere))
        .await?;
    ensure!(
        !report["failure"].is_null() && effects(&report, "rows").is_empty(),
        "{report:#}"
    );
    Ok(())
}
