//! How long events took, and when a batch was due: pure rules on times that were seen.
//!
//! A batch is due when its last message was acknowledged, if it has as many as `flush.size` says; otherwise when its
//! interval was over. No rule here makes a time look shorter than it was: where it is not known which of two moments
//! counts, the earlier does.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::cli::ready_config::ReadyConfig;

/// Durations of the same kind.
#[derive(Debug, Default)]
pub(super) struct Latencies(Vec<Duration>);

impl FromIterator<Duration> for Latencies {
    fn from_iter<I: IntoIterator<Item = Duration>>(durations: I) -> Self {
        let mut all: Vec<_> = durations.into_iter().collect();
        all.sort_unstable();
        Self(all)
    }
}

impl Latencies {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The duration that `percent` of all do not exceed; the longest for 100. `None` without any.
    pub(super) fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.0.len() * percent).div_ceil(100);
        self.0.get(rank.saturating_sub(1)).copied()
    }
}

/// A duration in milliseconds, in seconds from one on.
pub(super) fn shown(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 1.0 {
        format!("{:.1} ms", seconds * 1000.0)
    } else {
        format!("{seconds:.2} s")
    }
}

/// When the S3 sink ends a batch.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rotation {
    flush_size: usize,
    /// `rotate.schedule.interval.ms`, counted from midnight UTC.
    schedule: Option<Duration>,
    /// `rotate.interval.ms`, counted from the batch's first message.
    interval: Option<Duration>,
}

/// The longest that a sink lets a record wait for its batch to be due.
pub(super) fn longest_wait(sink: &ReadyConfig) -> Duration {
    let Rotation {
        schedule, interval, ..
    } = Rotation::of(sink);
    let snowflake = sink.number("buffer.flush.time").map(Duration::from_secs);
    let waits = [schedule, interval, snowflake];
    waits.into_iter().flatten().min().unwrap_or_default()
}

/// A batch as it was found: the times of the events in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Batch {
    pub(super) events: usize,
    pub(super) first_acknowledged: SystemTime,
    pub(super) last_made: SystemTime,
    pub(super) last_acknowledged: SystemTime,
}

impl Rotation {
    /// The rules of a sink's config.
    pub(super) fn of(config: &ReadyConfig) -> Self {
        let millis = |key: &str| {
            let millis = config.number(key).filter(|millis| *millis > 0)?;
            Some(Duration::from_millis(millis))
        };
        let size = config.number("flush.size").unwrap_or(u64::MAX);
        Self {
            flush_size: usize::try_from(size).unwrap_or(usize::MAX),
            schedule: millis("rotate.schedule.interval.ms"),
            interval: millis("rotate.interval.ms"),
        }
    }

    /// True if a rule of time ends batches.
    pub(super) fn is_timed(&self) -> bool {
        self.schedule.or(self.interval).is_some()
    }

    /// When the batch was due; `None` if no rule says so.
    pub(super) fn due(&self, batch: &Batch) -> Option<SystemTime> {
        if batch.events >= self.flush_size {
            return Some(batch.last_acknowledged);
        }
        let scheduled = self
            .schedule
            .map(|every| next_multiple(batch.last_made, every));
        let interval = self
            .interval
            .map(|interval| batch.first_acknowledged + interval);
        [scheduled, interval].into_iter().flatten().min()
    }
}

/// The first multiple of `every` after midnight UTC that is later than `time`; the next midnight at the latest.
fn next_multiple(time: SystemTime, every: Duration) -> SystemTime {
    const DAY: u128 = 86_400_000;
    let millis = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis();
    let every = every.as_millis().max(1);
    let (midnight, passed) = (millis - millis % DAY, millis % DAY);
    let next = midnight + ((passed / every + 1) * every).min(DAY);
    UNIX_EPOCH + Duration::from_millis(u64::try_from(next).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(millis)
    }

    fn rotation(options: &[(&str, &str)]) -> Rotation {
        let mut config = ReadyConfig::parse("x", r#"{"name": "x"}"#).unwrap();
        for (key, value) in options {
            config = config.with(key, *value);
        }
        Rotation::of(&config)
    }

    fn batch(events: usize) -> Batch {
        Batch {
            events,
            first_acknowledged: at(1_500),
            last_made: at(9_990),
            last_acknowledged: at(10_002),
        }
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let seen: Latencies = (1..=200).rev().map(Duration::from_millis).collect();
        assert_eq!(seen.percentile(50), Some(Duration::from_millis(100)));
        assert_eq!(seen.percentile(99), Some(Duration::from_millis(198)));
        assert_eq!(seen.percentile(100), Some(Duration::from_millis(200)));
        let one: Latencies = [Duration::from_secs(1)].into_iter().collect();
        assert_eq!(one.percentile(50), Some(Duration::from_secs(1)));
        assert_eq!(Latencies::default().percentile(99), None);
    }

    #[test]
    fn a_full_batch_is_due_with_its_last_message_any_other_when_its_time_is_over() {
        let rules = rotation(&[
            ("flush.size", "100"),
            ("rotate.schedule.interval.ms", "5000"),
        ]);
        assert_eq!(rules.due(&batch(100)), Some(at(10_002)));
        // Made before the cut, acknowledged after it: the cut counts.
        assert_eq!(rules.due(&batch(99)), Some(at(10_000)));
        let rules = rotation(&[("flush.size", "100"), ("rotate.interval.ms", "5000")]);
        assert_eq!(rules.due(&batch(99)), Some(at(6_500)));
        assert_eq!(rotation(&[]).due(&batch(99)), None);
    }

    #[test]
    fn the_schedule_begins_anew_at_midnight() {
        let every = Duration::from_secs(7 * 3600);
        let evening = Duration::from_secs(22 * 3600);
        let midnight = Duration::from_secs(24 * 3600);
        assert_eq!(
            next_multiple(UNIX_EPOCH + evening, every),
            UNIX_EPOCH + midnight
        );
        assert_eq!(next_multiple(UNIX_EPOCH, every), UNIX_EPOCH + every);
    }
}
