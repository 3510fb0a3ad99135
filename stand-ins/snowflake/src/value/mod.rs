//! Values, their casts and how answers spell them.

mod cast;

pub(crate) use cast::from_base64;

use std::cmp::Ordering;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use crate::error::{Refusal, Result};
use crate::types::SqlType;

/// `units × 10^-scale`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) units: i128,
    pub(crate) scale: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Float(f64),
    Text(Arc<str>),
    Binary(Arc<[u8]>),
    /// VARIANT, OBJECT, ARRAY. JSON's null is a value here.
    Json(Arc<Json>),
    Date(Date),
    Time(Time),
    DateTime(DateTime),
    Moment(Timestamp),
}

impl Number {
    /// Reads digits with or without a point and an exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = format!("{whole}{fraction}");
        let scale = i32::try_from(fraction.len()).ok()? - exponent;
        let units: i128 = digits.parse().ok()?;
        if scale >= 0 {
            let scale = u8::try_from(scale).ok()?;
            return Some(Self { units, scale });
        }
        let factor = 10_i128.checked_pow(scale.unsigned_abs())?;
        let units = units.checked_mul(factor)?;
        Some(Self { units, scale: 0 })
    }

    fn rescaled(self, scale: u8) -> Option<i128> {
        if scale >= self.scale {
            let factor = 10_i128.checked_pow(u32::from(scale - self.scale))?;
            return self.units.checked_mul(factor);
        }
        let divisor = 10_i128.checked_pow(u32::from(self.scale - scale))?;
        let half = divisor / 2 * self.units.signum();
        Some((self.units + half) / divisor)
    }

    #[expect(clippy::cast_precision_loss, reason = "a float is what is asked for")]
    pub(crate) fn as_float(self) -> f64 {
        self.units as f64 / 10_f64.powi(i32::from(self.scale))
    }

    fn compare(self, other: Self) -> Ordering {
        let scale = self.scale.max(other.scale);
        match (self.rescaled(scale), other.rescaled(scale)) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => self.as_float().total_cmp(&other.as_float()),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.scale == 0 {
            return write!(formatter, "{}", self.units);
        }
        let digits = format!(
            "{:0>1$}",
            self.units.unsigned_abs(),
            usize::from(self.scale) + 1
        );
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.scale));
        let sign = if self.units < 0 { "-" } else { "" };
        write!(formatter, "{sign}{whole}.{fraction}")
    }
}

impl Value {
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    pub(crate) fn integer(number: i64) -> Self {
        let units = i128::from(number);
        Self::Number(Number { units, scale: 0 })
    }

    pub(crate) fn number(text: &str) -> Option<Self> {
        Number::parse(text).map(Self::Number)
    }

    pub(crate) fn json(json: Json) -> Self {
        Self::Json(Arc::new(json))
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What a condition makes of it.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Boolean(value) => *value,
            Self::Json(json) => **json == Json::Bool(true),
            _ => false,
        }
    }

    /// Three-valued comparison: `None` if either is null.
    pub(crate) fn compare(&self, other: &Self) -> Result<Option<Ordering>> {
        Ok(match (self, other) {
            (Self::Null, _) | (_, Self::Null) => None,
            (Self::Json(json), other) => return scalar(json).compare_scalar(other),
            (this, Self::Json(json)) => return this.compare_scalar(&scalar(json)),
            (this, other) => return this.compare_scalar(other),
        })
    }

    fn compare_scalar(&self, other: &Self) -> Result<Option<Ordering>> {
        Ok(Some(match (self, other) {
            (Self::Null, _) | (_, Self::Null) => return Ok(None),
            (Self::Number(left), Self::Number(right)) => left.compare(*right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Boolean(left), Self::Boolean(right)) => left.cmp(right),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Time(left), Self::Time(right)) => left.cmp(right),
            (Self::DateTime(left), Self::DateTime(right)) => left.cmp(right),
            (Self::Moment(left), Self::Moment(right)) => left.cmp(right),
            (Self::Binary(left), Self::Binary(right)) => left.cmp(right),
            (Self::Float(_) | Self::Number(_), Self::Float(_) | Self::Number(_)) => {
                self.as_float().total_cmp(&other.as_float())
            }
            (Self::Text(_), Self::Number(_) | Self::Float(_)) => {
                return self.cast(SqlType::Float)?.compare_scalar(other);
            }
            (Self::Number(_) | Self::Float(_), Self::Text(_)) => {
                return self.compare_scalar(&other.cast(SqlType::Float)?);
            }
            (left, right) => {
                let text = format!(
                    "SQL compilation error:\nCan not compare {} and {}",
                    left.kind(),
                    right.kind()
                );
                return Err(Refusal::new("001790", "42601", text));
            }
        }))
    }

    fn as_float(&self) -> f64 {
        match self {
            Self::Number(number) => number.as_float(),
            Self::Float(number) => *number,
            _ => f64::NAN,
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "NULL",
            Self::Boolean(_) => "BOOLEAN",
            Self::Number(_) => "NUMBER",
            Self::Float(_) => "FLOAT",
            Self::Text(_) => "VARCHAR",
            Self::Binary(_) => "BINARY",
            Self::Json(_) => "VARIANT",
            Self::Date(_) => "DATE",
            Self::Time(_) => "TIME",
            Self::DateTime(_) => "TIMESTAMP_NTZ",
            Self::Moment(_) => "TIMESTAMP_LTZ",
        }
    }

    /// The type an answer gives a computed column of such values.
    pub(crate) fn sql_type(&self) -> SqlType {
        match self {
            Self::Null | Self::Text(_) => SqlType::Text(16_777_216),
            Self::Boolean(_) => SqlType::Boolean,
            Self::Number(number) => SqlType::Number {
                precision: 38,
                scale: number.scale,
            },
            Self::Float(_) => SqlType::Float,
            Self::Binary(_) => SqlType::Binary,
            Self::Json(_) => SqlType::Variant,
            Self::Date(_) => SqlType::Date,
            Self::Time(_) => SqlType::Time,
            Self::DateTime(_) => SqlType::TimestampNtz,
            Self::Moment(_) => SqlType::TimestampLtz,
        }
    }

    /// As text.
    pub(crate) fn plain(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Boolean(value) => value.to_string(),
            Self::Number(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Text(text) => text.to_string(),
            Self::Binary(bytes) => bytes.iter().map(|byte| format!("{byte:02X}")).collect(),
            Self::Json(json) => match &**json {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            },
            Self::Date(date) => date.to_string(),
            Self::Time(time) => time.to_string(),
            Self::DateTime(value) => value.to_string().replace('T', " "),
            Self::Moment(moment) => moment.to_string(),
        }
    }

    fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Boolean(value) => Json::Bool(*value),
            Self::Json(json) => (**json).clone(),
            Self::Number(_) | Self::Float(_) => {
                serde_json::from_str(&self.plain()).unwrap_or(Json::Null)
            }
            other => Json::String(other.plain()),
        }
    }

    /// As an answer in JSON spells it: everything is text, null is null.
    pub(crate) fn wire(&self) -> Json {
        let text = match self {
            Self::Null => return Json::Null,
            Self::Boolean(value) => u8::from(*value).to_string(),
            Self::Json(json) => json.to_string(),
            Self::Date(date) => {
                let days = (*date - Date::constant(1970, 1, 1)).get_days();
                days.to_string()
            }
            Self::Time(time) => {
                let nanos = time
                    .since(Time::midnight())
                    .map(|span| span.total(jiff::Unit::Nanosecond));
                seconds(nanos.ok().and_then(Result::ok).unwrap_or(0.0))
            }
            Self::DateTime(value) => match value.to_zoned(TimeZone::UTC) {
                Ok(zoned) => wire_moment(zoned.timestamp()),
                Err(_) => return Json::Null,
            },
            Self::Moment(moment) => wire_moment(*moment),
            other => other.plain(),
        };
        Json::String(text)
    }
}

fn wire_moment(moment: Timestamp) -> String {
    format!(
        "{}.{:09}",
        moment.as_second(),
        moment.subsec_nanosecond().unsigned_abs()
    )
}

#[expect(clippy::cast_possible_truncation, reason = "a day's nanoseconds fit")]
fn seconds(nanos: f64) -> String {
    let nanos = nanos as i64;
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// A document's scalar as a plain value; JSON's null is null in comparisons.
fn scalar(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(*value),
        Json::Number(number) => {
            let text = number.to_string();
            Value::number(&text).unwrap_or_else(|| Value::Float(text.parse().unwrap_or(f64::NAN)))
        }
        Json::String(text) => Value::text(text.as_str()),
        other => Value::text(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTEGER: SqlType = SqlType::Number {
        precision: 38,
        scale: 0,
    };

    #[test]
    fn casts_refuse_what_is_not_of_the_type() {
        assert_eq!(Value::text("12").cast(INTEGER), Ok(Value::integer(12)));
        let refused = Value::text("twelve").cast(INTEGER);
        assert_eq!(refused.map_err(|refusal| refusal.code), Err("100038"));
        let small = SqlType::Number {
            precision: 2,
            scale: 0,
        };
        assert!(Value::integer(100).cast(small).is_err());
        let document = Value::json(serde_json::json!({"a": 1}));
        let refused = document.cast(INTEGER);
        assert_eq!(refused.map_err(|refusal| refusal.code), Err("100071"));
    }

    #[test]
    fn json_null_is_a_value_until_it_is_cast() {
        let null = Value::json(Json::Null);
        assert!(!null.is_null());
        assert_eq!(null.cast(SqlType::Text(10)), Ok(Value::Null));
    }

    #[test]
    fn numbers_keep_digits_that_floats_lose() {
        let number = Number::parse("12345678901234567890.125");
        assert_eq!(
            number.map(|number| number.to_string()).as_deref(),
            Some("12345678901234567890.125")
        );
        let rounded = number.and_then(|number| number.rescaled(2));
        assert_eq!(rounded, Some(1_234_567_890_123_456_789_013));
    }
}
