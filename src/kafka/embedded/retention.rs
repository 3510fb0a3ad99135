//! Superseded records go, by `cleanup.policy=compact`, and old ones: by `retention.ms` (a week by default) and `retention.bytes` of their topic.

use std::sync::Arc;
use std::time::Duration;

use connect_core::Result;
use connect_core::clock::{Clock, SystemClock};
use connect_core::data::{Offset, Timestamp, TopicPartition};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::compaction::Compaction;
use super::partitions::{Topic, low_key};
use super::{Inner, batch};

const INTERVAL: Duration = Duration::from_secs(60);
/// Bytes read at once to learn the size of a partition.
const READ_BYTES: usize = 8 << 20;
const DEFAULT_MILLIS: i64 = 604_800_000;

/// Runs until told to stop.
pub(super) async fn run(inner: Arc<Inner>, stop: CancellationToken) {
    let mut cleaner = Cleaner::default();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let inner = inner.clone();
        let pass = tokio::task::spawn_blocking(move || {
            let outcome = cleaner.apply(&inner, SystemClock.now());
            (cleaner, outcome)
        });
        let Ok((back, outcome)) = pass.await else {
            return; // It panicked, which is logged; a worker that goes on without cleaning is better than none.
        };
        cleaner = back;
        if let Err(error) = outcome {
            warn!(error = error.trace(), "old records could not be removed");
        }
    }
}

/// Removes what is old or superseded.
#[derive(Default)]
pub(super) struct Cleaner {
    compaction: Compaction,
}

impl Cleaner {
    /// One pass over all topics.
    pub(super) fn apply(&mut self, inner: &Inner, now: Timestamp) -> Result<()> {
        for name in inner.partitions.names() {
            let Some(topic) = inner.partitions.topic(&name) else {
                continue;
            };
            let policy = topic.settings.get("cleanup.policy");
            let policy = policy.map_or("delete", String::as_str);
            for number in 0..topic.partitions {
                let partition = TopicPartition::new(name.clone(), number);
                if policy.contains("compact") {
                    self.compaction.apply(inner, &topic, &partition, now)?;
                }
                if policy.contains("delete") {
                    trim(inner, &topic, &partition, now)?;
                }
            }
        }
        Ok(())
    }
}

/// A setting of a topic that is a number.
pub(super) fn setting(topic: &Topic, key: &str, default: i64) -> i64 {
    topic
        .settings
        .get(key)
        .and_then(|value| value.parse().ok())
        .unwrap_or(default)
}

/// Removes batches from the front while they are too old or too many; the last one stays, it says where the end is.
fn trim(inner: &Inner, topic: &Topic, partition: &TopicPartition, now: Timestamp) -> Result<()> {
    let (millis, bytes) = (
        setting(topic, "retention.ms", DEFAULT_MILLIS),
        setting(topic, "retention.bytes", -1),
    );
    let number = partition.partition.cast_unsigned();
    let mut size: i64 = if bytes < 0 {
        0
    } else {
        total(inner, topic, number)?
    };
    loop {
        let batches = inner.store.read(topic.id, number, 0, 1)?;
        let newest = inner.store.last_batch(topic.id, number)?;
        let (Some((first, oldest)), Some((last, _))) = (batches.into_iter().next(), newest) else {
            return Ok(());
        };
        let length = i64::try_from(oldest.len()).unwrap_or(i64::MAX);
        let count = batch::count(&oldest)?;
        let newest = batch::decode(oldest, 0)?
            .iter()
            .filter_map(|record| record.timestamp)
            .max();
        let expired = millis >= 0
            && newest.is_some_and(|newest| now.as_millis() - newest.as_millis() > millis);
        let over = bytes >= 0 && size - length >= bytes;
        if first == last || !(expired || over) {
            return Ok(());
        }
        let low = first + u64::from(count);
        let key = low_key(topic.id, partition.partition);
        inner.store.put(vec![(key, Some(low))])?;
        inner.store.remove_batch(topic.id, number, first)?;
        inner.partitions.raise_low(
            partition,
            Offset::new(i64::try_from(low).unwrap_or(i64::MAX)),
        );
        size -= length;
    }
}

/// Bytes of all batches of a partition.
fn total(inner: &Inner, topic: &Topic, partition: u32) -> Result<i64> {
    let mut total = 0;
    let mut from = 0;
    loop {
        let batches = inner.store.read(topic.id, partition, from, READ_BYTES)?;
        let Some((last, batch)) = batches.last() else {
            return Ok(total);
        };
        from = last + u64::from(batch::count(batch)?);
        let bytes: usize = batches.iter().map(|(_, batch)| batch.len()).sum();
        total += i64::try_from(bytes).unwrap_or(i64::MAX);
    }
}
