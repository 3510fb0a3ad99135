//! Reading a compacted topic to its end, and following it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use connect_core::ErrorKind;
use sluice::kafka::compacted::CompactedTopic;
use sluice::kafka::{ConsumedRecord, ProducerOptions, ProducerRecord};

use super::home::{DEADLINE, Home, POLL, record, unique};
use crate::support::wait_until;

/// Keys with their last values.
type Table = BTreeMap<String, String>;

fn apply(table: &mut Table, record: ConsumedRecord) {
    let text = |bytes: Bytes| String::from_utf8_lossy(&bytes).into_owned();
    let key = record.key.map(text).unwrap_or_default();
    match record.value.map(text) {
        Some(value) => drop(table.insert(key, value)),
        None => drop(table.remove(&key)),
    }
}

fn entry(topic: &Arc<str>, partition: i32, key: &str, value: Option<&str>) -> ProducerRecord {
    ProducerRecord {
        partition: Some(partition),
        key: Some(Bytes::copy_from_slice(key.as_bytes())),
        value: value.map(|value| Bytes::copy_from_slice(value.as_bytes())),
        ..record(topic, "")
    }
}

fn table(entries: &[(&str, &str)]) -> Table {
    entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) async fn a_compacted_topic_is_read_to_its_end_and_followed<H: Home>(
    home: &H,
) -> Result<()> {
    let settings = [("cleanup.policy", "compact")];
    let topic = home.topic_with("table", 3, &settings).await?;
    let put = |number, key, value| entry(&topic, number, key, value);
    home.write(vec![
        put(0, "a", Some("1")),
        put(1, "b", Some("1")),
        put(0, "a", Some("2")),
    ])
    .await?;
    let compacted = CompactedTopic::open(&*home.log(), &topic, "conformance").await?;
    let mut seen = Table::new();
    compacted
        .read_to_end(DEADLINE, |record| apply(&mut seen, record))
        .await?;
    ensure!(seen == table(&[("a", "2"), ("b", "1")]), "{seen:?}");
    // Nothing new: the end is where it was.
    compacted
        .read_to_end(DEADLINE, |record| apply(&mut seen, record))
        .await?;
    home.write(vec![put(1, "b", None), put(2, "c", Some("1"))])
        .await?;
    compacted
        .read_to_end(DEADLINE, |record| apply(&mut seen, record))
        .await?;
    ensure!(seen == table(&[("a", "2"), ("c", "1")]), "{seen:?}");
    home.write(vec![put(2, "d", Some("1"))]).await?;
    let seen = std::sync::Mutex::new(seen);
    wait_until("the new record is followed", DEADLINE, || async {
        let take = |record| apply(&mut super::member::locked(&seen), record);
        compacted.follow(POLL, take).await?;
        Ok(super::member::locked(&seen).contains_key("d"))
    })
    .await?;
    compacted.close().await?;
    Ok(())
}

pub(super) async fn an_open_transaction_does_not_hold_up_the_end_of_a_compacted_topic<H: Home>(
    home: &H,
) -> Result<()> {
    let topic = home.topic("held-up", 1).await?;
    let producer = home
        .log()
        .transactional_producer(&unique("held-up"), ProducerOptions::default())
        .await?;
    home.write(vec![entry(&topic, 0, "a", Some("1"))]).await?;
    producer.begin().await?;
    producer
        .send(vec![entry(&topic, 0, "b", Some("1"))])
        .await?;
    let compacted = CompactedTopic::open(&*home.log(), &topic, "conformance").await?;
    let mut seen = Table::new();
    compacted
        .read_to_end(DEADLINE, |record| apply(&mut seen, record))
        .await?;
    ensure!(seen == table(&[("a", "1")]), "{seen:?}");
    producer.commit().await?;
    // The commit is acknowledged before its markers are written.
    let seen = std::sync::Mutex::new(seen);
    wait_until("the committed record is read", DEADLINE, || async {
        let take = |record| apply(&mut super::member::locked(&seen), record);
        compacted.read_to_end(DEADLINE, take).await?;
        Ok(*super::member::locked(&seen) == table(&[("a", "1"), ("b", "1")]))
    })
    .await?;
    producer.close().await?;
    compacted.close().await?;
    Ok(())
}

pub(super) async fn a_compacted_topic_that_is_not_there_is_refused_and_not_made<H: Home>(
    home: &H,
) -> Result<()> {
    let name = unique("no-table");
    let opened = CompactedTopic::open(&*home.log(), &name, "conformance").await;
    let kind = opened.err().map(|error| error.kind());
    ensure!(kind == Some(ErrorKind::Config), "gave {kind:?}");
    ensure!(
        home.log().admin().describe_topic(&name).await?.is_none(),
        "it was made"
    );
    Ok(())
}
