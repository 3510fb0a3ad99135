//! Topics and their partitions: where each begins and ends, and who waits for more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connect_core::data::{Offset, Timestamp, TopicPartition};
use connect_core::{Error, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::store::{Store, batch_key};
use super::{batch, topic_settings};
use crate::kafka::{NewTopic, Produced, ProducerRecord, Watermarks, check_topic_name};

/// Partitions of a topic that is made because somebody writes to it or reads it.
const DEFAULT_PARTITIONS: i32 = 1;

/// A topic as stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Topic {
    pub(super) id: u32,
    pub(super) partitions: i32,
    pub(super) settings: BTreeMap<String, String>,
}

/// The ends of a new partition.
const EMPTY: Watermarks = Watermarks {
    low: Offset::new(0),
    high: Offset::new(0),
};

impl Topic {
    /// True if the time of writing counts, not the producer's.
    pub(super) fn log_append_time(&self) -> bool {
        let kind = self.settings.get("message.timestamp.type");
        kind.is_some_and(|kind| kind == "LogAppendTime")
    }
}

struct TopicState {
    topic: Topic,
    ends: Vec<Watermarks>,
}

/// All topics.
pub(super) struct Partitions {
    topics: Mutex<BTreeMap<Arc<str>, TopicState>>,
    appended: Notify,
}

impl Partitions {
    pub(super) fn load(store: &Store) -> Result<Self> {
        let mut topics = BTreeMap::new();
        for (name, topic) in store.list::<Topic>("topic/")? {
            let ends = (0..topic.partitions)
                .map(|partition| ends(store, topic.id, partition))
                .collect::<Result<_>>()?;
            topics.insert(name.into(), TopicState { topic, ends });
        }
        Ok(Self {
            topics: Mutex::new(topics),
            appended: Notify::new(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, TopicState>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Told when something is appended or a topic is made.
    pub(super) fn appended(&self) -> tokio::sync::futures::Notified<'_> {
        self.appended.notified()
    }

    pub(super) fn notify(&self) {
        self.appended.notify_waiters();
    }

    /// Makes a topic; false if it is there.
    pub(super) fn create(&self, store: &Store, new: &NewTopic) -> Result<bool> {
        check_topic_name(&new.name)?;
        topic_settings::check(&new.settings)?;
        let mut topics = self.lock();
        if topics.contains_key(new.name.as_str()) {
            return Ok(false);
        }
        let partitions = new.partitions.unwrap_or(DEFAULT_PARTITIONS);
        if partitions < 1 {
            return Err(Error::config(format!(
                "topic {}: {partitions} partitions, must be 1 or more",
                new.name
            )));
        }
        let id = store.get::<u32>("next-topic")?.unwrap_or(1);
        let topic = Topic {
            id,
            partitions,
            settings: new.settings.clone(),
        };
        store.put(vec![("next-topic".to_owned(), Some(id + 1))])?;
        store.put(vec![(format!("topic/{}", new.name), Some(&topic))])?;
        let ends = (0..partitions).map(|_| EMPTY).collect();
        topics.insert(new.name.as_str().into(), TopicState { topic, ends });
        drop(topics);
        self.notify();
        Ok(true)
    }

    /// Makes a topic with defaults if it is not there.
    pub(super) fn ensure(&self, store: &Store, name: &str) -> Result<()> {
        if self.lock().contains_key(name) {
            return Ok(());
        }
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: None,
            replication_factor: None,
            settings: BTreeMap::new(),
        };
        self.create(store, &topic).map(|_| ())
    }

    /// Gives a topic more partitions.
    pub(super) fn grow(&self, store: &Store, name: &str, partitions: i32) -> Result<()> {
        let mut topics = self.lock();
        let unknown = || Error::config(format!("there is no topic {name}"));
        let state = topics.get_mut(name).ok_or_else(unknown)?;
        let count = state.topic.partitions;
        if partitions <= count {
            return Err(Error::config(format!(
                "topic {name} has {count} partitions already, {partitions} were asked for"
            )));
        }
        let grown = Topic {
            partitions,
            ..state.topic.clone()
        };
        store.put(vec![(format!("topic/{name}"), Some(&grown))])?;
        state.topic = grown;
        state.ends.extend((count..partitions).map(|_| EMPTY));
        drop(topics);
        self.notify();
        Ok(())
    }

    /// Forgets a topic; its batches are removed by [`Partitions::purge`].
    pub(super) fn delete(&self, store: &Store, name: &str) -> Result<Option<Topic>> {
        let mut topics = self.lock();
        if !topics.contains_key(name) {
            return Ok(None);
        }
        store.put::<Topic>(vec![(format!("topic/{name}"), None)])?;
        let removed = topics.remove(name).map(|state| state.topic);
        drop(topics);
        self.notify();
        Ok(removed)
    }

    /// Removes every batch of a deleted topic.
    pub(super) fn purge(store: &Store, topic: &Topic) -> Result<()> {
        for partition in 0..topic.partitions.cast_unsigned() {
            loop {
                let batches = store.read(topic.id, partition, 0, 1 << 20)?;
                if batches.is_empty() {
                    break;
                }
                for (offset, _) in batches {
                    store.remove_batch(topic.id, partition, offset)?;
                }
            }
            let partition = partition.cast_signed();
            let keys = [low_key(topic.id, partition), high_key(topic.id, partition)];
            store.put::<Offset>(keys.map(|key| (key, None)).into())?;
        }
        Ok(())
    }

    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.lock().keys().cloned().collect()
    }

    pub(super) fn topic(&self, name: &str) -> Option<Topic> {
        self.lock().get(name).map(|state| state.topic.clone())
    }

    pub(super) fn watermarks(&self, partition: &TopicPartition) -> Option<Watermarks> {
        let topics = self.lock();
        let ends = &topics.get(&*partition.topic)?.ends;
        ends.get(usize::try_from(partition.partition).ok()?)
            .copied()
    }

    /// Moves the beginning of a partition forward.
    pub(super) fn raise_low(&self, partition: &TopicPartition, low: Offset) {
        let mut topics = self.lock();
        let ends = topics
            .get_mut(&*partition.topic)
            .map(|state| &mut state.ends);
        let index = usize::try_from(partition.partition).unwrap_or(usize::MAX);
        if let Some(ends) = ends.and_then(|ends| ends.get_mut(index)) {
            ends.low = ends.low.max(low);
        }
    }

    /// Appends records that are already sorted by partition, all or none; `marker` leaves an offset free behind each
    /// partition's records, as the marker of a transaction does.
    pub(super) fn append(
        &self,
        store: &Store,
        by_partition: BTreeMap<TopicPartition, Vec<ProducerRecord>>,
        now: Timestamp,
        marker: bool,
    ) -> Result<BTreeMap<TopicPartition, Produced>> {
        let mut topics = self.lock();
        let mut batches = Vec::new();
        let mut ends = Vec::new();
        let mut written = BTreeMap::new();
        let mut raised = Vec::new();
        for (partition, mut records) in by_partition {
            let unknown = || Error::config(format!("there is no partition {partition}"));
            let state = topics.get(&*partition.topic).ok_or_else(unknown)?;
            let index = usize::try_from(partition.partition).map_err(|_| unknown())?;
            let first = state.ends.get(index).ok_or_else(unknown)?.high;
            let number = u32::try_from(index).map_err(|_| unknown())?;
            let position = u64::try_from(first.value()).unwrap_or(0);
            if state.topic.log_append_time() {
                records
                    .iter_mut()
                    .for_each(|record| record.timestamp = None);
            }
            batches.push((
                batch_key(state.topic.id, number, position),
                batch::encode(&records, now),
            ));
            let count = i64::try_from(records.len()).unwrap_or(i64::MAX) + i64::from(marker);
            let high = Offset::new(first.value() + count);
            if marker {
                ends.push((high_key(state.topic.id, partition.partition), high));
            }
            raised.push((partition.clone(), index, high));
            written.insert(
                partition.clone(),
                Produced {
                    partition: partition.partition,
                    offset: first,
                },
            );
        }
        store.append(batches, ends)?;
        for (partition, index, high) in raised {
            if let Some(ends) = topics
                .get_mut(&*partition.topic)
                .and_then(|state| state.ends.get_mut(index))
            {
                ends.high = high;
            }
        }
        drop(topics);
        self.notify();
        Ok(written)
    }
}

/// Key of where a partition begins, once old records are gone.
pub(super) fn low_key(topic: u32, partition: i32) -> String {
    format!("low/{topic}/{partition}")
}

/// Key of where a partition ends, if that is behind its last record.
fn high_key(topic: u32, partition: i32) -> String {
    format!("high/{topic}/{partition}")
}

fn ends(store: &Store, topic: u32, partition: i32) -> Result<Watermarks> {
    let stored = |key: &str| -> Result<Offset> { Ok(store.get(key)?.unwrap_or_default()) };
    let low = stored(&low_key(topic, partition))?;
    let high = stored(&high_key(topic, partition))?.max(low);
    let offset = |value: u64| Offset::new(i64::try_from(value).unwrap_or(i64::MAX));
    Ok(match store.last_batch(topic, partition.cast_unsigned())? {
        None => Watermarks { low, high },
        // Compaction may have taken the first batches: the partition begins where it did.
        Some((last, batch)) => Watermarks {
            low,
            high: offset(last + u64::from(batch::count(&batch)?)).max(high),
        },
    })
}
