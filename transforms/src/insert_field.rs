//! `InsertField`: adds what is known about the record, or a fixed text, as fields of the key or value.

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Field, Schema, Type, Value, logical};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, entries, fields_of, like, put, structure, unique, values};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;

const PURPOSE: &str = "field insertion";

/// Options of InsertField.
#[derive(Debug, ConnectorConfig)]
struct InsertFieldOptions {
    /// The field for the topic. `!` at the end makes the field required, `?` optional, as it is by default; so with the others.
    #[option(name = "topic.field", importance = Medium)]
    topic: Option<String>,
    /// The field for the partition.
    #[option(name = "partition.field", importance = Medium)]
    partition: Option<String>,
    /// The field for the offset; in sinks only.
    #[option(name = "offset.field", importance = Medium)]
    offset: Option<String>,
    /// The field for the record's timestamp.
    #[option(name = "timestamp.field", importance = Medium)]
    timestamp: Option<String>,
    /// The field for `static.value`.
    #[option(name = "static.field", importance = Medium)]
    static_field: Option<String>,
    /// A fixed text.
    #[option(name = "static.value", importance = Medium)]
    static_value: Option<String>,
    #[option(flatten)]
    null: NullOption,
}

/// What a field is filled with.
#[derive(Debug, Clone)]
enum Source {
    Topic,
    Partition,
    Offset,
    Timestamp,
    Static(Arc<str>),
}

#[derive(Debug)]
struct Insertion {
    name: Arc<str>,
    optional: bool,
    source: Source,
}

struct InsertField {
    part: Part,
    insertions: Vec<Insertion>,
    null: NullOption,
    schemas: SchemaCache<Arc<Schema>>,
}

impl InsertField {
    fn new(options: InsertFieldOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        let text = match (&options.static_field, options.static_value) {
            (Some(field), None) => {
                let reason = format!("No value specified for static field: {field}");
                return Err(vec![OptionError::invalid("static.value", "null", &reason)]);
            }
            (_, text) => Source::Static(text.unwrap_or_default().into()),
        };
        let insertions: Vec<_> = [
            (options.topic, Source::Topic),
            (options.partition, Source::Partition),
            (options.offset, Source::Offset),
            (options.timestamp, Source::Timestamp),
            (options.static_field, text),
        ]
        .into_iter()
        .filter_map(|(name, source)| Some(insertion(&name?, source)))
        .collect();
        if insertions.is_empty() {
            let text = "No field insertion configured";
            return Err(vec![OptionError::new("topic.field", text)]);
        }
        Ok(Self {
            part,
            insertions,
            null: options.null,
            schemas: SchemaCache::default(),
        })
    }

    fn schema(&self, schema: &Schema) -> Result<Arc<Schema>> {
        if self
            .insertions
            .iter()
            .any(|insertion| insertion.name.is_empty())
        {
            return Err(Error::data("fieldName cannot be null."));
        }
        let inserted = self.insertions.iter().map(|insertion| {
            let mut schema = insertion.source.schema();
            schema.optional = insertion.optional;
            Field {
                name: insertion.name.clone(),
                schema: Arc::new(schema),
            }
        });
        let fields = fields_of(schema).iter().cloned().chain(inserted);
        let kind = Type::Struct(unique(fields.collect())?);
        Ok(Arc::new(like(schema, kind)))
    }
}

fn insertion(name: &str, source: Source) -> Insertion {
    let (name, optional) = match (name.strip_suffix('!'), name.strip_suffix('?')) {
        (Some(name), _) => (name, false),
        (None, Some(name)) => (name, true),
        (None, None) => (name, true),
    };
    Insertion {
        name: name.into(),
        optional,
        source,
    }
}

impl Source {
    fn schema(&self) -> Schema {
        match self {
            Self::Topic | Self::Static(_) => Schema::new(Type::String),
            Self::Partition => Schema::new(Type::Int32),
            Self::Offset => Schema::new(Type::Int64),
            Self::Timestamp => Schema::new(Type::Int64)
                .named(logical::TIMESTAMP)
                .version(1),
        }
    }

    /// The value; `None` if the record has none.
    fn value(&self, record: &TransformRecord) -> Result<Option<Value>> {
        let position = record.position;
        Ok(match self {
            Self::Topic => Some(Value::String(record.topic.clone())),
            Self::Static(text) => Some(Value::String(text.clone())),
            Self::Partition => position.partition.map(Value::Int32),
            Self::Offset => match position.offset {
                Some(offset) => Some(Value::Int64(offset.value())),
                None => {
                    return Err(Error::data(
                        "Only SinkRecord supported for [field insertion], found: org.apache.kafka.connect.source.SourceRecord",
                    ));
                }
            },
            Self::Timestamp => match (position.timestamp, position.offset) {
                (Some(timestamp), _) => Some(Value::Timestamp(timestamp.as_millis())),
                (None, None) => None,
                // A record of the log has a time: left out, it would be lost without a word.
                (None, Some(_)) => {
                    return Err(Error::data("the log cannot tell when the record was made"));
                }
            },
        })
    }
}

impl Transform for InsertField {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        if self.part.of(&record).is_null() {
            return Ok(Transformed::One(record));
        }
        let (schema, value) = self.part.take(&mut record);
        let inserted = match schema {
            None => {
                let mut entries = entries(value, PURPOSE)?;
                for insertion in &self.insertions {
                    match insertion.source.value(&record)? {
                        Some(Value::Timestamp(millis)) => {
                            put(&mut entries, &insertion.name, Value::Int64(millis));
                        }
                        Some(value) => put(&mut entries, &insertion.name, value),
                        None => {}
                    }
                }
                Datum::schemaless(Value::Map(entries))
            }
            Some(schema) => {
                let mut values = self
                    .null
                    .read_all(fields_of(&schema), values(value, PURPOSE)?);
                for insertion in &self.insertions {
                    values.push(insertion.source.value(&record)?.unwrap_or(Value::Null));
                }
                let mut schemas = std::mem::take(&mut self.schemas);
                let wider = schemas.get(&schema, || self.schema(&schema));
                self.schemas = schemas;
                structure(&wider?, values)
            }
        };
        self.part.put(&mut record, inserted);
        Ok(Transformed::One(record))
    }
}

register_parts!("InsertField", InsertFieldOptions, InsertField::new);

#[cfg(test)]
mod tests {
    use connect_core::data::Datum;

    use crate::testing::{applied, fields, json, record, refused, shares_schemas, typed, value_of};

    const ALL: [(&str, &str); 6] = [
        ("topic.field", "t!"),
        ("partition.field", "p"),
        ("offset.field", "o?"),
        ("timestamp.field", "ts"),
        ("static.field", "s"),
        ("static.value", "x"),
    ];

    #[test]
    fn fields_are_added_at_the_end_and_are_optional_unless_marked() {
        let value = typed(&fields(&[r#""field":"a","type":"int32""#]), r#"{"a":1}"#);
        assert_eq!(
            value_of("InsertField", &ALL, value.clone()),
            r#"{a:int32,t:string,p:int32?,o:int64?,ts:int64#Timestamp?,s:string?} {"a":1,"t":"t","p":3,"o":7,"ts":1000,"s":"x"}"#
        );
        assert!(shares_schemas("InsertField$Value", &ALL, &value));
        assert_eq!(
            value_of("InsertField", &ALL, json(r#"{"a":1,"t":2}"#)),
            r#"{"a":1,"t":"t","p":3,"o":7,"ts":1000,"s":"x"}"#
        );
        assert_eq!(value_of("InsertField", &ALL, json("null")), "null");
    }

    #[test]
    fn a_source_record_has_no_offset_and_may_have_no_time() {
        let mut given = record(Datum::null(), json("{}"));
        given.position.offset = None;
        given.position.timestamp = None;
        let timed = [("timestamp.field", "ts"), ("topic.field", "t")];
        let made = applied("InsertField$Value", &timed, given.clone()).unwrap();
        assert_eq!(crate::testing::text_of(&made.value), r#"{"t":"t"}"#);
        let placed = applied("InsertField$Value", &[("offset.field", "o")], given);
        assert!(placed.unwrap_err().message().contains("SinkRecord"));
    }

    #[test]
    fn nothing_to_insert_is_refused() {
        let class = "InsertField$Key";
        assert!(refused(class, &[]).contains("No field insertion configured"));
        assert!(refused(class, &[("static.field", "s")]).contains("No value specified"));
    }
}
