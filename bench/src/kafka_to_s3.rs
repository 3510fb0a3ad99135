//! A topic of sales events on a real Kafka, read to its end into S3 objects.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaOptions};
use sluice_stand_in_s3::{S3Options, S3StandIn, list_objects};

use crate::median;
use crate::sales::{self, TOPIC};
use crate::worker::Worker;

const NAME: &str = "bench";
const BUCKET: &str = "bench";
/// The longest a run may take.
const DEADLINE: Duration = Duration::from_secs(600);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Records in the topic; about 350 bytes each
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// Partitions of the topic
    #[arg(long, default_value_t = 10)]
    partitions: u32,
    /// `flush.size`
    #[arg(long, default_value_t = 50_000)]
    flush_size: u64,
    /// `s3.compression.type`
    #[arg(long, default_value = "none")]
    compression: String,
    /// `tasks.max`
    #[arg(long, default_value_t = 1)]
    tasks: u32,
    /// How many runs, each by a new worker
    #[arg(long, default_value_t = 3)]
    repeat: u32,
}

/// What one run took.
struct Run {
    wall: Duration,
    cpu: Duration,
    peak_resident: u64,
    records: u64,
}

pub(crate) async fn run(sluice: &Path, options: &Options) -> Result<()> {
    let kafka = Kafka::start(&KafkaOptions::default())?;
    let ends = sales::fill(&kafka, options.records, options.partitions)?;
    println!(
        "{} records in {} partitions, flush.size {}, compression {}, tasks.max {}",
        ends.iter().sum::<u64>(),
        ends.len(),
        options.flush_size,
        options.compression,
        options.tasks
    );
    let mut cpu = Vec::new();
    let mut rates = Vec::new();
    let mut peak = 0;
    for number in 1..=options.repeat {
        let run = one(sluice, &kafka, options, &ends, number).await?;
        #[expect(clippy::cast_precision_loss, reason = "counts of records and bytes")]
        let (millions, megabytes) = (run.records as f64 / 1e6, run.peak_resident as f64 / 1e6);
        cpu.push(run.cpu.as_secs_f64() / millions);
        rates.push(millions * 1e3 / run.wall.as_secs_f64());
        peak = peak.max(run.peak_resident / 1_000_000);
        println!(
            "run {number}: {:.1} s, {:.0} thousand records/s, {:.2} CPU s per million, peak RSS {megabytes:.0} MB",
            run.wall.as_secs_f64(),
            millions * 1e3 / run.wall.as_secs_f64(),
            run.cpu.as_secs_f64() / millions,
        );
    }
    println!(
        "kafka to s3: {:.0} thousand records/s, {:.2} CPU s per million records (medians of {}), peak RSS {peak} MB",
        median(&rates).context("at least one run")?,
        median(&cpu).context("at least one run")?,
        options.repeat
    );
    Ok(())
}

fn config(s3: &S3StandIn, options: &Options, number: u32) -> Value {
    json!({
        "connector.class": "io.confluent.connect.s3.S3SinkConnector",
        "tasks.max": options.tasks.to_string(),
        "topics": TOPIC,
        "s3.bucket.name": BUCKET,
        "s3.region": "us-east-1",
        "store.url": s3.url(),
        "aws.access.key.id": "test",
        "aws.secret.access.key": "test-secret",
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "s3.compression.type": options.compression,
        "flush.size": options.flush_size.to_string(),
        "consumer.override.group.id": format!("bench-{number}"),
    })
}

/// One worker from its start until all full objects are there; what is left over stays open, as it should.
async fn one(
    sluice: &Path,
    kafka: &Kafka,
    options: &Options,
    ends: &[u64],
    number: u32,
) -> Result<Run> {
    let folder = tempfile::tempdir()?;
    let s3 = S3StandIn::start(S3Options::local(folder.path().join("s3"), BUCKET)).await?;
    let worker = Worker::start(sluice, folder.path(), Some(&kafka.bootstrap())).await?;
    let begun = Instant::now();
    let before = worker.usage()?;
    worker.deploy(NAME, &config(&s3, options, number)).await?;
    let objects: u64 = ends.iter().map(|end| end / options.flush_size).sum();
    let expected = usize::try_from(objects)?;
    while list_objects(s3.folder(), BUCKET)?.len() < expected {
        if begun.elapsed() > DEADLINE {
            bail!("not done: {}", worker.status(NAME).await?);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let wall = begun.elapsed();
    let after = worker.usage()?;
    drop(worker);
    if options.compression == "none" {
        verify(&s3, objects * options.flush_size)?;
    }
    Ok(Run {
        wall,
        cpu: after.cpu.saturating_sub(before.cpu),
        peak_resident: after.peak_resident,
        records: ends.iter().sum(),
    })
}

/// Lines are counted: a fast run that wrote too little is none.
fn verify(s3: &S3StandIn, expected: u64) -> Result<()> {
    let mut lines = 0;
    for (key, _) in list_objects(s3.folder(), BUCKET)? {
        let content = std::fs::read(s3.folder().join(BUCKET).join(key))?;
        lines += content.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    ensure!(lines == expected, "{lines} lines in S3, not {expected}");
    Ok(())
}
