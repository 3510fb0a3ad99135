//! Values as JSON for json, jsonb and text columns: numbers stay numbers, times are text that people read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::Result;
use connect_core::data::numbers::plain_decimal_text;
use connect_core::data::{Value, json};

use crate::temporal::{Moment, date_text, moment_text, time_text};

/// Appends `value` as JSON.
///
/// # Errors
/// A data error if it cannot be written.
pub(crate) fn write(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    json::write_value_with(value, out, &write_own)
}

/// What this connector writes in a form of its own.
fn write_own(value: &Value, out: &mut Vec<u8>) -> Result<bool> {
    match value {
        Value::Map(entries) => write_map(entries, out)?,
        Value::Decimal(_) => out.extend_from_slice(text_of(value).as_bytes()),
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => {
            json::write_value(&Value::string(text_of(value)), out)?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// An object, whatever its keys are.
fn write_map(entries: &[(Value, Value)], out: &mut Vec<u8>) -> Result<()> {
    out.push(b'{');
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        json::write_value(&Value::string(text_of(key)), out)?;
        out.push(b':');
        write(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

/// A value as plain text; what is nested as JSON.
pub(crate) fn text_of(value: &Value) -> String {
    let or_raw = |text: Option<String>, raw: i64| text.unwrap_or_else(|| raw.to_string());
    match value {
        Value::Null => "null".to_owned(),
        Value::Boolean(value) => value.to_string(),
        Value::Int8(number) => number.to_string(),
        Value::Int16(number) => number.to_string(),
        Value::Int32(number) => number.to_string(),
        Value::Int64(number) => number.to_string(),
        Value::Float32(number) => number.to_string(),
        Value::Float64(number) => number.to_string(),
        Value::Number(text) => text.to_string(),
        Value::String(text) => text.to_string(),
        Value::Bytes(bytes) => STANDARD.encode(bytes),
        Value::Decimal(decimal) => plain_decimal_text(decimal).unwrap_or_else(|| "null".to_owned()),
        Value::Date(days) => or_raw(date_text(*days), (*days).into()),
        Value::Time(millis) => or_raw(time_text(*millis), (*millis).into()),
        Value::Timestamp(millis) => {
            let moment = millis.checked_mul(1000).map(Moment);
            or_raw(moment.and_then(moment_text), *millis)
        }
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            let mut out = Vec::new();
            match write(value, &mut out) {
                Ok(()) => String::from_utf8_lossy(&out).into_owned(),
                Err(_) => String::new(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_values_keep_numbers_and_write_times_for_people() {
        let decimal = connect_core::data::Decimal {
            unscaled: bytes::Bytes::from_static(&[0x30, 0x39]),
            scale: 2,
        };
        let value = Value::Map(vec![
            (Value::string("n"), Value::Decimal(decimal)),
            (
                Value::Int32(7),
                Value::Array(vec![Value::Date(0), Value::Null]),
            ),
            (Value::string("t"), Value::Timestamp(1500)),
        ]);
        let expected = r#"{"n":123.45,"7":["1970-01-01",null],"t":"1970-01-01T00:00:01.5Z"}"#;
        assert_eq!(text_of(&value), expected);
    }
}
