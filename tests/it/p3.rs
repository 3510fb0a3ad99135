//! Retail sales to S3: a real Kafka, an S3 server that fails, a worker that is killed; every record exactly once.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sluice_services::{Kafka, KafkaOptions};
use sluice_stand_in_s3::{S3Options, S3StandIn, list_objects};

use crate::support::{SLUICE, WorkerProcess, kcat, ready_config, wait_until};

pub(crate) const TOPIC: &str = "sales_events";
pub(crate) const NAME: &str = "s3-sink-sales";
const READY: &str = "s3-sink-sales.json";

pub(crate) fn sink_config(s3: &S3StandIn, file: &str, changes: &[(&str, &str)]) -> Result<Value> {
    let url = s3.url();
    let mut all = vec![
        ("store.url", url.as_str()),
        ("aws.access.key.id", "test"),
        ("aws.secret.access.key", "test-secret"),
        ("s3.retry.backoff.ms", "20"),
        // A killed worker is missed sooner: ten times the default would make the test ten times as long.
        ("consumer.override.session.timeout.ms", "6000"),
        ("consumer.override.heartbeat.interval.ms", "1000"),
    ];
    all.extend(changes);
    ready_config(file, &all)
}

/// Every line of every object by topic partition and offset: the object's start offset and its lines.
fn lines_in_s3(folder: &Path) -> Result<BTreeMap<(i32, i64), Vec<String>>> {
    let mut objects = BTreeMap::new();
    for (key, _) in list_objects(folder, "bronze")? {
        let name = key.rsplit('/').next().unwrap_or_default();
        let Some((partition, start)) = position(name) else {
            bail!("an object of another name: {key}");
        };
        ensure!(
            key.starts_with("sales_data/sales_events/year="),
            "an object elsewhere: {key}"
        );
        let text = std::fs::read_to_string(folder.join("bronze").join(&key))?;
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        if objects.insert((partition, start), lines).is_some() {
            bail!("two objects begin at {partition}/{start}");
        }
    }
    Ok(objects)
}

/// `sales_events+0+0000001000.json`
fn position(name: &str) -> Option<(i32, i64)> {
    let rest = name.strip_prefix("sales_events+")?.strip_suffix(".json")?;
    let (partition, start) = rest.split_once('+')?;
    (start.len() == 10).then_some(())?;
    Some((partition.parse().ok()?, start.parse().ok()?))
}

pub(crate) fn count_in_s3(folder: &Path) -> Result<usize> {
    Ok(lines_in_s3(folder)?.values().map(Vec::len).sum())
}

/// What the topic holds, by partition in order of offsets, read by kcat: an independent reader.
fn records_in_kafka(kafka: &Kafka) -> Result<HashMap<i32, Vec<String>>> {
    let mut records: HashMap<i32, Vec<String>> = HashMap::new();
    for line in kcat::lines(&kafka.bootstrap(), TOPIC, "%p %o %s")? {
        let mut parts = line.splitn(3, ' ');
        let (Some(partition), Some(offset), Some(value)) =
            (parts.next(), parts.next(), parts.next())
        else {
            bail!("a line of kcat that is none: {line}");
        };
        let records = records.entry(partition.parse()?).or_default();
        ensure!(
            offset.parse::<usize>()? == records.len(),
            "a gap in partition {partition} at offset {offset}"
        );
        records.push(value.to_owned());
    }
    Ok(records)
}

/// Each record of Kafka stands in exactly one object, at its place, byte for byte.
pub(crate) fn assert_exactly_once(kafka: &Kafka, folder: &Path, expected: usize) -> Result<()> {
    let records = records_in_kafka(kafka)?;
    ensure!(
        records.values().map(Vec::len).sum::<usize>() == expected,
        "Kafka holds another number of records"
    );
    let mut next: HashMap<i32, i64> = HashMap::new();
    for ((partition, start), lines) in lines_in_s3(folder)? {
        let due = next.entry(partition).or_default();
        ensure!(
            *due == start,
            "partition {partition}: {due} is due, the next object begins at {start}"
        );
        let from = usize::try_from(start)?;
        let stored = records
            .get(&partition)
            .and_then(|records| records.get(from..from + lines.len()));
        ensure!(
            stored == Some(lines.as_slice()),
            "object {partition}/{start} differs from Kafka"
        );
        *due += i64::try_from(lines.len())?;
    }
    let written: i64 = next.values().sum();
    ensure!(
        written == i64::try_from(expected)?,
        "{written} of {expected} records are in S3"
    );
    Ok(())
}

pub(crate) fn produce(kafka: &Kafka, events: usize, pace: &[&str]) -> Result<std::process::Child> {
    let mut command = Command::new(SLUICE);
    command.args([
        "produce",
        "orders",
        "--events",
        &events.to_string(),
        "--topic",
        TOPIC,
        "--brokers",
        &kafka.bootstrap(),
    ]);
    command.args(pace).env("LOG_LEVEL", "ERROR");
    Ok(command.spawn()?)
}

pub(crate) fn finish(mut producer: std::process::Child) -> Result<()> {
    ensure!(producer.wait()?.success(), "the producer failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_in_s3_by_date_and_a_silent_topic_keeps_nothing_back() -> Result<()> {
    let kafka = Kafka::start(&KafkaOptions::default())?;
    kafka.create_topic(TOPIC, 3, &[])?;
    let folder = tempfile::tempdir()?;
    let s3_folder = folder.path().join("s3");
    let s3 = S3StandIn::start(S3Options::local(&s3_folder, "bronze")).await?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let file = "s3-sink-sales-low-latency.json";
    let config = sink_config(&s3, file, &[("rotate.interval.ms", "5000")])?;
    worker.put_config(NAME, &config).await?;

    finish(produce(&kafka, 10_000, &["--burst", "--seed", "1"])?)?;
    let silent_since = Instant::now();
    let arrived = wait_until("all orders in S3", Duration::from_secs(30), || async {
        Ok(count_in_s3(&s3_folder)? == 10_000)
    });
    arrived.await.with_context(|| worker.log())?;
    // The rotation interval and 2 s, and what a test machine may lose in between.
    assert!(
        silent_since.elapsed() < Duration::from_secs(12),
        "{:?}",
        silent_since.elapsed()
    );
    assert_exactly_once(&kafka, &s3_folder, 10_000)?;
    assert_eq!(worker.states(NAME).await?, "RUNNING [RUNNING]");

    let group = kafka.describe_group("connect-s3-sink-sales")?;
    assert!(
        group.contains("connector-consumer-s3-sink-sales-0"),
        "{group}"
    );
    for partition in 0..3 {
        let line = group
            .lines()
            .find(|line| line.split_whitespace().nth(2) == Some(&partition.to_string()));
        let lag = line
            .and_then(|line| line.split_whitespace().nth(5))
            .map(str::to_owned);
        assert_eq!(lag.as_deref(), Some("0"), "{group}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_order_is_in_s3_exactly_once_whatever_is_killed() -> Result<()> {
    const EVENTS: usize = 100_000;
    let mut kafka = Kafka::start(&KafkaOptions::default())?;
    kafka.create_topic(TOPIC, 3, &[])?;
    let folder = tempfile::tempdir()?;
    let s3_folder = folder.path().join("s3");
    let s3 = S3StandIn::start(S3Options::local(&s3_folder, "bronze")).await?;
    s3.faults().one_in(20);
    let mut worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    worker
        .put_config(
            NAME,
            &sink_config(&s3, READY, &[("rotate.interval.ms", "10000")])?,
        )
        .await?;

    // Spread over the kills: about 2,500 a second.
    let mut producers = vec![produce(&kafka, EVENTS / 2, &["--interval", "0.0004"])?];
    let mut chance = fastrand::Rng::with_seed(20_240_115);
    for kill in 0..10 {
        tokio::time::sleep(Duration::from_millis(chance.u64(300..2_500))).await;
        worker.kill9()?;
        worker.launch()?;
        if kill == 4 {
            // Right after a kill, in mid-flight: the unfinished round keeps its cuts.
            worker
                .put_config(
                    NAME,
                    &sink_config(
                        &s3,
                        READY,
                        &[("flush.size", "333"), ("rotate.interval.ms", "10000")],
                    )?,
                )
                .await?;
        }
        if kill == 6 {
            finish(producers.remove(0))?;
            kafka.kill9()?;
            kafka.restart()?;
            producers.push(produce(&kafka, EVENTS / 2, &["--burst"])?);
        }
        if kill == 8 {
            worker
                .put_config(
                    NAME,
                    &sink_config(
                        &s3,
                        READY,
                        &[("flush.size", "700"), ("rotate.interval.ms", "10000")],
                    )?,
                )
                .await?;
        }
    }
    for producer in producers {
        finish(producer)?;
    }
    let arrived = wait_until("all orders in S3", Duration::from_secs(120), || async {
        Ok(count_in_s3(&s3_folder)? == EVENTS)
    });
    arrived.await.with_context(|| worker.log())?;
    assert_exactly_once(&kafka, &s3_folder, EVENTS)?;
    assert!(
        s3.faults().injected() > 10,
        "too few faults to show anything"
    );
    worker.stop()?;
    Ok(())
}
