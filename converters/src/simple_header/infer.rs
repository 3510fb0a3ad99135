//! The type that a header's text is of: numbers, booleans, dates, lists and maps; text where the whole is nothing else.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use connect_core::data::{Datum, Decimal, Schema, Type, Value, logical, numbers};
use jiff::Timestamp;
use jiff::civil::Date;

/// What may stand in one another: more than this is text.
const MOST_LEVELS: usize = 64;

/// A number is not longer than this: reading more digits takes long.
const MOST_DIGITS: usize = 1000;

/// What is known of the type of a value, of the elements of a list, of the keys or values of a map.
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    /// Nothing: there are no elements.
    Unknown,
    /// Null, or elements of several types: there is no schema for them.
    Mixed,
    /// Text, a boolean, a number, a date: what needs no more than its schema.
    Leaf(Schema),
    Array(Box<Shape>),
    Map(Box<Shape>, Box<Shape>),
}

/// What `text` says.
pub(super) fn datum(text: &str) -> Datum {
    let mut reader = Reader {
        rest: text,
        levels: 0,
    };
    let whole = reader.value(false);
    match whole.filter(|_| reader.rest.trim_start().is_empty()) {
        Some((value, shape)) => match shape.schema() {
            Some(schema) => Datum::with_schema(Arc::new(schema.clone()), aligned(value, &schema)),
            None => Datum::schemaless(value),
        },
        None => Datum::with_schema(Arc::new(Schema::new(Type::String)), Value::string(text)),
    }
}

impl Shape {
    fn of(kind: Type) -> Self {
        Self::Leaf(Schema::new(kind))
    }

    fn logical(kind: Type, name: &str) -> Self {
        Self::Leaf(Schema::new(kind).named(name).version(1))
    }

    fn decimal(scale: i32) -> Self {
        let mut schema = Schema::new(Type::Bytes).named(logical::DECIMAL).version(1);
        schema
            .parameters
            .insert("scale".to_owned(), scale.to_string());
        Self::Leaf(schema)
    }

    /// The schema, if every part has one.
    fn schema(&self) -> Option<Schema> {
        match self {
            Self::Unknown | Self::Mixed => None,
            Self::Leaf(schema) => Some(schema.clone()),
            Self::Array(items) => Some(Schema::new(Type::Array(Arc::new(items.schema()?)))),
            Self::Map(keys, values) => Some(Schema::new(Type::Map(
                Arc::new(keys.schema()?),
                Arc::new(values.schema()?),
            ))),
        }
    }

    /// What holds for this and for `other`.
    fn common(self, other: Self) -> Self {
        match (self, other) {
            (Self::Unknown, shape) | (shape, Self::Unknown) => shape,
            (Self::Array(one), Self::Array(other)) => Self::Array(Box::new(one.common(*other))),
            (Self::Map(keys, values), Self::Map(other_keys, other_values)) => Self::Map(
                Box::new(keys.common(*other_keys)),
                Box::new(values.common(*other_values)),
            ),
            (Self::Leaf(one), Self::Leaf(other)) if one == other => Self::Leaf(one),
            (Self::Leaf(one), Self::Leaf(other)) => match (width(&one), width(&other)) {
                (Some(width), Some(others)) => {
                    Self::Leaf(if width >= others { one } else { other })
                }
                _ => Self::Mixed,
            },
            _ => Self::Mixed,
        }
    }
}

/// The place of a number's type among those that can hold the smaller ones.
fn width(schema: &Schema) -> Option<u8> {
    match schema.kind {
        _ if schema.name.is_some() => None,
        Type::Int8 => Some(0),
        Type::Int16 => Some(1),
        Type::Int32 => Some(2),
        Type::Int64 => Some(3),
        Type::Float32 => Some(4),
        Type::Float64 => Some(5),
        _ => None,
    }
}

/// The value in the types of `schema`, which are as wide or wider.
fn aligned(value: Value, schema: &Schema) -> Value {
    match (value, &schema.kind) {
        (Value::Array(values), Type::Array(items)) => Value::Array(
            values
                .into_iter()
                .map(|value| aligned(value, items))
                .collect(),
        ),
        (Value::Map(entries), Type::Map(keys, values)) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (aligned(key, keys), aligned(value, values)))
                .collect(),
        ),
        (value, kind) => widened(&value, kind).unwrap_or(value),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "as Java widens numbers: integers to floats lose digits"
)]
fn widened(value: &Value, kind: &Type) -> Option<Value> {
    let integer = match value {
        Value::Int8(number) => i64::from(*number),
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        Value::Float32(number) if *kind == Type::Float64 => {
            return Some(Value::Float64(f64::from(*number)));
        }
        _ => return None,
    };
    Some(match kind {
        Type::Int16 => Value::Int16(integer as i16),
        Type::Int32 => Value::Int32(integer as i32),
        Type::Int64 => Value::Int64(integer),
        Type::Float32 => Value::Float32(integer as f32),
        Type::Float64 => Value::Float64(integer as f64),
        _ => return None,
    })
}

type Found = Option<(Value, Shape)>;

/// Reads from the front of a text.
struct Reader<'a> {
    rest: &'a str,
    levels: usize,
}

impl<'a> Reader<'a> {
    /// A value; `embedded` in a list or map text must be quoted.
    fn value(&mut self, embedded: bool) -> Found {
        self.rest = self.rest.trim_start();
        if embedded && self.take('"') {
            return self.quoted();
        }
        if self.take('[') {
            return self.nested(Self::array);
        }
        if self.take('{') {
            return self.nested(Self::map);
        }
        self.moment().or_else(|| word(self.word()))
    }

    fn take(&mut self, expected: char) -> bool {
        let taken = self.rest.trim_start().strip_prefix(expected);
        taken.map(|rest| self.rest = rest).is_some()
    }

    fn nested(&mut self, read: fn(&mut Self) -> Found) -> Found {
        self.levels += 1;
        let found = if self.levels > MOST_LEVELS {
            None
        } else {
            read(self)
        };
        self.levels -= 1;
        found
    }

    fn array(&mut self) -> Found {
        let (mut items, mut shape) = (Vec::new(), Shape::Unknown);
        while !self.take(']') {
            let (value, own) = self.value(true)?;
            items.push(value);
            shape = shape.common(own);
            self.take_comma_before(']')?;
        }
        Some((Value::Array(items), Shape::Array(Box::new(shape))))
    }

    /// Of equal keys the last wins.
    fn map(&mut self) -> Found {
        let (mut entries, mut places) = (Vec::new(), HashMap::new());
        let (mut keys, mut values) = (Shape::Unknown, Shape::Unknown);
        while !self.take('}') {
            let (key, key_shape) = self.value(true).filter(|(key, _)| !key.is_null())?;
            let (value, value_shape) = if self.take(':') {
                self.value(true)?
            } else {
                return None;
            };
            match places.entry(format!("{key:?}")) {
                Entry::Vacant(place) => {
                    place.insert(entries.len());
                    entries.push((key, value));
                }
                Entry::Occupied(place) => {
                    if let Some(entry) = entries.get_mut(*place.get()) {
                        *entry = (key, value);
                    }
                }
            }
            keys = keys.common(key_shape);
            values = values.common(value_shape);
            self.take_comma_before('}')?;
        }
        Some((
            Value::Map(entries),
            Shape::Map(Box::new(keys), Box::new(values)),
        ))
    }

    /// After an element: a comma, or the end, which stays.
    fn take_comma_before(&mut self, end: char) -> Option<()> {
        let ends = self.rest.trim_start().starts_with(end);
        (ends || self.take(',')).then_some(())
    }

    /// What stands before the next quote that is not escaped. Escapes stay as they are.
    fn quoted(&mut self) -> Found {
        let mut escaped = false;
        let end = self.rest.find(|character| {
            let ends = character == '"' && !escaped;
            escaped = character == '\\' && !escaped;
            ends
        })?;
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest.strip_prefix('"')?;
        Some(moment(text).unwrap_or_else(|| (Value::string(text), Shape::of(Type::String))))
    }

    /// A time or timestamp. Its colons may be escaped; those of others end a word.
    fn moment(&mut self) -> Found {
        let end = self.rest.find([',', ']', '}']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let escaped = text.contains("\\:").then(|| text.replace("\\:", ":"));
        let text = escaped.as_deref().unwrap_or(text).trim();
        let (found, used) = match moment(text) {
            None if text.contains(':') => self.moment_before_colon(text)?,
            found => (found?, rest),
        };
        self.rest = used;
        Some(found)
    }

    /// A time or timestamp that is a map's key: another colon follows.
    fn moment_before_colon(&self, text: &str) -> Option<((Value, Shape), &'a str)> {
        let (key, _) = text.rsplit_once(':')?;
        let found = moment(key.trim())?;
        let rest = self.rest.get(self.rest.find(key)? + key.len()..)?;
        Some((found, rest))
    }

    fn word(&mut self) -> &'a str {
        let delimits = [',', ':', '[', ']', '{', '}', '"'];
        let end = self.rest.find(delimits).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.trim()
    }
}

fn word(word: &str) -> Found {
    match word {
        "null" => Some((Value::Null, Shape::Mixed)),
        "true" => Some((Value::Boolean(true), Shape::of(Type::Boolean))),
        "false" => Some((Value::Boolean(false), Shape::of(Type::Boolean))),
        word => number(word),
    }
}

fn number(word: &str) -> Found {
    let starts_well =
        word.starts_with(|first: char| first.is_ascii_digit() || "+-".contains(first));
    if !starts_well || word.len() > MOST_DIGITS {
        return None;
    }
    let decimal = numbers::exact_from_text(word)?;
    if let Some(integer) = numbers::exact_long(&decimal) {
        return Some(integer_of(integer));
    }
    let (float, double) = (
        numbers::decimal_as_float(&decimal),
        numbers::decimal_as_double(&decimal),
    );
    Some(match decimal {
        Decimal { scale, .. } if scale != 0 && float.is_finite() => {
            (Value::Float32(float), Shape::of(Type::Float32))
        }
        Decimal { scale, .. } if scale != 0 && double.is_finite() => {
            (Value::Float64(double), Shape::of(Type::Float64))
        }
        decimal => {
            let shape = Shape::decimal(decimal.scale);
            (Value::Decimal(decimal), shape)
        }
    })
}

fn integer_of(number: i64) -> (Value, Shape) {
    if let Ok(small) = i8::try_from(number) {
        (Value::Int8(small), Shape::of(Type::Int8))
    } else if let Ok(small) = i16::try_from(number) {
        (Value::Int16(small), Shape::of(Type::Int16))
    } else if let Ok(small) = i32::try_from(number) {
        (Value::Int32(small), Shape::of(Type::Int32))
    } else {
        (Value::Int64(number), Shape::of(Type::Int64))
    }
}

/// `2023-11-14`, `22:13:20.123Z` or `2023-11-14T22:13:20.123Z`: these forms and no others.
fn moment(text: &str) -> Found {
    let fits = |form: &str| {
        text.len() == form.len()
            && text
                .bytes()
                .zip(form.bytes())
                .all(|(byte, form)| match form {
                    b'0' => byte.is_ascii_digit(),
                    form => byte == form,
                })
    };
    if fits("0000-00-00") {
        let date: Date = text.parse().ok()?;
        let days = date.since(Date::constant(1970, 1, 1)).ok()?.get_days();
        return Some((
            Value::Date(days),
            Shape::logical(Type::Int32, logical::DATE),
        ));
    }
    if fits("00:00:00.000Z") {
        let millis = millis_of(&format!("1970-01-01T{text}"))?;
        let millis = i32::try_from(millis).ok()?;
        return Some((
            Value::Time(millis),
            Shape::logical(Type::Int32, logical::TIME),
        ));
    }
    if fits("0000-00-00T00:00:00.000Z") {
        let millis = millis_of(text)?;
        let shape = Shape::logical(Type::Int64, logical::TIMESTAMP);
        return Some((Value::Timestamp(millis), shape));
    }
    None
}

fn millis_of(text: &str) -> Option<i64> {
    let moment: Timestamp = text.parse().ok()?;
    Some(moment.as_millisecond())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_whole_is_text() {
        for text in [
            "",
            " ",
            "1:2",
            "1]",
            "[1,2]x",
            "22:13",
            "2023-13-01",
            "[1",
            "{k:1}",
            "true:x",
        ] {
            assert_eq!(*datum(text).value(), Value::string(text));
        }
    }

    #[test]
    fn lists_and_maps_have_the_widest_type_of_their_elements() {
        let read = datum(r#"{"a":[1,2],"b":[300]}"#);
        let numbers = |numbers: &[i16]| {
            Value::Array(numbers.iter().map(|number| Value::Int16(*number)).collect())
        };
        assert_eq!(read.value().get("a"), Some(&numbers(&[1, 2])));
        assert_eq!(read.value().get("b"), Some(&numbers(&[300])));
        assert!(datum(r#"[1,"a"]"#).schema().is_none());
    }

    #[test]
    fn a_time_may_be_a_key() {
        let read = datum("{22:13:20.123Z:1}");
        assert_eq!(
            *read.value(),
            Value::Map(vec![(Value::Time(80_000_123), Value::Int8(1))])
        );
    }

    #[test]
    fn of_equal_keys_the_last_wins() {
        let entries = vec![
            (Value::Int8(1), Value::Int8(3)),
            (Value::Int8(2), Value::Int8(4)),
        ];
        assert_eq!(*datum("{1:2,2:4,1:3}").value(), Value::Map(entries));
    }

    #[test]
    fn a_long_header_is_read_as_fast_as_it_came() {
        let entries: Vec<_> = (0..200_000).map(|number| format!("{number}:1")).collect();
        let read = datum(&format!("{{{}}}", entries.join(",")));
        assert!(matches!(read.value(), Value::Map(read) if read.len() == entries.len()));
        let digits = "1".repeat(1_000_000);
        assert_eq!(*datum(&digits).value(), Value::string(digits.as_str()));
    }

    #[test]
    fn nesting_without_end_is_text() {
        let deep = "[".repeat(100_000);
        assert_eq!(*datum(&deep).value(), Value::string(deep.as_str()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_and_what_is_written_reads_the_same(text in r#"[\[\]{}:,"\\0-9TZ.ae -]{0,40}"#) {
            let read = datum(&text);
            if let Some(schema) = read.schema() {
                let written = super::super::text::of(read.value()).unwrap();
                let again = datum(&written);
                let plain = |text: &str| !text.contains(['"', '\\']);
                if plain(&text) {
                    prop_assert_eq!(again.value(), read.value());
                    prop_assert_eq!(again.schema(), Some(schema));
                }
            }
        }
    }
}
