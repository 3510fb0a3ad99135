//! Values of a CSV column: by a declared type, or by what they look like.

use std::sync::Arc;

use connect_core::data::{Decimal, Schema, Type, Value, json, logical};
use jiff::civil;

/// A declared type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnType {
    Text,
    Boolean,
    Int32,
    Int64,
    Float64,
    /// Digits after the decimal point.
    Decimal(u8),
    Date,
    Timestamp,
}

/// The most digits a decimal may have: as many as 128 bits hold.
const DECIMAL_DIGITS: usize = 38;

impl ColumnType {
    /// Reads a type's name.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        Some(match text.as_str() {
            "string" => Self::Text,
            "boolean" => Self::Boolean,
            "int32" => Self::Int32,
            "int64" => Self::Int64,
            "float64" => Self::Float64,
            "date" => Self::Date,
            "timestamp" => Self::Timestamp,
            other => {
                let scale = other.strip_prefix("decimal(")?.strip_suffix(')')?;
                Self::Decimal(scale.trim().parse().ok().filter(|scale| *scale <= 38)?)
            }
        })
    }

    /// The type as configured.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Text => "string".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Int32 => "int32".to_owned(),
            Self::Int64 => "int64".to_owned(),
            Self::Float64 => "float64".to_owned(),
            Self::Decimal(scale) => format!("decimal({scale})"),
            Self::Date => "date".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
        }
    }

    /// The Connect schema of an optional column.
    pub(crate) fn schema(self) -> Schema {
        let named = |kind, name: &str| Schema::new(kind).named(name).version(1);
        let schema = match self {
            Self::Text => Schema::new(Type::String),
            Self::Boolean => Schema::new(Type::Boolean),
            Self::Int32 => Schema::new(Type::Int32),
            Self::Int64 => Schema::new(Type::Int64),
            Self::Float64 => Schema::new(Type::Float64),
            Self::Date => named(Type::Int32, logical::DATE),
            Self::Timestamp => named(Type::Int64, logical::TIMESTAMP),
            Self::Decimal(scale) => {
                let mut schema = named(Type::Bytes, logical::DECIMAL);
                schema
                    .parameters
                    .insert("scale".to_owned(), scale.to_string());
                schema
            }
        };
        schema.optional()
    }

    /// `text` as a Connect value; `None` if it is not of this type.
    pub(crate) fn value(self, text: &str) -> Option<Value> {
        Some(match self {
            Self::Text => Value::string(text),
            Self::Boolean => Value::Boolean(boolean(text)?),
            Self::Int32 => Value::Int32(text.trim().parse().ok()?),
            Self::Int64 => Value::Int64(text.trim().parse().ok()?),
            Self::Float64 => Value::Float64(float(text)?),
            Self::Decimal(scale) => Value::Decimal(decimal(text, scale)?),
            Self::Date => Value::Date(days(text)?),
            Self::Timestamp => Value::Timestamp(millis(text)?),
        })
    }

    /// Appends `text` as JSON: numbers keep their digits, dates and times stay text. False if it is not of this type.
    pub(crate) fn write_json(self, text: &str, out: &mut Vec<u8>) -> bool {
        let Some(value) = self.value(text) else {
            return false;
        };
        match self {
            Self::Float64 | Self::Decimal(_) if is_json_number(text) => {
                out.extend_from_slice(text.as_bytes());
            }
            Self::Decimal(_) => out.extend_from_slice(plain_number(text).as_bytes()),
            Self::Date | Self::Timestamp => write_text(text, out),
            Self::Text | Self::Boolean | Self::Int32 | Self::Int64 | Self::Float64 => {
                json::write_value(&value, out).expect("a scalar is always JSON");
            }
        }
        true
    }
}

/// Appends `text` as JSON, by what it looks like.
pub(crate) fn write_inferred(text: &str, out: &mut Vec<u8>) {
    match text {
        "true" | "True" | "TRUE" => out.extend_from_slice(b"true"),
        "false" | "False" | "FALSE" => out.extend_from_slice(b"false"),
        _ if looks_like_number(text) => out.extend_from_slice(text.as_bytes()),
        _ => write_text(text, out),
    }
}

/// Appends `text` as a JSON text.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    json::write_value(&Value::String(Arc::from(text)), out).expect("text is always JSON");
}

/// A JSON number, but an exponent only with its sign: `1E5` is rather a code than a number.
fn looks_like_number(text: &str) -> bool {
    let exponent = text
        .find(['e', 'E'])
        .and_then(|at| text.as_bytes().get(at + 1));
    is_json_number(text) && exponent.is_none_or(|sign| matches!(sign, b'+' | b'-'))
}

/// The grammar of RFC 8259: no leading zeros, no plus, digits on both sides of the point.
pub(crate) fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let signless = |text: &str| digits(text.strip_prefix(['+', '-']).unwrap_or(text));
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(signless)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// `inf` and `nan` are no numbers of a table.
fn float(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|number: &f64| number.is_finite())
}

fn days(text: &str) -> Option<i32> {
    let date: civil::Date = text
        .trim()
        .parse()
        .ok()
        .filter(|_| text.trim().len() == 10)?;
    let span = date
        .since((jiff::Unit::Day, civil::date(1970, 1, 1)))
        .ok()?;
    Some(span.get_days())
}

/// ISO 8601, `T` or a space between date and time; without a zone it is UTC.
fn millis(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(moment.as_millisecond());
    }
    let local: civil::DateTime = text.parse().ok()?;
    let moment = local.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(moment.timestamp().as_millisecond())
}

/// Digits with a point; more digits after it than `scale` only if they are zeros.
fn decimal(text: &str, scale: u8) -> Option<Decimal> {
    let text = text.trim();
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let all_digits = whole
        .bytes()
        .chain(fraction.bytes())
        .all(|byte| byte.is_ascii_digit());
    if whole.len() + fraction.len() == 0 || !all_digits {
        return None;
    }
    let scale = usize::from(scale);
    let (kept, rest) = fraction.split_at_checked(scale).unwrap_or((fraction, ""));
    let padded = format!("{whole}{kept:0<scale$}");
    let significant = padded.trim_start_matches('0');
    if significant.len() > DECIMAL_DIGITS || rest.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let magnitude: i128 = format!("0{significant}").parse().ok()?;
    let unscaled = if negative { -magnitude } else { magnitude };
    Some(Decimal::new(unscaled, i32::try_from(scale).ok()?))
}

/// A decimal that JSON would refuse (`+1`, `.5`, `007`, `5.`) as JSON spells it.
fn plain_number(text: &str) -> String {
    let text = text.trim();
    let (sign, unsigned) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let point = if fraction.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{fraction}")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inferred(text: &str) -> String {
        let mut out = Vec::new();
        write_inferred(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn typed(kind: &str, text: &str) -> Option<String> {
        let mut out = Vec::new();
        let written = ColumnType::parse(kind).unwrap().write_json(text, &mut out);
        written.then(|| String::from_utf8(out).unwrap())
    }

    #[test]
    fn what_looks_like_a_number_keeps_its_spelling_and_codes_stay_text() {
        for number in [
            "0",
            "12",
            "-1.50",
            "1.10",
            "12345678901234567890",
            "1e-05",
            "1.5E+16",
        ] {
            assert_eq!(inferred(number), number);
        }
        for code in [
            "007", "+1", "1E5", "1e5", ".5", "5.", "-", "", "1,5", "NaN", "inf", "0x1F", "1 2", "١",
        ] {
            assert_eq!(inferred(code), format!("\"{code}\""));
        }
        assert_eq!(
            (inferred("True"), inferred("FALSE")),
            ("true".into(), "false".into())
        );
        assert_eq!(inferred("say \"a\\b\"\n"), r#""say \"a\\b\"\n""#);
    }

    #[test]
    fn a_declared_type_takes_its_values_and_nothing_else() {
        let right = [
            ("string", "007", "\"007\""),
            ("int64", "007", "7"),
            ("int32", " 7 ", "7"),
            ("boolean", "TRUE", "true"),
            ("boolean", "0", "false"),
            ("float64", ".5", "0.5"),
            ("float64", "1.10", "1.10"),
            ("decimal(2)", "1.10", "1.10"),
            ("decimal(2)", "+01.1", "1.1"),
            ("decimal(2)", "1.1000", "1.1000"),
            ("date", "2026-02-26", "\"2026-02-26\""),
            (
                "timestamp",
                "2026-02-26 10:23:45",
                "\"2026-02-26 10:23:45\"",
            ),
            (
                "timestamp",
                "2026-02-26T10:23:45.123+01:00",
                "\"2026-02-26T10:23:45.123+01:00\"",
            ),
        ];
        for (kind, text, json) in right {
            assert_eq!(typed(kind, text).as_deref(), Some(json), "{kind} {text}");
        }
        let wrong = [
            ("int32", "2147483648"),
            ("int64", "1.0"),
            ("boolean", "yes"),
            ("float64", "nan"),
            ("decimal(2)", "1.101"),
            ("decimal(0)", "1e3"),
            ("decimal(2)", "."),
            ("date", "26.02.2026"),
            ("date", "2026-02-30"),
            ("timestamp", "10:23"),
        ];
        for (kind, text) in wrong {
            assert_eq!(typed(kind, text), None, "{kind} {text}");
        }
    }

    #[test]
    fn logical_types_are_connects_own() {
        let value = |kind: &str, text| ColumnType::parse(kind).unwrap().value(text);
        assert_eq!(value("date", "1970-01-02"), Some(Value::Date(1)));
        assert_eq!(value("date", "1969-12-31"), Some(Value::Date(-1)));
        assert_eq!(
            value("timestamp", "1970-01-01T00:00:01.5"),
            Some(Value::Timestamp(1500))
        );
        assert_eq!(
            value("timestamp", "1970-01-01T01:00:00+01:00"),
            Some(Value::Timestamp(0))
        );
        for (text, bytes) in [
            ("1.28", vec![0, 0x80]),
            ("-1.28", vec![0x80]),
            ("0", vec![0]),
            ("-0.01", vec![0xff]),
            ("2.55", vec![0, 0xff]),
        ] {
            let expected = Decimal {
                unscaled: bytes.into(),
                scale: 2,
            };
            assert_eq!(
                value("decimal(2)", text),
                Some(Value::Decimal(expected)),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn whatever_is_inferred_is_json_of_the_same_text(text in ".{0,20}|-?[0-9]{1,30}(\\.[0-9]{0,5})?([eE][+-]?[0-9]{1,3})?") {
            let json = inferred(&text);
            let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
            match parsed {
                serde_json::Value::String(same) => prop_assert_eq!(same, text),
                serde_json::Value::Bool(value) => prop_assert_eq!(value.to_string(), text.to_ascii_lowercase()),
                other => prop_assert_eq!(other.to_string().to_ascii_lowercase().replace("e+", "e"), text.to_ascii_lowercase().replace("e+", "e")),
            }
        }

        #[test]
        fn a_decimal_is_its_digits(number in any::<i64>()) {
            let magnitude = number.unsigned_abs();
            let sign = if number < 0 { "-" } else { "" };
            let text = format!("{sign}{}.{:02}", magnitude / 100, magnitude % 100);
            let Some(Value::Decimal(decimal)) = ColumnType::Decimal(2).value(&text) else { panic!("{text}") };
            let negative = decimal.unscaled[0] & 0x80 != 0;
            let read = decimal.unscaled.iter().fold(if negative { -1_i128 } else { 0 }, |sum, byte| sum << 8 | i128::from(*byte));
            prop_assert_eq!(read, i128::from(number));
        }
    }
}
