//! Writing to the log on disk.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use connect_core::clock::{Clock, SystemClock};
use connect_core::data::{Offset, TopicPartition};
use connect_core::{Error, Result};

use super::Inner;
use crate::kafka::cluster::partition_of_key;
use crate::kafka::{Produced, Producer, ProducerRecord, TransactionalProducer};

/// The epoch of each transactional id: a newer producer fences the older.
#[derive(Default)]
pub(super) struct Fences(Mutex<BTreeMap<String, u64>>);

impl Fences {
    fn raise(&self, id: &str) -> u64 {
        let mut epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let epoch = epochs.entry(id.to_owned()).or_default();
        *epoch += 1;
        *epoch
    }

    fn check(&self, id: &str, epoch: u64) -> Result<()> {
        let epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if epochs.get(id) == Some(&epoch) {
            return Ok(());
        }
        Err(Error::conflict(format!(
            "a newer producer has taken over transactional id {id}"
        )))
    }
}

/// Records by partition, with the place of each in the caller's list.
type Sorted = (
    BTreeMap<TopicPartition, Vec<ProducerRecord>>,
    Vec<(TopicPartition, usize)>,
);

pub(super) struct EmbeddedProducer {
    inner: Arc<Inner>,
    next: AtomicUsize,
}

impl EmbeddedProducer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        Self {
            inner,
            next: AtomicUsize::new(0),
        }
    }

    /// Makes topics that are not there, and chooses partitions: by key, else one for the whole list, the next for the next.
    fn sort(&self, records: Vec<ProducerRecord>) -> Result<Sorted> {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        let mut by_partition: BTreeMap<TopicPartition, Vec<ProducerRecord>> = BTreeMap::new();
        let mut places = Vec::with_capacity(records.len());
        let mut known: Option<(Arc<str>, i32)> = None;
        for record in records {
            let count = match &known {
                Some((topic, count)) if *topic == record.topic => *count,
                _ => {
                    self.inner
                        .partitions
                        .ensure(&self.inner.store, &record.topic)?;
                    let topic = self.inner.partitions.topic(&record.topic);
                    let count = topic.map_or(1, |topic| topic.partitions);
                    known = Some((record.topic.clone(), count));
                    count
                }
            };
            let partition = TopicPartition::new(record.topic.clone(), choose(&record, count, turn));
            let list = by_partition.entry(partition.clone()).or_default();
            places.push((partition, list.len()));
            list.push(record);
        }
        Ok((by_partition, places))
    }
}

fn choose(record: &ProducerRecord, partitions: i32, turn: usize) -> i32 {
    let count = u32::try_from(partitions).unwrap_or(1).max(1);
    let chosen = match (record.partition, &record.key) {
        (Some(partition), _) => return partition,
        (None, Some(key)) => partition_of_key(key, count),
        (None, None) => u32::try_from(turn % count as usize).unwrap_or(0),
    };
    i32::try_from(chosen).unwrap_or(0)
}

/// Disk work, away from the threads that drive everything else.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|cause| Error::internal("writing the log panicked").source(cause))?
}

#[async_trait]
impl Producer for EmbeddedProducer {
    async fn send(&self, records: Vec<ProducerRecord>) -> Result<Vec<Result<Produced>>> {
        let (by_partition, places) = self.sort(records)?;
        let inner = self.inner.clone();
        let now = SystemClock.now();
        let written = blocking(move || {
            inner
                .partitions
                .append(&inner.store, by_partition, now, false)
        })
        .await?;
        Ok(places
            .into_iter()
            .map(|(partition, number)| place(&written, &partition, number))
            .collect())
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }
}

fn place(
    written: &BTreeMap<TopicPartition, Produced>,
    partition: &TopicPartition,
    number: usize,
) -> Result<Produced> {
    let first = written
        .get(partition)
        .ok_or_else(|| Error::internal("a record that was not written"))?;
    let number = i64::try_from(number).unwrap_or(0);
    Ok(Produced {
        partition: first.partition,
        offset: Offset::new(first.offset.value() + number),
    })
}

/// Keeps a transaction's records in memory until its commit writes them all at once.
pub(super) struct EmbeddedTransaction {
    producer: EmbeddedProducer,
    id: String,
    epoch: u64,
    open: Mutex<Option<Vec<ProducerRecord>>>,
}

impl EmbeddedTransaction {
    pub(super) fn open(inner: Arc<Inner>, id: &str) -> Self {
        let epoch = inner.fences.raise(id);
        Self {
            producer: EmbeddedProducer::new(inner),
            id: id.to_owned(),
            epoch,
            open: Mutex::new(None),
        }
    }

    fn check(&self) -> Result<()> {
        self.producer.inner.fences.check(&self.id, self.epoch)
    }

    fn with_open<T>(&self, change: impl FnOnce(&mut Option<Vec<ProducerRecord>>) -> T) -> T {
        change(&mut self.open.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn not_open() -> Error {
    Error::internal("no transaction is open")
}

#[async_trait]
impl TransactionalProducer for EmbeddedTransaction {
    async fn begin(&self) -> Result<()> {
        self.check()?;
        self.with_open(|open| *open = Some(Vec::new()));
        Ok(())
    }

    /// Offsets are known at the commit: until then they read -1.
    async fn send(&self, records: Vec<ProducerRecord>) -> Result<Vec<Produced>> {
        self.check()?;
        let count = records.len();
        self.with_open(|open| open.as_mut().map(|open| open.extend(records)))
            .ok_or_else(not_open)?;
        Ok(vec![
            Produced {
                partition: -1,
                offset: Offset::new(-1),
            };
            count
        ])
    }

    async fn commit(&self) -> Result<()> {
        self.check()?;
        let records = self.with_open(Option::take).ok_or_else(not_open)?;
        if records.is_empty() {
            return Ok(());
        }
        let (by_partition, _) = self.producer.sort(records)?;
        let inner = self.producer.inner.clone();
        let now = SystemClock.now();
        blocking(move || {
            inner
                .partitions
                .append(&inner.store, by_partition, now, true)
        })
        .await
        .map(|_| ())
    }

    async fn abort(&self) -> Result<()> {
        self.with_open(|open| *open = None);
        self.check()
    }

    async fn close(&self) -> Result<()> {
        self.with_open(|open| *open = None);
        Ok(())
    }
}
