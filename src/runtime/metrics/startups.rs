//! How often connectors and tasks were started, and how it ended: since the worker began, whatever became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Starts of connectors or of tasks.
#[derive(Debug, Clone, Default)]
pub(in crate::runtime) struct Startups(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

/// What was counted by a moment.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::runtime) struct StartupsSample {
    pub(super) succeeded: u64,
    pub(super) failed: u64,
}

impl Startups {
    /// One more that succeeded.
    pub(in crate::runtime) fn succeeded(&self) {
        self.0.succeeded.fetch_add(1, Ordering::Relaxed);
    }

    /// One more that failed.
    pub(in crate::runtime) fn failed(&self) {
        self.0.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted by now.
    pub(in crate::runtime) fn sample(&self) -> StartupsSample {
        StartupsSample {
            succeeded: self.0.succeeded.load(Ordering::Relaxed),
            failed: self.0.failed.load(Ordering::Relaxed),
        }
    }
}

impl StartupsSample {
    pub(super) fn attempts(self) -> u64 {
        self.succeeded + self.failed
    }

    /// The share of starts that succeeded, 0 to 1; none without a start.
    pub(super) fn success_percentage(self) -> Option<f64> {
        let attempts = self.attempts();
        (attempts > 0).then(|| self.succeeded as f64 / attempts as f64)
    }
}
