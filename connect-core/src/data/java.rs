//! Values as Java's `toString` writes them: what Kafka Connect's own text forms of values are.

use std::fmt::Write;

use jiff::tz::TimeZone;
use num_bigint::{BigInt, Sign};

use super::json::is_integer;
use super::{Decimal, Struct, Type, Value};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// `String.valueOf` of a value: `null`, `1.0E10`, `[a, b]`, `{k=v}`, `Struct{a=1,b=2}`; dates as `java.util.Date` writes them,
/// in the system's time zone.
///
/// A map's entries stand in the order of `java.util.HashMap`, which is what Kafka Connect's converters make. Bytes are
/// written as Java writes an array, `[B@1b2c3d4`: not their content, but here a hash of it.
pub fn text(value: &Value) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => push(out, value),
        Value::Int8(number) => push(out, number),
        Value::Int16(number) => push(out, number),
        Value::Int32(number) => push(out, number),
        Value::Int64(number) => push(out, number),
        Value::Float32(number) => out.push_str(&float_text(*number)),
        Value::Float64(number) => out.push_str(&double_text(*number)),
        Value::Number(text) => out.push_str(text),
        Value::String(text) => out.push_str(text),
        Value::Bytes(bytes) => push(out, format_args!("[B@{:x}", array_hash(bytes))),
        Value::Decimal(decimal) => out.push_str(&decimal_text(decimal)),
        Value::Date(days) => out.push_str(&date_text(
            i64::from(*days) * MILLIS_PER_DAY,
            TimeZone::system(),
        )),
        Value::Time(millis) => out.push_str(&date_text((*millis).into(), TimeZone::system())),
        Value::Timestamp(millis) => out.push_str(&date_text(*millis, TimeZone::system())),
        Value::Array(items) => write_list(out, ["[", ", ", "]"], items.iter(), write),
        Value::Map(entries) => {
            let entries = in_hash_order(entries).into_iter();
            write_list(out, ["{", ", ", "}"], entries, |(key, value), out| {
                write(key, out);
                out.push('=');
                write(value, out);
            });
        }
        Value::Struct(fields) => write_struct(fields, out),
    }
}

fn push(out: &mut String, shown: impl std::fmt::Display) {
    write!(out, "{shown}").expect("writing to a string cannot fail");
}

/// Fields without a value are left out.
fn write_struct(fields: &Struct, out: &mut String) {
    let declared = match &fields.schema.kind {
        Type::Struct(declared) => declared.as_slice(),
        _ => &[],
    };
    let fields = declared.iter().zip(&fields.values);
    let present = fields.filter(|(_, value)| !value.is_null());
    write_list(
        out,
        ["Struct{", ",", "}"],
        present,
        |(field, value), out| {
            push(out, &field.name);
            out.push('=');
            write(value, out);
        },
    );
}

fn write_list<T>(
    out: &mut String,
    [open, between, close]: [&str; 3],
    items: impl Iterator<Item = T>,
    mut write: impl FnMut(T, &mut String),
) {
    out.push_str(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(between);
        }
        write(item, out);
    }
    out.push_str(close);
}

/// The order in which a `java.util.HashMap` that was filled in this order lists its entries.
fn in_hash_order(entries: &[(Value, Value)]) -> Vec<&(Value, Value)> {
    // The table has 16 places and doubles when it is three quarters full.
    let mut places = 16_usize;
    while entries.len() > places / 4 * 3 {
        places *= 2;
    }
    let mask = u32::try_from(places - 1).unwrap_or(u32::MAX);
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|(key, _)| {
        let hash = hash(key);
        (hash ^ (hash >> 16)) & mask
    });
    sorted
}

/// `hashCode` of a map's key; of lists and structs, which are hardly ever keys, 0.
fn hash(key: &Value) -> u32 {
    let of_long = |bits: u64| low_bits(bits ^ (bits >> 32));
    match key {
        Value::String(text) => of_characters(text.encode_utf16().map(u32::from)),
        Value::Boolean(true) => 1231,
        Value::Boolean(false) => 1237,
        Value::Int8(number) => i32::from(*number).cast_unsigned(),
        Value::Int16(number) => i32::from(*number).cast_unsigned(),
        Value::Int32(number) => number.cast_unsigned(),
        Value::Int64(number) => of_long(number.cast_unsigned()),
        Value::Float32(number) => number.to_bits(),
        Value::Float64(number) => of_long(number.to_bits()),
        _ => 0,
    }
}

#[expect(clippy::cast_possible_truncation, reason = "Java keeps the low bits")]
fn low_bits(bits: u64) -> u32 {
    bits as u32
}

fn of_characters(characters: impl Iterator<Item = u32>) -> u32 {
    characters.fold(0, |hash: u32, next| {
        hash.wrapping_mul(31).wrapping_add(next)
    })
}

/// `Arrays.hashCode`.
fn array_hash(bytes: &[u8]) -> u32 {
    bytes.iter().fold(1, |hash: u32, byte| {
        let signed = i32::from(byte.cast_signed()).cast_unsigned();
        hash.wrapping_mul(31).wrapping_add(signed)
    })
}

/// `java.util.Date.toString`; the number itself where the year has more than four digits.
fn date_text(millis: i64, zone: TimeZone) -> String {
    let Ok(moment) = jiff::Timestamp::from_millisecond(millis) else {
        return millis.to_string();
    };
    let moment = moment.to_zoned(zone);
    moment.strftime("%a %b %d %H:%M:%S %Z %Y").to_string()
}

/// The class that a value has in Java: `java.lang.Double`.
pub fn class_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "java.lang.Boolean",
        Value::Int8(_) => "java.lang.Byte",
        Value::Int16(_) => "java.lang.Short",
        Value::Int32(_) => "java.lang.Integer",
        Value::Int64(_) => "java.lang.Long",
        Value::Float32(_) => "java.lang.Float",
        Value::Float64(_) => "java.lang.Double",
        Value::Number(text) if !is_integer(text) => "java.lang.Double",
        Value::Number(_) => "java.math.BigInteger",
        Value::String(_) => "java.lang.String",
        Value::Bytes(_) => "[B",
        Value::Decimal(_) => "java.math.BigDecimal",
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => "java.util.Date",
        Value::Array(_) => "java.util.ArrayList",
        Value::Map(_) => "java.util.HashMap",
        Value::Struct(_) => "org.apache.kafka.connect.data.Struct",
    }
}

/// The class of a value as Java prints the class itself: `class java.lang.Double`.
pub fn class_text(value: &Value) -> String {
    match class_name(value) {
        "null" => "null".to_owned(),
        name => format!("class {name}"),
    }
}

/// A decimal as text, as `BigDecimal.toString` writes it.
pub fn decimal_text(decimal: &Decimal) -> String {
    let (sign, digits) = sign_and_digits(decimal);
    let scale = i64::from(decimal.scale);
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let exponent = length - 1 - scale;
    if scale < 0 || exponent < -6 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{sign}{first}{point}{rest}E{exponent:+}");
    }
    let text = with_point(&digits, decimal.scale.unsigned_abs());
    format!("{sign}{text}")
}

/// Zeros that a plain text has at the most: a decimal of a few bytes must not become gigabytes.
const MOST_ZEROS: u32 = 200_000;

/// A decimal as text without an exponent, as `BigDecimal.toPlainString` writes it; `None` if its scale asks for more than
/// 200,000 zeros.
pub fn plain_decimal_text(decimal: &Decimal) -> Option<String> {
    if decimal.scale.unsigned_abs() > MOST_ZEROS {
        return None;
    }
    let (sign, digits) = sign_and_digits(decimal);
    if decimal.scale >= 0 {
        let text = with_point(&digits, decimal.scale.unsigned_abs());
        return Some(format!("{sign}{text}"));
    }
    let zeros = match digits.as_str() {
        "0" => 0,
        _ => usize::try_from(decimal.scale.unsigned_abs()).ok()?,
    };
    Some(format!("{sign}{digits}{}", "0".repeat(zeros)))
}

fn sign_and_digits(decimal: &Decimal) -> (&'static str, String) {
    let unscaled = BigInt::from_signed_bytes_be(&decimal.unscaled);
    let sign = if unscaled.sign() == Sign::Minus {
        "-"
    } else {
        ""
    };
    (sign, unscaled.magnitude().to_string())
}

/// The point before the last `places` digits, one digit before it at least; none if there is nothing behind it.
fn with_point(digits: &str, places: u32) -> String {
    if places == 0 {
        return digits.to_owned();
    }
    let places = usize::try_from(places).unwrap_or_default();
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    format!("{whole}.{fraction}")
}

/// A double as `Double.toString` writes it.
pub fn double_text(number: f64) -> String {
    java_float(number, &format!("{number:e}"))
}

/// A float as `Float.toString` writes it.
pub fn float_text(number: f32) -> String {
    java_float(f64::from(number), &format!("{number:e}"))
}

/// `scientific` has the fewest digits that tell the number from its neighbours.
fn java_float(number: f64, scientific: &str) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}Infinity");
    }
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if number == 0.0 || (-3..7).contains(&exponent) {
        return plain(mantissa, exponent);
    }
    let point = if mantissa.contains('.') { "" } else { ".0" };
    format!("{mantissa}{point}E{exponent}")
}

/// `mantissa × 10^exponent` without an exponent, at least one digit on each side of the point.
fn plain(mantissa: &str, exponent: i32) -> String {
    let (sign, unsigned) = match mantissa.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", mantissa),
    };
    let digits = unsigned.replace('.', "");
    let zeros = usize::try_from(-exponent).unwrap_or_default();
    let padded = format!("{}{digits}", "0".repeat(zeros));
    let whole = usize::try_from(exponent).unwrap_or_default() + 1;
    let padded = format!("{padded:0<width$}", width = whole + 1);
    let (whole, fraction) = padded.split_at(whole);
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::data::{Field, Schema, json};

    fn plain(unscaled: &[u8], scale: i32) -> Option<String> {
        let unscaled = Bytes::copy_from_slice(unscaled);
        plain_decimal_text(&Decimal { unscaled, scale })
    }

    #[test]
    fn plain_decimals_have_all_digits_and_no_exponent() {
        for (unscaled, scale, text) in [
            (&[0x30, 0x39][..], 2, "123.45"),
            (&[0xFB, 0x2E], 2, "-12.34"),
            (&[0xFF], 3, "-0.001"),
            (&[0x80, 0x00], 0, "-32768"),
            (&[5], 9, "0.000000005"),
            (&[5], -2, "500"),
            (&[0], -2, "0"),
            (&[], 2, "0.00"),
            (&[0x7F; 17], 0, "43385334562092358133808765634594698395519"),
        ] {
            assert_eq!(plain(unscaled, scale).unwrap(), text);
        }
    }

    #[test]
    fn a_scale_that_asks_for_gigabytes_of_zeros_is_refused() {
        assert_eq!(plain(&[1], -200_000).unwrap().len(), 200_001);
        for scale in [-200_001, 200_001, i32::MIN, i32::MAX] {
            assert_eq!(plain(&[1], scale), None);
        }
    }

    proptest::proptest! {
        #[test]
        fn plain_decimals_are_what_their_bytes_say(number: i64, scale in 0..12_i32) {
            let text = plain(&number.to_be_bytes(), scale).unwrap();
            let digits: String = text.chars().filter(|character| *character != '.').collect();
            proptest::prop_assert_eq!(digits.parse::<i64>().unwrap(), number);
            let behind = text.split_once('.').map_or(0, |(_, behind)| behind.len());
            proptest::prop_assert_eq!(behind, usize::try_from(scale).unwrap());
        }
    }

    #[test]
    fn floats_are_written_as_java_writes_them() {
        let cases = [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (1234567.0, "1234567.0"),
            (9999999.5, "9999999.5"),
            (10_000_000.0, "1.0E7"),
            (1.25e20, "1.25E20"),
            (0.001, "0.001"),
            (0.00012, "1.2E-4"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ];
        for (number, text) in cases {
            assert_eq!(double_text(number), text);
        }
        assert_eq!(float_text(0.1), "0.1");
        assert_eq!(float_text(3.4e38), "3.4E38");
    }

    #[test]
    fn maps_are_written_in_the_order_of_a_java_hash_map() {
        // What Kafka Connect 4.3.1 writes of the same records.
        let cases = [
            (
                r#"{"order_id":1,"store":"x","amount":12.5,"when":"2026","tags":["a",null,{"z":1,"y":2}],"ok":true,"none":null}"#,
                "{amount=12.5, store=x, none=null, ok=true, order_id=1, when=2026, tags=[a, null, {y=2, z=1}]}",
            ),
            (
                r#"{"alpha":1,"beta":2,"gamma":3,"delta":4,"epsilon":5,"zeta":6,"eta":7,"theta":8,"iota":9,"kappa":10,"lambda":11,"mu":12,"nu":13,"xi":14}"#,
                "{zeta=6, iota=9, nu=13, delta=4, mu=12, theta=8, epsilon=5, xi=14, lambda=11, eta=7, alpha=1, kappa=10, beta=2, gamma=3}",
            ),
            (r#"{"Aa":1,"BB":2,"ü":3,"":4}"#, "{Aa=1, BB=2, =4, ü=3}"),
            ("{}", "{}"),
        ];
        for (given, expected) in cases {
            assert_eq!(text(&json::parse(given.as_bytes()).unwrap()), expected);
        }
    }

    #[test]
    fn keys_that_are_numbers_stand_where_java_puts_them() {
        let keys = [(17, "a"), (1, "b"), (33, "c"), (-1, "d")];
        let entries = keys.map(|(key, value)| (Value::Int32(key), Value::string(value)));
        let expected = "{-1=d, 17=a, 1=b, 33=c}";
        assert_eq!(text(&Value::Map(entries.into())), expected);
    }

    #[test]
    fn dates_are_written_with_their_zone() {
        let date = date_text(1_705_314_600_123, TimeZone::UTC);
        assert_eq!(date, "Mon Jan 15 10:30:00 UTC 2024");
        let first_day = date_text(3_723_004, TimeZone::UTC);
        assert_eq!(first_day, "Thu Jan 01 01:02:03 UTC 1970");
    }

    #[test]
    fn structs_are_written_without_the_fields_that_are_null() {
        let field = |name: &str, kind| Field {
            name: name.into(),
            schema: Arc::new(Schema::new(kind).optional()),
        };
        let kind = Type::Struct(vec![
            field("a", Type::Int32),
            field("b", Type::String),
            field("c", Type::Float64),
        ]);
        let value = Value::Struct(Struct {
            schema: Arc::new(Schema::new(kind)),
            values: vec![Value::Int32(1), Value::Null, Value::Float64(1e10)],
        });
        assert_eq!(text(&value), "Struct{a=1,c=1.0E10}");
        assert_eq!(
            text(&Value::Array(vec![value, Value::Null])),
            "[Struct{a=1,c=1.0E10}, null]"
        );
    }

    #[test]
    fn bytes_and_null_are_written_as_java_names_them() {
        assert_eq!(text(&Value::Bytes(Bytes::from_static(b"abc"))), "[B@1ecc1");
        assert_eq!(text(&Value::Null), "null");
    }
}
