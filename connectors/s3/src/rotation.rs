//! When the open objects of a Kafka partition are finished: pure rules, without input or output.

use std::fmt;

use connect_core::data::Timestamp;
use jiff::tz::TimeZone;

use crate::config::S3SinkConfig;

/// The rules of a connector.
#[derive(Debug, Clone)]
pub(crate) struct RotationRules {
    flush_size: u64,
    interval: Option<i64>,
    on_path_change: bool,
    schedule: Option<(i64, TimeZone)>,
    wallclock: bool,
}

/// Why a rotation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It was full.
    FlushSize,
    /// The next record is later than its first by the interval.
    Interval,
    /// The moment that the schedule names has come.
    Schedule,
    /// The next record goes to another path.
    PathChange,
    /// The next record has another schema.
    SchemaChange,
    /// Nothing came for as long as the options allow.
    Due,
    /// A plan of an earlier run says so.
    Plan,
    /// The memory was needed.
    Memory,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FlushSize => "flush.size is reached",
            Self::Interval => "the next record is later by rotate.interval.ms",
            Self::Schedule => "rotate.schedule.interval.ms",
            Self::PathChange => "the next record belongs to another path",
            Self::SchemaChange => "the next record has another schema",
            Self::Due => "no record came in time",
            Self::Plan => "it was cut here before, and is written again",
            Self::Memory => "memory is short",
        })
    }
}

/// What the rules look at of the objects that are open.
#[derive(Debug, Clone)]
pub(crate) struct OpenSpan {
    /// Records written since the last rotation.
    pub(crate) records: u64,
    /// The time of the first record.
    pub(crate) base: Option<Timestamp>,
    /// When the first record came.
    pub(crate) received: Timestamp,
}

impl RotationRules {
    pub(crate) fn of(config: &S3SinkConfig, time_based: bool, wallclock: bool) -> Self {
        let positive = |millis: i64| (millis > 0).then_some(millis);
        let interval = positive(config.connector.rotate_interval);
        let schedule = positive(config.connector.rotate_schedule_interval).zip(config.zone().ok());
        Self {
            flush_size: u64::from(config.connector.flush_size),
            interval,
            on_path_change: time_based
                && interval.is_some()
                && config.connector.rotate_on_partition_change,
            schedule,
            wallclock,
        }
    }

    /// Why the next record, of this time and path, does not belong to the open objects; `None` if it does.
    pub(crate) fn cuts_before(
        &self,
        open: &OpenSpan,
        time: Option<Timestamp>,
        path_changes: bool,
        now: Timestamp,
    ) -> Option<Cause> {
        let spanned = match (self.interval, open.base, time) {
            (Some(interval), Some(base), Some(time)) => {
                time.as_millis().saturating_sub(base.as_millis()) >= interval
            }
            _ => false,
        };
        // With the wall clock one value stands for all records of a rotation: another path is another rotation.
        let moved = path_changes && (self.on_path_change || self.wallclock);
        let scheduled = self.scheduled(open).is_some_and(|at| now >= at);
        let causes = [
            (spanned, Cause::Interval),
            (moved, Cause::PathChange),
            (scheduled, Cause::Schedule),
        ];
        let applies = causes.into_iter().find(|(applies, _)| *applies);
        applies.map(|(_, cause)| cause)
    }

    /// What the open objects wait for, for people.
    pub(crate) fn waits_for(&self, open: &OpenSpan) -> String {
        let (records, flush_size) = (open.records, self.flush_size);
        let full = format!("still open: {records} of flush.size={flush_size} records");
        let deadline = self
            .deadline(open)
            .and_then(|at| jiff::Timestamp::from_millisecond(at.as_millis()).ok());
        match deadline {
            Some(deadline) => format!("{full}; ends at {deadline:.0} at the latest"),
            None => full,
        }
    }

    /// True if the open objects are full.
    pub(crate) fn cuts_after(&self, open: &OpenSpan) -> bool {
        open.records >= self.flush_size
    }

    /// When the open objects are finished although no record comes.
    pub(crate) fn deadline(&self, open: &OpenSpan) -> Option<Timestamp> {
        let idle = self.interval.map(|interval| {
            Timestamp::from_millis(open.received.as_millis().saturating_add(interval))
        });
        [idle, self.scheduled(open)].into_iter().flatten().min()
    }

    fn scheduled(&self, open: &OpenSpan) -> Option<Timestamp> {
        let (interval, zone) = self.schedule.as_ref()?;
        Some(next_scheduled(open.received, *interval, zone))
    }
}

/// The first multiple of the interval after local midnight that is later than `after`; the next midnight at the latest.
fn next_scheduled(after: Timestamp, interval: i64, zone: &TimeZone) -> Timestamp {
    let moment = jiff::Timestamp::from_millisecond(after.as_millis())
        .unwrap_or_default()
        .to_zoned(zone.clone());
    let midnight = moment
        .start_of_day()
        .map(|zoned| zoned.timestamp().as_millisecond());
    let tomorrow = moment
        .tomorrow()
        .and_then(|zoned| zoned.start_of_day())
        .map(|zoned| zoned.timestamp().as_millisecond());
    let (Ok(midnight), Ok(tomorrow)) = (midnight, tomorrow) else {
        return Timestamp::from_millis(after.as_millis().saturating_add(interval));
    };
    let passed = (after.as_millis() - midnight) / interval;
    Timestamp::from_millis((midnight + (passed + 1) * interval).min(tomorrow))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn the_schedule_counts_from_midnight_and_never_passes_the_next() {
        let hours = 3_600_000;
        let next = |after| next_scheduled(millis(after), 7 * hours, &TimeZone::UTC);
        assert_eq!(next("2024-01-15T00:00:00Z"), millis("2024-01-15T07:00:00Z"));
        assert_eq!(
            next("2024-01-15T06:59:59.999Z"),
            millis("2024-01-15T07:00:00Z")
        );
        assert_eq!(next("2024-01-15T07:00:00Z"), millis("2024-01-15T14:00:00Z"));
        assert_eq!(next("2024-01-15T22:00:00Z"), millis("2024-01-16T00:00:00Z"));
    }

    #[test]
    fn a_day_of_23_hours_ends_at_its_own_midnight() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let next = next_scheduled(millis("2024-03-11T03:30:00Z"), 24 * 3_600_000, &zone);
        assert_eq!(next, millis("2024-03-11T04:00:00Z"));
    }
}
