//! What goes wrong on the way to a topic, on purpose: events that come late, events that come twice.
//!
//! Which ones is a function of seed and index, so that a restart and another run disturb the same events.

use std::time::Duration;

use connect_core::data::Timestamp;

use super::chance;

/// How many events of a hundred come late or twice.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Disorder {
    /// Percent that carry a time [`LATENESS_MINUTES`] before they are written.
    pub late: f64,
    /// Percent that are written twice in a row, byte for byte.
    pub duplicates: f64,
}

/// How many minutes late: beyond a watermark of ten minutes.
pub const LATENESS_MINUTES: std::ops::RangeInclusive<u64> = 11..=60;

const LATE: u64 = 0x006c_6174_6500;
const TWICE: u64 = 0x7477_6963_6500;

impl Disorder {
    /// The time event number `index` carries if it is written `now`.
    pub fn time(self, seed: u64, index: u64, now: Timestamp) -> Timestamp {
        if self.late <= 0.0 {
            return now;
        }
        let mut chance = chance(seed ^ LATE, index);
        if chance.f64() * 100.0 >= self.late {
            return now;
        }
        let back = Duration::from_secs(60 * chance.u64(LATENESS_MINUTES));
        let millis = i64::try_from(back.as_millis()).unwrap_or_default();
        Timestamp::from_millis(now.as_millis() - millis)
    }

    /// True if event number `index` is written twice.
    pub fn is_doubled(self, seed: u64, index: u64) -> bool {
        self.duplicates > 0.0 && chance(seed ^ TWICE, index).f64() * 100.0 < self.duplicates
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_705_314_600_123);

    #[test]
    fn as_many_events_are_late_or_doubled_as_asked_for_and_always_the_same() {
        let disorder = Disorder {
            late: 10.0,
            duplicates: 3.0,
        };
        let late: Vec<_> = (0..20_000)
            .filter(|index| disorder.time(1, *index, NOW) != NOW)
            .collect();
        let doubled: Vec<_> = (0..20_000)
            .filter(|index| disorder.is_doubled(1, *index))
            .collect();
        assert!((1_800..2_200).contains(&late.len()), "{}", late.len());
        assert!((500..700).contains(&doubled.len()), "{}", doubled.len());
        let again: Vec<_> = (0..20_000)
            .filter(|index| disorder.time(1, *index, NOW) != NOW)
            .collect();
        assert_eq!(late, again);
    }

    #[test]
    fn late_means_beyond_ten_minutes_and_within_an_hour() {
        let disorder = Disorder {
            late: 100.0,
            duplicates: 0.0,
        };
        for index in 0..1_000 {
            let back = NOW.as_millis() - disorder.time(7, index, NOW).as_millis();
            assert!((660_000..=3_600_000).contains(&back), "{back}");
        }
    }

    #[test]
    fn without_disorder_nothing_is_late_or_doubled() {
        let none = Disorder::default();
        assert!(
            (0..1_000).all(|index| none.time(1, index, NOW) == NOW && !none.is_doubled(1, index))
        );
    }
}
