//! The options of `io.confluent.connect.s3.S3SinkConnector`, under its keys and with its defaults.

mod later;
mod rules;

use std::time::Duration;

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::data::TopicPartition;
use connect_core::{Secret, option_names};
use jiff::tz::TimeZone;

use crate::csv::CsvOptions;
use crate::joda::JodaPattern;
use crate::naming::Naming;
use crate::partitioner::{Partitioner, TimePartitioner, TimestampExtractor, time_zone};
use crate::template::NameTemplate;
use later::LaterOptions;

/// What happens to records whose value is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NullValues {
    Fail,
    Ignore,
}

option_names!(NullValues { "fail" => Fail, "ignore" => Ignore });

/// How objects are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
}

option_names!(Compression { "none" => None, "gzip" => Gzip });

/// How objects are encrypted at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encryption {
    None,
    Aes256,
    Kms,
}

option_names!(Encryption { "" => None, "AES256" => Aes256, "aws:kms" => Kms });

/// What is written of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Json,
    Bytes,
    Csv,
}

/// Options of the S3 sink.
#[derive(Debug, Clone, ConnectorConfig)]
pub(crate) struct S3SinkConfig {
    #[option(flatten)]
    pub(crate) connector: ConnectorOptions,
    #[option(flatten)]
    pub(crate) csv: CsvOptions,
    #[option(flatten)]
    pub(crate) bucket: BucketOptions,
    #[option(flatten)]
    pub(crate) partitioner: PartitionerOptions,
    #[option(flatten)]
    #[expect(dead_code, reason = "its options are declared only to be refused")]
    pub(crate) later: LaterOptions,
}

/// Rotation, formats and names.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Connector")]
pub(crate) struct ConnectorOptions {
    /// What is written: `io.confluent.connect.s3.format.json.JsonFormat` (a line of JSON per record), `io.confluent.connect.s3.format.bytearray.ByteArrayFormat` (the bytes as they are) or `sluice.s3.format.CsvFormat` (a row per record).
    #[option(name = "format.class", importance = High, kind = Class, validator = Validator::Custom(format_class))]
    pub(crate) format_class: String,
    /// Where it is written: `io.confluent.connect.s3.storage.S3Storage`.
    #[option(name = "storage.class", importance = High, kind = Class, validator = Validator::Custom(storage_class))]
    pub(crate) _storage_class: String,
    /// Records of a Kafka partition after which its open objects are finished, all paths together.
    #[option(name = "flush.size", importance = High, kind = Int, validator = Validator::AtLeast(1))]
    pub(crate) flush_size: u32,
    /// Milliseconds of record time that the open objects of a Kafka partition may span, with a time-based partitioner. They are also finished when this time has passed on the clock since their first record came: the last records of a topic that falls silent do not stay behind. -1: never.
    #[option(name = "rotate.interval.ms", default = "-1", importance = High)]
    pub(crate) rotate_interval: i64,
    /// Milliseconds between rotations by the wall clock, counted from midnight in `timezone`. -1: none.
    #[option(name = "rotate.schedule.interval.ms", default = "-1", importance = Medium)]
    pub(crate) rotate_schedule_interval: i64,
    /// With `rotate.interval.ms`: whether a record for another path finishes the open objects.
    #[option(name = "rotate.file.on.partition.change", default = "true", importance = Low)]
    pub(crate) rotate_on_partition_change: bool,
    /// Milliseconds between two tries after S3 has failed. The worker's own growing pauses apply.
    #[option(name = "retry.backoff.ms", default = "5000", importance = Low)]
    pub(crate) _retry_backoff: Duration,
    /// The first part of every object's name.
    #[option(name = "topics.dir", default = "topics", importance = High)]
    pub(crate) topics_dir: String,
    /// What stands between the parts of a path.
    #[option(name = "directory.delim", default = "/", importance = Medium)]
    pub(crate) directory_delim: String,
    /// What stands between topic, partition and offset in a name.
    #[option(name = "file.delim", default = "+", importance = Medium)]
    pub(crate) file_delim: String,
    /// Digits of the offset in a name, filled with zeros.
    #[option(name = "filename.offset.zero.pad.width", default = "10", importance = Low, validator = Validator::Between(0, 20))]
    pub(crate) zero_pad_width: u32,
    /// Names of objects below `topics.dir`, without their extension, instead of the usual ones. Variables: `{{topic}}`, `{{topic:without=<ending>}}`, `{{partition}}`, `{{start_offset}}`, `{{path}}` (the partitioner's) and `{{timestamp:<Joda pattern>}}` (when the rotation began, in `timezone`, else UTC). A name that is not the only one of its kind gets the partition and the start offset at its end.
    #[option(name = "file.name.template", importance = Medium, validator = Validator::Custom(name_template))]
    pub(crate) name_template: Option<String>,
    /// What the names of byte array objects end with.
    #[option(name = "format.bytearray.extension", default = ".bin", importance = Low)]
    pub(crate) bytes_extension: String,
    /// What stands after each record of a byte array object; a line break if not given.
    #[option(name = "format.bytearray.separator", importance = Low, kind = Password)]
    pub(crate) bytes_separator: Option<Secret<String>>,
    /// How objects are compressed.
    #[option(name = "s3.compression.type", default = "none", importance = Low)]
    pub(crate) compression: Compression,
    /// The level of gzip; -1 is its own default.
    #[option(name = "s3.compression.level", default = "-1", importance = Low, validator = Validator::Between(-1, 9))]
    pub(crate) compression_level: i32,
    /// What happens to records whose value is null.
    #[option(name = "behavior.on.null.values", default = "fail", importance = Low)]
    pub(crate) null_values: NullValues,
}

/// The bucket and how it is reached.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "S3")]
pub(crate) struct BucketOptions {
    /// The bucket; it must exist.
    #[option(name = "s3.bucket.name", importance = High, validator = Validator::NonEmpty)]
    pub(crate) bucket: String,
    /// The bucket's region.
    #[option(name = "s3.region", default = "us-west-2", importance = Medium)]
    pub(crate) region: String,
    /// Another S3 server: `http://host:port`.
    #[option(name = "store.url", importance = Low)]
    pub(crate) store_url: Option<String>,
    /// Bytes of a part, at the most, of an object uploaded in parts.
    #[option(name = "s3.part.size", default = "26214400", importance = High, kind = Int, validator = Validator::AtLeast(5_242_880))]
    pub(crate) part_size: usize,
    /// The access key; the usual AWS credentials (environment, profile, instance) if not given.
    #[option(name = "aws.access.key.id", default = "", importance = High)]
    pub(crate) access_key_id: String,
    /// The secret access key.
    #[option(name = "aws.secret.access.key", importance = High)]
    pub(crate) secret_access_key: Option<Secret<String>>,
    /// Whether the bucket stands in the path of URLs, not in the host.
    #[option(name = "s3.path.style.access.enabled", default = "true", importance = Low)]
    pub(crate) path_style: bool,
    /// How many times one request is tried.
    #[option(name = "s3.part.retries", default = "3", importance = Medium, validator = Validator::AtLeast(0))]
    pub(crate) part_retries: u32,
    /// The first pause between tries of one request, in milliseconds; later ones grow, with jitter.
    #[option(name = "s3.retry.backoff.ms", default = "200", importance = Low)]
    pub(crate) part_retry_backoff: Duration,
    /// How objects are encrypted at rest: `AES256`, `aws:kms`, or empty for the bucket's default.
    #[option(name = "s3.ssea.name", default = "", importance = Low)]
    pub(crate) encryption: Encryption,
    /// The key for `aws:kms`.
    #[option(name = "s3.sse.kms.key.id", default = "", importance = Low)]
    pub(crate) kms_key_id: String,
    /// A canned ACL for every object.
    #[option(name = "s3.acl.canned", importance = Low)]
    pub(crate) canned_acl: Option<String>,
}

/// Paths.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Partitioner")]
pub(crate) struct PartitionerOptions {
    /// How records are spread over paths: `io.confluent.connect.storage.partitioner.` and `DefaultPartitioner`, `TimeBasedPartitioner`, `DailyPartitioner` or `HourlyPartitioner`.
    #[option(name = "partitioner.class", default = "io.confluent.connect.storage.partitioner.DefaultPartitioner", importance = High, kind = Class, validator = Validator::Custom(partitioner_class))]
    pub(crate) class: String,
    /// Milliseconds of one bucket of the time-based partitioner.
    #[option(name = "partition.duration.ms", default = "-1", importance = Medium)]
    pub(crate) duration: i64,
    /// The path of a bucket, as a Joda-Time pattern: `'year'=YYYY/'month'=MM/'day'=dd`.
    #[option(name = "path.format", default = "", importance = Medium, validator = Validator::Custom(path_format))]
    pub(crate) path_format: String,
    /// The language of names of months and days; English is the only one.
    #[option(name = "locale", default = "", importance = Medium)]
    pub(crate) locale: String,
    /// The time zone of paths and of `rotate.schedule.interval.ms`: an id such as `Europe/Berlin`, or `+hh:mm`.
    #[option(name = "timezone", default = "", importance = Medium, validator = Validator::Custom(zone))]
    pub(crate) timezone: String,
    /// Where a record's time comes from: `Wallclock`, `Record` (its timestamp) or `RecordField`.
    #[option(name = "timestamp.extractor", default = "Wallclock", importance = Medium, validator = Validator::OneOfIgnoreCase(&["Wallclock", "Record", "RecordField"]))]
    pub(crate) extractor: String,
    /// The field for `RecordField`; dots descend. Milliseconds as a number or text, or ISO 8601.
    #[option(name = "timestamp.field", default = "timestamp", importance = Medium)]
    pub(crate) field: String,
}

impl S3SinkConfig {
    /// What is written of a record.
    pub(crate) fn format(&self) -> Format {
        match simple(&self.connector.format_class) {
            "ByteArrayFormat" => Format::Bytes,
            "CsvFormat" => Format::Csv,
            _ => Format::Json,
        }
    }

    /// What the names of objects end with.
    pub(crate) fn extension(&self) -> String {
        let base = match self.format() {
            Format::Json => ".json",
            Format::Bytes => &self.connector.bytes_extension,
            Format::Csv => ".csv",
        };
        match self.connector.compression {
            Compression::None => base.to_owned(),
            Compression::Gzip => format!("{base}.gz"),
        }
    }

    /// What names objects. The template was checked when the option was read.
    pub(crate) fn naming(&self, connector: &str) -> Naming {
        let options = &self.connector;
        let template = options.name_template.as_deref();
        Naming {
            topics_dir: options.topics_dir.clone(),
            directory_delim: options.directory_delim.clone(),
            file_delim: options.file_delim.clone(),
            pad_width: options.zero_pad_width as usize,
            extension: self.extension(),
            template: template.and_then(|text| NameTemplate::compile(text).ok()),
            zone: self.zone().unwrap_or(TimeZone::UTC),
            connector: connector.to_owned(),
        }
    }

    /// The partitioner for one Kafka partition.
    pub(crate) fn partitioner(
        &self,
        partition: &TopicPartition,
    ) -> Result<Partitioner, OptionError> {
        let options = &self.partitioner;
        let delim = &self.connector.directory_delim;
        let (pattern, duration) = match simple(&options.class) {
            "DailyPartitioner" => (
                format!("'year'=YYYY{delim}'month'=MM{delim}'day'=dd"),
                86_400_000,
            ),
            "HourlyPartitioner" => (
                format!("'year'=YYYY{delim}'month'=MM{delim}'day'=dd{delim}'hour'=HH"),
                3_600_000,
            ),
            "TimeBasedPartitioner" => (options.path_format.clone(), options.duration),
            _ => {
                return Ok(Partitioner::Default(
                    format!("partition={}", partition.partition).into(),
                ));
            }
        };
        let pattern = pattern.strip_suffix(delim.as_str()).unwrap_or(&pattern);
        let compiled = JodaPattern::compile(pattern)
            .map_err(|reason| OptionError::invalid("path.format", &options.path_format, &reason))?;
        let extractor = match options.extractor.to_ascii_lowercase().as_str() {
            "record" => TimestampExtractor::Record,
            "recordfield" => TimestampExtractor::RecordField(options.field.clone()),
            _ => TimestampExtractor::Wallclock,
        };
        let partitioner = TimePartitioner::new(compiled, self.zone()?, duration, extractor);
        Ok(Partitioner::Time(Box::new(partitioner)))
    }

    /// The time zone.
    pub(crate) fn zone(&self) -> Result<TimeZone, OptionError> {
        let name = &self.partitioner.timezone;
        time_zone(name).ok_or_else(|| OptionError::invalid("timezone", name, "no such time zone"))
    }
}

/// The last part of a class name.
fn simple(class: &str) -> &str {
    class.rsplit('.').next().unwrap_or(class)
}

fn one_of_classes(value: &OptionValue, classes: &[&str]) -> Result<(), String> {
    match value {
        OptionValue::Text(class) if !classes.contains(&simple(class)) => {
            Err(format!("not supported: must be {}", classes.join(" or ")))
        }
        _ => Ok(()),
    }
}

fn format_class(value: &OptionValue) -> Result<(), String> {
    one_of_classes(value, &["JsonFormat", "ByteArrayFormat", "CsvFormat"])
}

fn storage_class(value: &OptionValue) -> Result<(), String> {
    one_of_classes(value, &["S3Storage"])
}

fn partitioner_class(value: &OptionValue) -> Result<(), String> {
    one_of_classes(
        value,
        &[
            "DefaultPartitioner",
            "TimeBasedPartitioner",
            "DailyPartitioner",
            "HourlyPartitioner",
        ],
    )
}

fn path_format(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(pattern) => JodaPattern::compile(pattern).map(|_| ()),
        _ => Ok(()),
    }
}

fn name_template(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(template) => NameTemplate::compile(template).map(|_| ()),
        _ => Ok(()),
    }
}

fn zone(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(name) if !name.is_empty() && time_zone(name).is_none() => {
            Err("no such time zone".to_owned())
        }
        _ => Ok(()),
    }
}
