//! Numbers as Java reads and writes them: what converters, casts and masks go by.

use super::Decimal;
pub use super::java::{decimal_text, double_text, float_text, plain_decimal_text};
use bytes::Bytes;
use num_bigint::BigInt;

/// Exponents of decimals are kept small: a text of a few bytes must not become gigabytes of zeros.
const MAX_EXPONENT: i32 = 10_000;

/// Nor is a decimal given a scale this far from its own.
pub const MAX_SCALE_CHANGE: u32 = MAX_EXPONENT.unsigned_abs();

/// The decimal that `text` says, with the digits it has, as `BigDecimal` reads it.
pub fn exact_from_text(text: &str) -> Option<Decimal> {
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
pub fn decimal_from_text(text: &str, scale: i32) -> Option<Decimal> {
    decimal_from_exact(&exact_from_text(text)?, scale)
}

/// The decimal with just this scale; `None` if it has more digits after the point.
pub fn decimal_from_exact(exact: &Decimal, scale: i32) -> Option<Decimal> {
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

/// A decimal as the nearest double.
pub fn decimal_as_double(decimal: &Decimal) -> f64 {
    scientific(decimal).parse().unwrap_or(f64::NAN)
}

/// A decimal as the nearest float.
pub fn decimal_as_float(decimal: &Decimal) -> f32 {
    scientific(decimal).parse().unwrap_or(f32::NAN)
}

fn scientific(decimal: &Decimal) -> String {
    let unscaled = BigInt::from_signed_bytes_be(&decimal.unscaled);
    format!("{unscaled}e{}", -i64::from(decimal.scale))
}

/// The whole part of a decimal, its lowest 64 bits as `BigDecimal.longValue` gives them.
pub fn decimal_as_long(decimal: &Decimal) -> i64 {
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

/// The whole number a decimal is, if it is one of 64 bits.
pub fn exact_long(decimal: &Decimal) -> Option<i64> {
    let whole = decimal_from_exact(decimal, 0)?;
    i64::try_from(BigInt::from_signed_bytes_be(&whole.unscaled)).ok()
}

/// The lowest 64 bits of an integer of any length, as `BigInteger.longValue` gives them; 0 if it is none.
pub fn big_as_long(text: &str) -> i64 {
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
pub fn double_from_text(text: &str) -> Option<f64> {
    float_spelling(text)?.parse().ok()
}

/// Reads a float as `Float.parseFloat` does, but for hexadecimal ones.
pub fn float_from_text(text: &str) -> Option<f32> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
