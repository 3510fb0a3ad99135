//! Transactions that a source ends itself: `transaction.boundary=connector`.

use std::sync::{Arc, Mutex, PoisonError};

/// Whether a source, as it is configured, can deliver each record exactly once.
///
/// A source that says so or not says, too, that a record without an offset is one that it cannot go on after, and that one
/// with an offset follows it: until then its transaction is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExactlyOnceSupport {
    /// From any offset that was stored it brings what follows, and nothing else.
    Supported,
    /// After a crash it may leave records out or bring some again.
    Unsupported,
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionEnd {
    /// Its records become visible.
    Commit,
    /// Its records are dropped. Their offsets are stored all the same: they do not come again.
    Abort,
}

/// By this a task says where transactions end. All clones speak for the same task.
#[derive(Debug, Clone, Default)]
pub struct TransactionBoundaries(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
struct Asked {
    /// Ends after so many records of a batch, as they were asked for.
    within: Vec<(usize, TransactionEnd)>,
    /// The end after all of them.
    after: Option<TransactionEnd>,
}

impl TransactionBoundaries {
    /// The transaction ends with the last record of the batch that is polled, or polled next.
    pub fn end_after_batch(&self, end: TransactionEnd) {
        self.with(|asked| asked.after = Some(end));
    }

    /// The transaction ends with the record number `count`, from 1, of the batch that is polled, or polled next.
    pub fn end_after(&self, count: usize, end: TransactionEnd) {
        self.with(|asked| asked.within.push((count, end)));
    }

    /// For the runtime: takes what was asked for a batch of `records`, in the order of places. Of two ends at one place the
    /// later counts; a place beyond the batch is its end.
    pub fn take(&self, records: usize) -> Vec<(usize, TransactionEnd)> {
        let asked = self.with(std::mem::take);
        let within = asked.within.into_iter();
        let mut ends: Vec<_> = within
            .map(|(count, end)| (count.min(records), end))
            .chain(asked.after.map(|end| (records, end)))
            .collect();
        ends.reverse();
        ends.sort_by_key(|(count, _)| *count);
        ends.dedup_by_key(|(count, _)| *count);
        ends
    }

    fn with<T>(&self, change: impl FnOnce(&mut Asked) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::TransactionEnd::{Abort, Commit};
    use super::*;

    #[test]
    fn ends_come_in_the_order_of_places_and_once() {
        let boundaries = TransactionBoundaries::default();
        boundaries.end_after(7, Commit);
        boundaries.end_after(2, Commit);
        boundaries.end_after(2, Abort);
        boundaries.end_after_batch(Commit);
        assert_eq!(boundaries.take(10), [(2, Abort), (7, Commit), (10, Commit)]);
        assert_eq!(boundaries.take(10), []);
    }

    #[test]
    fn a_place_beyond_the_batch_is_its_end() {
        let boundaries = TransactionBoundaries::default();
        boundaries.end_after(7, Commit);
        boundaries.end_after_batch(Abort);
        assert_eq!(boundaries.take(3), [(3, Abort)]);
    }
}
