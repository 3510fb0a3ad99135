//! What only a real Kafka can show: a broker that dies, log-append time, records that retention or compaction removed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use connect_core::data::RecordTimestamp;
use sluice::kafka::{Log, Producer, ProducerOptions, ProducerRecord};
use sluice_services::{Kafka, KafkaOptions};
use tokio::task::block_in_place;

use super::groups::group_options;
use super::home::{
    ClusterHome, DEADLINE, Home, connect, map, new_topic, offsets, partition, read, read_to_end,
    record, unique, values,
};
use super::member::{Member, Seen, locked, seen_in_all};
use super::run;
use crate::support::wait_until;

/// The client reports the producer's time there, so the log says that it does not know.
#[test]
fn on_a_topic_with_log_append_time_the_time_is_unknown() -> Result<()> {
    run(|| async {
        let home = ClusterHome::open().await?;
        let settings = [("message.timestamp.type", "LogAppendTime")];
        let topic = home.topic_with("append-time", 1, &settings).await?;
        home.write_values(&topic, &["a"]).await?;
        let records = home.read_all(&topic).await?;
        let timestamps: Vec<_> = records.iter().map(|record| record.timestamp).collect();
        ensure!(timestamps == [RecordTimestamp::Unknown], "{timestamps:?}");
        Ok(())
    })
}

#[test]
fn a_group_whose_offset_was_removed_goes_on_at_the_first_record_there_is() -> Result<()> {
    run(|| async {
        let home = ClusterHome::open().await?;
        let topic = home.topic("removed", 1).await?;
        home.write_values(&topic, &["a", "b", "c", "d"]).await?;
        let group = unique("removed");
        let set = [(partition(&topic, 0), Some(super::home::offset(1)))];
        home.log()
            .admin()
            .alter_group_offsets(&group, &set.into())
            .await?;
        remove_before(home.kafka, &topic, 3)?;
        let consumer = home.log().consumer(group_options(&group, &topic)).await?;
        ensure!(values(&read(&*consumer, 1).await?) == ["d"]);
        let ends = consumer.watermarks(&partition(&topic, 0)).await?;
        ensure!((ends.low.value(), ends.high.value()) == (3, 4));
        consumer.close().await?;
        Ok(())
    })
}

/// Removes the records of partition 0 before `offset`, as retention does.
fn remove_before(kafka: &Kafka, topic: &str, offset: i64) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("offsets.json");
    let json = serde_json::json!({
        "version": 1,
        "partitions": [{"topic": topic, "partition": 0, "offset": offset}],
    });
    std::fs::write(&file, json.to_string())?;
    let (bootstrap, file) = (kafka.bootstrap(), file.display().to_string());
    let arguments = [
        "--bootstrap-server",
        &bootstrap,
        "--offset-json-file",
        &file,
    ];
    let output =
        block_in_place(|| kafka.tool("org.apache.kafka.tools.DeleteRecordsCommand", &arguments))?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "deleting records: {said}");
    Ok(())
}

#[test]
fn gaps_that_compaction_left_are_passed_over() -> Result<()> {
    run(|| async {
        let home = ClusterHome::open().await?;
        let settings = [
            ("cleanup.policy", "compact"),
            ("segment.ms", "200"),
            ("min.cleanable.dirty.ratio", "0.01"),
        ];
        let topic = home.topic_with("compacted", 1, &settings).await?;
        let keyed = |key: &'static str, value: &str| ProducerRecord {
            key: Some(Bytes::from_static(key.as_bytes())),
            ..record(&topic, value)
        };
        home.write(vec![
            keyed("a", "1"),
            keyed("b", "1"),
            keyed("a", "2"),
            keyed("a", "3"),
        ])
        .await?;
        // A segment is closed by the next record after segment.ms: one comes until the cleaner has been there.
        wait_until("the topic is compacted", DEADLINE, || async {
            home.write(vec![keyed("c", "more")]).await?;
            Ok(offsets(&home.read_all(&topic).await?).starts_with(&[1, 3]))
        })
        .await?;
        let records = home.read_all(&topic).await?;
        ensure!(values(&records).starts_with(&["1".to_owned(), "3".to_owned()]));
        let consumer = home.reader(&topic).await?;
        consumer.poll(super::home::POLL).await?;
        consumer
            .seek(&partition(&topic, 0), super::home::offset(2))
            .await?;
        let after = read_to_end(&*consumer, &partition(&topic, 0)).await?;
        ensure!(
            offsets(&after).first() == Some(&3),
            "behind the gap: {:?}",
            offsets(&after)
        );
        Ok(())
    })
}

/// Writes numbers in order until told to stop; returns those that were acknowledged.
async fn write_numbers(
    producer: Arc<dyn Producer>,
    topic: Arc<str>,
    stop: Arc<AtomicBool>,
) -> Result<Vec<u32>> {
    let mut acknowledged = Vec::new();
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        let batch: Vec<u32> = (next..next + 20).collect();
        next += 20;
        let records = batch
            .iter()
            .map(|number| record(&topic, &number.to_string()));
        let results = producer.send(records.collect()).await?;
        for (number, result) in batch.into_iter().zip(results) {
            result.with_context(|| format!("record {number} was given up"))?;
            acknowledged.push(number);
        }
    }
    Ok(acknowledged)
}

#[test]
fn a_broker_killed_and_restarted_loses_and_doubles_nothing() -> Result<()> {
    let mut kafka = Kafka::start(&KafkaOptions::default())?;
    run(|| async {
        let log: Arc<dyn Log> = Arc::new(connect(&kafka.bootstrap(), &[]).await?);
        let name = unique("killed");
        log.admin().create_topic(&new_topic(&name, 1, &[])).await?;
        let topic: Arc<str> = name.as_str().into();
        let seen = Seen::default();
        let mut reading = group_options(&name, &topic);
        // The broker is away for longer than a few seconds: the member stays one.
        reading.overrides = map(&[("session.timeout.ms", "45000")]);
        let member = Member::join("member", &log, reading, &seen)?;
        member.owns(1).await?;
        let producer = log.producer(ProducerOptions::default()).await?;
        let stop = Arc::new(AtomicBool::new(false));
        let writing = tokio::spawn(write_numbers(producer.clone(), topic.clone(), stop.clone()));
        for _ in 0..2 {
            let before = locked(&seen).len();
            seen_in_all(&seen, before + 500).await?;
            block_in_place(|| kafka.kill9())?;
            block_in_place(|| kafka.restart())?;
        }
        let before = locked(&seen).len();
        seen_in_all(&seen, before + 500).await?;
        stop.store(true, Ordering::Relaxed);
        let acknowledged = tokio::time::timeout(DEADLINE, writing).await???;
        seen_in_all(&seen, acknowledged.len()).await?;
        check_numbers(&seen, &acknowledged)?;
        member.leave().await?;
        producer.close().await?;
        Ok(())
    })
}

/// Each number stands in the log once, in order, and was seen.
fn check_numbers(seen: &Seen, acknowledged: &[u32]) -> Result<()> {
    let seen = locked(seen);
    let mut by_offset = BTreeMap::new();
    for (_, record) in &*seen {
        let value = values(std::slice::from_ref(record)).concat();
        by_offset.insert(record.offset, value.parse::<u32>()?);
    }
    let in_log: Vec<u32> = by_offset.values().copied().collect();
    let different: BTreeSet<_> = in_log.iter().collect();
    ensure!(
        different.len() == in_log.len(),
        "a record stands in the log twice"
    );
    ensure!(in_log == acknowledged, "acknowledged and read differ");
    Ok(())
}

#[test]
fn requests_to_a_broker_that_is_away_end_with_an_error_worth_retrying() -> Result<()> {
    let mut kafka = Kafka::start(&KafkaOptions::default())?;
    run(|| async {
        let bootstrap = kafka.bootstrap();
        let log = connect(&bootstrap, &[("request.timeout.ms", "2000")]).await?;
        let topic: Arc<str> = unique("away").as_str().into();
        log.admin().create_topic(&new_topic(&topic, 1, &[])).await?;
        let impatient = ProducerOptions {
            overrides: map(&[("delivery.timeout.ms", "3000"), ("max.block.ms", "2000")]),
            ..ProducerOptions::default()
        };
        let producer = log.producer(impatient).await?;
        block_in_place(|| kafka.kill9())?;
        let begun = Instant::now();
        let results = producer.send(vec![record(&topic, "lost")]).await?;
        let error = results.into_iter().next().and_then(Result::err);
        let error = error.context("it was acknowledged")?;
        ensure!(error.is_retriable(), "{}", error.trace());
        let error = log
            .admin()
            .list_topics()
            .await
            .err()
            .context("topics were listed")?;
        ensure!(error.is_retriable(), "{}", error.trace());
        let error = connect(&bootstrap, &[])
            .await
            .err()
            .context("it connected")?;
        let error: connect_core::Error = error.downcast()?;
        ensure!(error.is_retriable(), "{}", error.trace());
        ensure!(
            error.to_string().contains(&bootstrap),
            "{error} does not say where"
        );
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "after {:?}",
            begun.elapsed()
        );
        Ok(())
    })
}
