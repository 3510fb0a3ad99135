//! How often and how long to try again.

use std::time::Duration;

/// Exponential backoff with full jitter, up to a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first pause.
    pub initial: Duration,
    /// No pause is longer.
    pub max: Duration,
    /// After this long in all, the last error stands. `None`: never give up.
    pub deadline: Option<Duration>,
}
