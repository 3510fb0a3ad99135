//! `HeaderFrom`: copies or moves fields of the key or value to headers.

use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::data::{Datum, Field, Header, Schema, Type, Value};
use connect_core::option_names;
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use connect_core::{Error, Result};

use crate::fields::{NullOption, entries, fields_of, get, like, structure, values};
use crate::part::{Part, register_parts};
use crate::schemas::SchemaCache;

/// What becomes of the field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    /// It goes.
    Move,
    /// It stays.
    Copy,
}

option_names!(Operation { "move" => Move, "copy" => Copy });

/// Options of HeaderFrom.
#[derive(Debug, ConnectorConfig)]
struct HeaderFromOptions {
    /// The fields.
    #[option(name = "fields", importance = High, validator = Validator::Custom(not_empty))]
    fields: Vec<String>,
    /// The headers, in the order of the fields.
    #[option(name = "headers", importance = High, validator = Validator::Custom(not_empty))]
    headers: Vec<String>,
    /// `move` removes the fields, `copy` leaves them.
    #[option(name = "operation", importance = High, validator = Validator::OneOf(&["move", "copy"]))]
    operation: Operation,
    #[option(flatten)]
    null: NullOption,
}

fn not_empty(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::List(items) if items.is_empty() => Err("Empty list".to_owned()),
        _ => Ok(()),
    }
}

struct HeaderFrom {
    part: Part,
    /// Field and header.
    pairs: Vec<(String, Arc<str>)>,
    operation: Operation,
    null: NullOption,
    schemas: SchemaCache<Arc<Schema>>,
}

impl HeaderFrom {
    fn new(options: HeaderFromOptions, part: Part) -> Result<Self, Vec<OptionError>> {
        if options.fields.len() != options.headers.len() {
            let text = "'fields' config must have the same number of elements as 'headers' config.";
            return Err(vec![OptionError::new("fields", text)]);
        }
        let headers = options.headers.into_iter().map(Into::into);
        Ok(Self {
            part,
            pairs: options.fields.into_iter().zip(headers).collect(),
            operation: options.operation,
            null: options.null,
            schemas: SchemaCache::default(),
        })
    }

    fn purpose(&self) -> &'static str {
        match self.operation {
            Operation::Move => "header move",
            Operation::Copy => "header copy",
        }
    }

    fn is_moved(&self, name: &str) -> bool {
        self.operation == Operation::Move && self.pairs.iter().any(|(field, _)| field == name)
    }

    fn taken_of_map(&self, value: Value) -> Result<(Vec<Header>, Datum)> {
        let mut entries = entries(value, self.purpose())?;
        let header = |(field, name): &(String, Arc<str>)| Header {
            key: name.clone(),
            value: Datum::schemaless(get(&entries, field).cloned().unwrap_or(Value::Null)),
        };
        let headers = self.pairs.iter().map(header).collect();
        entries.retain(|(name, _)| !name.as_str().is_some_and(|name| self.is_moved(name)));
        Ok((headers, Datum::schemaless(Value::Map(entries))))
    }

    /// The header made of a field.
    fn header(
        &self,
        fields: &[Field],
        values: &[Value],
        (name, header): &(String, Arc<str>),
    ) -> Result<Header> {
        let index = fields.iter().position(|field| *field.name == **name);
        let (field, value) = index
            .and_then(|index| Some((fields.get(index)?, values.get(index)?)))
            .ok_or_else(|| Error::data(format!("Field does not exist: {name}")))?;
        let value = self.null.read(&field.schema, value.clone());
        Ok(Header {
            key: header.clone(),
            value: Datum::with_schema(field.schema.clone(), value),
        })
    }

    fn taken_of_struct(
        &mut self,
        schema: &Arc<Schema>,
        value: Value,
    ) -> Result<(Vec<Header>, Datum)> {
        let fields = fields_of(schema);
        let values = values(value, self.purpose())?;
        let header = |pair| self.header(fields, &values, pair);
        let headers: Result<Vec<_>> = self.pairs.iter().map(header).collect();
        let headers = headers?;
        if self.operation == Operation::Copy {
            return Ok((headers, structure(schema, values)));
        }
        let mut schemas = std::mem::take(&mut self.schemas);
        let rest = schemas.get(schema, || {
            let kept = fields.iter().filter(|field| !self.is_moved(&field.name));
            Ok(Arc::new(like(
                schema,
                Type::Struct(kept.cloned().collect()),
            )))
        });
        self.schemas = schemas;
        let kept = fields
            .iter()
            .zip(values)
            .filter(|(field, _)| !self.is_moved(&field.name))
            .map(|(field, value)| self.null.read(&field.schema, value));
        Ok((headers, structure(&rest?, kept.collect())))
    }
}

impl Transform for HeaderFrom {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        let (schema, value) = self.part.take(&mut record);
        let (headers, rest) = match schema {
            None => self.taken_of_map(value)?,
            Some(schema) => self.taken_of_struct(&schema, value)?,
        };
        record.headers.extend(headers);
        self.part.put(&mut record, rest);
        Ok(Transformed::One(record))
    }
}

register_parts!("HeaderFrom", HeaderFromOptions, HeaderFrom::new);

#[cfg(test)]
mod tests {
    use connect_core::data::{Datum, Header};

    use crate::testing::{applied, fields, json, record, refused, shown, text_of, typed, value_of};

    fn options<'a>(
        fields: &'a str,
        headers: &'a str,
        operation: &'a str,
    ) -> [(&'a str, &'a str); 3] {
        [
            ("fields", fields),
            ("headers", headers),
            ("operation", operation),
        ]
    }

    #[test]
    fn fields_come_after_the_headers_there_are_in_the_order_configured() {
        let mut given = record(Datum::null(), json(r#"{"a":1,"b":"x","c":null}"#));
        let (key, value) = ("h".into(), json("0"));
        given.headers.push(Header { key, value });
        let made = applied(
            "HeaderFrom$Value",
            &options("b,a,none", "h,i,j", "move"),
            given,
        )
        .unwrap();
        let header = |header: &Header| format!("{}={}", header.key, text_of(&header.value));
        let headers: Vec<_> = made.headers.iter().map(header).collect();
        assert_eq!(headers, ["h=0", "h=\"x\"", "i=1", "j=null"]);
        assert_eq!(text_of(&made.value), r#"{"c":null}"#);
    }

    #[test]
    fn a_copied_field_stays_and_keeps_its_schema_in_the_header() {
        let schema = fields(&[r#""field":"a","type":"int32","optional":true,"default":4"#]);
        let given = || record(Datum::null(), typed(&schema, r#"{"a":null}"#));
        let copied = applied("HeaderFrom$Value", &options("a", "h", "copy"), given()).unwrap();
        let shown_header = copied.headers.first().map(|header| shown(&header.value));
        assert_eq!(shown_header.unwrap(), "int32? 4");
        assert!(shown(&copied.value).starts_with("{a:int32?}"));
        let moved = applied("HeaderFrom$Value", &options("a", "h", "move"), given()).unwrap();
        assert_eq!(shown(&moved.value), "{} {}");
    }

    #[test]
    fn an_unknown_field_or_a_wrong_list_is_an_error() {
        let value = typed(&fields(&[r#""field":"a","type":"int32""#]), r#"{"a":1}"#);
        let message = value_of("HeaderFrom", &options("b", "h", "copy"), value);
        assert!(message.contains('b'), "{message}");
        let uneven = refused("HeaderFrom$Value", &options("a,b", "h", "copy"));
        assert!(uneven.contains("same number of elements"), "{uneven}");
        assert!(refused("HeaderFrom$Value", &options("a", "h", "MOVE")).contains("move, copy"));
    }

    #[test]
    fn a_tombstone_is_an_error() {
        let moved = value_of("HeaderFrom", &options("a", "h", "copy"), json("null"));
        assert!(moved.starts_with("Only Map objects"), "{moved}");
    }
}
