//! One value to another type, as Java's own conversions go: integers lose their upper bits, fractions are cut off.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::data::json::is_integer;
use connect_core::data::{Decimal, Type, Value, java};
use connect_core::{Error, Result};

use crate::calendar::MILLIS_PER_DAY;
use crate::numbers::{
    big_as_long, decimal_as_double, decimal_as_float, decimal_as_long, decimal_text,
    double_from_text, double_text, float_from_text, float_text,
};
use crate::simple_date::SimpleDate;

/// The value as `target`; null stays null.
pub(super) fn convert(value: &Value, target: &Type) -> Result<Value> {
    let unexpected = || {
        let class = java::class_text(value);
        Error::data(format!("Unexpected type in Cast transformation: {class}"))
    };
    if value.is_null() {
        return Ok(Value::Null);
    }
    if let Type::String = target {
        return text(value).map(Value::string).ok_or_else(unexpected);
    }
    if let (Value::String(text), Type::Boolean) = (value, target) {
        return Ok(Value::Boolean(text.eq_ignore_ascii_case("true")));
    }
    if let Value::String(text) = value {
        return parsed(text, target);
    }
    let number = Number::of(value).ok_or_else(unexpected)?;
    Ok(number.cast(target))
}

/// A value as a number: logical types by what they are encoded as.
#[derive(Debug, Clone, Copy)]
enum Number<'a> {
    Long(i64),
    Float(f32),
    Double(f64),
    Decimal(&'a Decimal),
    Big(&'a str),
}

impl<'a> Number<'a> {
    fn of(value: &'a Value) -> Option<Self> {
        Some(match value {
            Value::Boolean(value) => Self::Long((*value).into()),
            Value::Int8(number) => Self::Long((*number).into()),
            Value::Int16(number) => Self::Long((*number).into()),
            Value::Int32(number) | Value::Date(number) | Value::Time(number) => {
                Self::Long((*number).into())
            }
            Value::Int64(number) | Value::Timestamp(number) => Self::Long(*number),
            Value::Float32(number) => Self::Float(*number),
            Value::Float64(number) => Self::Double(*number),
            Value::Decimal(decimal) => Self::Decimal(decimal),
            Value::Number(text) if !is_integer(text) => Self::Double(text.parse().ok()?),
            Value::Number(text) => Self::Big(text),
            _ => return None,
        })
    }

    fn cast(self, target: &Type) -> Value {
        match target {
            Type::Int8 => Value::Int8(low_byte(self.int())),
            Type::Int16 => Value::Int16(low_short(self.int())),
            Type::Int32 => Value::Int32(self.int()),
            Type::Int64 => Value::Int64(self.long()),
            Type::Float32 => Value::Float32(self.float()),
            Type::Float64 => Value::Float64(self.double()),
            _ => Value::Boolean(self.long() != 0),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "Java cuts off and keeps to the range, as this does"
    )]
    fn int(self) -> i32 {
        match self {
            Self::Float(number) => number as i32,
            Self::Double(number) => number as i32,
            other => low_int(other.long()),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "Java cuts off and keeps to the range, as this does"
    )]
    fn long(self) -> i64 {
        match self {
            Self::Long(number) => number,
            Self::Float(number) => number as i64,
            Self::Double(number) => number as i64,
            Self::Decimal(decimal) => decimal_as_long(decimal),
            Self::Big(text) => big_as_long(text),
        }
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "the nearest float is what is wanted"
    )]
    fn float(self) -> f32 {
        match self {
            Self::Long(number) => number as f32,
            Self::Float(number) => number,
            Self::Double(number) => number as f32,
            Self::Decimal(decimal) => decimal_as_float(decimal),
            Self::Big(text) => text.parse().unwrap_or(f32::NAN),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "the nearest double is what is wanted"
    )]
    fn double(self) -> f64 {
        match self {
            Self::Long(number) => number as f64,
            Self::Float(number) => number.into(),
            Self::Double(number) => number,
            Self::Decimal(decimal) => decimal_as_double(decimal),
            Self::Big(text) => text.parse().unwrap_or(f64::NAN),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Java keeps the low bits")]
fn low_int(number: i64) -> i32 {
    number as i32
}

#[expect(clippy::cast_possible_truncation, reason = "Java keeps the low bits")]
fn low_short(number: i32) -> i16 {
    number as i16
}

#[expect(clippy::cast_possible_truncation, reason = "Java keeps the low bits")]
fn low_byte(number: i32) -> i8 {
    number as i8
}

fn parsed(text: &str, target: &Type) -> Result<Value> {
    let read = match target {
        Type::Int8 => text.parse().ok().map(Value::Int8),
        Type::Int16 => text.parse().ok().map(Value::Int16),
        Type::Int32 => text.parse().ok().map(Value::Int32),
        Type::Int64 => text.parse().ok().map(Value::Int64),
        Type::Float32 => float_from_text(text).map(Value::Float32),
        _ => double_from_text(text).map(Value::Float64),
    };
    read.ok_or_else(|| {
        Error::data(format!(
            "Value ({text}) was out of range for requested data type"
        ))
    })
}

/// As Java writes it; dates as ISO 8601, bytes as base64.
fn text(value: &Value) -> Option<String> {
    Some(match value {
        Value::Boolean(value) => value.to_string(),
        Value::Int8(number) => number.to_string(),
        Value::Int16(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Float32(number) => float_text(*number),
        Value::Float64(number) => double_text(*number),
        Value::Number(text) => text.to_string(),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => STANDARD.encode(bytes),
        Value::Decimal(decimal) => decimal_text(decimal),
        Value::Date(days) => iso(i64::from(*days) * MILLIS_PER_DAY)?,
        Value::Time(millis) => iso((*millis).into())?,
        Value::Timestamp(millis) => iso(*millis)?,
        _ => return None,
    })
}

/// Kafka chooses the form by the value alone: what lies on the first day is a time, what lies at midnight a date.
fn iso(millis: i64) -> Option<String> {
    let pattern = if millis < MILLIS_PER_DAY {
        "HH:mm:ss.SSS'Z'"
    } else if millis % MILLIS_PER_DAY == 0 {
        "yyyy-MM-dd"
    } else {
        "yyyy-MM-dd'T'HH:mm:ss.SSS'Z'"
    };
    let pattern = SimpleDate::compile(pattern).ok()?;
    Some(pattern.write(millis))
}
