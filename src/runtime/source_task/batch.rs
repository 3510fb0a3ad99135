//! A polled batch on its way to the log, and what of it is there.

use std::sync::Arc;

use connect_core::data::{SourceOffset, SourcePartition};

use crate::kafka::ProducerRecord;
use crate::storage::OffsetChange;

/// A polled batch as the log takes it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What transforms and converters have made of it.
    pub(super) records: Vec<ProducerRecord>,
    /// What the source brought.
    pub(super) polled: Vec<Polled>,
}

/// One record that the source brought.
#[derive(Debug)]
pub(super) struct Polled {
    pub(super) partition: Arc<SourcePartition>,
    pub(super) offset: Option<SourceOffset>,
    /// Up to here the records of the batch are its own or those of the ones before it. It may have none: a transform has
    /// dropped it, or it could not be processed.
    pub(super) end: usize,
}

impl Batch {
    /// Cuts off the first `polled` records of the source with what was made of them.
    pub(super) fn split_front(&mut self, polled: usize) -> Self {
        let rest = self.polled.split_off(polled.min(self.polled.len()));
        let front = std::mem::replace(&mut self.polled, rest);
        let end = front.last().map_or(0, |last| last.end);
        for polled in &mut self.polled {
            polled.end -= end;
        }
        let rest = self.records.split_off(end.min(self.records.len()));
        Self {
            records: std::mem::replace(&mut self.records, rest),
            polled: front,
        }
    }

    /// Bytes of keys and values.
    pub(super) fn bytes(&self) -> u64 {
        self.records.iter().map(size).sum()
    }

    /// The topics it is for; those of records side by side once.
    pub(super) fn topics(&self) -> Vec<Arc<str>> {
        let topics = self.records.iter().map(|record| record.topic.clone());
        let mut topics: Vec<_> = topics.collect();
        topics.dedup();
        topics
    }
}

/// Bytes of key and value.
fn size(record: &ProducerRecord) -> u64 {
    let length = |bytes: Option<&bytes::Bytes>| bytes.map_or(0, |bytes| bytes.len() as u64);
    length(record.key.as_ref()) + length(record.value.as_ref())
}

/// What the log has taken and is not stored yet.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// The last of each partition.
    offsets: Vec<(Arc<SourcePartition>, SourceOffset)>,
    /// Partitions that the source cannot go on in after the last record acknowledged: it had no offset.
    unfinished: Vec<Arc<SourcePartition>>,
    records: usize,
}

impl Acknowledged {
    /// The next record of the source, in the order polled.
    pub(super) fn add(&mut self, partition: Arc<SourcePartition>, offset: Option<SourceOffset>) {
        self.records += 1;
        let same =
            |known: &Arc<SourcePartition>| Arc::ptr_eq(known, &partition) || *known == partition;
        let Some(offset) = offset else {
            if !self.unfinished.iter().any(same) {
                self.unfinished.push(partition);
            }
            return;
        };
        self.unfinished.retain(|known| !same(known));
        match self.offsets.iter_mut().find(|(known, _)| same(known)) {
            Some((_, last)) => *last = offset,
            None => self.offsets.push((partition, offset)),
        }
    }

    /// How many records.
    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// True if the source can go on after the last record of every partition.
    pub(super) fn is_resumable(&self) -> bool {
        self.unfinished.is_empty()
    }

    /// The offsets to be stored.
    pub(super) fn changes(&self) -> Vec<OffsetChange> {
        let change = |(partition, offset): &(Arc<SourcePartition>, SourceOffset)| {
            ((**partition).clone(), Some(offset.clone()))
        };
        self.offsets.iter().map(change).collect()
    }

    /// All is stored; how many records that were.
    pub(super) fn stored(&mut self) -> usize {
        self.offsets.clear();
        std::mem::take(&mut self.records)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn partition(name: &str) -> Arc<SourcePartition> {
        Arc::new([("file".to_owned(), json!(name))].into())
    }

    fn at(position: i64) -> Option<SourceOffset> {
        Some([("at".to_owned(), json!(position))].into())
    }

    fn record(value: &'static str) -> ProducerRecord {
        ProducerRecord {
            topic: "t".into(),
            partition: None,
            timestamp: None,
            headers: Vec::new(),
            key: None,
            value: Some(value.into()),
        }
    }

    /// The source's first record has become two, its second none, its third one.
    fn batch() -> Batch {
        let polled = |position, end| Polled {
            partition: partition("x"),
            offset: at(position),
            end,
        };
        Batch {
            records: ["a", "b", "c"].map(record).into(),
            polled: vec![polled(1, 2), polled(2, 2), polled(3, 3)],
        }
    }

    #[test]
    fn a_batch_is_cut_between_records_of_the_source() {
        let values = |batch: &Batch| -> Vec<_> {
            let values = batch.records.iter().flat_map(|record| record.value.clone());
            values.collect()
        };
        let ends = |batch: &Batch| batch.polled.iter().map(|one| one.end).collect::<Vec<_>>();
        let mut rest = batch();
        let front = rest.split_front(1);
        assert_eq!(
            (values(&front), ends(&front)),
            (vec!["a".into(), "b".into()], vec![2])
        );
        assert_eq!((values(&rest), ends(&rest)), (vec!["c".into()], vec![0, 1]));
        let all = rest.split_front(9);
        assert_eq!(
            (all.polled.len(), rest.polled.len(), rest.records.len()),
            (2, 0, 0)
        );
        assert!(batch().split_front(0).polled.is_empty());
    }

    #[test]
    fn the_last_offset_of_each_partition_is_stored() {
        let mut acknowledged = Acknowledged::default();
        for (name, position) in [("x", 1), ("y", 5), ("x", 2)] {
            acknowledged.add(partition(name), at(position));
        }
        let changes =
            [("x", 2), ("y", 5)].map(|(name, position)| ((*partition(name)).clone(), at(position)));
        assert_eq!(acknowledged.changes(), changes);
        assert_eq!(acknowledged.stored(), 3);
        assert_eq!(
            (acknowledged.changes().len(), acknowledged.records()),
            (0, 0)
        );
    }

    #[test]
    fn a_source_goes_on_where_every_partition_has_an_offset_at_last() {
        let mut acknowledged = Acknowledged::default();
        acknowledged.add(partition("x"), None);
        acknowledged.add(partition("y"), at(1));
        assert!(!acknowledged.is_resumable());
        acknowledged.stored();
        assert!(!acknowledged.is_resumable());
        acknowledged.add(partition("x"), at(2));
        assert!(acknowledged.is_resumable());
    }
}
