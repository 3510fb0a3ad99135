//! Values as the JSON of rows: as the official connector writes them.
//!
//! JSON that came as bytes is copied. Logical types are text: dates and times in ISO 8601 with a `Z`, decimals as numbers
//! up to 38 digits and as text beyond.

use connect_core::data::numbers::plain_decimal_text;
use connect_core::data::{Datum, Value, json};
use connect_core::{Error, Result};
use jiff::Timestamp;
use jiff::civil::{Date, Time};

/// Digits that Snowflake's numbers hold.
const MOST_DIGITS: usize = 38;

/// Appends a value.
///
/// # Errors
/// A data error if it cannot be written as JSON.
pub(crate) fn write(datum: &Datum, out: &mut Vec<u8>) -> Result<()> {
    if datum.raw_json().is_some() {
        return json::write(datum, out);
    }
    json::write_value_with(datum.value(), out, &write_logical)
}

/// Appends text as a JSON string.
pub(crate) fn write_text(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("text always serializes and a Vec takes every byte");
}

/// Logical types, in this connector's form.
fn write_logical(value: &Value, out: &mut Vec<u8>) -> Result<bool> {
    match value {
        Value::Date(days) => write_text(&date(*days)?, out),
        Value::Time(millis) => write_text(&time(*millis)?, out),
        Value::Timestamp(millis) => write_text(&timestamp(*millis)?, out),
        Value::Decimal(number) => {
            let text = plain_decimal_text(number).ok_or_else(|| out_of_range("decimal"))?;
            let digits = text.bytes().filter(u8::is_ascii_digit).count();
            if digits > MOST_DIGITS {
                write_text(&text, out);
            } else {
                out.extend_from_slice(text.as_bytes());
            }
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn out_of_range(what: &str) -> Error {
    Error::data(format!("a {what} beyond what can be written"))
}

fn date(days: i32) -> Result<String> {
    let epoch = Date::constant(1970, 1, 1);
    let date = epoch
        .checked_add(
            jiff::Span::new()
                .try_days(days)
                .map_err(|_| out_of_range("date"))?,
        )
        .map_err(|_| out_of_range("date"))?;
    Ok(format!("{date}Z"))
}

fn time(millis: i32) -> Result<String> {
    let since_midnight = jiff::SignedDuration::from_millis(millis.into());
    let time = Time::midnight()
        .checked_add(since_midnight)
        .map_err(|_| out_of_range("time of day"))?;
    Ok(format!("{}Z", time.strftime("%H:%M:%S%.3f")))
}

fn timestamp(millis: i64) -> Result<String> {
    let moment = Timestamp::from_millisecond(millis).map_err(|_| out_of_range("timestamp"))?;
    Ok(moment.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

#[cfg(test)]
mod tests {
    use connect_core::data::Decimal;

    use super::*;

    fn written(value: Value) -> String {
        let mut out = Vec::new();
        write(&Datum::schemaless(value), &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn number(unscaled: &[u8], scale: i32) -> Value {
        Value::Decimal(Decimal {
            unscaled: unscaled.to_vec().into(),
            scale,
        })
    }

    #[test]
    fn logical_types_are_written_as_the_official_connector_does_it() {
        assert_eq!(written(Value::Date(19_792)), "\"2024-03-10Z\"");
        assert_eq!(written(Value::Time(45_296_007)), "\"12:34:56.007Z\"");
        let moment = Value::Timestamp(1_710_052_200_000);
        assert_eq!(written(moment), "\"2024-03-10T06:30:00.000Z\"");
        assert_eq!(written(Value::Float64(f64::NAN)), "\"NaN\"");
        let pairs = Value::Map(vec![(Value::Int32(1), Value::Date(0))]);
        assert_eq!(written(pairs), "[[1,\"1970-01-01Z\"]]");
    }

    #[test]
    fn decimals_keep_every_digit() {
        assert_eq!(written(number(&[0x30, 0x39], 2)), "123.45");
        assert_eq!(written(number(&[0xff], 3)), "-0.001");
        assert_eq!(written(number(&[0x05], -2)), "500");
        assert_eq!(written(number(&[0], -2)), "0");
        let long = written(number(&[0x7f; 17], 0));
        assert_eq!(long, "\"43385334562092358133808765634594698395519\"");
    }
}
