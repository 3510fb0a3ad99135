//! Reading text by a pattern.

use std::time::{SystemTime, UNIX_EPOCH};

use connect_core::data::date_pattern::{MONTHS, Piece, WEEKDAYS, short};

use super::{HOUR, MINUTE, SimpleDate};
use crate::calendar::{MILLIS_PER_DAY, Moment, days_to};

/// Zones with a name: hours from UTC.
const ZONES: [(&str, i64); 13] = [
    ("UTC", 0),
    ("Coordinated Universal Time", 0),
    ("GMT", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
    ("CET", 1),
    ("CEST", 2),
];

impl SimpleDate {
    /// The moment that `text` says, in milliseconds since the epoch; `None` if it does not match.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        if self.unreadable().is_some() {
            return None;
        }
        let mut rest = Rest(text);
        let mut found = Found::default();
        for (index, piece) in self.0.iter().enumerate() {
            match piece {
                Piece::Text(text) => rest.0 = rest.0.strip_prefix(text.as_str())?,
                Piece::Field(letter, count) => {
                    // Numbers that touch have as many digits as the pattern has letters.
                    let next = self.0.get(index + 1);
                    let touches = is_number(piece) && next.is_some_and(is_number);
                    found.take(&mut rest, (*letter, *count), touches)?;
                }
            }
        }
        found.millis()
    }
}

fn is_number(piece: &Piece) -> bool {
    match piece {
        Piece::Field('M' | 'L', count) => *count <= 2,
        Piece::Field(letter, _) => "yDdHkKhmsS".contains(*letter),
        Piece::Text(_) => false,
    }
}

/// What is not read yet.
struct Rest<'a>(&'a str);

impl Rest<'_> {
    /// Leaves blanks out; how many.
    fn skip_blanks(&mut self) -> usize {
        let before = self.0.len();
        self.0 = self.0.trim_start_matches([' ', '\t']);
        before - self.0.len()
    }

    /// A number and how many signs it has, `limit` at most.
    fn number(&mut self, limit: usize) -> Option<(i64, usize)> {
        let start = self.0.bytes().take(limit).enumerate();
        let is_part =
            |(index, byte): &(usize, u8)| byte.is_ascii_digit() || (*index == 0 && *byte == b'-');
        let length = start.take_while(is_part).count();
        let (number, rest) = self.0.split_at_checked(length)?;
        let number: i32 = number.parse().ok()?;
        self.0 = rest;
        Some((number.into(), length))
    }

    /// The index of the longest of `names`, in any case.
    fn name<'a>(&mut self, names: impl Iterator<Item = (usize, &'a str)>) -> Option<usize> {
        let fits = |name: &str| {
            let start = self.0.get(..name.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(name))
        };
        let (index, name) = names
            .filter(|(_, name)| fits(name))
            .max_by_key(|(_, name)| name.len())?;
        self.0 = self.0.get(name.len()..)?;
        Some(index)
    }

    /// One of `names` or its first three letters.
    fn long_or_short(&mut self, names: &[&str]) -> Option<usize> {
        let long = names.iter().copied().enumerate();
        let short = names.iter().map(|name| short(name)).enumerate();
        self.name(long.chain(short))
    }
}

/// What was read.
#[derive(Debug, Default)]
struct Found {
    is_bc: bool,
    year: Option<i64>,
    /// The year had two digits for two letters.
    short_year: bool,
    month: Option<i64>,
    day: Option<i64>,
    day_of_year: Option<i64>,
    weekday: Option<i64>,
    /// Each with the number of fields read before it.
    hour_of_day: Option<(i64, usize)>,
    hour_of_half: Option<(i64, usize)>,
    half: Option<(i64, usize)>,
    fields: usize,
    minute: i64,
    second: i64,
    milli: i64,
    /// Milliseconds to take off for UTC.
    offset: i64,
}

impl Found {
    fn take(
        &mut self,
        rest: &mut Rest<'_>,
        (letter, count): (char, usize),
        touches: bool,
    ) -> Option<()> {
        // Fields that touch have their width, blanks before them included.
        let width = if touches { count } else { usize::MAX };
        if touches && rest.0.len() < width {
            return None;
        }
        let is_name = "GaE".contains(letter) || (count > 2 && "ML".contains(letter));
        let blanks = if is_name { 0 } else { rest.skip_blanks() };
        let width = width.saturating_sub(blanks);
        self.fields += 1;
        match letter {
            'G' => self.is_bc = rest.name([(0, "AD"), (1, "BC")].into_iter())? == 1,
            'a' => {
                let half = rest.name([(0, "AM"), (1, "PM")].into_iter())?;
                self.half = Some((i64::try_from(half).ok()?, self.fields));
            }
            'E' => {
                let from_monday = rest.long_or_short(&WEEKDAYS)?;
                self.weekday = i64::try_from((from_monday + 1) % 7).ok();
            }
            'M' | 'L' if count > 2 => {
                let month = rest.long_or_short(&MONTHS)?;
                self.month = i64::try_from(month + 1).ok();
            }
            'X' => self.offset = iso_zone(rest, count)?,
            'z' | 'Z' => self.offset = general_zone(rest)?,
            _ => {
                let (number, digits) = rest.number(width)?;
                self.set(letter, number);
                if letter == 'y' {
                    self.short_year = count <= 2 && digits == 2;
                }
            }
        }
        Some(())
    }

    fn set(&mut self, letter: char, number: i64) {
        match letter {
            'y' => self.year = Some(number),
            'M' | 'L' => self.month = Some(number),
            'd' => (self.day, self.day_of_year) = (Some(number), None),
            'D' => (self.day, self.day_of_year) = (None, Some(number)),
            'H' => self.hour_of_day = Some((number, self.fields)),
            'k' => self.hour_of_day = Some((if number == 24 { 0 } else { number }, self.fields)),
            'K' => self.hour_of_half = Some((number, self.fields)),
            'h' => self.hour_of_half = Some((if number == 12 { 0 } else { number }, self.fields)),
            'm' => self.minute = number,
            's' => self.second = number,
            _ => self.milli = number,
        }
    }

    fn millis(&self) -> Option<i64> {
        let year = self.year.unwrap_or(1970);
        if !self.short_year {
            return self.in_year(year);
        }
        let earliest = earliest_short_year();
        let start = Moment::of(earliest).year;
        let offset = (year - start).rem_euclid(100);
        let millis = self.in_year(start + offset)?;
        if offset == 0 && millis < earliest {
            return self.in_year(start + 100);
        }
        Some(millis)
    }

    fn in_year(&self, year: i64) -> Option<i64> {
        let year = if self.is_bc { 1 - year } else { year };
        let time = self.hour() * HOUR + self.minute * MINUTE + self.second * 1000 + self.milli;
        self.days(year)
            .checked_mul(MILLIS_PER_DAY)?
            .checked_add(time - self.offset)
    }

    fn days(&self, year: i64) -> i64 {
        let month = self.month.unwrap_or(1);
        match (self.day_of_year, self.day, self.weekday) {
            (Some(day), _, _) => days_to(year, 1, 1) + day - 1,
            (None, Some(day), _) => days_to(year, month, day),
            // The first such day of the month.
            (None, None, Some(weekday)) => {
                let first = days_to(year, month, 1);
                let starts_on = Moment::of(first * MILLIS_PER_DAY).weekday;
                first + (weekday - starts_on).rem_euclid(7)
            }
            (None, None, None) => days_to(year, month, 1),
        }
    }

    /// The hour of the day, unless hour and half of the day are both given and one of them comes after it.
    fn hour(&self) -> i64 {
        let (hour, half) = (self.hour_of_half, self.half);
        let last = hour.zip(half).map(|((_, hour), (_, half))| hour.max(half));
        match self.hour_of_day {
            Some((hour, place)) if last.is_none_or(|last| last < place) => hour,
            _ => {
                let value = |given: Option<(i64, usize)>| given.map_or(0, |(value, _)| value);
                value(hour) + 12 * value(half)
            }
        }
    }
}

/// Years of two digits lie between 80 years ago and 20 years from now.
fn earliest_short_year() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(now.as_millis()).unwrap_or_default();
    let today = Moment::of(now);
    days_to(today.year - 80, today.month, today.day) * MILLIS_PER_DAY + today.millis
}

/// `Z`, or sign and hours, then minutes for two letters, after a colon for three.
fn iso_zone(rest: &mut Rest<'_>, count: usize) -> Option<i64> {
    if let Some(after) = rest.0.strip_prefix('Z') {
        rest.0 = after;
        return Some(0);
    }
    signed(rest, |rest| {
        let hours = two_digits(rest, 24)?;
        if count == 3 {
            rest.0 = rest.0.strip_prefix(':')?;
        }
        let minutes = if count == 1 { 0 } else { two_digits(rest, 60)? };
        Some(hours * HOUR + minutes * MINUTE)
    })
}

/// `+hhmm`, a name, or `GMT+h:mm`.
fn general_zone(rest: &mut Rest<'_>) -> Option<i64> {
    if rest.0.starts_with(['+', '-']) {
        return signed(rest, |rest| {
            let hours = two_digits(rest, 24)?;
            Some(hours * HOUR + two_digits(rest, 60)? * MINUTE)
        });
    }
    let names = ZONES.iter().map(|(name, _)| *name).enumerate();
    let (name, hours) = ZONES.get(rest.name(names)?)?;
    if *name == "GMT" && rest.0.starts_with(['+', '-']) {
        return signed(rest, |rest| {
            let (hours, _) = rest.number(2)?;
            rest.0 = rest.0.strip_prefix(':')?;
            Some(hours * HOUR + two_digits(rest, 60)? * MINUTE)
        });
    }
    Some(hours * HOUR)
}

fn signed(rest: &mut Rest<'_>, read: impl Fn(&mut Rest<'_>) -> Option<i64>) -> Option<i64> {
    let is_west = rest.0.starts_with('-');
    rest.0 = rest.0.strip_prefix(['+', '-'])?;
    let offset = read(rest)?;
    Some(if is_west { -offset } else { offset })
}

fn two_digits(rest: &mut Rest<'_>, limit: i64) -> Option<i64> {
    let is_signed = rest.0.starts_with('-');
    let (number, digits) = rest.number(2)?;
    (digits == 2 && !is_signed && (0..limit).contains(&number)).then_some(number)
}
