//! Topics with `cleanup.policy=compact` keep the last record of each key.
//!
//! Offsets never change: a batch that loses records is replaced by smaller ones around the gaps, all at once, so that a
//! reader sees it before or after. Tombstones go after `delete.retention.ms`, records without a key stay. Unlike Kafka's,
//! the newest records are compacted as well, but never the very last one.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use connect_core::Result;
use connect_core::data::{Timestamp, TopicPartition};

use super::batch::{self, StoredRecord};
use super::partitions::Topic;
use super::store::batch_key;
use super::{Inner, retention};

/// Bytes read at once.
const READ_BYTES: usize = 1 << 20;
const DEFAULT_DELETE_RETENTION: i64 = 86_400_000;

/// What a pass left of a partition.
#[derive(Debug, Clone, Copy, Default)]
struct Cleaned {
    /// Records that are left.
    live: u64,
    /// The end of the partition then.
    end: u64,
}

/// Compacts partitions when about half of what they hold is new.
#[derive(Default)]
pub(super) struct Compaction {
    cleaned: BTreeMap<(u32, u32), Cleaned>,
}

impl Compaction {
    /// Compacts a partition, if it is due.
    pub(super) fn apply(
        &mut self,
        inner: &Inner,
        topic: &Topic,
        partition: &TopicPartition,
        now: Timestamp,
    ) -> Result<()> {
        let Some(ends) = inner.partitions.watermarks(partition) else {
            return Ok(()); // deleted meanwhile
        };
        let end = u64::try_from(ends.high.value()).unwrap_or(0);
        let id = (topic.id, partition.partition.cast_unsigned());
        let before = self.cleaned.get(&id).copied().unwrap_or_default();
        let new = end.saturating_sub(before.end);
        if new == 0 || new < before.live {
            return Ok(());
        }
        let live = compact(inner, topic, id, end, now)?;
        self.cleaned.insert(id, Cleaned { live, end });
        Ok(())
    }
}

/// Compacts what stands before `end`; returns how many records are left.
fn compact(
    inner: &Inner,
    topic: &Topic,
    (id, partition): (u32, u32),
    end: u64,
    now: Timestamp,
) -> Result<u64> {
    let mut last = HashMap::<Bytes, u64>::new();
    each_batch(inner, (id, partition), end, |first, records| {
        for (offset, record) in (first..).zip(records) {
            if let Some(key) = &record.key {
                // A copy: the key shares the memory of its batch.
                last.insert(Bytes::copy_from_slice(key), offset);
            }
        }
        Ok(())
    })?;
    let wait = retention::setting(topic, "delete.retention.ms", DEFAULT_DELETE_RETENTION);
    let stays = |offset: u64, record: &StoredRecord| {
        let latest = record
            .key
            .as_ref()
            .is_none_or(|key| last.get(key) == Some(&offset));
        let since = |timestamp: Timestamp| now.as_millis() - timestamp.as_millis();
        let tombstone = record.key.is_some() && record.value.is_none();
        let expired = tombstone && record.timestamp.is_none_or(|time| since(time) > wait);
        offset + 1 == end || (latest && !expired)
    };
    let mut live = 0;
    each_batch(inner, (id, partition), end, |first, records| {
        let count = records.len();
        let kept: Vec<_> = (first..)
            .zip(records)
            .filter(|(offset, record)| stays(*offset, record))
            .collect();
        live += kept.len() as u64;
        if kept.len() == count {
            return Ok(());
        }
        let pieces = pieces(kept).into_iter().map(|(offset, records)| {
            let key = batch_key(id, partition, offset);
            (key, batch::encode_stored(&records))
        });
        inner
            .store
            .replace_batch(batch_key(id, partition, first), pieces.collect())
    })?;
    Ok(live)
}

/// Calls `work` with the first offset and the records of each batch that begins before `end`.
fn each_batch(
    inner: &Inner,
    (id, partition): (u32, u32),
    end: u64,
    mut work: impl FnMut(u64, Vec<StoredRecord>) -> Result<()>,
) -> Result<()> {
    let mut from = 0;
    loop {
        let batches = inner.store.read(id, partition, from, READ_BYTES)?;
        if batches.is_empty() {
            return Ok(());
        }
        for (first, bytes) in batches {
            if first >= end {
                return Ok(());
            }
            from = first + u64::from(batch::count(&bytes)?);
            work(first, batch::decode(bytes, 0)?)?;
        }
    }
}

/// Records that stand next to each other, each run with its first offset.
fn pieces(records: Vec<(u64, StoredRecord)>) -> Vec<(u64, Vec<StoredRecord>)> {
    let mut pieces: Vec<(u64, Vec<StoredRecord>)> = Vec::new();
    for (offset, record) in records {
        match pieces.last_mut() {
            Some((first, run)) if *first + run.len() as u64 == offset => run.push(record),
            _ => pieces.push((offset, vec![record])),
        }
    }
    pieces
}
