//! Values as text that [`super::infer`] reads back: text plain at the top, quoted inside lists and maps.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::data::{Type, Value, numbers};
use connect_core::{Error, Result};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

const MILLIS_PER_DAY: i64 = 86_400_000;

/// The text of a value.
pub(super) fn of(value: &Value) -> Result<String> {
    match value {
        Value::String(text) => Ok(text.to_string()),
        other => {
            let mut out = String::new();
            write(other, &mut out)?;
            Ok(out)
        }
    }
}

fn write(value: &Value, out: &mut String) -> Result<()> {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => push(out, value),
        Value::Int8(number) => push(out, number),
        Value::Int16(number) => push(out, number),
        Value::Int32(number) => push(out, number),
        Value::Int64(number) => push(out, number),
        Value::Float32(number) => out.push_str(&numbers::float_text(*number)),
        Value::Float64(number) => out.push_str(&numbers::double_text(*number)),
        Value::Number(text) => out.push_str(text),
        Value::Decimal(decimal) => out.push_str(&numbers::decimal_text(decimal)),
        Value::String(text) => write_quoted(text, out),
        Value::Bytes(bytes) => out.push_str(&STANDARD.encode(bytes)),
        Value::Date(days) => push(out, &date(*days)?),
        Value::Time(millis) => write_time(i64::from(*millis), out),
        Value::Timestamp(millis) => {
            let day = millis.div_euclid(MILLIS_PER_DAY);
            push(out, &date(i32::try_from(day).map_err(|_| too_far())?)?);
            out.push('T');
            write_time(millis.rem_euclid(MILLIS_PER_DAY), out);
        }
        Value::Array(items) => write_all(items.iter(), ('[', ']'), out, write)?,
        Value::Map(entries) => write_all(entries.iter(), ('{', '}'), out, |(key, value), out| {
            write(key, out)?;
            out.push(':');
            write(value, out)
        })?,
        Value::Struct(fields) => {
            let Type::Struct(declared) = &fields.schema.kind else {
                return Err(Error::internal("a struct whose schema is not one"));
            };
            let fields = declared.iter().zip(&fields.values);
            write_all(fields, ('{', '}'), out, |(field, value), out| {
                write_quoted(&field.name, out);
                out.push(':');
                let or_default = field.schema.default.as_ref().filter(|_| value.is_null());
                write(or_default.unwrap_or(value), out)
            })?;
        }
    }
    Ok(())
}

fn push(out: &mut String, part: &impl std::fmt::Display) {
    write!(out, "{part}").expect("writing to a string cannot fail");
}

fn write_all<T>(
    items: impl Iterator<Item = T>,
    (open, close): (char, char),
    out: &mut String,
    write: impl Fn(T, &mut String) -> Result<()>,
) -> Result<()> {
    out.push(open);
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out)?;
    }
    out.push(close);
    Ok(())
}

fn write_quoted(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

fn date(days: i32) -> Result<Date> {
    Date::constant(1970, 1, 1)
        .checked_add(days.days())
        .map_err(|cause| too_far().source(cause))
}

fn too_far() -> Error {
    Error::data("a date beyond the year 9999 cannot be written as text")
}

fn write_time(millis: i64, out: &mut String) {
    let time = Timestamp::from_millisecond(millis).unwrap_or_default();
    push(out, &time.strftime("%H:%M:%S.%3fZ"));
}
