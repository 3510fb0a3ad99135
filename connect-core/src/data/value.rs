//! Values as a tree.

use std::sync::Arc;

use bytes::Bytes;

use super::Schema;

/// A decimal: `unscaled × 10^-scale`, the unscaled part as big-endian two's complement, as Connect encodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decimal {
    /// Big-endian two's complement.
    pub unscaled: Bytes,
    /// Digits after the decimal point.
    pub scale: i32,
}

impl Decimal {
    /// `unscaled × 10^-scale`, the bytes as short as two's complement can be: what `BigInteger.toByteArray` gives.
    pub fn new(unscaled: i128, scale: i32) -> Self {
        let bytes = unscaled.to_be_bytes();
        let fill = if unscaled < 0 { u8::MAX } else { 0 };
        let is_fill = |pair: &[u8]| matches!(pair, [first, second] if *first == fill && (*second ^ fill) < 0x80);
        let skipped = bytes.windows(2).take_while(|pair| is_fill(pair)).count();
        Self {
            unscaled: Bytes::copy_from_slice(bytes.get(skipped..).unwrap_or_default()),
            scale,
        }
    }
}

/// Values of a struct's fields, in the order of its schema's fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Struct {
    /// The struct's schema: its type is [`super::Type::Struct`].
    pub schema: Arc<Schema>,
    /// A value per field of the schema.
    pub values: Vec<Value>,
}

impl Struct {
    /// The value of the field called `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match &self.schema.kind {
            super::Type::Struct(fields) => fields
                .iter()
                .position(|field| &*field.name == name)
                .and_then(|index| self.values.get(index)),
            _ => None,
        }
    }
}

/// One value. Without a schema converters make only `Null`, `Boolean`, `Int64`, `Float64`, `Number`, `String`, `Bytes`, `Array`
/// and `Map`; transforms may put any but `Struct` there.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// No value.
    Null,
    /// True or false.
    Boolean(bool),
    /// 8-bit integer.
    Int8(i8),
    /// 16-bit integer.
    Int16(i16),
    /// 32-bit integer.
    Int32(i32),
    /// 64-bit integer.
    Int64(i64),
    /// 32-bit floating point.
    Float32(f32),
    /// 64-bit floating point.
    Float64(f64),
    /// A JSON number as it was spelled: an integer beyond 64 bits, or one whose digits or exponent no double holds.
    Number(Box<str>),
    /// Text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Bytes),
    /// Logical type Decimal.
    Decimal(Decimal),
    /// Logical type Date: days since the epoch.
    Date(i32),
    /// Logical type Time: milliseconds of the day.
    Time(i32),
    /// Logical type Timestamp: milliseconds since the epoch.
    Timestamp(i64),
    /// A list.
    Array(Vec<Value>),
    /// A map, in the order read; keys are any value with a schema, text without.
    Map(Vec<(Value, Value)>),
    /// A struct.
    Struct(Struct),
}

impl Value {
    /// A text value.
    pub fn string(text: impl Into<Arc<str>>) -> Self {
        Self::String(text.into())
    }

    /// The field or map entry called `name`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Struct(fields) => fields.get(name),
            Self::Map(entries) => entries
                .iter()
                .find(|(key, _)| matches!(key, Self::String(text) if &**text == name))
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// The text, if it is text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// True if there is no value.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}
