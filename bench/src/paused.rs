//! Many connectors that do nothing: what they cost in memory, and how long it takes to list them, beside Kafka Connect.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use reqwest::Client;
use serde_json::json;
use sluice_services::{Connect, ConnectOptions, Kafka, KafkaOptions};

use crate::median;
use crate::process::usage;
use crate::worker::Worker;

/// How long a worker is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(10);
/// How often the list is asked for.
const LISTS: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many connectors
    #[arg(long, default_value_t = 500)]
    connectors: u32,
    /// Sluice alone, without Kafka Connect beside it
    #[arg(long)]
    alone: bool,
}

pub(crate) async fn run(sluice: &Path, options: &Options) -> Result<()> {
    let kafka = Kafka::start(&KafkaOptions::default())?;
    let folder = tempfile::tempdir()?;
    let worker = Worker::start(sluice, folder.path(), Some(&kafka.bootstrap())).await?;
    measure("Sluice", &worker.url(""), worker.pid(), options).await?;
    drop(worker);
    if options.alone {
        return Ok(());
    }
    let connect = Connect::start(&kafka, &ConnectOptions::default())?;
    let url = format!("http://{}", connect.address());
    measure("Kafka Connect", &url, connect.pid(), options).await
}

async fn measure(who: &str, url: &str, pid: u32, options: &Options) -> Result<()> {
    let client = Client::new();
    tokio::time::sleep(IDLE).await;
    let before = usage(pid)?.resident;
    let begun = Instant::now();
    for number in 0..options.connectors {
        create(&client, url, number).await?;
    }
    let created = begun.elapsed();
    tokio::time::sleep(IDLE).await;
    let mut times = Vec::new();
    let mut bytes = 0;
    for _ in 0..LISTS {
        let begun = Instant::now();
        let list = format!("{url}/connectors?expand=status&expand=info");
        bytes = client.get(list).send().await?.text().await?.len();
        times.push(begun.elapsed());
    }
    let after = usage(pid)?.resident;
    let middle = median(&times).context("at least one list")?;
    println!(
        "{who}, {} paused connectors: RSS {} MB, {} MB without them; made in {created:.1?}; listed with status and info ({} kB) in {middle:.1?} (median of {LISTS})",
        options.connectors,
        after / 1_000_000,
        before / 1_000_000,
        bytes / 1000,
    );
    Ok(())
}

async fn create(client: &Client, url: &str, number: u32) -> Result<()> {
    let request = json!({
        "name": format!("paused-{number}"),
        "initial_state": "PAUSED",
        "config": {
            "connector.class": "FileStreamSource",
            "tasks.max": "1",
            "file": format!("/tmp/paused-{number}.txt"),
            "topic": "paused",
        },
    });
    loop {
        let call = client.post(format!("{url}/connectors")).json(&request);
        let answer = call.send().await?;
        // Kafka Connect refuses while it hands out what was made before.
        if answer.status() != reqwest::StatusCode::CONFLICT {
            ensure!(answer.status().is_success(), "{}", answer.text().await?);
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
