//! With schematization: what the fields of records look like, seen so far.

use std::collections::BTreeMap;

use connect_core::data::json::is_integer;
use connect_core::data::{Datum, Offset, SinkRecord, TopicPartition, Type, Value};
use connect_core::{Error, Result};

/// What a field's value is, as far as columns care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FieldKind {
    Boolean,
    /// An integer that needs so many digits.
    Integer(u8),
    Float,
    /// Text of so many characters, rounded up to a power of two.
    Text(u32),
    Binary,
    Date,
    Time,
    Timestamp,
    Array,
    /// An object, or anything that is sometimes one thing and sometimes another.
    Variant,
}

/// A field of the rows of one file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// Each kind, with the first record that showed it.
    pub(crate) kinds: BTreeMap<FieldKind, (TopicPartition, Offset)>,
    /// Rows in which it is not null.
    pub(crate) present: u64,
}

/// The fields of the rows of one file, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields(pub(crate) BTreeMap<String, Field>);

impl Fields {
    /// Notes what was [`seen`] in a record.
    pub(crate) fn note(&mut self, record: &SinkRecord, seen: Vec<Seen>) {
        for (name, kind) in seen {
            let field = self.0.entry(name).or_default();
            let Some(kind) = kind else { continue };
            field.present += 1;
            field
                .kinds
                .entry(kind)
                .or_insert_with(|| (record.origin.clone(), record.offset));
        }
    }

    /// The fields of both.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, theirs) in &other.0 {
            let ours = self.0.entry(name.clone()).or_default();
            ours.present += theirs.present;
            for (kind, place) in &theirs.kinds {
                ours.kinds.entry(*kind).or_insert_with(|| place.clone());
            }
        }
    }
}

/// A field's name and kind; no kind for null.
pub(crate) type Seen = (String, Option<FieldKind>);

/// The fields of a record.
///
/// # Errors
/// A data error if the value has no fields.
pub(crate) fn seen(record: &SinkRecord) -> Result<Vec<Seen>> {
    if record.value.is_null() {
        return Ok(Vec::new());
    }
    fields_of(&record.value)
}

fn fields_of(value: &Datum) -> Result<Vec<Seen>> {
    match value.value() {
        Value::Struct(fields) => {
            let Type::Struct(declared) = &fields.schema.kind else {
                return Err(Error::internal("a struct whose schema is not one"));
            };
            let pairs = declared.iter().zip(&fields.values);
            Ok(pairs
                .map(|(field, value)| (field.name.to_string(), kind_of(value)))
                .collect())
        }
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| match key.as_str() {
                Some(key) => Ok((key.to_owned(), kind_of(value))),
                None => Err(not_an_object()),
            })
            .collect(),
        _ => Err(not_an_object()),
    }
}

fn not_an_object() -> Error {
    Error::data(
        "snowflake.enable.schematization needs values with named fields: a JSON object or a struct",
    )
}

fn kind_of(value: &Value) -> Option<FieldKind> {
    Some(match value {
        Value::Null => return None,
        Value::Boolean(_) => FieldKind::Boolean,
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) => FieldKind::Integer(10),
        Value::Int64(_) => FieldKind::Integer(19),
        Value::Number(digits) if !is_integer(digits) => FieldKind::Float,
        Value::Number(digits) => {
            let digits = digits.bytes().filter(u8::is_ascii_digit).count();
            match u8::try_from(digits) {
                Ok(digits) if digits <= 38 => FieldKind::Integer(38.min(digits.max(19))),
                _ => FieldKind::Float,
            }
        }
        Value::Float32(_) | Value::Float64(_) => FieldKind::Float,
        Value::String(text) => {
            let length = u32::try_from(text.chars().count()).unwrap_or(u32::MAX / 2);
            FieldKind::Text(length.next_power_of_two())
        }
        Value::Bytes(_) => FieldKind::Binary,
        Value::Decimal(_) => FieldKind::Text(64),
        Value::Date(_) => FieldKind::Date,
        Value::Time(_) => FieldKind::Time,
        Value::Timestamp(_) => FieldKind::Timestamp,
        Value::Array(_) => FieldKind::Array,
        Value::Map(_) | Value::Struct(_) => FieldKind::Variant,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_integer_becomes_a_number_without_a_fraction() {
        let kind = |json: &str| kind_of(&connect_core::data::json::parse(json.as_bytes()).unwrap());
        assert_eq!(kind("0.12345678901234567890"), Some(FieldKind::Float));
        assert_eq!(kind("0.5"), Some(FieldKind::Float));
        assert_eq!(kind("12345678901234567890"), Some(FieldKind::Integer(20)));
    }
}
