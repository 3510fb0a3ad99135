//! Casts: what becomes of a value as another type, and what is refused.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::Value as Json;

use super::{Number, Value, scalar};
use crate::error::{Refusal, Result};
use crate::types::SqlType;

impl Value {
    /// `value::type`
    ///
    /// # Errors
    /// Snowflake's refusal if the value is not one of that type.
    pub(crate) fn cast(&self, kind: SqlType) -> Result<Self> {
        let not_recognized = |what: &str| {
            let text = format!("{what} '{}' is not recognized", self.plain());
            Refusal::new("100038", "22018", text)
        };
        if let Self::Json(json) = self {
            return cast_json(json, kind);
        }
        let cast = match (self, kind) {
            (Self::Null, _) => Some(Self::Null),
            (_, SqlType::Variant) => Some(Self::json(self.to_json())),
            (_, SqlType::Text(length)) => return fits(self.plain(), length).map(Self::text),
            (Self::Number(number), SqlType::Number { precision, scale }) => {
                return to_number(*number, precision, scale);
            }
            (Self::Float(number), SqlType::Number { precision, scale }) => {
                let number = Number::parse(&format!("{number}"))
                    .ok_or_else(|| not_recognized("Numeric value"))?;
                return to_number(number, precision, scale);
            }
            (Self::Text(text), SqlType::Number { precision, scale }) => {
                let number =
                    Number::parse(text.trim()).ok_or_else(|| not_recognized("Numeric value"))?;
                return to_number(number, precision, scale);
            }
            (Self::Number(number), SqlType::Float) => Some(Self::Float(number.as_float())),
            (Self::Float(_), SqlType::Float) => Some(self.clone()),
            (Self::Text(text), SqlType::Float) => float(text).map(Self::Float),
            (Self::Boolean(_), SqlType::Boolean) => Some(self.clone()),
            (Self::Number(number), SqlType::Boolean) => Some(Self::Boolean(number.units != 0)),
            (Self::Text(text), SqlType::Boolean) => boolean(text).map(Self::Boolean),
            (Self::Binary(_), SqlType::Binary) => Some(self.clone()),
            (Self::Date(_), SqlType::Date) | (Self::Time(_), SqlType::Time) => Some(self.clone()),
            (Self::DateTime(_), SqlType::TimestampNtz) => Some(self.clone()),
            (Self::Moment(_), SqlType::TimestampLtz) => Some(self.clone()),
            (Self::Text(text), SqlType::Date) => date(text).map(Self::Date),
            (Self::Text(text), SqlType::Time) => time(text).map(Self::Time),
            (Self::Text(text), SqlType::TimestampNtz) => date_time(text).map(Self::DateTime),
            (Self::Text(text), SqlType::TimestampLtz) => moment(text).map(Self::Moment),
            (Self::Moment(moment), SqlType::TimestampNtz) => {
                Some(Self::DateTime(moment.to_zoned(TimeZone::UTC).datetime()))
            }
            _ => None,
        };
        let what = match kind {
            SqlType::Float | SqlType::Number { .. } => "Numeric value",
            SqlType::Boolean => "Boolean value",
            SqlType::Date => "Date",
            SqlType::Time => "Time",
            SqlType::TimestampLtz | SqlType::TimestampNtz => "Timestamp",
            _ => "Value",
        };
        cast.ok_or_else(|| not_recognized(what))
    }
}

fn cast_json(json: &Arc<Json>, kind: SqlType) -> Result<Value> {
    let refused = |name: &str| {
        let text = format!("Failed to cast variant value {json} to {name}");
        Refusal::new("100071", "22000", text)
    };
    match (&**json, kind) {
        (_, SqlType::Variant) => Ok(Value::Json(json.clone())),
        (Json::Null, _) => Ok(Value::Null),
        (Json::Array(_), SqlType::Array) | (Json::Object(_), SqlType::Object) => {
            Ok(Value::Json(json.clone()))
        }
        (_, SqlType::Array) => Ok(Value::json(Json::Array(vec![(**json).clone()]))),
        (_, SqlType::Object) => Err(refused("OBJECT")),
        (Json::Array(_) | Json::Object(_), SqlType::Text(length)) => {
            fits(json.to_string(), length).map(Value::text)
        }
        (Json::Array(_) | Json::Object(_), _) => Err(refused(kind.wire_name())),
        _ => scalar(json)
            .cast(kind)
            .map_err(|_| refused(kind.wire_name())),
    }
}

fn fits(text: String, length: usize) -> Result<String> {
    if text.chars().count() <= length {
        return Ok(text);
    }
    let text = format!("String '{text}' is too long and would be truncated");
    Err(Refusal::new("100078", "22000", text))
}

fn to_number(number: Number, precision: u8, scale: u8) -> Result<Value> {
    let out_of_range = || {
        let text = format!(
            "Number out of representable range: type FIXED[SB16]({precision},{scale}), value {number}"
        );
        Refusal::new("100039", "22003", text)
    };
    let units = number.rescaled(scale).ok_or_else(out_of_range)?;
    let limit = 10_u128.pow(u32::from(precision));
    if units.unsigned_abs() >= limit {
        return Err(out_of_range());
    }
    Ok(Value::Number(Number { units, scale }))
}

fn float(text: &str) -> Option<f64> {
    match text.trim().to_ascii_lowercase().as_str() {
        "nan" => Some(f64::NAN),
        "inf" | "infinity" => Some(f64::INFINITY),
        "-inf" | "-infinity" => Some(f64::NEG_INFINITY),
        number => number.parse().ok(),
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
        _ => None,
    }
}

fn date(text: &str) -> Option<Date> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    text.parse().ok()
}

fn time(text: &str) -> Option<Time> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    text.parse().ok()
}

fn date_time(text: &str) -> Option<DateTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    text.parse().ok()
}

fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

/// Base64 as `TO_BINARY(…, 'BASE64')` reads it.
pub(crate) fn from_base64(text: &str) -> Result<Value> {
    STANDARD
        .decode(text)
        .map(|bytes| Value::Binary(bytes.into()))
        .map_err(|_| {
            let text =
                format!("The following string is not a legal base64-encoded value: '{text}'");
            Refusal::new("100356", "22000", text)
        })
}
