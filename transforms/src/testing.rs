//! Records for tests, and transforms made as the runtime makes them.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::Result;
use connect_core::config::{ConfigMap, OptionError, find_converter_plugin, find_transform_plugin};
use connect_core::data::{Datum, Offset, RawJson, Schema, Timestamp, Type, json};
use connect_core::plugin::{
    ConverterRole, RecordPosition, Transform, TransformRecord, Transformed,
};
use sluice_converters as _;

/// Options.
pub(crate) fn map(options: &[(&str, &str)]) -> ConfigMap {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    options.iter().map(owned).collect()
}

/// JSON without a schema.
pub(crate) fn json(text: &str) -> Datum {
    Datum::json(RawJson::validate(Bytes::copy_from_slice(text.as_bytes())).unwrap())
}

/// A value with a schema, both as Kafka's JSON converter writes them.
pub(crate) fn typed(schema: &str, payload: &str) -> Datum {
    let class = "org.apache.kafka.connect.json.JsonConverter";
    let make = find_converter_plugin(class).unwrap().make.unwrap();
    let envelope = format!(r#"{{"schema":{schema},"payload":{payload}}}"#);
    let converter = make(&ConfigMap::new(), ConverterRole::Value).unwrap();
    let bytes = Bytes::from(envelope);
    let headers = Vec::new();
    converter.to_connect("t", &headers, Some(&bytes)).unwrap()
}

/// The schema of a struct with these fields, each as `"field":"a","type":"int32"`.
pub(crate) fn fields(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| format!("{{{field}}}")).collect();
    format!(r#"{{"type":"struct","fields":[{}]}}"#, fields.join(","))
}

/// A value as JSON.
pub(crate) fn text_of(datum: &Datum) -> String {
    let mut out = Vec::new();
    json::write_value(datum.value(), &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// A schema in short: `{a:int32,b:[string]?}`, names of schemas after `#`.
pub(crate) fn shape_of(schema: &Schema) -> String {
    let kind = match &schema.kind {
        Type::Struct(fields) => {
            let shape = |field: &connect_core::data::Field| {
                format!("{}:{}", field.name, shape_of(&field.schema))
            };
            format!(
                "{{{}}}",
                fields.iter().map(shape).collect::<Vec<_>>().join(",")
            )
        }
        Type::Array(items) => format!("[{}]", shape_of(items)),
        Type::Map(keys, values) => format!("<{},{}>", shape_of(keys), shape_of(values)),
        plain => plain.name().to_lowercase(),
    };
    let name = schema.name.as_deref().map(|name| {
        let simple = name.rsplit('.').next().unwrap_or(name);
        format!("#{simple}")
    });
    let optional = if schema.optional { "?" } else { "" };
    format!("{kind}{}{optional}", name.unwrap_or_default())
}

/// A value's schema in short, then the value as JSON.
pub(crate) fn shown(datum: &Datum) -> String {
    match datum.schema() {
        Some(schema) => format!("{} {}", shape_of(schema), text_of(datum)),
        None => text_of(datum),
    }
}

/// A record of the log: topic `t`, partition 3, offset 7, made at second 1.
pub(crate) fn record(key: Datum, value: Datum) -> TransformRecord {
    TransformRecord {
        topic: "t".into(),
        headers: Vec::new(),
        key,
        value,
        position: RecordPosition {
            partition: Some(3),
            offset: Some(Offset::new(7)),
            timestamp: Some(Timestamp::from_millis(1_000)),
        },
    }
}

/// One of Kafka's transforms, by its simple class name.
pub(crate) fn transform(
    class: &str,
    options: &[(&str, &str)],
) -> Result<Box<dyn Transform>, Vec<OptionError>> {
    let plugin = find_transform_plugin(class).unwrap();
    (plugin.make)(&map(options))
}

/// What a transform makes of a record.
pub(crate) fn applied(
    class: &str,
    options: &[(&str, &str)],
    record: TransformRecord,
) -> Result<TransformRecord> {
    match transform(class, options).unwrap().apply(record)? {
        Transformed::One(record) => Ok(record),
        other => panic!("not one record: {other:?}"),
    }
}

/// What a transform of values makes of a value: schema and value, or what is wrong.
pub(crate) fn value_of(class: &str, options: &[(&str, &str)], value: Datum) -> String {
    match applied(
        &format!("{class}$Value"),
        options,
        record(Datum::null(), value),
    ) {
        Ok(record) => shown(&record.value),
        Err(error) => error.message().to_owned(),
    }
}

/// What is wrong with options.
pub(crate) fn refused(class: &str, options: &[(&str, &str)]) -> String {
    let errors = transform(class, options).err().unwrap();
    let messages: Vec<_> = errors.into_iter().map(|error| error.message).collect();
    messages.join("; ")
}

/// Applies one transform to two records of one schema; true if both have one schema in memory afterwards.
pub(crate) fn shares_schemas(class: &str, options: &[(&str, &str)], value: &Datum) -> bool {
    let mut transform = transform(class, options).unwrap();
    let mut schema = || {
        let record = record(Datum::null(), value.clone());
        match transform.apply(record).unwrap() {
            Transformed::One(record) => record.value.schema().unwrap().clone(),
            other => panic!("not one record: {other:?}"),
        }
    };
    Arc::ptr_eq(&schema(), &schema())
}
