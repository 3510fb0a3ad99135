//! Patterns of Java's `SimpleDateFormat`, in English and UTC.
//!
//! Written: `G y Y M L w W D d F E u a H k K h m s S z Z X` and text in single quotes. Read: all but `Y w W F u`; days of
//! the week are read and do not count. Reading is as lenient as Java's: numbers beyond their range count on, text after
//! the pattern does not matter.

mod read;

use std::fmt::Write as _;

use connect_core::data::date_pattern::{MONTHS, Piece, UnclosedQuote, WEEKDAYS, pieces, short};

use crate::calendar::Moment;

const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
/// Letters that are written only.
const NOT_READ: &str = "YwWFu";

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SimpleDate(Vec<Piece>);

impl SimpleDate {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// What is wrong with it, in Java's words.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let compiled = pieces(pattern).map(|piece| {
            let piece = piece.map_err(|UnclosedQuote| "Unterminated quote".to_owned())?;
            if let Piece::Field(letter, count) = piece {
                check_letter(letter, count)?;
            }
            Ok(piece)
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// The first letter that can only be written.
    pub(crate) fn unreadable(&self) -> Option<char> {
        self.0.iter().find_map(|piece| match piece {
            Piece::Field(letter, _) if NOT_READ.contains(*letter) => Some(*letter),
            _ => None,
        })
    }

    /// Milliseconds since the epoch as text.
    pub(crate) fn write(&self, millis: i64) -> String {
        let moment = Moment::of(millis);
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Field(letter, count) => write_field(moment, *letter, *count, &mut text),
            }
        }
        text
    }
}

fn check_letter(letter: char, count: usize) -> Result<(), String> {
    if !LETTERS.contains(letter) {
        return Err(format!("Illegal pattern character '{letter}'"));
    }
    if letter == 'X' && count > 3 {
        return Err(format!("invalid ISO 8601 format: length={count}"));
    }
    Ok(())
}

fn write_field(moment: Moment, letter: char, count: usize, text: &mut String) {
    let number = match letter {
        'y' => return write_year(moment.year, count, text),
        'Y' if count == 2 => return write_short_year(moment.week().0, text),
        'M' | 'L' if count > 2 => return write_name(&MONTHS, moment.month - 1, count, text),
        'E' => return write_name(&WEEKDAYS, (moment.weekday + 6) % 7, count, text),
        'G' => return text.push_str(if moment.year > 0 { "AD" } else { "BC" }),
        'a' => return text.push_str(if moment.millis < NOON { "AM" } else { "PM" }),
        'z' if count > 3 => return text.push_str("Coordinated Universal Time"),
        'z' => return text.push_str("UTC"),
        'Z' => return text.push_str("+0000"),
        'X' => return text.push('Z'),
        _ => number(moment, letter),
    };
    write_number(number, count, text);
}

const NOON: i64 = 12 * HOUR;
const HOUR: i64 = 60 * MINUTE;
const MINUTE: i64 = 60_000;

/// What a letter with a number says.
fn number(moment: Moment, letter: char) -> i64 {
    let hour = moment.millis / HOUR;
    let from_one = |hour: i64, hours: i64| {
        if hour % hours == 0 {
            hours
        } else {
            hour % hours
        }
    };
    match letter {
        'Y' => moment.week().0,
        'M' | 'L' => moment.month,
        'w' => moment.week().1,
        'W' => moment.week_of_month(),
        'D' => moment.day_of_year,
        'd' => moment.day,
        'F' => (moment.day - 1) / 7 + 1,
        'u' => from_one(moment.weekday, 7),
        'H' => hour,
        'k' => from_one(hour, 24),
        'K' => hour % 12,
        'h' => from_one(hour, 12),
        'm' => moment.millis / MINUTE % 60,
        's' => moment.millis / 1000 % 60,
        _ => moment.millis % 1000,
    }
}

/// Years before the first are counted backwards.
fn write_year(year: i64, count: usize, text: &mut String) {
    let year = if year > 0 { year } else { 1 - year };
    let year = if count == 2 { year % 100 } else { year };
    write_number(year, count, text);
}

/// The year of a week keeps its sign, as Java has it.
fn write_short_year(year: i64, text: &mut String) {
    if year < 0 {
        text.push('-');
    }
    write_number(year.abs() % 100, 2, text);
}

/// The sign does not count for the width.
fn write_number(number: i64, width: usize, text: &mut String) {
    if number < 0 {
        text.push('-');
    }
    // Writing to a string cannot fail.
    write!(text, "{:0width$}", number.unsigned_abs()).unwrap_or_default();
}

fn write_name(names: &[&str], index: i64, count: usize, text: &mut String) {
    let name = usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index));
    let name = name.copied().unwrap_or_default();
    text.push_str(if count > 3 { name } else { short(name) });
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_are_checked_in_javas_words() {
        let wrong = |pattern: &str| SimpleDate::compile(pattern).unwrap_err();
        assert_eq!(wrong("yyyy-bb"), "Illegal pattern character 'b'");
        assert_eq!(wrong("yyyy'T"), "Unterminated quote");
        assert_eq!(wrong("XXXX"), "invalid ISO 8601 format: length=4");
    }

    #[test]
    fn text_beyond_the_pattern_is_left_and_numbers_count_on() {
        let read = |pattern: &str, text: &str| SimpleDate::compile(pattern).unwrap().read(text);
        assert_eq!(read("yyyy-MM-dd", "1970-01-02T10:00"), Some(86_400_000));
        assert_eq!(read("yyyy-MM-dd", "1969-13-01"), Some(0));
        assert_eq!(read("yyyyMMddHHmmssSSS", "19700101000001500"), Some(1_500));
        assert_eq!(read("HH:mm:ss.SSS", "00:00:00.123456"), Some(123_456));
        assert_eq!(read("h a", "12 am"), Some(0));
        assert_eq!(read("d MMM yyyy", "2 JAN 1970"), Some(86_400_000));
        assert_eq!(read("yyyy-MM-dd", "1970/01/01"), None);
        assert_eq!(read("yyyy-MM-dd", "1970-01"), None);
    }

    #[test]
    fn zones_are_read_as_iso_rfc_822_or_by_name() {
        let read = |pattern: &str, text: &str| SimpleDate::compile(pattern).unwrap().read(text);
        assert_eq!(read("HX", "2+02"), Some(0));
        assert_eq!(read("HXXX", "0Z"), Some(0));
        assert_eq!(read("HXXX", "0-00:30"), Some(1_800_000));
        assert_eq!(read("HZ", "0+0100"), Some(-3_600_000));
        assert_eq!(read("H z", "0 GMT+1:00"), Some(-3_600_000));
        assert_eq!(read("H z", "0 PST"), Some(28_800_000));
        assert_eq!(read("H z", "0 Nowhere"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            millis in -200_000_000_000_000_i64..200_000_000_000_000,
            pattern in prop::sample::select(vec![
                "G yyyy-MM-dd HH:mm:ss.SSS", "d/M/y G h:m:s.S a", "GyyyyyyDDDkkmmssSSS", "EEEE, dd MMMM yyyyy G K mm ss SSS a XXX",
            ]),
        ) {
            let pattern = SimpleDate::compile(pattern).unwrap();
            let text = pattern.write(millis);
            let two_digits = pattern.0.contains(&Piece::Field('y', 1)) && (10..100).contains(&Moment::of(millis).year.abs());
            prop_assume!(!two_digits);
            prop_assert_eq!(pattern.read(&text), Some(millis), "{}", text);
        }

        #[test]
        fn reading_never_panics(pattern in "[GyMDdEaHkKhmsSzZX' :/-]{0,12}", text in "[0-9A-Za-z+: ./-]{0,24}") {
            if let Ok(pattern) = SimpleDate::compile(&pattern) {
                let _read_or_not = pattern.read(&text);
            }
        }
    }
}
