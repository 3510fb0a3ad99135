//! Patterns that Java's date formats have in common: letters for fields, text in quotes, English names.
//!
//! What a letter means, and which letters there are, is each format's own.

use std::iter::Peekable;
use std::str::Chars;

/// The months, from January on.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The days of the week, from Monday on.
pub const WEEKDAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

/// The short form of a month's or weekday's name.
pub fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Stands for itself.
    Text(String),
    /// A field's letter, and how often it stands there.
    Field(char, usize),
}

/// A quote without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnclosedQuote;

/// The parts of `pattern`, in order. Within quotes and without, two quotes are one that stands for itself.
pub fn pieces(pattern: &str) -> impl Iterator<Item = Result<Piece, UnclosedQuote>> {
    let mut rest = pattern.chars().peekable();
    std::iter::from_fn(move || {
        let first = rest.next()?;
        Some(if first == '\'' {
            quoted(&mut rest).map(Piece::Text)
        } else if first.is_ascii_alphabetic() {
            let mut count = 1;
            while rest.next_if_eq(&first).is_some() {
                count += 1;
            }
            Ok(Piece::Field(first, count))
        } else {
            Ok(Piece::Text(first.to_string()))
        })
    })
}

/// Text up to the closing quote.
fn quoted(rest: &mut Peekable<Chars<'_>>) -> Result<String, UnclosedQuote> {
    if rest.next_if_eq(&'\'').is_some() {
        return Ok("'".to_owned());
    }
    let mut text = String::new();
    while let Some(character) = rest.next() {
        if character != '\'' {
            text.push(character);
        } else if rest.next_if_eq(&'\'').is_some() {
            text.push('\'');
        } else {
            return Ok(text);
        }
    }
    Err(UnclosedQuote)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(pattern: &str) -> Result<String, UnclosedQuote> {
        let shown = pieces(pattern).map(|piece| {
            Ok(match piece? {
                Piece::Text(text) => format!("<{text}>"),
                Piece::Field(letter, count) => format!("{count}{letter}"),
            })
        });
        shown.collect()
    }

    #[test]
    fn letters_are_fields_and_the_rest_is_text() {
        assert_eq!(shown("yyyy-MM'T'H").unwrap(), "4y<->2M<T>1H");
        assert_eq!(shown("ä").unwrap(), "<ä>");
        assert_eq!(shown("").unwrap(), "");
    }

    #[test]
    fn two_quotes_are_one_wherever_they_stand() {
        assert_eq!(shown("'it''s' ''HH''").unwrap(), "<it's>< ><'>2H<'>");
        assert_eq!(shown("'''a'").unwrap(), "<'><a>");
        assert_eq!(shown("'a'''").unwrap(), "<a'>");
    }

    #[test]
    fn a_quote_without_its_end_is_refused() {
        for pattern in ["'", "yyyy'T", "'a''"] {
            assert_eq!(shown(pattern), Err(UnclosedQuote), "{pattern}");
        }
    }
}
