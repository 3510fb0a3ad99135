//! Cells: values as text, quoted as RFC 4180 says.
//!
//! No value is an empty cell, empty text is `""`: who cares can tell them apart.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::data::numbers::{double_text, float_text, plain_decimal_text};
use connect_core::data::{Value, json};
use connect_core::{Error, Result};
use jiff::SignedDuration;
use jiff::civil::{Date, Time};

use super::scan;

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaf<'a> {
    /// JSON text.
    Json(&'a [u8]),
    /// A value.
    Tree(&'a Value),
}

impl Leaf<'_> {
    /// True if there is no value.
    pub(crate) fn is_null(&self) -> bool {
        match self {
            Self::Json(json) => *json == b"null",
            Self::Tree(value) => value.is_null(),
        }
    }

    /// Appends the value as a cell.
    pub(crate) fn write_cell(&self, guard: bool, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Json(json) => match json.first() {
                Some(b'"') => write_text(&scan::text(json), guard, out),
                Some(b'{' | b'[') => self.write_nested(out)?,
                _ if self.is_null() => {}
                _ => out.extend_from_slice(json),
            },
            Self::Tree(value) => self.write_value(value, guard, out)?,
        }
        Ok(())
    }

    fn write_value(&self, value: &Value, guard: bool, out: &mut Vec<u8>) -> Result<()> {
        match value {
            Value::Null => {}
            Value::String(text) => write_text(text, guard, out),
            Value::Bytes(bytes) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
            Value::Decimal(decimal) => {
                let text = plain_decimal_text(decimal);
                let text =
                    text.ok_or_else(|| out_of_range("decimal's scale", decimal.scale.into()));
                out.extend_from_slice(text?.as_bytes());
            }
            Value::Date(days) => out.extend_from_slice(date_text(*days)?.as_bytes()),
            Value::Time(millis) => out.extend_from_slice(time_text(*millis)?.as_bytes()),
            Value::Timestamp(millis) => out.extend_from_slice(timestamp_text(*millis)?.as_bytes()),
            Value::Float32(number) if !number.is_finite() => {
                out.extend_from_slice(float_text(*number).as_bytes());
            }
            Value::Float64(number) if !number.is_finite() => {
                out.extend_from_slice(double_text(*number).as_bytes());
            }
            Value::Array(_) | Value::Map(_) | Value::Struct(_) => self.write_nested(out)?,
            number => json::write_value(number, out)?,
        }
        Ok(())
    }

    fn write_nested(&self, out: &mut Vec<u8>) -> Result<()> {
        let mut text = Vec::new();
        self.write_json(&mut text)?;
        write_text(&String::from_utf8_lossy(&text), false, out);
        Ok(())
    }

    /// Appends the value as JSON.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Self::Json(bytes) => json::compact(bytes, out),
            Self::Tree(value) => json::write_value(value, out)?,
        }
        Ok(())
    }
}

/// Appends text, in quotes if it needs them.
pub(crate) fn write_text(text: &str, guard: bool, out: &mut Vec<u8>) {
    let runs = guard && text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let needs_quotes = |byte: u8| matches!(byte, b'"' | b',' | b'\r' | b'\n');
    if !runs && !text.is_empty() && !text.bytes().any(needs_quotes) {
        return out.extend_from_slice(text.as_bytes());
    }
    out.push(b'"');
    if runs {
        out.push(b'\'');
    }
    for part in text.split_inclusive('"') {
        out.extend_from_slice(part.as_bytes());
        if part.ends_with('"') {
            out.push(b'"');
        }
    }
    out.push(b'"');
}

fn out_of_range(what: &str, number: i64) -> Error {
    Error::data(format!("{number} is out of range for a {what}"))
}

fn date_text(days: i32) -> Result<String> {
    let epoch = Date::constant(1970, 1, 1);
    let date = epoch.checked_add(SignedDuration::from_hours(i64::from(days) * 24));
    date.map(|date| date.to_string())
        .map_err(|cause| out_of_range("date", days.into()).source(cause))
}

fn time_text(millis: i32) -> Result<String> {
    let time = Time::midnight().checked_add(SignedDuration::from_millis(millis.into()));
    time.map(|time| format!("{time:.3}"))
        .map_err(|cause| out_of_range("time", millis.into()).source(cause))
}

fn timestamp_text(millis: i64) -> Result<String> {
    jiff::Timestamp::from_millisecond(millis)
        .map(|moment| format!("{moment:.3}"))
        .map_err(|cause| out_of_range("timestamp", millis).source(cause))
}

#[cfg(test)]
mod tests {
    use connect_core::data::Decimal;

    use super::*;

    fn cell(leaf: Leaf<'_>) -> String {
        let mut out = Vec::new();
        leaf.write_cell(false, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn guarded(text: &str) -> String {
        let mut out = Vec::new();
        write_text(text, true, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn text_is_quoted_where_rfc_4180_asks_for_it() {
        for (json, expected) in [
            (r#""plain""#, "plain"),
            (r#"" spaces stay ""#, " spaces stay "),
            (r#""a,b""#, "\"a,b\""),
            (r#""say \"x\"""#, "\"say \"\"x\"\"\""),
            (r#""two\r\nlines""#, "\"two\r\nlines\""),
            (r#""""#, "\"\""),
            ("null", ""),
            ("true", "true"),
            ("12345678901234567890.10", "12345678901234567890.10"),
            (r#"{ "a" : [1, 2] }"#, r#""{""a"":[1,2]}""#),
            ("[]", "[]"),
        ] {
            assert_eq!(cell(Leaf::Json(json.as_bytes())), expected, "{json}");
        }
    }

    #[test]
    fn logical_types_are_what_people_write() {
        let decimal = |unscaled: &'static [u8], scale| {
            cell(Leaf::Tree(&Value::Decimal(Decimal {
                unscaled: unscaled.into(),
                scale,
            })))
        };
        assert_eq!(decimal(&[0x04, 0xd2], 2), "12.34");
        assert_eq!(decimal(&[0xfb, 0x2e], 2), "-12.34");
        assert_eq!(decimal(&[5], -2), "500");
        assert_eq!(cell(Leaf::Tree(&Value::Date(19_737))), "2024-01-15");
        assert_eq!(cell(Leaf::Tree(&Value::Date(-1))), "1969-12-31");
        assert_eq!(cell(Leaf::Tree(&Value::Time(37_800_123))), "10:30:00.123");
        let moment = Value::Timestamp(1_705_314_600_000);
        assert_eq!(cell(Leaf::Tree(&moment)), "2024-01-15T10:30:00.000Z");
        assert_eq!(cell(Leaf::Tree(&Value::Float64(f64::NAN))), "NaN");
        let infinity = Value::Float32(f32::NEG_INFINITY);
        assert_eq!(cell(Leaf::Tree(&infinity)), "-Infinity");
        assert_eq!(cell(Leaf::Tree(&Value::Bytes(vec![0, 255].into()))), "AP8=");
    }

    #[test]
    fn what_no_calendar_has_and_no_memory_holds_is_an_error() {
        for value in [
            Value::Date(i32::MAX),
            Value::Time(-1),
            Value::Time(86_400_000),
            Value::Timestamp(i64::MAX),
            Value::Decimal(Decimal {
                unscaled: vec![1].into(),
                scale: i32::MIN,
            }),
        ] {
            let written = Leaf::Tree(&value).write_cell(false, &mut Vec::new());
            assert!(written.is_err(), "{value:?}");
        }
    }

    #[test]
    fn the_guard_disarms_formulas_and_leaves_the_rest() {
        assert_eq!(guarded("=1+1"), "\"'=1+1\"");
        assert_eq!(guarded("@sum(\"a\")"), "\"'@sum(\"\"a\"\")\"");
        assert_eq!(guarded("a=1"), "a=1");
    }
}
