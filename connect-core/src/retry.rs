//! How long to wait before trying again.

use std::time::Duration;

use crate::{Error, RetryVerdict};

/// Exponential backoff with jitter: each pause is drawn from the upper half of a range that doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// The first range ends here.
    pub initial: Duration,
    /// No pause is longer.
    pub max: Duration,
}

impl RetryPolicy {
    /// The pause before try number `attempt` (from 1 for the first retry), or what the other side asked for.
    pub fn pause(&self, attempt: u32, error: &Error) -> Duration {
        if let RetryVerdict::After(pause) = error.verdict() {
            return pause;
        }
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let range = self.initial.saturating_mul(doubled).min(self.max);
        range.mul_f64(0.5 + fastrand::f64() / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_no_further() {
        let policy = RetryPolicy {
            initial: Duration::from_millis(100),
            max: Duration::from_secs(1),
        };
        let error = Error::external("down");
        for (attempt, range) in [
            (1, 100),
            (2, 200),
            (3, 400),
            (4, 800),
            (5, 1000),
            (90, 1000),
        ] {
            let pause = policy.pause(attempt, &error);
            assert!(
                pause >= Duration::from_millis(range / 2),
                "{attempt}: {pause:?}"
            );
            assert!(
                pause <= Duration::from_millis(range),
                "{attempt}: {pause:?}"
            );
        }
    }

    #[test]
    fn what_the_other_side_asks_for_is_kept() {
        let asked = Duration::from_secs(17);
        let error = Error::external("busy").retry(RetryVerdict::After(asked));
        let policy = RetryPolicy {
            initial: Duration::from_millis(1),
            max: Duration::from_millis(2),
        };
        assert_eq!(policy.pause(1, &error), asked);
    }
}
