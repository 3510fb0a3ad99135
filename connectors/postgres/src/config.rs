//! The options of `io.confluent.connect.jdbc.JdbcSinkConnector`, under its keys and with its defaults, and a few of ours.

use std::time::Duration;

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::{Secret, option_names};
use jiff::tz::TimeZone;

use crate::identifier::{Identifier, TableName};
use crate::url::{JdbcUrl, Parameter};

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum InsertMode {
    Insert,
    Upsert,
    Update,
}

option_names!(InsertMode { "insert" => Insert, "upsert" => Upsert, "update" => Update });

/// Where the columns of the primary key come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum KeyMode {
    None,
    Kafka,
    RecordKey,
    RecordValue,
}

option_names!(KeyMode { "none" => None, "kafka" => Kafka, "record_key" => RecordKey, "record_value" => RecordValue });

/// Whether names keep their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quoting {
    Always,
    Never,
}

option_names!(Quoting { "always" => Always, "never" => Never });

/// What the integers of `timestamp.fields.list` count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimestampPrecision {
    Microseconds,
    Nanoseconds,
}

option_names!(TimestampPrecision { "microseconds" => Microseconds, "nanoseconds" => Nanoseconds });

/// How often a row may appear after a crash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guarantee {
    AtLeastOnce,
    ExactlyOnce,
}

option_names!(Guarantee { "at_least_once" => AtLeastOnce, "exactly_once" => ExactlyOnce });

/// How TLS is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

option_names!(SslMode {
    "disable" => Disable,
    "allow" => Prefer,
    "prefer" => Prefer,
    "require" => Require,
    "verify-ca" => VerifyCa,
    "verify-full" => VerifyFull,
});

/// Options of the Postgres sink.
#[derive(Debug, Clone, ConnectorConfig)]
pub(crate) struct PostgresSinkConfig {
    #[option(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[option(flatten)]
    pub(crate) writes: WriteOptions,
    #[option(flatten)]
    pub(crate) data: DataOptions,
    #[option(flatten)]
    pub(crate) ddl: DdlOptions,
    #[option(flatten)]
    pub(crate) delivery: DeliveryOptions,
    #[option(flatten)]
    #[expect(dead_code, reason = "its options are declared only to be checked")]
    pub(crate) rest: RestOptions,
}

/// Where the database is and how it is reached.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Connection")]
pub(crate) struct ConnectionOptions {
    /// `jdbc:postgresql://host:port/database?key=value`. Several hosts, separated by commas, are tried in order for the one that takes writes. Parameters: `user`, `password`, `sslmode`, `sslrootcert`, `sslcert`, `sslkey`, `currentSchema`, `ApplicationName`, `connectTimeout`, `socketTimeout`, `options`; those that only tune the Java driver are accepted.
    #[option(name = "connection.url", importance = High, width = Long)]
    pub(crate) url: String,
    /// The user; that of the URL, else `postgres`, if not given.
    #[option(name = "connection.user", importance = High)]
    pub(crate) user: Option<String>,
    /// The password; that of the URL if not given.
    #[option(name = "connection.password", importance = High)]
    pub(crate) password: Option<Secret<String>>,
    /// TLS: `disable`; `allow` and `prefer` (if the server offers it); `require` (no certificate is checked); `verify-ca` (the chain is checked); `verify-full` (chain and host name). That of the URL, else `prefer`, if not given.
    #[option(name = "connection.sslmode", importance = Medium)]
    pub(crate) ssl_mode: Option<SslMode>,
    /// A file with the certificates to trust, in PEM; the system's if not given.
    #[option(name = "connection.sslrootcert", importance = Low)]
    pub(crate) ssl_root_cert: Option<String>,
    /// A file with the client's certificate chain, in PEM.
    #[option(name = "connection.sslcert", importance = Low)]
    pub(crate) ssl_cert: Option<String>,
    /// A file with the client's key, in PEM or PKCS#8 DER, not encrypted.
    #[option(name = "connection.sslkey", importance = Low)]
    pub(crate) ssl_key: Option<String>,
    /// How many times in a row reaching the server is tried before the task fails; `max.retries` counts where it is larger.
    #[option(name = "connection.attempts", default = "3", importance = Low, validator = Validator::AtLeast(1))]
    pub(crate) attempts: u32,
    /// Milliseconds between two tries to reach the server.
    #[option(name = "connection.backoff.ms", default = "10000", importance = Low)]
    pub(crate) backoff: Duration,
}

/// How rows are written.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Writes")]
pub(crate) struct WriteOptions {
    /// `insert`: rows are appended by COPY; `upsert`: a row with the same key is replaced; `update`: only rows that exist are changed.
    #[option(name = "insert.mode", default = "insert", importance = High)]
    pub(crate) insert_mode: InsertMode,
    /// The most records of one transaction. While one is under way the next gathers, so transactions grow with the load up to this.
    #[option(name = "batch.size", default = "3000", importance = Medium, kind = Int, validator = Validator::Between(1, 1_000_000))]
    pub(crate) batch_size: usize,
    /// Whether a null value deletes the row of its key. Needs `pk.mode=record_key`.
    #[option(name = "delete.enabled", default = "false", importance = Medium)]
    pub(crate) delete_enabled: bool,
    /// What may be written to: `TABLE`, `PARTITIONED TABLE`, `VIEW`.
    #[option(name = "table.types", default = "TABLE", importance = Low, validator = Validator::OneOfIgnoreCase(&["TABLE", "PARTITIONED TABLE", "VIEW"]))]
    pub(crate) table_types: Vec<String>,
}

/// From records to tables and columns.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Data Mapping")]
pub(crate) struct DataOptions {
    /// The table of a topic; `${topic}` is the topic's name. Dots separate schema and table; a part in double quotes may hold dots.
    #[option(name = "table.name.format", default = "${topic}", importance = Medium, validator = Validator::NonEmpty)]
    pub(crate) table_name_format: String,
    /// Where the primary key comes from: `none`; `kafka` (topic, partition, offset); `record_key`; `record_value`.
    #[option(name = "pk.mode", default = "none", importance = High)]
    pub(crate) key_mode: KeyMode,
    /// The columns of the primary key. `kafka`: three names, or four where a transform splits records (the fourth counts the pieces), or empty for `__connect_topic`, `__connect_partition`, `__connect_offset`. `record_key`: one name for a key that is one value, else fields of the key, empty for all. `record_value`: fields of the value, empty for all.
    #[option(name = "pk.fields", default = "", importance = Medium)]
    pub(crate) key_fields: Vec<String>,
    /// The fields of the value to write; empty for all. Those of the primary key are always written.
    #[option(name = "fields.whitelist", default = "", importance = Medium)]
    pub(crate) whitelist: Vec<String>,
    /// The time zone of columns without one: an id such as `Europe/Berlin`, or `+hh:mm`.
    #[option(name = "db.timezone", default = "UTC", importance = Medium, validator = Validator::Custom(zone))]
    pub(crate) timezone: String,
    /// INT64 fields that are moments, counted since 1970 in `timestamp.precision.mode`.
    #[option(name = "timestamp.fields.list", default = "", importance = Medium)]
    pub(crate) timestamp_fields: Vec<String>,
    /// What the fields of `timestamp.fields.list` count.
    #[option(name = "timestamp.precision.mode", default = "microseconds", importance = Medium)]
    pub(crate) timestamp_precision: TimestampPrecision,
    /// Whether a null in a field whose schema has a default is written as the default.
    #[option(name = "replace.null.with.default", default = "true", importance = Low)]
    pub(crate) replace_null: bool,
}

/// Tables that are missing, or miss columns.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "DDL Support")]
pub(crate) struct DdlOptions {
    /// Whether a missing table is made, from the record's schema or, without one, from what is seen.
    #[option(name = "auto.create", default = "false", importance = Medium)]
    pub(crate) auto_create: bool,
    /// Whether missing columns are added.
    #[option(name = "auto.evolve", default = "false", importance = Medium)]
    pub(crate) auto_evolve: bool,
    /// Whether names keep their case: `never` folds them to lower case.
    #[option(name = "quote.sql.identifiers", default = "always", importance = Medium)]
    pub(crate) quoting: Quoting,
}

/// What happens when the database fails or the worker dies.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Delivery")]
pub(crate) struct DeliveryOptions {
    /// How many times in a row a failed transaction is tried again before the task fails.
    #[option(name = "max.retries", default = "10", importance = Medium, validator = Validator::AtLeast(0))]
    pub(crate) max_retries: u32,
    /// Milliseconds between two tries, at the most a tenth more or less.
    #[option(name = "retry.backoff.ms", default = "3000", importance = Medium)]
    pub(crate) retry_backoff: Duration,
    /// `exactly_once` writes the consumed offsets in the transaction of the rows, into `delivery.offsets.table`. Not in the original.
    #[option(name = "delivery.guarantee", default = "at_least_once", importance = Medium)]
    pub(crate) guarantee: Guarantee,
    /// The table of consumed offsets for `exactly_once`; it is made if missing. Not in the original.
    #[option(name = "delivery.offsets.table", default = "sluice_offsets", importance = Low, validator = Validator::NonEmpty)]
    pub(crate) offsets_table: String,
}

/// Options that are accepted or refused without further effect.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Compatibility")]
pub(crate) struct RestOptions {
    /// The dialect; Postgres is the only one.
    #[option(name = "dialect.name", default = "", importance = Low, validator = Validator::OneOf(&["", "PostgreSqlDatabaseDialect"]))]
    _dialect: String,
    /// The zone of dates. A date is a date here, whatever the zone.
    #[option(name = "date.timezone", default = "DB_TIMEZONE", importance = Low, validator = Validator::OneOfIgnoreCase(&["DB_TIMEZONE", "UTC"]))]
    _date_timezone: String,
    /// The calendar of dates. Always the proleptic Gregorian one: it differs before 1582.
    #[option(name = "date.calendar.system", default = "LEGACY", importance = Low, validator = Validator::OneOfIgnoreCase(&["LEGACY", "PROLEPTIC_GREGORIAN"]))]
    _calendar: String,
    /// For SQL Server only.
    #[option(name = "mssql.use.merge.holdlock", default = "true", importance = Low)]
    _holdlock: bool,
    /// Rows are never logged.
    #[option(name = "trim.sensitive.log", default = "false", importance = Low)]
    _trim_log: bool,
    /// A class that gives credentials.
    #[option(
        name = "jdbc.credentials.provider.class",
        default = "io.confluent.connect.jdbc.util.DefaultJdbcCredentialsProvider",
        unsupported = "credential classes"
    )]
    _credentials_class: String,
    /// The column for values that are plain text.
    #[option(
        name = "string.output.value.column.name",
        default = "record_value",
        unsupported = "values that are plain text"
    )]
    _string_column: String,
}

impl PostgresSinkConfig {
    /// The URL, which [`PostgresSinkConfig::cross_errors`] has checked.
    pub(crate) fn jdbc_url(&self) -> JdbcUrl {
        JdbcUrl::parse(&self.connection.url).unwrap_or_default()
    }

    /// The zone of columns without one.
    pub(crate) fn zone(&self) -> TimeZone {
        time_zone(&self.data.timezone).unwrap_or(TimeZone::UTC)
    }

    /// A name of a column.
    pub(crate) fn column(&self, name: &str) -> Identifier {
        Identifier::new(name, self.ddl.quoting)
    }

    /// The table of a topic.
    pub(crate) fn table(&self, topic: &str) -> connect_core::Result<TableName> {
        let name = self.data.table_name_format.replace("${topic}", topic);
        TableName::parse(&name, self.ddl.quoting)
    }

    /// Rules that need several options at once.
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        let mut add = |key: &str, shown: &str, reason: &str| {
            errors.push(OptionError::invalid(key, shown, reason));
        };
        let (mode, key_mode) = (self.writes.insert_mode, self.data.key_mode);
        if self.writes.delete_enabled && key_mode != KeyMode::RecordKey {
            let reason = "Delete support only works with pk.mode=record_key";
            add("delete.enabled", "true", reason);
        }
        if key_mode == KeyMode::None && mode != InsertMode::Insert {
            let reason = "Primary key mode must be set when insert.mode is upsert or update";
            add("pk.mode", "none", reason);
        }
        let fields = &self.data.key_fields;
        if key_mode == KeyMode::Kafka && !matches!(fields.len(), 0 | 3 | 4) {
            let reason = "pk.mode=kafka needs three names (topic, partition, offset), four or none";
            add("pk.fields", &fields.join(","), reason);
        }
        if self.delivery.guarantee == Guarantee::ExactlyOnce
            && TableName::parse(&self.delivery.offsets_table, self.ddl.quoting).is_err()
        {
            let shown = &self.delivery.offsets_table;
            add("delivery.offsets.table", shown, "must be [schema.]table");
        }
        if let Some(mode) = self.jdbc_url().parameter(Parameter::SslMode)
            && crate::tls::mode_named(mode).is_none()
        {
            add("connection.url", mode, "unknown sslmode");
        }
        if let Err(reason) = JdbcUrl::parse(&self.connection.url) {
            // Without the value, which may hold a password.
            let text = format!("Invalid value for configuration connection.url: {reason}");
            errors.push(OptionError::new("connection.url", text));
        }
        errors
    }
}

/// A zone by its id, or by its distance from UTC.
pub(crate) fn time_zone(name: &str) -> Option<TimeZone> {
    let name = name.trim();
    if let Ok(zone) = TimeZone::get(name) {
        return Some(zone);
    }
    let fixed = name
        .strip_prefix("GMT")
        .or_else(|| name.strip_prefix("UTC"))
        .unwrap_or(name);
    let sign = match fixed.chars().next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let digits: String = fixed.chars().filter(char::is_ascii_digit).collect();
    let number = digits.parse::<i32>().ok()?;
    let (hours, minutes) = match digits.len() {
        1 | 2 => (number, 0),
        3 | 4 => (number / 100, number % 100),
        _ => return None,
    };
    let seconds = sign * (hours * 3600 + minutes * 60);
    Some(jiff::tz::Offset::from_seconds(seconds).ok()?.to_time_zone())
}

fn zone(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(name) if time_zone(name).is_none() => Err("no such time zone".to_owned()),
        _ => Ok(()),
    }
}
