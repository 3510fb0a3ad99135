//! Date patterns in Joda-Time's syntax, as `path.format` has them.
//!
//! Letters: `Y y` year, `M` month, `d` day of month, `D` day of year, `H k K h` hour, `m` minute, `s` second, `S` fraction,
//! `a` half of the day, `E e` day of week, `w x` week and its year, `G` era, `z Z` zone. Text stands in single quotes.

use std::fmt::Write;

use connect_core::data::date_pattern::{MONTHS, Piece, UnclosedQuote, WEEKDAYS, pieces, short};
use jiff::Zoned;

/// A compiled pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JodaPattern(Vec<Piece>);

const LETTERS: &str = "YyMdDHkKhmsSaEewxGzZ";

impl JodaPattern {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// A text that names the letter that has no meaning, or the quote that is not closed.
    pub(crate) fn compile(pattern: &str) -> Result<Self, String> {
        let compiled = pieces(pattern).map(|piece| match piece {
            Ok(Piece::Field(letter, _)) if !LETTERS.contains(letter) => {
                Err(format!("Illegal pattern component: {letter}"))
            }
            Ok(piece) => Ok(piece),
            Err(UnclosedQuote) => Err("a quote that is not closed".to_owned()),
        });
        compiled.collect::<Result<_, _>>().map(Self)
    }

    /// The letters of its fields.
    pub(crate) fn letters(&self) -> impl Iterator<Item = char> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Field(letter, _) => Some(*letter),
            Piece::Text(_) => None,
        })
    }

    /// The moment as text.
    pub(crate) fn format(&self, moment: &Zoned) -> String {
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(fixed) => text.push_str(fixed),
                Piece::Field(letter, count) => field(&mut text, *letter, *count, moment),
            }
        }
        text
    }
}

fn field(text: &mut String, letter: char, count: usize, moment: &Zoned) {
    let week = moment.date().iso_week_date();
    let hour = i64::from(moment.hour());
    let number = match letter {
        'Y' | 'y' => return year(text, i64::from(moment.year()), count),
        'x' => return year(text, i64::from(week.year()), count),
        'M' if count >= 3 => return name(text, &MONTHS, moment.month() - 1, count),
        'E' => {
            return name(
                text,
                &WEEKDAYS,
                moment.weekday().to_monday_zero_offset(),
                count,
            );
        }
        'a' => return text.push_str(if hour < 12 { "AM" } else { "PM" }),
        'G' => return text.push_str("AD"),
        'S' => return fraction(text, moment.subsec_nanosecond(), count),
        'z' => return zone_name(text, moment),
        'Z' => return zone_offset(text, count, moment),
        'M' => i64::from(moment.month()),
        'd' => i64::from(moment.day()),
        'D' => i64::from(moment.day_of_year()),
        'H' => hour,
        'k' => (hour + 23) % 24 + 1,
        'K' => hour % 12,
        'h' => (hour + 11) % 12 + 1,
        'm' => i64::from(moment.minute()),
        's' => i64::from(moment.second()),
        'e' => i64::from(moment.weekday().to_monday_one_offset()),
        _ => i64::from(week.week()),
    };
    padded(text, number, count);
}

fn padded(text: &mut String, number: i64, width: usize) {
    write!(text, "{number:0width$}").expect("writing to a string cannot fail");
}

/// Two letters mean the last two digits.
fn year(text: &mut String, year: i64, count: usize) {
    if count == 2 {
        padded(text, year.rem_euclid(100), 2);
    } else {
        padded(text, year, count);
    }
}

/// Three letters or fewer mean the short name.
fn name(text: &mut String, names: &[&str], index: i8, count: usize) {
    let full = usize::try_from(index)
        .ok()
        .and_then(|index| names.get(index))
        .copied()
        .unwrap_or_default();
    text.push_str(if count >= 4 { full } else { short(full) });
}

fn fraction(text: &mut String, nanoseconds: i32, count: usize) {
    let digits = format!("{nanoseconds:09}000000000");
    text.push_str(digits.get(..count.min(18)).unwrap_or_default());
}

fn zone_name(text: &mut String, moment: &Zoned) {
    let info = moment.time_zone().to_offset_info(moment.timestamp());
    text.push_str(info.abbreviation());
}

/// `Z`: -0500, `ZZ`: -05:00, `ZZZ`: the zone's id.
fn zone_offset(text: &mut String, count: usize, moment: &Zoned) {
    if count >= 3 {
        return text.push_str(moment.time_zone().iana_name().unwrap_or("UTC"));
    }
    let seconds = moment.offset().seconds();
    let (sign, minutes) = (if seconds < 0 { '-' } else { '+' }, seconds.abs() / 60);
    let colon = if count == 2 { ":" } else { "" };
    write!(text, "{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
        .expect("writing to a string cannot fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(pattern: &str) -> String {
        let moment: Zoned = "2024-03-10T15:04:09.087[America/New_York]".parse().unwrap();
        JodaPattern::compile(pattern).unwrap().format(&moment)
    }

    #[test]
    fn letters_mean_what_they_mean_in_joda() {
        assert_eq!(
            formatted("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH"),
            "year=2024/month=03/day=10/hour=15"
        );
        assert_eq!(formatted("yy-M-d"), "24-3-10");
        assert_eq!(formatted("E EEEE MMM MMMM"), "Sun Sunday Mar March");
        assert_eq!(formatted("hh:mm:ss.SSS a"), "03:04:09.087 PM");
        assert_eq!(formatted("xxxx-'W'ww-e D"), "2024-W10-7 70");
        assert_eq!(formatted("Z ZZ ZZZ z"), "-0400 -04:00 America/New_York EDT");
        assert_eq!(formatted("'it''s' ''HH''"), "it's '15'");
    }

    #[test]
    fn what_has_no_meaning_is_named() {
        assert_eq!(
            JodaPattern::compile("YYYY-qq").unwrap_err(),
            "Illegal pattern component: q"
        );
        assert!(JodaPattern::compile("'year=YYYY").is_err());
    }
}
