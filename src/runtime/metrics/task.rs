//! The numbers of one task, counted by its loop.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use connect_core::data::{Offset, Offsets, Timestamp, TopicPartition};

use super::plugins::TaskPlugins;
use super::window::{Meter, Window};
use crate::kafka::ConsumedRecord;

/// Counts what a task does. Cheap to clone; all clones count into the same numbers.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime) struct TaskMetrics(Arc<Mutex<TaskNumbers>>);

/// What was counted by a moment.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime) struct TaskNumbers {
    /// Records read from the log, or polled from the source: before transforms.
    pub(super) read: Meter,
    /// Bytes of their keys and values, as the log has them.
    pub(super) bytes: Meter,
    /// Records handed to the sink, or acknowledged by the log: after transforms.
    pub(super) written: Meter,
    /// Records of one put or poll, and how long it took in milliseconds.
    pub(super) batch_sizes: Window,
    pub(super) batch_times: Window,
    /// Records on their way: read and not committed, or sent and not acknowledged.
    pub(super) active: Window,
    pub(super) active_now: u64,
    /// Records of a committed transaction.
    pub(super) transactions: Window,
    /// Milliseconds of commits.
    pub(super) commit_times: Window,
    /// 1 for a commit that succeeded, 0 for one that failed.
    pub(super) commit_outcomes: Window,
    pub(super) commits: Meter,
    /// Commits refused because the partitions had gone to another member.
    pub(super) late_commits: Meter,
    pub(super) last_commit: Option<Timestamp>,
    /// Bytes the task holds in memory and has not made durable.
    pub(super) buffered_bytes: u64,
    pub(super) partitions: BTreeMap<TopicPartition, PartitionNumbers>,
    pub(super) errors: ErrorNumbers,
    /// What the sink wrote last: an object's key, a table.
    pub(super) last_written: Option<Arc<str>>,
    /// `None` before it has started.
    pub(super) plugins: Option<Arc<TaskPlugins>>,
}

/// Where a sink task stands in a partition it owns.
#[derive(Debug, Clone, Default)]
pub(super) struct PartitionNumbers {
    /// What the group had committed when the partition came; if nothing, the first offset read.
    first: Option<Offset>,
    /// The next offset to be read.
    position: Option<Offset>,
    committed: Option<Offset>,
    /// The offset after the last record there was when it was last asked for.
    end: Option<Offset>,
}

/// What went wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct ErrorNumbers {
    /// Operations on a record that failed, retries included.
    pub(super) failures: u64,
    /// Records that could not be processed.
    pub(super) records: u64,
    pub(super) skipped: u64,
    pub(super) retries: u64,
    pub(super) logged: u64,
    pub(super) queued: u64,
    pub(super) queue_failures: u64,
    pub(super) last: Option<LastError>,
}

/// The last thing that went wrong.
#[derive(Debug, Clone)]
pub(super) struct LastError {
    pub(super) at: Timestamp,
    pub(super) text: Arc<str>,
}

impl TaskMetrics {
    fn change<T>(&self, change: impl FnOnce(&mut TaskNumbers) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What was counted by now.
    pub(in crate::runtime) fn numbers(&self) -> TaskNumbers {
        self.change(|numbers| numbers.clone())
    }

    /// The task is made of these.
    pub(in crate::runtime) fn uses(&self, plugins: TaskPlugins) {
        self.change(|numbers| numbers.plugins = Some(Arc::new(plugins)));
    }

    /// Takes over the last error of the same task's life before.
    pub(in crate::runtime) fn remember(&self, before: &Self) {
        let last = before.change(|numbers| numbers.errors.last.clone());
        self.change(|numbers| numbers.errors.last = last);
    }

    /// A batch came from the log.
    pub(in crate::runtime) fn consumed(&self, records: &[ConsumedRecord]) {
        if records.is_empty() {
            return;
        }
        let length = |bytes: Option<&bytes::Bytes>| bytes.map_or(0, |bytes| bytes.len() as u64);
        let bytes = records
            .iter()
            .map(|record| length(record.key.as_ref()) + length(record.value.as_ref()))
            .sum();
        let now = Instant::now();
        self.change(|numbers| {
            numbers.read.add(records.len() as u64, now);
            numbers.bytes.add(bytes, now);
            let same = |one: &ConsumedRecord, other: &ConsumedRecord| {
                one.partition == other.partition && Arc::ptr_eq(&one.topic, &other.topic)
            };
            for run in records.chunk_by(same) {
                numbers.moved(run);
            }
            numbers.note_active(now);
        });
    }

    /// A batch was taken by the sink.
    pub(in crate::runtime) fn put(&self, records: usize, took: Duration) {
        self.batch(records, took);
        let now = Instant::now();
        self.change(|numbers| numbers.written.add(records as u64, now));
    }

    /// A batch came from the source.
    pub(in crate::runtime) fn polled(&self, records: usize, took: Duration) {
        self.batch(records, took);
        let now = Instant::now();
        self.change(|numbers| numbers.read.add(records as u64, now));
    }

    fn batch(&self, records: usize, took: Duration) {
        let now = Instant::now();
        self.change(|numbers| {
            numbers.batch_sizes.record(records as f64, now);
            numbers.batch_times.record(millis(took), now);
        });
    }

    /// A transaction with so many records of a source was committed.
    pub(in crate::runtime) fn transaction(&self, records: usize) {
        let now = Instant::now();
        self.change(|numbers| numbers.transactions.record(records as f64, now));
    }

    /// Records of a source are on their way to the log.
    pub(in crate::runtime) fn sending(&self, records: usize) {
        let now = Instant::now();
        self.change(|numbers| {
            numbers.active_now = records as u64;
            numbers.active.record(records as f64, now);
        });
    }

    /// Records of a source were acknowledged.
    pub(in crate::runtime) fn acknowledged(&self, records: usize, bytes: u64) {
        let now = Instant::now();
        self.change(|numbers| {
            numbers.active_now = 0;
            numbers.written.add(records as u64, now);
            numbers.bytes.add(bytes, now);
        });
    }

    /// Partitions came, with what the group had committed for them.
    pub(in crate::runtime) fn assigned(&self, partitions: &[TopicPartition], committed: &Offsets) {
        self.change(|numbers| {
            for partition in partitions {
                let known = committed.get(partition).map(|committed| committed.offset);
                let entry = PartitionNumbers {
                    first: known,
                    position: known,
                    committed: known,
                    end: None,
                };
                numbers.partitions.insert(partition.clone(), entry);
            }
        });
    }

    /// Partitions went.
    pub(in crate::runtime) fn revoked(&self, partitions: &[TopicPartition]) {
        self.change(|numbers| {
            for partition in partitions {
                numbers.partitions.remove(partition);
            }
        });
    }

    /// The partitions whose ends are wanted.
    pub(in crate::runtime) fn partitions(&self) -> Vec<TopicPartition> {
        self.change(|numbers| numbers.partitions.keys().cloned().collect())
    }

    /// The offsets after the last records.
    pub(in crate::runtime) fn ends(&self, ends: &BTreeMap<TopicPartition, Offset>) {
        self.change(|numbers| {
            for (partition, end) in ends {
                if let Some(entry) = numbers.partitions.get_mut(partition) {
                    entry.end = Some(*end);
                }
            }
        });
    }

    /// A commit succeeded. `offsets` are the group's; a source has none.
    pub(in crate::runtime) fn committed(&self, offsets: &Offsets, took: Duration, at: Timestamp) {
        let now = Instant::now();
        self.change(|numbers| {
            for (partition, offset) in offsets {
                if let Some(entry) = numbers.partitions.get_mut(partition) {
                    entry.committed = Some(offset.offset);
                }
            }
            numbers.commits.add(1, now);
            numbers.commit_times.record(millis(took), now);
            numbers.commit_outcomes.record(1.0, now);
            numbers.last_commit = Some(at);
            numbers.note_active(now);
        });
    }

    /// A commit failed; `late` if the partitions had gone to another member.
    pub(in crate::runtime) fn commit_failed(&self, took: Duration, late: bool) {
        let now = Instant::now();
        self.change(|numbers| {
            numbers.commit_times.record(millis(took), now);
            numbers.commit_outcomes.record(0.0, now);
            if late {
                numbers.late_commits.add(1, now);
            }
        });
    }

    /// What the sink holds and has written last.
    pub(in crate::runtime) fn holds(&self, buffered_bytes: usize, last_written: Option<Arc<str>>) {
        self.change(|numbers| {
            numbers.buffered_bytes = buffered_bytes as u64;
            if last_written.is_some() {
                numbers.last_written = last_written;
            }
        });
    }

    /// A record could not be processed. `text` may be shown.
    pub(in crate::runtime) fn record_failed(&self, text: String, at: Timestamp) {
        self.change(|numbers| numbers.errors.records += 1);
        self.failed(text, at);
    }

    /// It was left out.
    pub(in crate::runtime) fn record_skipped(&self) {
        self.change(|numbers| numbers.errors.skipped += 1);
    }

    /// It was logged.
    pub(in crate::runtime) fn record_error_logged(&self) {
        self.change(|numbers| numbers.errors.logged += 1);
    }

    /// So many dead letters were sent, so many were not taken.
    pub(in crate::runtime) fn dead_letters(&self, sent: usize, failed: usize) {
        self.change(|numbers| {
            numbers.errors.queued += (sent + failed) as u64;
            numbers.errors.queue_failures += failed as u64;
        });
    }

    /// Something failed that is tried again. `text` may be shown.
    pub(in crate::runtime) fn retried(&self, text: String, at: Timestamp) {
        self.change(|numbers| numbers.errors.retries += 1);
        self.failed(text, at);
    }

    /// Something failed. `text` may be shown.
    pub(in crate::runtime) fn failed(&self, text: String, at: Timestamp) {
        self.change(|numbers| {
            numbers.errors.failures += 1;
            numbers.errors.last = Some(LastError {
                at,
                text: text.into(),
            });
        });
    }
}

impl TaskNumbers {
    /// Records of one partition, in order, were read.
    fn moved(&mut self, run: &[ConsumedRecord]) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            return;
        };
        let partition = TopicPartition::new(first.topic.clone(), first.partition);
        if let Some(entry) = self.partitions.get_mut(&partition) {
            entry.first.get_or_insert(first.offset);
            entry.position = Some(last.offset.next());
        }
    }

    fn note_active(&mut self, now: Instant) {
        let active = self.partitions.values().map(PartitionNumbers::active).sum();
        self.active_now = active;
        self.active.record(active as f64, now);
    }
}

impl PartitionNumbers {
    /// Offsets read and not committed.
    fn active(&self) -> u64 {
        let done = self.committed.max(self.first);
        distance(done, self.position).unwrap_or(0)
    }

    /// Offsets there are and the group has not committed.
    pub(super) fn lag(&self) -> Option<u64> {
        distance(self.committed.max(self.first), self.end)
    }

    /// Offsets there are and the task has not read.
    pub(super) fn unread(&self) -> Option<u64> {
        distance(self.position, self.end)
    }
}

fn distance(from: Option<Offset>, to: Option<Offset>) -> Option<u64> {
    Some(u64::try_from(to?.value() - from?.value()).unwrap_or(0))
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use connect_core::data::RecordTimestamp;

    use super::*;

    fn record(topic: &Arc<str>, offset: i64) -> ConsumedRecord {
        ConsumedRecord {
            topic: topic.clone(),
            partition: 0,
            offset: Offset::new(offset),
            timestamp: RecordTimestamp::Unknown,
            headers: Vec::new(),
            key: None,
            value: Some(bytes::Bytes::from_static(b"12345")),
        }
    }

    fn end(partition: &TopicPartition, end: i64) -> BTreeMap<TopicPartition, Offset> {
        BTreeMap::from([(partition.clone(), Offset::new(end))])
    }

    #[test]
    fn lag_is_what_is_not_committed_and_unread_what_is_not_read() {
        let metrics = TaskMetrics::default();
        let topic: Arc<str> = "t".into();
        let partition = TopicPartition::new(topic.clone(), 0);
        metrics.assigned(std::slice::from_ref(&partition), &Offsets::new());
        metrics.consumed(&[record(&topic, 10), record(&topic, 11)]);
        metrics.ends(&end(&partition, 15));
        let numbers = metrics.numbers();
        let entry = &numbers.partitions[&partition];
        assert_eq!(
            (entry.lag(), entry.unread(), numbers.active_now),
            (Some(5), Some(3), 2)
        );
        let done = Offsets::from([(partition.clone(), Offset::new(12).into())]);
        metrics.committed(&done, Duration::ZERO, Timestamp::from_millis(1));
        let numbers = metrics.numbers();
        assert_eq!(numbers.partitions[&partition].lag(), Some(3));
        assert_eq!((numbers.active_now, numbers.bytes.total()), (0, 10));
    }

    #[test]
    fn an_end_seen_before_the_last_commit_is_no_negative_lag() {
        let metrics = TaskMetrics::default();
        let partition = TopicPartition::new("t", 0);
        let committed = Offsets::from([(partition.clone(), Offset::new(20).into())]);
        metrics.assigned(std::slice::from_ref(&partition), &committed);
        metrics.ends(&end(&partition, 15));
        assert_eq!(metrics.numbers().partitions[&partition].lag(), Some(0));
    }

    #[test]
    fn partitions_that_went_leave_nothing_behind() {
        let metrics = TaskMetrics::default();
        let partition = TopicPartition::new("t", 0);
        metrics.assigned(std::slice::from_ref(&partition), &Offsets::new());
        metrics.revoked(std::slice::from_ref(&partition));
        metrics.ends(&end(&partition, 15));
        assert!(metrics.numbers().partitions.is_empty());
    }
}
