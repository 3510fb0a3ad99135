//! JSON text to values and back: what lazy values and JSON outputs share.
//!
//! Reading follows Kafka's schemaless `JsonConverter`; writing is what it writes with `schemas.enable=false`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value as Json;

use super::{Datum, Struct, Type, Value};
use crate::{Error, Result};

/// Checks that `bytes` are one well-formed JSON value in UTF-8, at most 127 levels deep.
///
/// # Errors
/// A data error that says where the JSON stops being JSON.
pub fn validate(bytes: &[u8]) -> Result<()> {
    let text = std::str::from_utf8(bytes).map_err(|cause| not_json().source(cause))?;
    serde_json::from_str::<serde::de::IgnoredAny>(text)
        .map(|_| ())
        .map_err(|cause| not_json().source(cause))
}

fn not_json() -> Error {
    Error::data("not valid JSON")
}

/// Parses one JSON value. Integers beyond 64 bits keep their spelling; of equal keys the last wins.
///
/// # Errors
/// A data error that says where the JSON stops being JSON.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map(from_serde)
        .map_err(|cause| not_json().source(cause))
}

/// A tree of serde's as a schemaless value.
pub fn from_serde(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Boolean(value),
        Json::Number(number) => from_number(&number),
        Json::String(text) => Value::string(text),
        Json::Array(items) => Value::Array(items.into_iter().map(from_serde).collect()),
        Json::Object(entries) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (Value::string(key), from_serde(value)))
                .collect(),
        ),
    }
}

fn from_number(number: &serde_json::Number) -> Value {
    let text = number.as_str();
    if let Ok(integer) = text.parse::<i64>() {
        return Value::Int64(integer);
    }
    let is_integer = text
        .bytes()
        .all(|byte| byte == b'-' || byte.is_ascii_digit());
    match text.parse::<f64>() {
        Ok(float) if !is_integer && float.is_finite() => Value::Float64(float),
        _ => Value::Number(text.into()),
    }
}

/// Appends one line of JSON: bytes that came as JSON are copied, and only closed up if they hold line breaks.
///
/// # Errors
/// A data error if the value cannot be written as JSON.
pub fn write(datum: &Datum, out: &mut Vec<u8>) -> Result<()> {
    match datum.raw_json() {
        Some(raw) if !raw.iter().any(|byte| matches!(byte, b'\n' | b'\r')) => {
            out.extend_from_slice(raw.trim_ascii());
            Ok(())
        }
        Some(raw) => {
            compact(raw, out);
            Ok(())
        }
        None => write_value(datum.value(), out),
    }
}

/// Copies valid JSON without the white space between its parts.
pub fn compact(json: &[u8], out: &mut Vec<u8>) {
    let mut in_string = false;
    let mut escaped = false;
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            out.push(byte);
        } else if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            in_string = byte == b'"';
            out.push(byte);
        }
    }
}

/// Appends `value` as JSON.
///
/// # Errors
/// A data error if a map's keys cannot be written.
pub fn write_value(value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(value) => write_serde(value, out),
        Value::Int8(number) => write_serde(number, out),
        Value::Int16(number) => write_serde(number, out),
        Value::Int32(number) | Value::Date(number) | Value::Time(number) => {
            write_serde(number, out);
        }
        Value::Int64(number) | Value::Timestamp(number) => write_serde(number, out),
        Value::Float32(number) if number.is_finite() => write_serde(number, out),
        Value::Float64(number) if number.is_finite() => write_serde(number, out),
        Value::Float32(number) => write_not_finite(f64::from(*number), out),
        Value::Float64(number) => write_not_finite(*number, out),
        Value::Number(text) => out.extend_from_slice(text.as_bytes()),
        Value::String(text) => write_serde(&**text, out),
        Value::Bytes(bytes) => write_base64(bytes, out),
        Value::Decimal(decimal) => write_base64(&decimal.unscaled, out),
        Value::Array(items) => write_array(items, out)?,
        Value::Map(entries) => write_map(entries, out)?,
        Value::Struct(fields) => write_struct(fields, out)?,
    }
    Ok(())
}

fn write_serde<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value).expect("scalars always serialize and a Vec takes every byte");
}

/// As Jackson spells them: quoted.
fn write_not_finite(number: f64, out: &mut Vec<u8>) {
    let text: &[u8] = match (number.is_nan(), number > 0.0) {
        (true, _) => b"\"NaN\"",
        (false, true) => b"\"Infinity\"",
        (false, false) => b"\"-Infinity\"",
    };
    out.extend_from_slice(text);
}

fn write_base64(bytes: &[u8], out: &mut Vec<u8>) {
    write_serde(&STANDARD.encode(bytes), out);
}

fn write_array(items: &[Value], out: &mut Vec<u8>) -> Result<()> {
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_value(item, out)?;
    }
    out.push(b']');
    Ok(())
}

/// An object if every key is text, else an array of pairs.
fn write_map(entries: &[(Value, Value)], out: &mut Vec<u8>) -> Result<()> {
    let is_object = entries.iter().all(|(key, _)| key.as_str().is_some());
    out.push(if is_object { b'{' } else { b'[' });
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if !is_object {
            out.push(b'[');
        }
        write_value(key, out)?;
        out.push(if is_object { b':' } else { b',' });
        write_value(value, out)?;
        if !is_object {
            out.push(b']');
        }
    }
    out.push(if is_object { b'}' } else { b']' });
    Ok(())
}

fn write_struct(fields: &Struct, out: &mut Vec<u8>) -> Result<()> {
    let Type::Struct(declared) = &fields.schema.kind else {
        return Err(Error::internal("a struct whose schema is not one"));
    };
    out.push(b'{');
    for (index, (field, value)) in declared.iter().zip(&fields.values).enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_serde(&*field.name, out);
        out.push(b':');
        write_value(value, out)?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(json: &str) -> String {
        let mut out = Vec::new();
        write_value(&parse(json.as_bytes()).unwrap(), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_keep_their_value_beyond_64_bits() {
        assert_eq!(
            written(r#"{"e":123456789012345678901234567890,"f":9223372036854775807,"g":0.1}"#),
            r#"{"e":123456789012345678901234567890,"f":9223372036854775807,"g":0.1}"#
        );
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let wrong: [&[u8]; 9] = [
            b"",
            b"{",
            b"{}x",
            b"01",
            b"NaN",
            b"'a'",
            b"[1,]",
            b"\"\xff\"",
            b"\"\\ud800\"",
        ];
        for bytes in wrong {
            let refused = validate(bytes).is_err() || parse(bytes).is_err();
            assert!(refused, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn nesting_without_end_is_an_error_not_a_crash() {
        let deep = "[".repeat(100_000);
        assert!(validate(deep.as_bytes()).is_err());
        assert!(parse(deep.as_bytes()).is_err());
    }

    #[test]
    fn line_breaks_between_parts_go_and_those_in_text_stay() {
        let mut out = Vec::new();
        compact(b"{\n \"a\\\"\\n\" : [1 ,\r\n\t2]\n}", &mut out);
        assert_eq!(out, b"{\"a\\\"\\n\":[1,2]}");
    }
}
