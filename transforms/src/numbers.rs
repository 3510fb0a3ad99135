//! Numbers as Java reads and writes them: what casts and masks go by.

use bytes::Bytes;
use connect_core::data::Decimal;
use num_bigint::BigInt;

/// Exponents of decimals are kept small: a text of a few bytes must not become gigabytes of zeros.
const MAX_EXPONENT: i32 = 10_000;

/// The decimal that `text` says, with the digits it has, as `BigDecimal` reads it.
pub(crate) fn exact_from_text(text: &str) -> Option<Decimal> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(&digits);
    let is_number = !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number || exponent.abs() > MAX_EXPONENT {
        return None;
    }
    let unscaled: BigInt = digits.parse().ok()?;
    Some(Decimal {
        unscaled: Bytes::from(unscaled.to_signed_bytes_be()),
        scale: i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?,
    })
}

/// The decimal that `text` says, with just this scale; `None` if it is no number or has more digits after the point.
pub(crate) fn decimal_from_text(text: &str, scale: i32) -> Option<Decimal> {
    let exact = exact_from_text(text)?;
    let unscaled = BigInt::from_signed_bytes_be(&exact.unscaled);
    let more = scale.checked_sub(exact.scale)?;
    let power = BigInt::from(10).pow(more.unsigned_abs());
    let unscaled = if more >= 0 {
        unscaled * power
    } else if (&unscaled % &power) == BigInt::ZERO {
        unscaled / power
    } else {
        return None;
    };
    Some(Decimal {
        unscaled: Bytes::from(unscaled.to_signed_bytes_be()),
        scale,
    })
}

/// A decimal as text, as `BigDecimal.toString` writes it.
pub(crate) fn decimal_text(decimal: &Decimal) -> String {
    let unscaled = BigInt::from_signed_bytes_be(&decimal.unscaled).to_string();
    let (sign, digits) = match unscaled.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", unscaled.as_str()),
    };
    let scale = i64::from(decimal.scale);
    let length = i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let exponent = length - 1 - scale;
    if scale < 0 || exponent < -6 {
        let (first, rest) = digits.split_at(1);
        let point = if rest.is_empty() { "" } else { "." };
        return format!("{sign}{first}{point}{rest}E{exponent:+}");
    }
    if scale == 0 {
        return unscaled;
    }
    let places = usize::try_from(scale).unwrap_or_default();
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    format!("{sign}{whole}.{fraction}")
}

/// A decimal as the nearest double.
pub(crate) fn decimal_as_double(decimal: &Decimal) -> f64 {
    scientific(decimal).parse().unwrap_or(f64::NAN)
}

/// A decimal as the nearest float.
pub(crate) fn decimal_as_float(decimal: &Decimal) -> f32 {
    scientific(decimal).parse().unwrap_or(f32::NAN)
}

fn scientific(decimal: &Decimal) -> String {
    let unscaled = BigInt::from_signed_bytes_be(&decimal.unscaled);
    format!("{unscaled}e{}", -i64::from(decimal.scale))
}

/// The whole part of a decimal, its lowest 64 bits as `BigDecimal.longValue` gives them.
pub(crate) fn decimal_as_long(decimal: &Decimal) -> i64 {
    let unscaled = BigInt::from_signed_bytes_be(&decimal.unscaled);
    let power = BigInt::from(10).pow(
        decimal
            .scale
            .unsigned_abs()
            .min(MAX_EXPONENT.unsigned_abs()),
    );
    let whole = if decimal.scale >= 0 {
        unscaled / power
    } else {
        unscaled * power
    };
    low_bits(&whole)
}

/// The lowest 64 bits of an integer of any length, as `BigInteger.longValue` gives them; 0 if it is none.
pub(crate) fn big_as_long(text: &str) -> i64 {
    let number: BigInt = text.parse().unwrap_or_default();
    low_bits(&number)
}

fn low_bits(number: &BigInt) -> i64 {
    let fill = if number.sign() == num_bigint::Sign::Minus {
        u8::MAX
    } else {
        0
    };
    let mut low = [fill; 8];
    for (place, byte) in low.iter_mut().zip(number.to_signed_bytes_le()) {
        *place = byte;
    }
    i64::from_le_bytes(low)
}

/// Reads a double as `Double.parseDouble` does, but for hexadecimal ones.
pub(crate) fn double_from_text(text: &str) -> Option<f64> {
    float_spelling(text)?.parse().ok()
}

/// Reads a float as `Float.parseFloat` does, but for hexadecimal ones.
pub(crate) fn float_from_text(text: &str) -> Option<f32> {
    float_spelling(text)?.parse().ok()
}

/// What Rust reads as Java reads `text`: blanks around it and a type letter at the end do not count.
fn float_spelling(text: &str) -> Option<&str> {
    let text = text.trim_matches(|character| character <= ' ');
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, "NaN" | "Infinity") {
        return Some(text);
    }
    if !unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    Some(text.strip_suffix(['f', 'F', 'd', 'D']).unwrap_or(text))
}

/// A double as `Double.toString` writes it.
pub(crate) fn double_text(number: f64) -> String {
    java_float(number, &format!("{number:e}"))
}

/// A float as `Float.toString` writes it.
pub(crate) fn float_text(number: f32) -> String {
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
    use super::*;

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
    fn floats_are_read_as_java_reads_them() {
        assert_eq!(double_from_text(" 1.5d "), Some(1.5));
        assert_eq!(double_from_text("-.5"), Some(-0.5));
        assert_eq!(float_from_text("1e2f"), Some(100.0));
        assert_eq!(double_from_text("-Infinity"), Some(f64::NEG_INFINITY));
        for wrong in ["", "inf", "nan", "infinity", "1.5x", "--1", "NaNd"] {
            assert_eq!(double_from_text(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn decimals_keep_their_value_and_never_lose_digits() {
        let text = |text, scale| decimal_from_text(text, scale).map(|read| decimal_text(&read));
        assert_eq!(text("1.5", 2).unwrap(), "1.50");
        assert_eq!(text("-0.05", 2).unwrap(), "-0.05");
        assert_eq!(text("1500", -2).unwrap(), "1.5E+3");
        assert_eq!(text("1E-8", 8).unwrap(), "1E-8");
        assert_eq!(
            text("123456789012345678901234567890", 1).unwrap(),
            "123456789012345678901234567890.0"
        );
        assert_eq!(text("1.005", 2), None);
        assert_eq!(text("1e999999999", 2), None);
        assert_eq!(text("x", 2), None);
    }

    #[test]
    fn decimals_become_java_numbers() {
        let read = |text| exact_from_text(text).unwrap();
        assert_eq!(decimal_as_long(&read("-7.99")), -7);
        assert_eq!(decimal_as_long(&read("18446744073709551617")), 1);
        assert_eq!(decimal_as_long(&read("-18446744073709551617")), -1);
        assert!((decimal_as_double(&read("0.10")) - 0.1).abs() < f64::EPSILON);
    }
}
