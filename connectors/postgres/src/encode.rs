//! Values into the binary form of COPY.
//!
//! Holds always: what is written is either the value or nothing: no rounding beyond the column's own precision, no cut,
//! no guess. A refusal names the kind of value, never the value, which may be somebody's secret.

use connect_core::data::Value;
use connect_core::data::json::is_integer;
use connect_core::data::numbers::plain_decimal_text;

use crate::cell::Cell;
use crate::column::ColumnType;
use crate::config::TimestampPrecision;
use crate::json_text::{self, text_of};
use crate::numeric;
use crate::raw_fields::plain_text;
use crate::temporal::{Moment, Zone, parse_date, parse_time, pg_date};

/// Why a value does not fit a column.
pub(crate) type Refusal = String;

/// What a field's schema says about its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FieldTraits {
    /// Integers are moments.
    pub(crate) moments: Option<TimestampPrecision>,
    /// Text with a schema is JSON where the column is; text in schemaless JSON is a JSON string.
    pub(crate) has_schema: bool,
}

/// Appends a field: length and content.
pub(crate) fn field(
    value: &Value,
    column: &ColumnType,
    traits: FieldTraits,
    zone: &Zone,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if value.is_null() {
        out.extend_from_slice(&(-1_i32).to_be_bytes());
        return Ok(());
    }
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    content(value, column, traits, zone, out)?;
    set_length(start, out)
}

/// Writes the length of the content behind `start` in front of it.
fn set_length(start: usize, out: &mut [u8]) -> Result<(), Refusal> {
    let length = i32::try_from(out.len() - start - 4).map_err(|_| "larger than 2 GB".to_owned())?;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// Appends a field that may still be JSON: what needs no taking apart is copied or parsed where it stands.
pub(crate) fn cell(
    cell: &Cell<'_>,
    column: &ColumnType,
    traits: FieldTraits,
    zone: &Zone,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    if let Cell::Json(json) = cell {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        if raw(json, column, out).is_some() {
            return set_length(start, out);
        }
        out.truncate(start);
    }
    field(&cell.value(), column, traits, zone, out)
}

/// Appends the content of the common cases; `None`, with anything appended, if this is not one of them.
fn raw(json: &[u8], column: &ColumnType, out: &mut Vec<u8>) -> Option<()> {
    let number = || std::str::from_utf8(json).ok();
    match (column, json.first()?) {
        (_, b'n') => return None,
        (ColumnType::Json, _) => put(json, out),
        (ColumnType::Jsonb, _) => {
            out.push(1);
            put(json, out);
        }
        (ColumnType::Text, b'"') => put(plain_text(json)?.as_bytes(), out),
        (ColumnType::Boolean, b't') => out.push(1),
        (ColumnType::Boolean, b'f') => out.push(0),
        (ColumnType::SmallInt, b'-' | b'0'..=b'9') => {
            put(&number()?.parse::<i16>().ok()?.to_be_bytes(), out);
        }
        (ColumnType::Integer, b'-' | b'0'..=b'9') => {
            put(&number()?.parse::<i32>().ok()?.to_be_bytes(), out);
        }
        (ColumnType::BigInt, b'-' | b'0'..=b'9') => {
            put(&number()?.parse::<i64>().ok()?.to_be_bytes(), out);
        }
        (ColumnType::Double, b'-' | b'0'..=b'9') => {
            put(&double_of_text(number()?)?.to_be_bytes(), out);
        }
        // Every digit as it is spelled: a floating point number would lose some.
        (ColumnType::Numeric, b'-' | b'0'..=b'9') => numeric::write(number()?, out)?,
        _ => return None,
    }
    Some(())
}

fn content(
    value: &Value,
    column: &ColumnType,
    traits: FieldTraits,
    zone: &Zone,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let refused = || refusal(value, column);
    match column {
        ColumnType::Boolean => out.push(boolean(value).ok_or_else(refused)?.into()),
        ColumnType::SmallInt => put(&narrow::<i16>(value, column)?.to_be_bytes(), out),
        ColumnType::Integer => put(&narrow::<i32>(value, column)?.to_be_bytes(), out),
        ColumnType::BigInt => put(&narrow::<i64>(value, column)?.to_be_bytes(), out),
        ColumnType::Real => put(&real(value).ok_or_else(refused)?.to_be_bytes(), out),
        ColumnType::Double => put(&double(value).ok_or_else(refused)?.to_be_bytes(), out),
        ColumnType::Numeric => decimal(value, out).ok_or_else(refused)?,
        ColumnType::Text | ColumnType::Cast => text(value, out)?,
        ColumnType::Bytea => bytea(value, out).ok_or_else(refused)?,
        ColumnType::Date => put(
            &date(value, traits, zone).ok_or_else(refused)?.to_be_bytes(),
            out,
        ),
        ColumnType::Time => put(&time(value).ok_or_else(refused)?.to_be_bytes(), out),
        ColumnType::Timestamp => {
            let count = moment(value, traits, zone).and_then(|moment| zone.without_zone(moment));
            put(&count.ok_or_else(refused)?.to_be_bytes(), out);
        }
        ColumnType::TimestampTz => {
            let count = moment(value, traits, zone).and_then(|moment| zone.with_zone(moment));
            put(&count.ok_or_else(refused)?.to_be_bytes(), out);
        }
        ColumnType::Uuid => put(&uuid(value).ok_or_else(refused)?, out),
        ColumnType::Json => json(value, traits, out)?,
        ColumnType::Jsonb => {
            out.push(1);
            json(value, traits, out)?;
        }
        ColumnType::Array(element, oid) => array(value, element, *oid, traits, zone, out)?,
    }
    Ok(())
}

fn put(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(bytes);
}

fn refusal(value: &Value, column: &ColumnType) -> Refusal {
    format!(
        "{} does not fit a column of type {}",
        kind(value),
        column.name()
    )
}

/// What a value is, for messages.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "a boolean",
        Value::Int8(_) => "an int8",
        Value::Int16(_) => "an int16",
        Value::Int32(_) => "an int32",
        Value::Int64(_) => "an integer",
        Value::Float32(_) | Value::Float64(_) => "a floating point number",
        Value::Number(text) if is_integer(text) => "an integer beyond 64 bits",
        Value::Number(_) => "a number with so many digits",
        Value::String(_) => "this text",
        Value::Bytes(_) => "bytes",
        Value::Decimal(_) => "a decimal",
        Value::Date(_) => "a date",
        Value::Time(_) => "a time",
        Value::Timestamp(_) => "a timestamp",
        Value::Array(_) => "an array",
        Value::Map(_) => "an object",
        Value::Struct(_) => "a struct",
    }
}

fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::String(text) if text.eq_ignore_ascii_case("true") => Some(true),
        Value::String(text) if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn narrow<T: TryFrom<i64>>(value: &Value, column: &ColumnType) -> Result<T, Refusal> {
    integer(value)
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| refusal(value, column))
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int8(number) => Some((*number).into()),
        Value::Int16(number) => Some((*number).into()),
        Value::Int32(number) | Value::Date(number) | Value::Time(number) => Some((*number).into()),
        Value::Int64(number) | Value::Timestamp(number) => Some(*number),
        Value::Float32(number) => whole(f64::from(*number)),
        Value::Float64(number) => whole(*number),
        Value::Decimal(decimal) => {
            let text = plain_decimal_text(decimal)?;
            let (integer, fraction) = text.split_once('.').unwrap_or((&text, ""));
            let is_whole = fraction.bytes().all(|digit| digit == b'0');
            is_whole.then(|| integer.parse().ok())?
        }
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A floating point number without a fraction, within the integers that it can tell apart.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "checked to be whole and in range"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

fn real(value: &Value) -> Option<f32> {
    let number = match value {
        Value::Float32(number) => return Some(*number),
        other => double(other)?,
    };
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the column has this precision"
    )]
    let narrowed = number as f32;
    let fits = narrowed.is_finite() || !number.is_finite();
    let survives = !is_whole(value) || f64::from(narrowed).to_bits() == number.to_bits();
    (fits && survives).then_some(narrowed)
}

/// True for integers: none may become another one.
fn is_whole(value: &Value) -> bool {
    match value {
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => true,
        Value::Number(text) => is_integer(text),
        Value::Decimal(decimal) => {
            plain_decimal_text(decimal).is_some_and(|text| is_integer(&text))
        }
        _ => false,
    }
}

/// Fractions get the column's precision; an integer that is not one of those a double has is none.
fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Float32(number) => Some(f64::from(*number)),
        Value::Float64(number) => Some(*number),
        Value::Number(text) => double_of_text(text),
        Value::String(text) => text.trim().parse().ok(),
        Value::Decimal(decimal) => double_of_text(&plain_decimal_text(decimal)?),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            double_of_text(&integer(value)?.to_string())
        }
        _ => None,
    }
}

fn double_of_text(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    let is_exact = || text.len() <= f64::DIGITS as usize || format!("{number:.0}") == text;
    (number.is_finite() && (!is_integer(text) || is_exact())).then_some(number)
}

fn decimal(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::String(text) => numeric::write(text, out),
        Value::Number(text) => numeric::write(text, out),
        Value::Decimal(decimal) => numeric::write(&plain_decimal_text(decimal)?, out),
        Value::Float32(number) => numeric::write(&number.to_string(), out),
        Value::Float64(number) => numeric::write(&number.to_string(), out),
        Value::Int8(_) | Value::Int16(_) | Value::Int32(_) | Value::Int64(_) => {
            numeric::write(&integer(value)?.to_string(), out)
        }
        _ => None,
    }
}

fn text(value: &Value, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = out.len();
    match value {
        Value::String(text) => put(text.as_bytes(), out),
        Value::Bytes(_) => return Err(refusal(value, &ColumnType::Text)),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => {
            json_text::write(value, out).map_err(|error| error.to_string())?;
        }
        other => put(text_of(other).as_bytes(), out),
    }
    if out.get(start..).is_some_and(|written| written.contains(&0)) {
        return Err("the text holds the character NUL, which Postgres cannot store".to_owned());
    }
    Ok(())
}

fn bytea(value: &Value, out: &mut Vec<u8>) -> Option<()> {
    match value {
        Value::Bytes(bytes) => put(bytes, out),
        Value::String(text) => put(&hex(text.strip_prefix("\\x")?)?, out),
        _ => return None,
    }
    Some(())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    text.as_bytes()
        .chunks(2)
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
            _ => None,
        })
        .collect()
}

fn uuid(value: &Value) -> Option<[u8; 16]> {
    match value {
        Value::String(text) => {
            let text = text.trim().trim_start_matches('{').trim_end_matches('}');
            let dashes = text.bytes().filter(|byte| *byte == b'-').count();
            if dashes != 0 && dashes != 4 {
                return None;
            }
            hex(&text.replace('-', ""))?.try_into().ok()
        }
        Value::Bytes(bytes) => bytes.as_ref().try_into().ok(),
        _ => None,
    }
}

fn date(value: &Value, traits: FieldTraits, zone: &Zone) -> Option<i32> {
    match value {
        Value::Date(days) => pg_date(*days),
        Value::String(text) => parse_date(text),
        other => zone.day(moment(other, traits, zone)?),
    }
}

fn time(value: &Value) -> Option<i64> {
    match value {
        Value::Time(millis) => Some(i64::from(*millis) * 1000),
        Value::String(text) => parse_time(text),
        _ => None,
    }
}

fn moment(value: &Value, traits: FieldTraits, zone: &Zone) -> Option<Moment> {
    match (value, traits.moments) {
        (Value::Timestamp(millis), _) => millis.checked_mul(1000).map(Moment),
        (Value::Date(days), _) => zone.midnight(*days),
        (Value::String(text), _) => zone.parse(text),
        (Value::Int64(count), Some(TimestampPrecision::Microseconds)) => Some(Moment(*count)),
        (Value::Int64(count), Some(TimestampPrecision::Nanoseconds)) => {
            Some(Moment(count.div_euclid(1000)))
        }
        _ => None,
    }
}

fn json(value: &Value, traits: FieldTraits, out: &mut Vec<u8>) -> Result<(), Refusal> {
    match value {
        Value::String(text) if traits.has_schema => {
            put(text.as_bytes(), out);
            Ok(())
        }
        other => json_text::write(other, out).map_err(|error| error.to_string()),
    }
}

fn array(
    value: &Value,
    element: &ColumnType,
    oid: u32,
    traits: FieldTraits,
    zone: &Zone,
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let Value::Array(items) = value else {
        return Err(format!(
            "{} does not fit an array of {}",
            kind(value),
            element.name()
        ));
    };
    let has_null = items.iter().any(Value::is_null);
    let count = i32::try_from(items.len()).map_err(|_| "too many elements".to_owned())?;
    let dimensions = i32::from(count > 0);
    put(&dimensions.to_be_bytes(), out);
    put(&i32::from(has_null).to_be_bytes(), out);
    put(&oid.to_be_bytes(), out);
    if count > 0 {
        put(&count.to_be_bytes(), out);
        put(&1_i32.to_be_bytes(), out);
    }
    for item in items {
        field(item, element, traits, zone, out)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: FieldTraits = FieldTraits {
        moments: None,
        has_schema: false,
    };

    fn encoded(value: &Value, column: &ColumnType) -> Result<Vec<u8>, Refusal> {
        let mut out = Vec::new();
        let zone = Zone::new(jiff::tz::TimeZone::UTC);
        field(value, column, PLAIN, &zone, &mut out)?;
        Ok(out)
    }

    #[test]
    fn integers_that_do_not_fit_are_refused_not_cut() {
        let refused = encoded(&Value::Int64(70_000), &ColumnType::SmallInt).unwrap_err();
        assert_eq!(refused, "an integer does not fit a column of type smallint");
        assert!(encoded(&Value::Float64(1.5), &ColumnType::BigInt).is_err());
        assert!(encoded(&Value::Float64(1e300), &ColumnType::BigInt).is_err());
        assert!(encoded(&Value::Float64(1e300), &ColumnType::Real).is_err());
        let whole = encoded(&Value::Float64(3.0), &ColumnType::SmallInt);
        assert_eq!(whole.unwrap(), [0, 0, 0, 2, 0, 3]);
    }

    #[test]
    fn a_refusal_does_not_show_the_value() {
        let refused = encoded(&Value::string("hunter2"), &ColumnType::Uuid).unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }

    #[test]
    fn json_is_encoded_as_its_tree_would_be() {
        let values = [
            "1",
            "-7",
            "70000",
            "9223372036854775807",
            "9223372036854775808",
            "1.5",
            "1e3",
            "true",
            "false",
            "null",
            "\"a\"",
            "\"a\\n\"",
            "\"1\"",
            "\"\\u0000\"",
            "\"Zoë\"",
            "[1]",
            "{\"a\":[1]}",
            "1e999",
            "9007199254740993",
            "-9007199254740992",
            "16777217",
            "12345678901234567890",
            "9007199254740992000000",
            "0.12345678901234567890",
            "\"2026-02-26T10:23:45Z\"",
        ];
        let columns = [
            ColumnType::Boolean,
            ColumnType::SmallInt,
            ColumnType::Integer,
            ColumnType::BigInt,
            ColumnType::Real,
            ColumnType::Double,
            ColumnType::Numeric,
            ColumnType::Text,
            ColumnType::TimestampTz,
            ColumnType::Cast,
        ];
        let zone = Zone::new(jiff::tz::TimeZone::UTC);
        for (json, column) in values
            .iter()
            .flat_map(|json| columns.iter().map(move |column| (json, column)))
        {
            let tree = connect_core::data::json::parse(json.as_bytes()).unwrap();
            let (mut raw, mut taken_apart) = (Vec::new(), Vec::new());
            let from_raw = cell(&Cell::Json(json.as_bytes()), column, PLAIN, &zone, &mut raw);
            let from_tree = field(&tree, column, PLAIN, &zone, &mut taken_apart);
            assert_eq!(from_raw, from_tree, "{json} {column:?}");
            if from_raw.is_ok() {
                assert_eq!(raw, taken_apart, "{json} {column:?}");
            }
        }
    }

    #[test]
    fn an_integer_never_becomes_another_one() {
        let real = |number| encoded(&Value::Int64(number), &ColumnType::Real);
        let double = |number| encoded(&Value::Int64(number), &ColumnType::Double);
        assert!(real(16_777_216).is_ok());
        assert!(real(16_777_217).is_err());
        assert!(double(9_007_199_254_740_992).is_ok());
        assert!(double(9_007_199_254_740_993).is_err());
        assert!(double(i64::MAX).is_err());
        assert!(double(i64::MIN).is_ok());
        let long = Value::Number("12345678901234567890".into());
        assert!(encoded(&long, &ColumnType::Double).is_err());
        let fraction = Value::Number("0.12345678901234567890".into());
        assert!(encoded(&fraction, &ColumnType::Double).is_ok());
        assert!(encoded(&fraction, &ColumnType::Real).is_ok());
    }

    #[test]
    fn text_with_nul_is_refused() {
        assert!(encoded(&Value::string("a\0b"), &ColumnType::Text).is_err());
    }

    #[test]
    fn null_is_a_length_of_minus_one() {
        assert_eq!(
            encoded(&Value::Null, &ColumnType::Jsonb).unwrap(),
            [0xFF; 4]
        );
    }
}
