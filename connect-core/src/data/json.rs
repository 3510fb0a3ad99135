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
        .map_err(|cause| not_json().source(cause))?;
    if is_too_deep(bytes) {
        return Err(Error::data("JSON of more than 127 levels"));
    }
    Ok(())
}

/// What a tree can be made of: what is passed over is not limited by the parser.
const MOST_LEVELS: usize = 127;

fn is_too_deep(json: &[u8]) -> bool {
    let opens = |byte: &u8| matches!(byte, b'{' | b'[');
    // Most values have too few brackets to be deep, and counting is quick.
    if json.len() <= 2 * MOST_LEVELS
        || json.iter().filter(|byte| opens(byte)).count() <= MOST_LEVELS
    {
        return false;
    }
    let (mut levels, mut in_string, mut escaped) = (0_usize, false, false);
    for byte in json {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => levels += 1,
            b'}' | b']' => levels = levels.saturating_sub(1),
            _ => {}
        }
        if levels > MOST_LEVELS {
            return true;
        }
    }
    false
}

fn not_json() -> Error {
    Error::data("not valid JSON")
}

/// Parses one JSON value. Numbers that neither 64-bit integers nor doubles hold keep their spelling; of equal keys the
/// last wins. Half a surrogate pair, which no text can hold, becomes U+FFFD.
///
/// # Errors
/// A data error that says where the JSON stops being JSON.
pub fn parse(bytes: &[u8]) -> Result<Value> {
    let parsed = serde_json::from_slice(bytes).or_else(|cause| match mended(bytes) {
        Some(mended) => serde_json::from_slice(&mended),
        None => Err(cause),
    });
    parsed
        .map(from_serde)
        .map_err(|cause| not_json().source(cause))
}

/// The JSON with every escape of half a surrogate pair as that of U+FFFD; `None` if there is none.
fn mended(json: &[u8]) -> Option<Vec<u8>> {
    let mut mended = Vec::with_capacity(json.len());
    let mut halves = 0;
    let mut rest = json;
    // A backslash stands within strings only, and before what it escapes.
    while let Some(at) = rest.iter().position(|byte| *byte == b'\\') {
        let (before, escape) = rest.split_at(at);
        mended.extend_from_slice(before);
        let length = match (unit(escape), escape.get(6..).and_then(unit)) {
            (Some(0xD800..=0xDBFF), Some(0xDC00..=0xDFFF)) => 12,
            (Some(0xD800..=0xDFFF), _) => {
                halves += 1;
                mended.extend_from_slice(b"\\ufffd");
                rest = escape.get(6..).unwrap_or_default();
                continue;
            }
            (Some(_), _) => 6,
            (None, _) => 2.min(escape.len()),
        };
        let (escape, after) = escape.split_at(length);
        mended.extend_from_slice(escape);
        rest = after;
    }
    mended.extend_from_slice(rest);
    (halves > 0).then_some(mended)
}

/// The code unit of the escape `\uXXXX` that `json` begins with.
fn unit(json: &[u8]) -> Option<u16> {
    let digits = json.strip_prefix(b"\\u")?.get(..4)?;
    let digits = std::str::from_utf8(digits).ok()?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_hex.then(|| u16::from_str_radix(digits, 16).ok())?
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
    match text.parse::<f64>() {
        Ok(float) if !is_integer(text) && is_exact(text, float) => Value::Float64(float),
        _ => Value::Number(text.into()),
    }
}

/// True if a JSON number is spelled without fraction and exponent.
pub fn is_integer(number: &str) -> bool {
    number
        .bytes()
        .all(|byte| byte == b'-' || byte.is_ascii_digit())
}

/// True if `float`, written as short as it can be, is the number that `text` spells.
fn is_exact(text: &str, float: f64) -> bool {
    // So many digits every double keeps.
    const DIGITS: usize = f64::DIGITS as usize;
    let (digits, _) = split_exponent(text);
    let length = trimmed(digits).count();
    match length {
        0 => true,
        1..=DIGITS => float.is_normal() || same_number(text, float),
        _ => float.is_finite() && same_number(text, float),
    }
}

fn same_number(text: &str, float: f64) -> bool {
    let shortest = format!("{float:e}");
    let (one, other) = (split_exponent(text).0, split_exponent(&shortest).0);
    trimmed(one).eq(trimmed(other)) && magnitude(text) == magnitude(&shortest)
}

fn split_exponent(number: &str) -> (&str, &str) {
    number.split_once(['e', 'E']).unwrap_or((number, "0"))
}

/// The digits without the zeros at their beginning and end.
fn trimmed(mantissa: &str) -> impl Iterator<Item = u8> {
    let mantissa = mantissa.trim_matches(['-', '0', '.']);
    mantissa.bytes().filter(u8::is_ascii_digit)
}

/// The power of ten of the first digit that is not zero.
fn magnitude(number: &str) -> Option<i64> {
    let (mantissa, exponent) = split_exponent(number);
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches(['-', '0']).len();
    let power = match whole {
        0 => {
            let zeros = fraction.len() - fraction.trim_start_matches('0').len();
            -1 - i64::try_from(zeros).ok()?
        }
        digits => i64::try_from(digits).ok()? - 1,
    };
    power.checked_add(exponent.parse().ok()?)
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
    write_value_with(value, out, &|_, _| Ok(false))
}

/// Appends `value` as JSON, some values in a form of the caller's: `own` sees each value first, those inside others too, and
/// says whether it has written it.
///
/// # Errors
/// What `own` says; a data error if a map's keys cannot be written.
pub fn write_value_with<F>(value: &Value, out: &mut Vec<u8>, own: &F) -> Result<()>
where
    F: Fn(&Value, &mut Vec<u8>) -> Result<bool>,
{
    if own(value, out)? {
        return Ok(());
    }
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
        Value::Array(items) => write_array(items, out, own)?,
        Value::Map(entries) => write_map(entries, out, own)?,
        Value::Struct(fields) => write_struct(fields, out, own)?,
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

fn write_array<F>(items: &[Value], out: &mut Vec<u8>, own: &F) -> Result<()>
where
    F: Fn(&Value, &mut Vec<u8>) -> Result<bool>,
{
    out.push(b'[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_value_with(item, out, own)?;
    }
    out.push(b']');
    Ok(())
}

/// An object if every key is text, else an array of pairs.
fn write_map<F>(entries: &[(Value, Value)], out: &mut Vec<u8>, own: &F) -> Result<()>
where
    F: Fn(&Value, &mut Vec<u8>) -> Result<bool>,
{
    let is_object = entries.iter().all(|(key, _)| key.as_str().is_some());
    out.push(if is_object { b'{' } else { b'[' });
    for (index, (key, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        if !is_object {
            out.push(b'[');
        }
        write_value_with(key, out, own)?;
        out.push(if is_object { b':' } else { b',' });
        write_value_with(value, out, own)?;
        if !is_object {
            out.push(b']');
        }
    }
    out.push(if is_object { b'}' } else { b']' });
    Ok(())
}

fn write_struct<F>(fields: &Struct, out: &mut Vec<u8>, own: &F) -> Result<()>
where
    F: Fn(&Value, &mut Vec<u8>) -> Result<bool>,
{
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
        write_value_with(value, out, own)?;
    }
    out.push(b'}');
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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
    fn numbers_keep_every_digit_that_a_double_would_lose() {
        for number in [
            "12345678901234.567890",
            "0.1234567890123456789",
            "-3.14159265358979323846",
            "9007199254740993.0",
            "1e+400",
            "1.5e-400",
            "1.00000000000000000001e-7",
            "5e-324000000000000000000",
        ] {
            assert_eq!(
                parse(number.as_bytes()).unwrap(),
                Value::Number(number.into())
            );
            assert_eq!(written(number), number);
        }
        for (number, float) in [
            ("0.1", 0.1),
            ("12.50", 12.5),
            ("0.30000000000000004", 0.1 + 0.2),
            ("0.000", 0.0),
            ("1E5", 1e5),
            ("100000.000000000000000000000", 1e5),
            ("1.7976931348623157e308", f64::MAX),
            ("5e-324", 5e-324),
        ] {
            assert_eq!(parse(number.as_bytes()).unwrap(), Value::Float64(float));
        }
    }

    proptest! {
        #[test]
        fn what_a_double_writes_comes_back_as_the_double(bits in any::<u64>()) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            for text in [format!("{float:e}"), format!("{float:?}")] {
                let Value::Float64(read) = parse(text.as_bytes()).unwrap() else {
                    // Written without fraction and exponent only where it is zero's sign, or an integer's.
                    prop_assert!(is_integer(&text));
                    continue;
                };
                prop_assert_eq!(read, float);
            }
        }

        #[test]
        fn no_text_that_is_valid_keeps_a_record_from_being_a_tree(text in r"(\\u[dD][89a-fA-F][0-9a-f]{2}|\\u[0-9]{4}|\\n|\\\\|u|d800){0,8}") {
            let json = format!("[\"{text}\"]");
            prop_assert!(validate(json.as_bytes()).is_ok());
            prop_assert!(matches!(parse(json.as_bytes()), Ok(Value::Array(_))), "{}", json);
        }

        #[test]
        fn a_decimal_has_its_value_whatever_becomes_of_it(digits in "[1-9][0-9]{0,24}", fraction in "[0-9]{1,12}", exponent in -9_i32..9) {
            let text = format!("-{digits}.{fraction}e{exponent:+}");
            match parse(text.as_bytes()).unwrap() {
                Value::Float64(float) => prop_assert!(same_number(&text, float)),
                kept => prop_assert_eq!(kept, Value::Number(text.into())),
            }
        }
    }

    #[test]
    fn what_is_not_json_is_refused() {
        let wrong: [&[u8]; 8] = [
            b"",
            b"{",
            b"{}x",
            b"01",
            b"NaN",
            b"'a'",
            b"[1,]",
            b"\"\xff\"",
        ];
        for bytes in wrong {
            let refused = validate(bytes).is_err() && parse(bytes).is_err();
            assert!(refused, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn half_a_surrogate_pair_spoils_its_character_and_not_the_record() {
        let json = br#"{"id":7,"a\udc00":"\ud83d\ude00 \ud83d \uD83Dx\ud83d\u0041 \\ud800 \"\udfff","n":[1]}"#;
        validate(json).unwrap();
        let value = parse(json).unwrap();
        assert_eq!(value.get("id"), Some(&Value::Int64(7)));
        let text = value.get("a\u{fffd}").and_then(Value::as_str);
        assert_eq!(
            text,
            Some("\u{1f600} \u{fffd} \u{fffd}x\u{fffd}A \\ud800 \"\u{fffd}")
        );
    }

    #[test]
    fn what_is_valid_can_be_made_a_tree_of() {
        for opening in ["[", "{\"a[\\\"\":"] {
            let closing = if opening == "[" { "]" } else { "}" };
            let nested = |levels| opening.repeat(levels) + "1" + &closing.repeat(levels);
            let wide = format!("[{}]", vec![nested(100); 5].join(","));
            for json in [nested(127), wide] {
                assert!(validate(json.as_bytes()).is_ok());
                assert!(parse(json.as_bytes()).is_ok());
            }
            assert!(validate(nested(128).as_bytes()).is_err());
            assert!(parse(nested(128).as_bytes()).is_err());
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
