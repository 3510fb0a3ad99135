//! Moments, dates and times between Connect, text and Postgres's counts from 2000-01-01.

use jiff::civil::{Date, Time};
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// Days from 1970-01-01 to 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A moment, in microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) i64);

/// The zone of columns without one.
#[derive(Debug, Clone)]
pub(crate) struct Zone {
    zone: TimeZone,
    utc: bool,
}

impl Zone {
    pub(crate) fn new(zone: TimeZone) -> Self {
        let utc = zone == TimeZone::UTC;
        Self { zone, utc }
    }

    /// The distance from UTC at a moment, in microseconds; beyond the years that zones know, there is none.
    fn offset(&self, moment: Moment) -> i64 {
        if self.utc {
            return 0;
        }
        Timestamp::from_microsecond(moment.0).map_or(0, |timestamp| {
            i64::from(self.zone.to_offset(timestamp).seconds()) * 1_000_000
        })
    }

    /// What a clock in this zone shows, in microseconds since 1970-01-01T00:00:00 there.
    fn local(&self, moment: Moment) -> Option<i64> {
        moment.0.checked_add(self.offset(moment))
    }

    /// Postgres's count of a moment for a column with a zone.
    pub(crate) fn with_zone(&self, moment: Moment) -> Option<i64> {
        moment.0.checked_sub(i64::from(EPOCH_DAYS) * MICROS_PER_DAY)
    }

    /// Postgres's count of a moment for a column without a zone.
    pub(crate) fn without_zone(&self, moment: Moment) -> Option<i64> {
        self.local(moment)?
            .checked_sub(i64::from(EPOCH_DAYS) * MICROS_PER_DAY)
    }

    /// Postgres's count of the day in this zone.
    pub(crate) fn day(&self, moment: Moment) -> Option<i32> {
        let days = self.local(moment)?.div_euclid(MICROS_PER_DAY);
        pg_date(i32::try_from(days).ok()?)
    }

    /// A moment as a clock in this zone shows it: `2024-01-31T12:00:00`.
    pub(crate) fn clock_text(&self, moment: Moment) -> Option<String> {
        let text = moment_text(Moment(self.local(moment)?))?;
        Some(text.trim_end_matches('Z').to_owned())
    }

    /// Midnight of a day, counted from 1970-01-01, in this zone.
    pub(crate) fn midnight(&self, days: i32) -> Option<Moment> {
        let local = i64::from(days).checked_mul(MICROS_PER_DAY)?;
        let guess = Moment(local);
        let moment = Moment(local.checked_sub(self.offset(guess))?);
        Some(Moment(local.checked_sub(self.offset(moment))?))
    }

    /// Reads a moment; one without an offset is in this zone.
    pub(crate) fn parse(&self, text: &str) -> Option<Moment> {
        let pieces = Pieces::parse(text.trim()).ok()?;
        let time = pieces.time().unwrap_or(Time::midnight());
        let local = pieces.date().to_datetime(time);
        let timestamp = match pieces.to_numeric_offset() {
            Some(offset) => offset.to_timestamp(local).ok()?,
            None => self.zone.to_timestamp(local).ok()?,
        };
        Some(Moment(timestamp.as_microsecond()))
    }
}

/// Postgres's count of a day that is counted from 1970-01-01.
pub(crate) fn pg_date(days: i32) -> Option<i32> {
    days.checked_sub(EPOCH_DAYS)
}

/// Reads a date; of a date with a time, the date as it is written.
pub(crate) fn parse_date(text: &str) -> Option<i32> {
    let date = Pieces::parse(text.trim()).ok()?.date();
    let span = date.since((jiff::Unit::Day, Date::constant(2000, 1, 1)));
    Some(span.ok()?.get_days())
}

/// Reads a time of day, in microseconds.
pub(crate) fn parse_time(text: &str) -> Option<i64> {
    let time: Time = text.trim().parse().ok()?;
    let nanos = time
        .since((jiff::Unit::Nanosecond, Time::midnight()))
        .ok()?
        .get_nanoseconds();
    Some(nanos / 1000)
}

/// A moment as RFC 3339, in UTC.
pub(crate) fn moment_text(moment: Moment) -> Option<String> {
    Some(Timestamp::from_microsecond(moment.0).ok()?.to_string())
}

/// A day, counted from 1970-01-01, as `2024-01-31`.
pub(crate) fn date_text(days: i32) -> Option<String> {
    let span = Span::new().try_days(days).ok()?;
    let date = Date::constant(1970, 1, 1).checked_add(span).ok()?;
    Some(date.to_string())
}

/// Milliseconds of a day as `12:00:00.5`.
pub(crate) fn time_text(millis: i32) -> Option<String> {
    let span = Span::new().try_milliseconds(millis).ok()?;
    let time = Time::midnight().checked_add(span).ok()?;
    Some(time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    fn berlin() -> Zone {
        Zone::new(TimeZone::get("Europe/Berlin").unwrap())
    }

    #[test]
    fn text_with_an_offset_is_a_moment_whatever_the_zone() {
        for text in [
            "2000-01-01T01:00:00+01:00",
            "2000-01-01 00:00:00Z",
            "1999-12-31T19:00:00-05",
        ] {
            let moment = berlin().parse(text).unwrap();
            assert_eq!(berlin().with_zone(moment), Some(0), "{text}");
        }
    }

    #[test]
    fn text_without_an_offset_stays_as_written_in_a_column_without_a_zone() {
        let zone = berlin();
        let moment = zone.parse("2000-07-01T00:00:01.5").unwrap();
        let days = 182;
        let expected = days * MICROS_PER_DAY + SECOND + SECOND / 2;
        assert_eq!(zone.without_zone(moment), Some(expected));
        assert_eq!(zone.with_zone(moment), Some(expected - 2 * 3600 * SECOND));
        assert_eq!(zone.day(moment), Some(182));
    }

    #[test]
    fn midnight_is_that_of_the_zone() {
        let zone = berlin();
        let moment = zone.midnight(EPOCH_DAYS).unwrap();
        assert_eq!(zone.with_zone(moment), Some(-3600 * SECOND));
        assert_eq!(zone.day(moment), Some(0));
    }

    #[test]
    fn dates_and_times_are_read_and_nonsense_is_not() {
        assert_eq!(parse_date("2000-01-02"), Some(1));
        assert_eq!(parse_date("1999-12-31T23:00:00Z"), Some(-1));
        assert_eq!(parse_time("01:00:00.25"), Some(3600 * SECOND + SECOND / 4));
        for wrong in ["", "yesterday", "2000-13-01", "25:00"] {
            assert_eq!(parse_date(wrong), None, "{wrong}");
            assert_eq!(parse_time(wrong), None, "{wrong}");
            assert_eq!(berlin().parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn counts_beyond_every_calendar_are_no_panic() {
        for moment in [Moment(i64::MIN), Moment(i64::MAX)] {
            let _out_of_range = (berlin().without_zone(moment), berlin().day(moment));
            assert_eq!(moment_text(moment), None);
        }
        assert_eq!(date_text(i32::MAX), None);
    }
}
