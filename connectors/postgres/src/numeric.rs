//! Decimals in Postgres's binary form: digits to base 10,000.

/// Sign words of the binary form.
const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
const NOT_A_NUMBER: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const MINUS_INFINITY: u16 = 0xF000;

/// Digits before and after the point that Postgres takes.
const MAX_INTEGER_DIGITS: usize = 131_072;
const MAX_FRACTION_DIGITS: usize = 16_383;

/// Appends the binary form of a decimal in text: `-12.50`, `1e-7`, `NaN`, `Infinity`. `None` if it is not one.
pub(crate) fn write(text: &str, out: &mut Vec<u8>) -> Option<()> {
    let text = text.trim();
    let (sign, unsigned) = match text.as_bytes().first()? {
        b'-' => (NEGATIVE, text.get(1..)?),
        b'+' => (POSITIVE, text.get(1..)?),
        _ => (POSITIVE, text),
    };
    if let Some(special) = special(sign, unsigned) {
        write_words(&[0, 0, special, 0], out);
        return Some(());
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (integer, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [integer, fraction].concat();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let point = i64::try_from(integer.len()).ok()? + i64::from(exponent);
    write_digits(sign, digits.as_bytes(), point, out)
}

fn special(sign: u16, text: &str) -> Option<u16> {
    match (sign, text.to_ascii_lowercase().as_str()) {
        (POSITIVE, "nan") => Some(NOT_A_NUMBER),
        (POSITIVE, "inf" | "infinity") => Some(INFINITY),
        (NEGATIVE, "inf" | "infinity") => Some(MINUS_INFINITY),
        _ => None,
    }
}

/// `digits` with the decimal point after the first `point` of them, which may lie outside.
fn write_digits(sign: u16, digits: &[u8], point: i64, out: &mut Vec<u8>) -> Option<()> {
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    let significant = digits.get(leading..)?;
    let scale = (i64::try_from(digits.len()).ok()? - point).max(0);
    let point = point - i64::try_from(leading).ok()?;
    let scale = usize::try_from(scale)
        .ok()
        .filter(|scale| *scale <= MAX_FRACTION_DIGITS)?;
    if usize::try_from(point).unwrap_or(0) > MAX_INTEGER_DIGITS {
        return None;
    }
    if significant.is_empty() {
        write_words(&[0, 0, POSITIVE, u16::try_from(scale).ok()?], out);
        return Some(());
    }
    // The first group may be short, so that groups of four meet at the point.
    let weight = (point - 1).div_euclid(4);
    let padding = usize::try_from((weight + 1) * 4 - point).ok()?;
    let mut groups = Vec::with_capacity(significant.len() / 4 + 2);
    let mut group = 0_u16;
    let mut filled = padding;
    for digit in significant {
        group = group * 10 + u16::from(digit - b'0');
        filled += 1;
        if filled == 4 {
            groups.push(group);
            (group, filled) = (0, 0);
        }
    }
    if filled > 0 {
        groups.push(group * 10_u16.pow(u32::try_from(4 - filled).ok()?));
    }
    while groups.last() == Some(&0) {
        groups.pop();
    }
    let weight = i16::try_from(weight).ok()?;
    let head = [
        u16::try_from(groups.len()).ok()?,
        weight.cast_unsigned(),
        sign,
        u16::try_from(scale).ok()?,
    ];
    write_words(&head, out);
    write_words(&groups, out);
    Some(())
}

fn write_words(words: &[u16], out: &mut Vec<u8>) {
    for word in words {
        out.extend_from_slice(&word.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads the binary form back, digit by digit.
    fn read(text: &str) -> Option<String> {
        let mut out = Vec::new();
        write(text, &mut out)?;
        let words: Vec<u16> = out
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair[1]]))
            .collect();
        let (weight, sign, scale) = (words[1].cast_signed(), words[2], words[3]);
        let digits = &words[4..];
        assert_eq!(digits.len(), usize::from(words[0]));
        let group = |index: i32| {
            usize::try_from(index)
                .ok()
                .and_then(|index| digits.get(index).copied())
                .unwrap_or(0)
        };
        let mut integer = String::new();
        for index in 0..=i32::from(weight.max(-1)) {
            integer.push_str(&format!("{:04}", group(index)));
        }
        let mut fraction = String::new();
        while fraction.len() < usize::from(scale) {
            let index = i32::from(weight) + 1 + i32::try_from(fraction.len() / 4).unwrap();
            fraction.push_str(&format!("{:04}", group(index)));
        }
        let integer = integer.trim_start_matches('0');
        let integer = if integer.is_empty() { "0" } else { integer };
        let sign = if sign == NEGATIVE { "-" } else { "" };
        let point = if scale == 0 { "" } else { "." };
        Some(format!(
            "{sign}{integer}{point}{}",
            &fraction[..usize::from(scale)]
        ))
    }

    #[test]
    fn every_digit_survives() {
        for text in [
            "0",
            "1",
            "-1",
            "10000",
            "123456789012345678901234567890",
            "0.1",
            "-0.0001",
            "0.00001",
            "12.50",
            "99999.9999",
            "1000000.000001",
            "0.00",
            "100000000",
        ] {
            assert_eq!(read(text).as_deref(), Some(text), "{text}");
        }
        assert_eq!(read("1e-7").as_deref(), Some("0.0000001"));
        assert_eq!(read("1.5E+3").as_deref(), Some("1500"));
        assert_eq!(read("000.5").as_deref(), Some("0.5"));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for wrong in ["", "-", "a", "1.2.3", "1e", "0x1", "1e999999", "--1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
