//! Retention, and what a partition remembers over a restart: with the inside of the log at hand.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use connect_core::data::{Offset, Timestamp, TopicPartition};

use super::retention::Cleaner;
use super::{EmbeddedLog, Inner};
use crate::kafka::{
    AutoOffsetReset, Consumer, ConsumerOptions, Isolation, Log, NewTopic, ProducerOptions,
    ProducerRecord, Subscription, Watermarks,
};

const TOPIC: &str = "topic";
const DAY: i64 = 86_400_000;

async fn open(folder: &Path) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(folder).await.unwrap()
}

async fn make_topic(log: &EmbeddedLog, partitions: i32, settings: &[(&str, &str)]) {
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(partitions),
        replication_factor: None,
        settings: settings
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    assert!(log.admin().create_topic(&topic).await.unwrap());
}

/// Writes one batch of one record.
async fn write(log: &EmbeddedLog, partition: i32, value: &[u8], millis: i64) {
    let record = ProducerRecord {
        topic: TOPIC.into(),
        partition: Some(partition),
        timestamp: Some(Timestamp::from_millis(millis)),
        headers: Vec::new(),
        key: None,
        value: Some(bytes::Bytes::copy_from_slice(value)),
    };
    let producer = log.producer(ProducerOptions::default()).await.unwrap();
    for result in producer.send(vec![record]).await.unwrap() {
        result.unwrap();
    }
}

/// One pass, at so many milliseconds of the clock.
fn clean(log: &EmbeddedLog, millis: i64) {
    let now = Timestamp::from_millis(millis);
    Cleaner::default().apply(&log.inner, now).unwrap();
}

fn ends(inner: &Inner, partition: i32) -> (i64, i64) {
    let Watermarks { low, high } = inner
        .partitions
        .watermarks(&TopicPartition::new(TOPIC, partition))
        .unwrap();
    (low.value(), high.value())
}

async fn consumer(
    log: &EmbeddedLog,
    group: Option<&str>,
    reset: AutoOffsetReset,
) -> Arc<dyn Consumer> {
    let options = ConsumerOptions {
        group: group.map(str::to_owned),
        subscription: Subscription::Topics(vec![TOPIC.to_owned()]),
        client_id: "test".to_owned(),
        auto_offset_reset: reset,
        isolation: Isolation::default(),
        max_poll_records: 100,
        fetch_max_bytes: 1 << 20,
        listener: None,
        overrides: BTreeMap::new(),
    };
    log.consumer(options).await.unwrap()
}

async fn next_offsets(consumer: &dyn Consumer) -> Vec<i64> {
    let records = consumer.poll(Duration::from_millis(10)).await.unwrap();
    records.iter().map(|record| record.offset.value()).collect()
}

#[tokio::test]
async fn records_older_than_retention_ms_go_but_the_newest_batch_stays() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    make_topic(&log, 1, &[("retention.ms", "86400000")]).await;
    for day in 0..4 {
        write(&log, 0, b"value", day * DAY).await;
    }
    clean(&log, 2 * DAY + 1);
    assert_eq!(ends(&log.inner, 0), (2, 4));
    clean(&log, 99 * DAY);
    assert_eq!(ends(&log.inner, 0), (3, 4));
}

#[tokio::test]
async fn the_oldest_records_go_while_more_than_retention_bytes_would_stay() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    let settings = [("retention.ms", "-1"), ("retention.bytes", "3500")];
    make_topic(&log, 1, &settings).await;
    for _ in 0..10 {
        write(&log, 0, &[0; 1000], 0).await;
    }
    clean(&log, 0);
    // As in Kafka, what stays is at least retention.bytes.
    assert_eq!(ends(&log.inner, 0), (6, 10));
}

#[tokio::test]
async fn the_size_of_a_partition_counts_large_batches() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    let settings = [("retention.ms", "-1"), ("retention.bytes", "10000000")];
    make_topic(&log, 1, &settings).await;
    for _ in 0..4 {
        write(&log, 0, &vec![0; 9 << 20], 0).await;
    }
    clean(&log, 0);
    assert_eq!(ends(&log.inner, 0), (2, 4));
}

#[tokio::test]
async fn compaction_keeps_the_last_record_of_each_key_at_its_offset() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    make_topic(
        &log,
        1,
        &[("cleanup.policy", "compact"), ("retention.ms", "1")],
    )
    .await;
    let batches: [&[(Option<&str>, Option<&str>)]; 4] = [
        &[
            (Some("a"), Some("1")),
            (Some("b"), Some("1")),
            (None, Some("no key")),
        ],
        &[
            (Some("a"), Some("2")),
            (Some("c"), Some("1")),
            (Some("a"), Some("3")),
        ],
        &[(Some("b"), None), (Some("d"), Some("1"))],
        &[(Some("a"), Some("4")), (Some("d"), Some("2"))],
    ];
    for batch in batches {
        write_pairs(&log, batch).await;
    }
    clean(&log, DAY);
    let left = [
        (2, "no key"),
        (4, "c=1"),
        (6, "b is gone"),
        (8, "a=4"),
        (9, "d=2"),
    ];
    let left = left.map(|(offset, text)| (offset, text.to_owned()));
    assert_eq!(read_pairs(&log).await, left);
    assert_eq!(ends(&log.inner, 0), (0, 10));
    // The tombstone goes a day after it was written; a reader that stands in a gap goes on behind it.
    clean(&log, DAY + 1);
    let without: Vec<_> = left
        .iter()
        .filter(|(offset, _)| *offset != 6)
        .cloned()
        .collect();
    assert_eq!(read_pairs(&log).await, without);
    let reader = consumer(&log, None, AutoOffsetReset::Earliest).await;
    assert_eq!(next_offsets(&*reader).await, [2, 4, 8, 9]);
    reader
        .seek(&TopicPartition::new(TOPIC, 0), Offset::new(5))
        .await
        .unwrap();
    assert_eq!(next_offsets(&*reader).await, [8, 9]);
    drop(reader);
    drop(log);
    let log = open_again(folder.path()).await;
    assert_eq!(ends(&log.inner, 0), (0, 10));
    assert_eq!(read_pairs(&log).await, without);
}

#[tokio::test]
async fn compaction_waits_until_half_of_a_partition_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    make_topic(&log, 1, &[("cleanup.policy", "compact")]).await;
    let mut cleaner = Cleaner::default();
    let mut clean = || {
        cleaner
            .apply(&log.inner, Timestamp::from_millis(0))
            .unwrap();
    };
    for key in ["a", "b", "c", "d"] {
        write_pairs(&log, &[(Some(key), Some("1"))]).await;
    }
    clean();
    write_pairs(&log, &[(Some("a"), Some("2"))]).await;
    clean();
    assert_eq!(read_pairs(&log).await.len(), 5);
    for value in ["3", "4", "5"] {
        write_pairs(&log, &[(Some("a"), Some(value))]).await;
    }
    clean();
    assert_eq!(read_pairs(&log).await.len(), 4);
}

/// Writes one batch of keys and values, made at the beginning of time.
async fn write_pairs(log: &EmbeddedLog, pairs: &[(Option<&str>, Option<&str>)]) {
    let bytes =
        |text: Option<&str>| text.map(|text| bytes::Bytes::copy_from_slice(text.as_bytes()));
    let records = pairs.iter().map(|(key, value)| ProducerRecord {
        topic: TOPIC.into(),
        partition: Some(0),
        timestamp: Some(Timestamp::from_millis(0)),
        headers: vec![("header".into(), None)],
        key: bytes(*key),
        value: bytes(*value),
    });
    let producer = log.producer(ProducerOptions::default()).await.unwrap();
    for result in producer.send(records.collect()).await.unwrap() {
        result.unwrap();
    }
}

/// All records with their offsets: `key=value`, `key is gone`, or the value.
async fn read_pairs(log: &EmbeddedLog) -> Vec<(i64, String)> {
    let reader = consumer(log, None, AutoOffsetReset::Earliest).await;
    let records = reader.poll(Duration::from_millis(10)).await.unwrap();
    let text = |bytes: bytes::Bytes| String::from_utf8(bytes.to_vec()).unwrap();
    let pair = |record: crate::kafka::ConsumedRecord| {
        assert_eq!(record.headers.len(), 1);
        let shown = match (record.key.map(text), record.value.map(text)) {
            (Some(key), Some(value)) => format!("{key}={value}"),
            (Some(key), None) => format!("{key} is gone"),
            (None, value) => value.unwrap(),
        };
        (record.offset.value(), shown)
    };
    records.into_iter().map(pair).collect()
}

/// The keys of partitions 1 and 10 begin alike: what one remembers is not the other's.
#[tokio::test]
async fn a_reopened_log_knows_where_each_partition_begins_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    make_topic(&log, 11, &[("retention.ms", "1000")]).await;
    write(&log, 1, b"kept", 10_000).await;
    for millis in [0, 0, 10_000] {
        write(&log, 10, b"value", millis).await;
    }
    clean(&log, 10_000);
    let before: Vec<_> = (0..11).map(|number| ends(&log.inner, number)).collect();
    assert_eq!((before[1], before[10]), ((0, 1), (2, 3)));
    drop(log);
    let log = open_again(folder.path()).await;
    let after: Vec<_> = (0..11).map(|number| ends(&log.inner, number)).collect();
    assert_eq!(after, before);
}

/// Waits for the retention task of the log before: it holds the folder until it has heard the end.
async fn open_again(folder: &Path) -> Arc<EmbeddedLog> {
    let until = std::time::Instant::now() + Duration::from_secs(10);
    loop {
        match EmbeddedLog::open(folder).await {
            Ok(log) => return log,
            Err(error) => assert!(std::time::Instant::now() < until, "{}", error.trace()),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_position_that_retention_removed_follows_the_reset_policy() {
    for (reset, expected) in [
        (AutoOffsetReset::Earliest, vec![3]),
        (AutoOffsetReset::Latest, vec![]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let log = open(folder.path()).await;
        make_topic(&log, 1, &[("retention.ms", "1000")]).await;
        for millis in [0, 0, 0, 10_000] {
            write(&log, 0, b"value", millis).await;
        }
        let only = TopicPartition::new(TOPIC, 0);
        let committed = [(only.clone(), Some(Offset::new(1)))].into();
        let admin = log.admin();
        admin
            .alter_group_offsets("group", &committed)
            .await
            .unwrap();
        clean(&log, 10_000);
        let member = consumer(&log, Some("group"), reset).await;
        assert_eq!(next_offsets(&*member).await, expected);
        // The same while it reads.
        member.seek(&only, Offset::new(0)).await.unwrap();
        assert_eq!(next_offsets(&*member).await, expected);
    }
}

#[tokio::test]
async fn a_deleted_topic_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let log = open(folder.path()).await;
    make_topic(&log, 2, &[("retention.ms", "1000")]).await;
    for millis in [0, 10_000] {
        write(&log, 1, b"value", millis).await;
    }
    clean(&log, 10_000);
    assert!(log.admin().delete_topic(TOPIC).await.unwrap());
    let store = &log.inner.store;
    assert_eq!(store.list::<Offset>("low/").unwrap(), []);
    assert!(store.read(1, 1, 0, 1 << 20).unwrap().is_empty());
    make_topic(&log, 2, &[]).await;
    assert_eq!(ends(&log.inner, 1), (0, 0));
}
