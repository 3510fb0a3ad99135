//! What was produced: each event of a stream with its times.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// An event that was produced.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: String,
    /// When making it began.
    pub(super) made: SystemTime,
    /// Its way to the log; `None` if a connector brings it there.
    pub(super) delivery: Option<Delivery>,
}

/// An event's way to the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    /// When the acknowledgement was here.
    pub(super) acknowledged: SystemTime,
    /// From the beginning of making it until then, by a clock that nobody sets.
    pub(super) took: Duration,
}

/// The events of a stream so far, shared by the one who makes them and those who count.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger(Arc<Mutex<Vec<Made>>>);

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Vec<Made>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, made: Made) {
        self.entries().push(made);
    }

    pub(super) fn len(&self) -> usize {
        self.entries().len()
    }

    /// The ids of all.
    pub(super) fn ids(&self) -> BTreeSet<String> {
        self.entries().iter().map(|made| made.id.clone()).collect()
    }

    /// A copy of all.
    pub(super) fn all(&self) -> Vec<Made> {
        self.entries().clone()
    }
}
