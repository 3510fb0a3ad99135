//! When the next event is due, and when there is none any more.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

/// The pace of one stream.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// When event 0 is due.
    pub(super) begin: Instant,
    pub(super) interval: Duration,
    pub(super) events: Option<u64>,
    pub(super) end: Option<Instant>,
    pub(super) stop: CancellationToken,
}

impl Pace {
    /// Waits until event `index` is due; false if there is to be none.
    pub(super) async fn wait_for(&self, index: u64) -> bool {
        let Some(due) = self.due(index) else {
            return false;
        };
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep_until(due.into()) => true,
        }
    }

    fn due(&self, index: u64) -> Option<Instant> {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 events")]
        let seconds = self.interval.as_secs_f64() * index as f64;
        let after = Duration::try_from_secs_f64(seconds).ok()?;
        let due = self.begin.checked_add(after)?;
        let is_counted = self.events.is_none_or(|events| index < events);
        let is_in_time = self.end.is_none_or(|end| due < end);
        (is_counted && is_in_time).then_some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(events: Option<u64>, seconds: Option<u64>) -> Pace {
        let begin = Instant::now();
        Pace {
            begin,
            interval: Duration::from_secs(5),
            events,
            end: seconds.map(|seconds| begin + Duration::from_secs(seconds)),
            stop: CancellationToken::new(),
        }
    }

    #[test]
    fn events_come_at_equal_distances_until_number_or_time_ends_them() {
        let counted = pace(Some(2), None);
        let due = |index| counted.due(index).map(|due| due - counted.begin);
        assert_eq!(due(0), Some(Duration::ZERO));
        assert_eq!(due(1), Some(Duration::from_secs(5)));
        assert_eq!(due(2), None);
        let timed = pace(None, Some(10));
        assert!(timed.due(1).is_some() && timed.due(2).is_none());
        assert!(pace(Some(9), Some(10)).due(2).is_none());
    }

    #[tokio::test]
    async fn a_stop_wins_over_an_event_that_is_due() {
        let pace = pace(None, None);
        assert!(pace.wait_for(0).await);
        pace.stop.cancel();
        assert!(!pace.wait_for(0).await);
    }
}
