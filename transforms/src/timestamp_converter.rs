//! `TimestampConverter`: a timestamp in another form: text, a number, or one of the logical types.

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Field, Schema, Type, Value, java, logical};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result, option_names};

use crate::calendar::MILLIS_PER_DAY;
use crate::fields::{
    NullOption, entries, fields_of, get, like, put, schema_text, structure, values,
};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;
use crate::simple_date::SimpleDate;

const PURPOSE: &str = "converting timestamp formats";

/// The form of a timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Text,
    Unix,
    Date,
    Time,
    Timestamp,
}

option_names!(Form {
    "string" => Text, "unix" => Unix, "Date" => Date, "Time" => Time, "Timestamp" => Timestamp,
});

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Nanoseconds,
    Microseconds,
    Milliseconds,
    Seconds,
}

option_names!(Precision {
    "nanoseconds" => Nanoseconds, "microseconds" => Microseconds, "milliseconds" => Milliseconds, "seconds" => Seconds,
});

/// Options of TimestampConverter.
#[derive(Debug, ConnectorConfig)]
struct TimestampConverterOptions {
    /// The field with the timestamp; the whole key or value if empty.
    #[option(name = "field", default = "", importance = High)]
    field: String,
    /// The form it gets: `string`, `unix` (a number), `Date`, `Time` or `Timestamp`.
    #[option(name = "target.type", importance = High, validator = Validator::OneOf(&["string", "unix", "Date", "Time", "Timestamp"]))]
    target: Form,
    /// The pattern of text, as of Java's SimpleDateFormat, in UTC: for text that comes, and text that is made.
    #[option(name = "format", default = "", importance = Medium)]
    format: String,
    /// What a number counts since the epoch: `nanoseconds`, `microseconds`, `milliseconds` or `seconds`. Anything finer than milliseconds is cut off.
    #[option(name = "unix.precision", default = "milliseconds", importance = Low, validator = Validator::OneOf(&["nanoseconds", "microseconds", "milliseconds", "seconds"]))]
    precision: Precision,
    #[option(flatten)]
    null: NullOption,
}

struct TimestampConverter {
    part: Part,
    field: Arc<str>,
    target: Form,
    format: Option<SimpleDate>,
    pattern: String,
    precision: Precision,
    null: NullOption,
    schemas: SchemaCache<Arc<Schema>>,
}

impl TimestampConverter {
    fn new(options: TimestampConverterOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        let pattern = options.format;
        let is_given = !pattern.trim().is_empty();
        if options.target == Form::Text && !is_given {
            let text = "TimestampConverter requires format option to be specified when using string timestamps";
            return Err(vec![OptionError::new("format", text)]);
        }
        let compile = || {
            let refused = |reason: String| vec![OptionError::invalid("format", &pattern, &reason)];
            SimpleDate::compile(&pattern).map_err(refused)
        };
        let format = if is_given { Some(compile()?) } else { None };
        Ok(Self {
            part,
            field: options.field.into(),
            target: options.target,
            format,
            pattern,
            precision: options.precision,
            null: options.null,
            schemas: SchemaCache::default(),
        })
    }

    /// A timestamp of a known form, in milliseconds since the epoch.
    fn millis(&self, form: Form, value: &Value) -> Result<i64> {
        match (form, value) {
            (Form::Text, Value::String(text)) => self.read(text),
            (Form::Unix, Value::Int64(number)) => Ok(self.precision.to_millis(*number)),
            (_, Value::Timestamp(millis)) => Ok(*millis),
            (_, Value::Date(days)) => Ok(i64::from(*days) * MILLIS_PER_DAY),
            (_, Value::Time(millis)) => Ok(i64::from(*millis)),
            (_, other) => Err(not_a_timestamp(other)),
        }
    }

    fn read(&self, text: &str) -> Result<i64> {
        let Some(format) = &self.format else {
            let text = "TimestampConverter requires format option to be specified when using string timestamps";
            return Err(Error::data(text));
        };
        if let Some(letter) = format.unreadable() {
            let pattern = &self.pattern;
            return Err(Error::data(format!(
                "letter {letter} of pattern {pattern} can be written, not read"
            )));
        }
        format.read(text).ok_or_else(|| {
            let pattern = &self.pattern;
            Error::data(format!(
                "Could not parse timestamp: value ({text}) does not match pattern ({pattern})"
            ))
        })
    }

    /// Milliseconds since the epoch in the form wanted.
    fn made(&self, millis: i64) -> Result<Value> {
        Ok(match self.target {
            Form::Text => {
                let written = self.format.as_ref().map(|format| format.write(millis));
                Value::string(written.unwrap_or_default())
            }
            Form::Unix => Value::Int64(self.precision.of_millis(millis)),
            Form::Timestamp => Value::Timestamp(millis),
            Form::Date => {
                let days = i32::try_from(millis.div_euclid(MILLIS_PER_DAY));
                Value::Date(days.map_err(|_| Error::data("a timestamp beyond the range of dates"))?)
            }
            Form::Time => {
                let time = i32::try_from(millis.rem_euclid(MILLIS_PER_DAY));
                Value::Time(time.map_err(|_| Error::internal("a day longer than a day"))?)
            }
        })
    }

    fn converted(&self, form: Form, value: &Value) -> Result<Value> {
        match value {
            Value::Null => Ok(Value::Null),
            value => self.made(self.millis(form, value)?),
        }
    }

    /// A value without a schema: its form is that of its type.
    fn converted_plain(&self, value: &Value) -> Result<Value> {
        let form = match value {
            Value::Null => return Ok(Value::Null),
            Value::String(_) => Form::Text,
            Value::Int64(_) => Form::Unix,
            Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => Form::Timestamp,
            other => return Err(not_a_timestamp(other)),
        };
        self.converted(form, value)
    }

    fn target_schema(&self, optional: bool) -> Schema {
        let schema = match self.target {
            Form::Text => Schema::new(Type::String),
            Form::Unix => Schema::new(Type::Int64),
            Form::Date => Schema::new(Type::Int32).named(logical::DATE).version(1),
            Form::Time => Schema::new(Type::Int32).named(logical::TIME).version(1),
            Form::Timestamp => Schema::new(Type::Int64)
                .named(logical::TIMESTAMP)
                .version(1),
        };
        Schema { optional, ..schema }
    }

    /// The whole key or value.
    fn whole(&mut self, schema: Option<Arc<Schema>>, value: &Value) -> Result<Datum> {
        let Some(schema) = schema else {
            return Ok(Datum::schemaless(self.converted_plain(value)?));
        };
        let form = form_of(&schema)?;
        let mut schemas = std::mem::take(&mut self.schemas);
        let target = schemas.get(&schema, || {
            Ok(Arc::new(self.target_schema(schema.optional)))
        });
        self.schemas = schemas;
        Ok(Datum::with_schema(target?, self.converted(form, value)?))
    }

    fn in_map(&self, value: Value) -> Result<Datum> {
        if value.is_null() {
            return Ok(Datum::null());
        }
        let mut entries = entries(value, PURPOSE)?;
        let converted = self.converted_plain(get(&entries, &self.field).unwrap_or(&Value::Null))?;
        put(&mut entries, &self.field, converted);
        Ok(Datum::schemaless(Value::Map(entries)))
    }

    fn in_struct(&mut self, schema: &Arc<Schema>, value: Value) -> Result<Datum> {
        let fields = fields_of(schema);
        let mut converted = self.null.read_all(fields, values(value, PURPOSE)?);
        let index = fields.iter().position(|field| field.name == self.field);
        if let Some((field, value)) =
            index.and_then(|index| Some((fields.get(index)?, converted.get_mut(index)?)))
        {
            *value = self.converted(form_of(&field.schema)?, value)?;
        }
        let mut schemas = std::mem::take(&mut self.schemas);
        let target = schemas.get(schema, || Ok(Arc::new(self.struct_schema(schema))));
        self.schemas = schemas;
        Ok(structure(&target?, converted))
    }

    fn struct_schema(&self, schema: &Schema) -> Schema {
        let converted = |field: &Field| match field.name == self.field {
            true => Field {
                name: field.name.clone(),
                schema: Arc::new(self.target_schema(field.schema.optional)),
            },
            false => field.clone(),
        };
        let fields = fields_of(schema).iter().map(converted);
        Schema {
            optional: schema.optional,
            ..like(schema, Type::Struct(fields.collect()))
        }
    }
}

/// The form of values of a schema.
fn form_of(schema: &Schema) -> Result<Form> {
    match (schema.name.as_deref(), &schema.kind) {
        (Some(logical::TIMESTAMP), _) => Ok(Form::Timestamp),
        (Some(logical::DATE), _) => Ok(Form::Date),
        (Some(logical::TIME), _) => Ok(Form::Time),
        (_, Type::String) => Ok(Form::Text),
        (_, Type::Int64) => Ok(Form::Unix),
        _ => {
            let schema = schema_text(schema);
            Err(Error::data(format!(
                "Schema {schema} does not correspond to a known timestamp type format"
            )))
        }
    }
}

fn not_a_timestamp(value: &Value) -> Error {
    let class = java::class_text(value);
    Error::data(format!(
        "TimestampConverter does not support {class} objects as timestamps"
    ))
}

impl Precision {
    fn to_millis(self, number: i64) -> i64 {
        match self {
            Self::Nanoseconds => number / 1_000_000,
            Self::Microseconds => number / 1000,
            Self::Milliseconds => number,
            Self::Seconds => number.saturating_mul(1000),
        }
    }

    fn of_millis(self, millis: i64) -> i64 {
        match self {
            Self::Nanoseconds => millis.saturating_mul(1_000_000),
            Self::Microseconds => millis.saturating_mul(1000),
            Self::Milliseconds => millis,
            Self::Seconds => millis / 1000,
        }
    }
}

impl Transform for TimestampConverter {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let (schema, value) = self.part.take(&mut record);
        let converted = match (schema, value) {
            (schema, value) if self.field.is_empty() => self.whole(schema, &value)?,
            (None, value) => self.in_map(value)?,
            (schema, Value::Null) => Datum::of(schema, Value::Null),
            (Some(schema), value) => self.in_struct(&schema, value)?,
        };
        self.part.put(&mut record, converted);
        Ok(Transformed::One(record))
    }
}

register_parts!(
    "TimestampConverter",
    TimestampConverterOptions,
    TimestampConverter::new
);

#[cfg(test)]
mod tests {
    use crate::testing::{fields, json, refused, shares_schemas, typed, value_of};

    const STAMP: &str = r#""field":"t","type":"int64","optional":true,"name":"org.apache.kafka.connect.data.Timestamp","version":1"#;

    fn converted(options: &[(&str, &str)], value: &str) -> String {
        value_of("TimestampConverter", options, json(value))
    }

    #[test]
    fn every_form_becomes_every_other() {
        let day = ("format", "yyyy-MM-dd");
        assert_eq!(
            converted(&[("target.type", "string"), day], "86400000"),
            r#""1970-01-02""#
        );
        assert_eq!(
            converted(&[("target.type", "unix"), day], r#""1970-01-02""#),
            "86400000"
        );
        let seconds = ("unix.precision", "seconds");
        assert_eq!(
            converted(&[("target.type", "unix"), day, seconds], r#""1970-01-02""#),
            "86400"
        );
        assert_eq!(converted(&[("target.type", "Date")], "-1"), "-1");
        assert_eq!(converted(&[("target.type", "Time")], "86400005"), "5");
        assert_eq!(
            converted(&[("target.type", "Timestamp"), seconds], "5"),
            "5000"
        );
    }

    #[test]
    fn a_field_changes_its_schema_and_the_others_stay() {
        let value = typed(
            &fields(&[STAMP, r#""field":"a","type":"int32""#]),
            r#"{"t":1000,"a":1}"#,
        );
        let options = [("target.type", "unix"), ("field", "t")];
        assert_eq!(
            value_of("TimestampConverter", &options, value.clone()),
            r#"{t:int64?,a:int32} {"t":1000,"a":1}"#
        );
        assert!(shares_schemas("TimestampConverter$Value", &options, &value));
    }

    #[test]
    fn null_stays_null() {
        let value = typed(&fields(&[STAMP]), r#"{"t":null}"#);
        let options = [("target.type", "Date"), ("field", "t")];
        assert_eq!(
            value_of("TimestampConverter", &options, value),
            r#"{t:int32#Date?} {"t":null}"#
        );
        assert_eq!(converted(&options, "null"), "null");
        assert_eq!(converted(&options, r#"{"t":null}"#), r#"{"t":null}"#);
    }

    #[test]
    fn what_is_no_timestamp_is_an_error() {
        let options = [("target.type", "unix"), ("format", "yyyy")];
        assert!(converted(&options, r#""x""#).starts_with("Could not parse timestamp"));
        assert!(converted(&options, "1.5").contains("java.lang.Double"));
        let weeks = [("target.type", "unix"), ("format", "YYYY-ww")];
        assert!(converted(&weeks, r#""2024-01""#).contains("letter Y"));
    }

    #[test]
    fn text_needs_a_pattern_that_java_knows() {
        let class = "TimestampConverter$Key";
        assert!(refused(class, &[("target.type", "string")]).contains("requires format"));
        let wrong = [("target.type", "string"), ("format", "jj")];
        assert!(refused(class, &wrong).contains("Illegal pattern character 'j'"));
        assert!(refused(class, &[("target.type", "UNIX")]).contains("String must be one of"));
    }
}
