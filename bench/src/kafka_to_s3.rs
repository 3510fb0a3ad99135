//! A topic of sales events on a real Kafka, read to its end into S3 objects.

use std::path::Path;

use anyhow::{Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaOptions};
use sluice_stand_in_s3::{S3Options, S3StandIn, list_objects};

use crate::runs::{Run, Subject};
use crate::sales::{self, TOPIC};
use crate::worker::Worker;

const BUCKET: &str = "bench";

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

pub(crate) async fn run(sluice: &Path, options: &Options) -> Result<()> {
    let kafka = Kafka::start(&KafkaOptions::default())?;
    let ends = sales::fill(&kafka, options.records, options.partitions)?;
    let subject = Subject {
        name: "kafka to s3",
        unit: "records",
        count: ends.iter().sum(),
    };
    println!(
        "{} records in {} partitions, flush.size {}, compression {}, tasks.max {}",
        subject.count,
        ends.len(),
        options.flush_size,
        options.compression,
        options.tasks
    );
    let run = async |number| one(sluice, &kafka, options, &ends, number).await;
    subject.measure(options.repeat, run).await
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
    let objects: u64 = ends.iter().map(|end| end / options.flush_size).sum();
    let expected = usize::try_from(objects)?;
    let config = config(&s3, options, number);
    let run = Run::of(&worker, &config, || {
        Ok(list_objects(s3.folder(), BUCKET)?.len() >= expected)
    });
    let run = run.await?;
    drop(worker);
    if options.compression == "none" {
        verify(&s3, objects * options.flush_size)?;
    }
    Ok(run)
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
