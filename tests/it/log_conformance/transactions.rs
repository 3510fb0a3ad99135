//! Records that become visible together or not at all.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use connect_core::ErrorKind;
use sluice::kafka::{
    Consumer, ConsumerOptions, Isolation, ProducerOptions, ProducerRecord, Subscription,
    TransactionalProducer,
};

use super::home::{
    DEADLINE, Home, POLL, offset, offsets, options, partition, read, read_to_end, record, unique,
    values,
};

async fn transactional<H: Home>(home: &H, id: &str) -> Result<Arc<dyn TransactionalProducer>> {
    let options = ProducerOptions::default();
    Ok(home.log().transactional_producer(id, options).await?)
}

/// A reader of both partitions of a topic that sees committed records only.
async fn committed_reader<H: Home>(home: &H, topic: &Arc<str>) -> Result<Arc<dyn Consumer>> {
    let both = vec![partition(topic, 0), partition(topic, 1)];
    let committed = ConsumerOptions {
        isolation: Isolation::ReadCommitted,
        ..options(Subscription::Partitions(both))
    };
    Ok(home.log().consumer(committed).await?)
}

fn to(topic: &Arc<str>, number: i32, value: &str) -> ProducerRecord {
    ProducerRecord {
        partition: Some(number),
        ..record(topic, value)
    }
}

pub(super) async fn records_of_an_aborted_transaction_stay_invisible<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("aborted", 2).await?;
    let producer = transactional(home, &unique("aborted")).await?;
    let reader = committed_reader(home, &topic).await?;
    home.write_values(&topic, &["before"]).await?;
    for round in 0..3 {
        producer.begin().await?;
        producer
            .send(vec![to(&topic, 0, "aborted"), to(&topic, 1, "aborted")])
            .await?;
        producer.abort().await?;
        producer.begin().await?;
        producer
            .send(vec![to(&topic, 0, &format!("kept {round}"))])
            .await?;
        producer.commit().await?;
    }
    producer.close().await?;
    home.write(vec![to(&topic, 1, "after")]).await?;
    let mut seen = values(&read(&*reader, 5).await?);
    seen.sort();
    ensure!(
        seen == ["after", "before", "kept 0", "kept 1", "kept 2"],
        "seen: {seen:?}"
    );
    ensure!(reader.poll(POLL).await?.is_empty());
    Ok(())
}

pub(super) async fn records_of_a_transaction_appear_together_at_its_commit<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("together", 2).await?;
    let producer = transactional(home, &unique("together")).await?;
    let reader = committed_reader(home, &topic).await?;
    producer.begin().await?;
    producer
        .send(vec![to(&topic, 0, "1"), to(&topic, 1, "2")])
        .await?;
    producer.send(vec![to(&topic, 0, "3")]).await?;
    for _ in 0..5 {
        ensure!(
            reader.poll(POLL).await?.is_empty(),
            "seen before the commit"
        );
    }
    let ends = reader.watermarks(&partition(&topic, 0)).await?;
    ensure!(
        ends.high == offset(0),
        "the open transaction begins at {}",
        ends.high
    );
    producer.commit().await?;
    let records = read(&*reader, 3).await?;
    let mut seen = values(&records);
    seen.sort();
    ensure!(seen == ["1", "2", "3"], "seen: {seen:?}");
    // The marker of the transaction takes an offset.
    home.write(vec![to(&topic, 0, "next")]).await?;
    let next = read(&*reader, 1).await?;
    ensure!(
        offsets(&next) == [3],
        "behind the marker comes {:?}",
        offsets(&next)
    );
    producer.close().await?;
    Ok(())
}

pub(super) async fn the_end_is_reached_although_no_record_stands_there<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("end", 2).await?;
    let producer = transactional(home, &unique("end")).await?;
    let reader = committed_reader(home, &topic).await?;
    let first = partition(&topic, 0);
    producer.begin().await?;
    producer.send(vec![to(&topic, 0, "kept")]).await?;
    producer.commit().await?;
    producer.begin().await?;
    producer
        .send(vec![to(&topic, 0, "aborted"), to(&topic, 0, "aborted")])
        .await?;
    producer.abort().await?;
    producer.close().await?;
    let records = read_to_end(&*reader, &first).await?;
    ensure!(values(&records) == ["kept"]);
    // A broker answers before it has written what marks the end of the transaction.
    let (admin, until) = (home.log().admin(), Instant::now() + DEADLINE);
    loop {
        let ends = admin.end_offsets(std::slice::from_ref(&first)).await?;
        let position = reader.position(&first).await?;
        if Some(&position) == ends.get(&first) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "still at {position} of {ends:?}");
        ensure!(reader.poll(POLL).await?.is_empty(), "more was read");
    }
}

pub(super) async fn a_record_behind_a_large_transaction_is_read<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("behind-large", 2).await?;
    let producer = transactional(home, &unique("behind-large")).await?;
    let reader = committed_reader(home, &topic).await?;
    for round in 0..2 {
        producer.begin().await?;
        // More than one fetch takes of a partition.
        let large = "x".repeat(600_000);
        producer.send(vec![to(&topic, 0, &large); 4]).await?;
        producer.commit().await?;
        home.write_values(&topic, &["behind"]).await?;
        let records = read(&*reader, 5).await?;
        let expected: Vec<_> = (round * 6..round * 6 + 4).chain([round * 6 + 5]).collect();
        ensure!(
            offsets(&records) == expected,
            "read {:?}",
            offsets(&records)
        );
    }
    producer.close().await?;
    Ok(())
}

pub(super) async fn a_newer_producer_fences_an_older_one<H: Home>(home: &H) -> Result<()> {
    let topic = home.topic("fenced", 2).await?;
    let id = unique("fenced");
    let older = transactional(home, &id).await?;
    older.begin().await?;
    older.send(vec![to(&topic, 0, "older")]).await?;
    let newer = transactional(home, &id).await?;
    let refused = older.commit().await;
    let kind = refused.err().map(|error| error.kind());
    ensure!(
        kind == Some(ErrorKind::Conflict),
        "the older one's commit gave {kind:?}"
    );
    newer.begin().await?;
    newer.send(vec![to(&topic, 0, "newer")]).await?;
    newer.commit().await?;
    let reader = committed_reader(home, &topic).await?;
    ensure!(values(&read(&*reader, 1).await?) == ["newer"]);
    newer.close().await?;
    Ok(())
}

pub(super) async fn what_a_dead_producer_left_open_is_aborted_by_the_next<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("left-open", 2).await?;
    let id = unique("left-open");
    let dying = transactional(home, &id).await?;
    dying.begin().await?;
    dying.send(vec![to(&topic, 0, "left open")]).await?;
    drop(dying);
    home.write_values(&topic, &["outside"]).await?;
    let next = transactional(home, &id).await?;
    let reader = committed_reader(home, &topic).await?;
    ensure!(values(&read(&*reader, 1).await?) == ["outside"]);
    next.close().await?;
    Ok(())
}
