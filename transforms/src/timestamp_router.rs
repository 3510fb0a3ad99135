//! `TimestampRouter`: a topic name with the record's time in it.

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::part::register;
use crate::simple_date::SimpleDate;

/// Options of TimestampRouter.
#[derive(Debug, ConnectorConfig)]
struct TimestampRouterOptions {
    /// The new name; `${topic}` is the name as it is, `${timestamp}` the record's time.
    #[option(name = "topic.format", default = "${topic}-${timestamp}", importance = High)]
    topic: String,
    /// How the time is written: a pattern of Java's SimpleDateFormat, in UTC.
    #[option(name = "timestamp.format", default = "yyyyMMdd", importance = High)]
    timestamp: String,
}

struct TimestampRouter {
    topic: String,
    timestamp: SimpleDate,
}

impl TimestampRouter {
    fn new(options: TimestampRouterOptions) -> Result<Self, Vec<OptionError>> {
        let timestamp = SimpleDate::compile(&options.timestamp).map_err(|reason| {
            vec![OptionError::invalid(
                "timestamp.format",
                &options.timestamp,
                &reason,
            )]
        })?;
        Ok(Self {
            topic: options.topic,
            timestamp,
        })
    }
}

impl Transform for TimestampRouter {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let Some(timestamp) = record.position.timestamp else {
            return Err(Error::data("Timestamp missing on record"));
        };
        let timestamp = self.timestamp.write(timestamp.as_millis());
        let name = self.topic.replace("${topic}", &record.topic);
        record.topic = name.replace("${timestamp}", &timestamp).into();
        Ok(Transformed::One(record))
    }
}

register!(
    "TimestampRouter",
    TimestampRouterOptions,
    TimestampRouter::new
);

#[cfg(test)]
mod tests {
    use connect_core::data::Datum;

    use crate::testing::{applied, json, record, refused};

    #[test]
    fn the_time_goes_where_the_format_says() {
        let topic = |options: &[(&str, &str)]| {
            let given = record(Datum::null(), json("1"));
            applied("TimestampRouter", options, given).unwrap().topic
        };
        assert_eq!(&*topic(&[]), "t-19700101");
        let options = [
            ("topic.format", "${timestamp}.${topic}$1"),
            ("timestamp.format", "HH-mm-ss"),
        ];
        assert_eq!(&*topic(&options), "00-00-01.t$1");
    }

    #[test]
    fn a_record_without_time_is_an_error_and_so_is_a_wrong_pattern() {
        let mut given = record(Datum::null(), json("1"));
        given.position.timestamp = None;
        let error = applied("TimestampRouter", &[], given).unwrap_err();
        assert_eq!(error.message(), "Timestamp missing on record");
        let wrong = refused("TimestampRouter", &[("timestamp.format", "bb")]);
        assert!(wrong.contains("Illegal pattern character 'b'"));
    }
}
