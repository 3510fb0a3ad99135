//! Dates and times as Google's messages hold them.

use connect_core::{Error, Result};
use jiff::ToSpan;
use jiff::civil::Date;

const EPOCH: Date = Date::constant(1970, 1, 1);
const MILLIS_PER_HOUR: i32 = 3_600_000;

fn wrong(what: &str) -> Error {
    Error::data(format!("a message that is no {what}"))
}

/// Days since 1970 of year, month and day.
pub(super) fn days(year: i32, month: i32, day: i32) -> Result<i32> {
    let part = |number: i32| i8::try_from(number).map_err(|_| wrong("date"));
    let year = i16::try_from(year).map_err(|_| wrong("date"))?;
    let date = Date::new(year, part(month)?, part(day)?);
    let date = date.map_err(|cause| wrong("date").source(cause))?;
    Ok(date
        .since(EPOCH)
        .map_err(|cause| wrong("date").source(cause))?
        .get_days())
}

/// Year, month and day of days since 1970.
pub(super) fn date(days: i32) -> Result<[i32; 3]> {
    let date = EPOCH.checked_add(days.days());
    let date = date.map_err(|cause| Error::data("a date beyond the year 9999").source(cause))?;
    Ok([date.year().into(), date.month().into(), date.day().into()])
}

/// Milliseconds of the day of hours, minutes, seconds and nanoseconds.
pub(super) fn millis_of_day(parts: [i32; 4]) -> Result<i32> {
    let [hours, minutes, seconds, nanos] = parts;
    let in_range = (0..=24).contains(&hours)
        && (0..60).contains(&minutes)
        && (0..=60).contains(&seconds)
        && (0..1_000_000_000).contains(&nanos);
    if !in_range {
        return Err(wrong("time of day"));
    }
    Ok(hours * MILLIS_PER_HOUR + minutes * 60_000 + seconds * 1000 + nanos / 1_000_000)
}

/// Hours, minutes, seconds and nanoseconds of milliseconds of the day.
pub(super) fn time_of_day(millis: i32) -> [i32; 4] {
    let seconds = millis.div_euclid(1000);
    let nanos = millis.rem_euclid(1000) * 1_000_000;
    [seconds / 3600, seconds / 60 % 60, seconds % 60, nanos]
}

/// Milliseconds since 1970 of seconds and nanoseconds.
pub(super) fn millis(seconds: i64, nanos: i32) -> Result<i64> {
    let millis = seconds.checked_mul(1000);
    millis
        .and_then(|millis| millis.checked_add(i64::from(nanos / 1_000_000)))
        .ok_or_else(|| wrong("timestamp"))
}

/// Seconds and nanoseconds of milliseconds since 1970.
pub(super) fn timestamp(millis: i64) -> (i64, i64) {
    (millis.div_euclid(1000), millis.rem_euclid(1000) * 1_000_000)
}
