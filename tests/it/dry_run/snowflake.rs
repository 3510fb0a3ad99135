//! The Snowflake sink, on the stand-in: tables, staged rows and COPY of a dry run are those of the run.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use super::world::{World, effects, outcomes};
use crate::support::changed;

fn config(name: &str, snowflake: &SnowflakeStandIn, more: &[(&str, &str)]) -> Value {
    let config = json!({
        "name": name,
        "connector.class": "com.snowflake.kafka.connector.SnowflakeSinkConnector",
        "topics": name,
        "snowflake.url.name": snowflake.url(),
        "snowflake.account.name": "testaccount",
        "snowflake.user.name": "loader",
        "snowflake.password": "test-secret",
        "snowflake.database.name": "SHOP",
        "snowflake.schema.name": "PUBLIC",
        "snowflake.topic2table.map": format!("{name}:ORDERS"),
        "buffer.flush.time": "1",
    });
    changed(config, more)
}

fn orders() -> impl Iterator<Item = Vec<u8>> {
    (0..5).map(|id| format!(r#"{{"id":{id},"name":"n{id}"}}"#).into_bytes())
}

fn statements(report: &Value) -> Vec<&str> {
    let statements = effects(report, "statement").into_iter();
    statements
        .filter_map(|statement| statement["sql"].as_str())
        .collect()
}

/// The lines of all staged files that a dry run shows.
fn staged(report: &Value) -> Result<Vec<Value>> {
    let mut lines = Vec::new();
    for file in effects(report, "file") {
        let content = file["content"]["content"].as_str().context("content")?;
        for line in content.lines() {
            lines.push(serde_json::from_str(line)?);
        }
    }
    Ok(lines)
}

/// What the stand-in holds.
fn standing(snowflake: &SnowflakeStandIn) -> (Vec<String>, Vec<String>) {
    (snowflake.tables(), snowflake.stages())
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_staged_rows_and_copy_are_those_of_the_run() -> Result<()> {
    let name = "dry-snow-rows";
    let world = World::start(name).await?;
    let snowflake = SnowflakeStandIn::start(SnowflakeOptions::local(None)).await?;
    world.topic(name, 1).await?;
    world.write(name, 0, orders()).await?;
    let config = config(name, &snowflake, &[]);
    let before = standing(&snowflake);
    let report = world.dry_run(name, "", Some(&config)).await?;
    ensure!(
        standing(&snowflake) == before,
        "a dry run has made something"
    );
    ensure!(
        outcomes(&report) == ["passed"; 5] && report["failure"].is_null(),
        "{report:#}"
    );
    let sql = statements(&report).join("\n");
    for expected in [
        "CREATE STAGE",
        "CREATE TABLE IF NOT EXISTS \"ORDERS\"",
        "COPY INTO \"ORDERS\"",
    ] {
        ensure!(sql.contains(expected), "{expected}: {sql}");
    }
    world.worker.put_config(name, &config).await?;
    world.wait_until_committed(name, 5).await?;
    let expected: Vec<_> = staged(&report)?
        .into_iter()
        .map(|line| vec![line["meta"].clone(), line["content"].clone()])
        .collect();
    let stored = snowflake.sql("SELECT RECORD_METADATA, RECORD_CONTENT FROM ORDERS")?;
    let parsed = |value: &Value| match value {
        Value::String(text) => serde_json::from_str(text).unwrap_or_else(|_| value.clone()),
        _ => value.clone(),
    };
    let without_load_time = |mut row: Vec<Value>| {
        if let Some(meta) = row.first_mut().and_then(Value::as_object_mut) {
            meta.remove("SnowflakeConnectorPushTime");
        }
        row
    };
    let stored: Vec<_> = stored
        .iter()
        .map(|row| without_load_time(row.iter().map(parsed).collect()))
        .collect();
    let expected: Vec<_> = expected.into_iter().map(without_load_time).collect();
    ensure!(stored == expected, "{expected:#?} {stored:#?}");

    // Once more from the beginning: Snowflake's own offsets say that there is nothing to do.
    let report = world.dry_run(name, "?from=earliest", None).await?;
    ensure!(
        report["notes"].to_string().contains("in Snowflake already"),
        "{report:#}"
    );
    ensure!(staged(&report)?.is_empty(), "{report:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_planned_from_the_table_as_it_is() -> Result<()> {
    let name = "dry-snow-columns";
    let world = World::start(name).await?;
    let snowflake = SnowflakeStandIn::start(SnowflakeOptions::local(None)).await?;
    world.topic(name, 1).await?;
    world.write(name, 0, orders()).await?;
    let columns = [("snowflake.enable.schematization", "true")];
    let config = config(name, &snowflake, &columns);
    let report = world.dry_run(name, "", Some(&config)).await?;
    let planned = statements(&report).join("\n");
    for expected in [
        "ADD COLUMN IF NOT EXISTS \"ID\" NUMBER(38,0)",
        "\"NAME\" VARCHAR",
        "$1:content:\"id\"::NUMBER(38,0)",
    ] {
        ensure!(planned.contains(expected), "{expected}: {planned}");
    }
    world.worker.put_config(name, &config).await?;
    world.wait_until_committed(name, 5).await?;
    world.stop(name).await?;
    world
        .write(name, 0, [br#"{"id":9,"extra":1.5}"#.to_vec()])
        .await?;
    let columns = snowflake.columns("ORDERS");
    let report = world.dry_run(name, "?from=5", None).await?;
    let changes: Vec<_> = statements(&report)
        .into_iter()
        .filter(|sql| sql.starts_with("ALTER"))
        .collect();
    ensure!(
        changes == ["ALTER TABLE \"ORDERS\" ADD COLUMN IF NOT EXISTS \"EXTRA\" FLOAT"],
        "{report:#}"
    );
    ensure!(
        snowflake.columns("ORDERS") == columns,
        "a dry run has added a column"
    );
    Ok(())
}
