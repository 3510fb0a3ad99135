//! Which path a record goes to: by Kafka partition, or by time.

use connect_core::data::{Datum, SinkRecord, Timestamp, Value};
use connect_core::{Error, Result};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use std::sync::Arc;

use crate::joda::JodaPattern;

/// Where a record's time comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TimestampExtractor {
    /// The worker's clock: one value for all records of a rotation.
    Wallclock,
    /// The record's timestamp.
    Record,
    /// A field of the value; dots descend.
    RecordField(String),
}

/// Paths by time.
#[derive(Debug, Clone)]
pub(crate) struct TimePartitioner {
    pub(crate) pattern: JodaPattern,
    pub(crate) zone: TimeZone,
    /// Milliseconds of one bucket.
    pub(crate) duration: i64,
    pub(crate) extractor: TimestampExtractor,
    /// The last bucket, by its start in local time, with its path: nearly every record falls into it.
    cache: Option<(i64, Arc<str>)>,
}

/// How records are spread over paths.
#[derive(Debug, Clone)]
pub(crate) enum Partitioner {
    /// `partition=<n>`, the same for all records of a Kafka partition.
    Default(Arc<str>),
    /// By time.
    Time(Box<TimePartitioner>),
}

/// A record's place.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) path: Arc<str>,
    /// The record's time, if the partitioner goes by time.
    pub(crate) time: Option<Timestamp>,
}

impl Partitioner {
    /// The place of a record; `clock` is what a wall clock shows to it.
    pub(crate) fn place(&mut self, record: &SinkRecord, clock: Timestamp) -> Result<Place> {
        match self {
            Self::Default(path) => Ok(Place {
                path: path.clone(),
                time: None,
            }),
            Self::Time(partitioner) => {
                let time = partitioner.extractor.time(record, clock)?;
                let path = partitioner.path(time);
                Ok(Place {
                    path: path.ok_or_else(|| partitioner.extractor.no_time(time))?,
                    time: Some(time),
                })
            }
        }
    }

    /// True if paths depend on the worker's clock.
    pub(crate) fn is_wallclock(&self) -> bool {
        matches!(self, Self::Time(time) if time.extractor == TimestampExtractor::Wallclock)
    }

    /// True if records have times.
    pub(crate) fn is_time_based(&self) -> bool {
        matches!(self, Self::Time(_))
    }
}

impl TimePartitioner {
    pub(crate) fn new(
        pattern: JodaPattern,
        zone: TimeZone,
        duration: i64,
        extractor: TimestampExtractor,
    ) -> Self {
        Self {
            pattern,
            zone,
            duration,
            extractor,
            cache: None,
        }
    }

    /// The bucket's start, cut in local time, as text. A start that a clock change skips moves to after it. `None`: no
    /// calendar has this time.
    fn path(&mut self, time: Timestamp) -> Option<Arc<str>> {
        let local = time.as_millis().checked_add(self.offset_millis(time)?)?;
        let start = (local / self.duration) * self.duration;
        if let Some((cached, path)) = &self.cache
            && *cached == start
        {
            return Some(path.clone());
        }
        let path: Arc<str> = self.pattern.format(&self.zoned(start)?).into();
        self.cache = Some((start, path.clone()));
        Some(path)
    }

    fn offset_millis(&self, time: Timestamp) -> Option<i64> {
        let moment = jiff::Timestamp::from_millisecond(time.as_millis()).ok()?;
        Some(i64::from(self.zone.to_offset(moment).seconds()) * 1000)
    }

    fn zoned(&self, local_millis: i64) -> Option<jiff::Zoned> {
        let local = jiff::Timestamp::from_millisecond(local_millis).ok()?;
        let civil: DateTime = TimeZone::UTC.to_datetime(local);
        self.zone.to_ambiguous_zoned(civil).compatible().ok()
    }
}

impl TimestampExtractor {
    fn time(&self, record: &SinkRecord, clock: Timestamp) -> Result<Timestamp> {
        match self {
            Self::Wallclock => Ok(clock),
            Self::Record => record.timestamp.timestamp().ok_or_else(|| {
                Error::data("Unable to determine timestamp using timestamp.extractor Record: the record has none that is reliable (on a topic with message.timestamp.type=LogAppendTime it is not)")
            }),
            Self::RecordField(field) => field_time(&record.value, field),
        }
    }

    /// The error of a record whose time is in no calendar.
    fn no_time(&self, time: Timestamp) -> Error {
        let what = format!(
            "{} is not within the years -9999 to 9999: milliseconds since 1970 are expected",
            time.as_millis()
        );
        match self {
            Self::RecordField(field) => wrong_field(field, &what),
            Self::Record => Error::data(format!("the record's timestamp {what}")),
            Self::Wallclock => Error::data(format!("the clock's {what}")),
        }
    }
}

fn wrong_field(path: &str, what: &str) -> Error {
    Error::data(format!(
        "Error extracting timestamp from record field {path}: {what}"
    ))
}

fn field_time(value: &Datum, path: &str) -> Result<Timestamp> {
    let wrong = |what: String| wrong_field(path, &what);
    let field = path
        .split('.')
        .try_fold(value.value(), |value, name| value.get(name));
    match field {
        None | Some(Value::Null) => Err(wrong("the record has no such field".to_owned())),
        Some(Value::Timestamp(millis) | Value::Int64(millis)) => {
            Ok(Timestamp::from_millis(*millis))
        }
        Some(Value::Int32(millis)) => Ok(Timestamp::from_millis(i64::from(*millis))),
        Some(Value::Float64(millis)) => {
            float_time(*millis).ok_or_else(|| wrong(format!("{millis:e} is not a time")))
        }
        Some(Value::Number(digits)) => {
            let millis = digits.parse().ok().and_then(float_time);
            millis.ok_or_else(|| wrong(format!("{digits} is not a time")))
        }
        Some(Value::String(text)) => text_time(text)
            .ok_or_else(|| wrong(format!("\"{text}\" is neither milliseconds nor ISO 8601"))),
        Some(_) => Err(wrong("it is neither a number nor text".to_owned())),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "fractions of a millisecond do not count; what is too large was sorted out"
)]
fn float_time(millis: f64) -> Option<Timestamp> {
    (millis.abs() < 1e18).then(|| Timestamp::from_millis(millis as i64))
}

/// Milliseconds, or ISO 8601: a date, a date with time, with or without a zone (then UTC).
fn text_time(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if (1..=19).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Timestamp::from_millis);
    }
    let millis = if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        moment.as_millisecond()
    } else {
        let civil: DateTime = text.parse().ok()?;
        TimeZone::UTC.to_timestamp(civil).ok()?.as_millisecond()
    };
    Some(Timestamp::from_millis(millis))
}

/// A zone by its id or as `±hh:mm`.
pub(crate) fn time_zone(name: &str) -> Option<TimeZone> {
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let (sign, rest) = match name.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
    Some(TimeZone::fixed(
        jiff::tz::Offset::from_seconds(sign * seconds).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use connect_core::data::{RecordTimestamp, TopicPartition};
    use connect_core::testkit;

    use super::*;

    fn hourly(zone: &str) -> TimePartitioner {
        let pattern = JodaPattern::compile("'day'=dd/'hour'=HH").unwrap();
        TimePartitioner::new(
            pattern,
            time_zone(zone).unwrap(),
            3_600_000,
            TimestampExtractor::Record,
        )
    }

    fn path(partitioner: &mut TimePartitioner, moment: &str) -> String {
        let millis = moment.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        partitioner
            .path(Timestamp::from_millis(millis))
            .unwrap()
            .to_string()
    }

    #[test]
    fn the_hour_that_clocks_skip_does_not_appear() {
        let mut new_york = hourly("America/New_York");
        assert_eq!(
            path(&mut new_york, "2024-03-10T06:59:00Z"),
            "day=10/hour=01"
        );
        assert_eq!(
            path(&mut new_york, "2024-03-10T07:00:00Z"),
            "day=10/hour=03"
        );
    }

    #[test]
    fn the_hour_that_clocks_repeat_is_one_folder() {
        let mut new_york = hourly("America/New_York");
        assert_eq!(
            path(&mut new_york, "2024-11-03T05:30:00Z"),
            "day=03/hour=01"
        );
        assert_eq!(
            path(&mut new_york, "2024-11-03T06:30:00Z"),
            "day=03/hour=01"
        );
    }

    #[test]
    fn a_zone_may_be_an_offset() {
        assert_eq!(
            path(&mut hourly("+05:30"), "2024-01-15T20:00:00Z"),
            "day=16/hour=01"
        );
        assert!(time_zone("Mars/Olympus").is_none());
    }

    #[test]
    fn text_is_milliseconds_or_iso_8601() {
        let millis = |text| text_time(text).map(Timestamp::as_millis);
        assert_eq!(millis("1705278600000"), Some(1_705_278_600_000));
        assert_eq!(millis("2024-01-15"), Some(1_705_276_800_000));
        assert_eq!(millis("2024-01-15T00:30:00Z"), Some(1_705_278_600_000));
        assert_eq!(
            millis("2024-01-15T00:30:00.000+00:30"),
            Some(1_705_276_800_000)
        );
        assert_eq!(millis("2024-01-15T00:30:00"), Some(1_705_278_600_000));
        assert_eq!(millis("yesterday"), None);
    }

    /// Records with such times would all be in the folder of 1970.
    #[test]
    fn a_time_in_no_calendar_is_an_error_that_names_field_and_value() {
        let mut daily = Partitioner::Time(Box::new(TimePartitioner::new(
            JodaPattern::compile("YYYY-MM-dd").unwrap(),
            TimeZone::UTC,
            86_400_000,
            TimestampExtractor::RecordField("at.time".to_owned()),
        )));
        let mut place = |time: Value| {
            let value = Value::Map(vec![(Value::String("time".into()), time)]);
            let value = Value::Map(vec![(Value::String("at".into()), value)]);
            daily.place(&record(value), Timestamp::from_millis(0))
        };
        let micros = 1_705_278_600_000_000;
        assert_eq!(
            &*place(Value::Int64(micros / 1000)).unwrap().path,
            "2024-01-15"
        );
        for (time, named) in [
            (Value::Int64(micros), "1705278600000000"),
            (Value::Timestamp(micros), "1705278600000000"),
            (Value::String("1705278600000000".into()), "1705278600000000"),
            (Value::Int64(i64::MIN), "-9223372036854775808"),
            (Value::Float64(1.705e15), "1705000000000000"),
            (Value::Float64(1e300), "1e300"),
            (
                Value::Number("99999999999999999999".into()),
                "99999999999999999999",
            ),
            (Value::Float64(f64::NAN), "NaN"),
        ] {
            let error = place(time).unwrap_err();
            assert_eq!(error.kind(), connect_core::ErrorKind::Data);
            let text = error.to_string();
            assert!(text.contains("at.time") && text.contains(named), "{text}");
        }
    }

    #[test]
    fn a_record_timestamp_in_no_calendar_is_an_error() {
        let mut hourly = Partitioner::Time(Box::new(hourly("UTC")));
        let mut record = record(Value::Int64(1));
        let micros = Timestamp::from_millis(1_705_278_600_000_000);
        record.timestamp = RecordTimestamp::CreateTime(micros);
        let error = hourly.place(&record, Timestamp::from_millis(0));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("timestamp 1705278600000000")
        );
    }

    fn record(value: Value) -> SinkRecord {
        let value = Datum::schemaless(value);
        testkit::record(TopicPartition::new("t", 0), 0, Datum::null(), value)
    }
}
