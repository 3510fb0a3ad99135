//! A topic of sales events on a real Kafka, read to its end into a table of Snowflake's stand-in.
//!
//! The stand-in runs inside the bench: CPU and memory are the worker's alone, the rate is bounded by the stand-in.

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaOptions};
use sluice_stand_in_snowflake::{SnowflakeOptions, SnowflakeStandIn};

use crate::runs::{Run, Subject};
use crate::sales::{self, TOPIC};
use crate::worker::Worker;

const TABLE: &str = "SALES_EVENTS";

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Records in the topic; about 350 bytes each
    #[arg(long, default_value_t = 500_000)]
    records: u64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 4)]
    partitions: u32,
    /// `buffer.count.records`
    #[arg(long, default_value_t = 25_000)]
    buffer_records: u64,
    /// `tasks.max`
    #[arg(long, default_value_t = 1)]
    tasks: u32,
    /// How many runs, each by a new worker
    #[arg(long, default_value_t = 3)]
    repeat: u32,
}

pub(crate) async fn run(sluice: &Path, options: &Options) -> Result<()> {
    let kafka = Kafka::start(&KafkaOptions::default())?;
    let records: u64 = sales::fill(&kafka, options.records, options.partitions)?
        .iter()
        .sum();
    println!(
        "{records} records in {} partitions, buffer.count.records {}, tasks.max {}",
        options.partitions, options.buffer_records, options.tasks
    );
    let subject = Subject {
        name: "kafka to snowflake's stand-in",
        unit: "rows",
        count: records,
    };
    let run = async |number| one(sluice, &kafka, options, records, number).await;
    subject.measure(options.repeat, run).await
}

fn config(server: &SnowflakeStandIn, options: &Options, number: u32) -> Value {
    json!({
        "connector.class": "com.snowflake.kafka.connector.SnowflakeSinkConnector",
        "tasks.max": options.tasks.to_string(),
        "topics": TOPIC,
        "snowflake.topic2table.map": format!("{TOPIC}:{TABLE}"),
        "snowflake.url.name": server.url(),
        "snowflake.account.name": "testaccount",
        "snowflake.user.name": "loader",
        "snowflake.password": "test-secret",
        "snowflake.database.name": "SHOP",
        "snowflake.schema.name": "PUBLIC",
        "buffer.count.records": options.buffer_records.to_string(),
        "buffer.size.bytes": "100000000",
        "buffer.flush.time": "10",
        "consumer.override.group.id": format!("bench-{number}"),
    })
}

/// One worker from its start until every row is there.
async fn one(
    sluice: &Path,
    kafka: &Kafka,
    options: &Options,
    records: u64,
    number: u32,
) -> Result<Run> {
    let folder = tempfile::tempdir()?;
    let server = SnowflakeStandIn::start(SnowflakeOptions::local(None)).await?;
    let worker = Worker::start(sluice, folder.path(), Some(&kafka.bootstrap())).await?;
    let expected = usize::try_from(records)?;
    let rows = || match server.tables().iter().any(|table| table == TABLE) {
        true => server.row_count(TABLE),
        false => 0,
    };
    let config = config(&server, options, number);
    let run = Run::of(&worker, &config, || Ok(rows() >= expected)).await?;
    ensure!(rows() == expected, "{} rows, not {expected}", rows());
    Ok(run)
}
