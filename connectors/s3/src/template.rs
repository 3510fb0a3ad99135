//! Templates of object names: `{{topic}}/{{topic}}_{{timestamp:yyyyMMdd_HHmmss}}`.
//!
//! A template is taken only if it can tell objects apart: by `{{start_offset}}`, or by a time whose text never comes
//! again. What it cannot tell apart, rotations of one second and Kafka partitions, [`crate::naming`] does by a suffix.

use std::fmt::Write;

use connect_core::data::{Offset, Timestamp};
use jiff::Zoned;
use jiff::tz::{AmbiguousOffset, TimeZone};

use crate::joda::JodaPattern;

const VARIABLES: &str = "topic, partition, start_offset, path, timestamp";

/// A compiled template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NameTemplate(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// The topic, without this ending.
    Topic(String),
    Partition,
    StartOffset,
    Path,
    Time(JodaPattern),
}

/// What the variables stand for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NameValues<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) start: Offset,
    /// Digits of the start offset.
    pub(crate) width: usize,
    pub(crate) path: &'a str,
    /// What the clock showed when the rotation began.
    pub(crate) clock: Timestamp,
}

impl NameTemplate {
    /// Compiles `text`.
    ///
    /// # Errors
    /// A text that says which variable is not known, or why names would not differ.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (variable, after) = after
                .split_once("}}")
                .ok_or("a variable that is not closed: }} is missing")?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(piece(variable)?);
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        let template = Self(pieces);
        template.check_borders()?;
        template.check_difference()?;
        Ok(template)
    }

    /// Where one variable ends and the next begins must be plain: else 1 and 23 would be 12 and 3.
    fn check_borders(&self) -> Result<(), String> {
        let mut last: Option<&Piece> = None;
        let mut border = true;
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => border |= !text.chars().all(char::is_alphanumeric),
                variable => {
                    let times = matches!((last, variable), (Some(Piece::Time(_)), Piece::Time(_)));
                    if !border && !times {
                        let text =
                            "variables need something other than letters and digits between them";
                        return Err(text.to_owned());
                    }
                    (last, border) = (Some(variable), false);
                }
            }
        }
        Ok(())
    }

    fn check_difference(&self) -> Result<(), String> {
        if self.has_start_offset() {
            return Ok(());
        }
        if !self.has_time() {
            let text = "objects would overwrite each other: {{start_offset}} or {{timestamp:yyyyMMdd_HHmmss}} is needed";
            return Err(text.to_owned());
        }
        let letters: String = self.times().flat_map(JodaPattern::letters).collect();
        check_time(&letters)
    }

    pub(crate) fn has_start_offset(&self) -> bool {
        self.0.contains(&Piece::StartOffset)
    }

    pub(crate) fn has_partition(&self) -> bool {
        self.0.contains(&Piece::Partition)
    }

    pub(crate) fn has_path(&self) -> bool {
        self.0.contains(&Piece::Path)
    }

    /// True if names depend on the clock.
    pub(crate) fn has_time(&self) -> bool {
        self.times().next().is_some()
    }

    fn times(&self) -> impl Iterator<Item = &JodaPattern> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Time(pattern) => Some(pattern),
            _ => None,
        })
    }

    /// True if the times of the template have the same text for both.
    pub(crate) fn same_time(&self, one: Timestamp, other: Timestamp, zone: &TimeZone) -> bool {
        let (one, other) = (zoned(one, zone), zoned(other, zone));
        self.times()
            .all(|pattern| pattern.format(&one) == pattern.format(&other))
    }

    /// The name, without what the format adds.
    pub(crate) fn name(&self, values: &NameValues<'_>, zone: &TimeZone) -> String {
        let mut name = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Topic(ending) => name.push_str(without(values.topic, ending)),
                Piece::Path => name.push_str(values.path),
                Piece::Time(pattern) => {
                    name.push_str(&pattern.format(&zoned(values.clock, zone)));
                }
                Piece::Partition => {
                    write!(name, "{}", values.partition).expect("writing to a string cannot fail");
                }
                Piece::StartOffset => {
                    write!(name, "{:01$}", values.start.value(), values.width)
                        .expect("writing to a string cannot fail");
                }
            }
        }
        name
    }
}

fn piece(variable: &str) -> Result<Piece, String> {
    let (name, argument) = match variable.split_once(':') {
        Some((name, argument)) => (name.trim(), Some(argument)),
        None => (variable.trim(), None),
    };
    match (name, argument) {
        ("topic", None) => Ok(Piece::Topic(String::new())),
        ("topic", Some(argument)) => argument
            .strip_prefix("without=")
            .map(|ending| Piece::Topic(ending.to_owned()))
            .ok_or_else(|| "{{topic}} takes without=<ending> only".to_owned()),
        ("timestamp", Some(pattern)) => Ok(Piece::Time(JodaPattern::compile(pattern)?)),
        ("timestamp", None) => {
            Err("{{timestamp}} needs a pattern: {{timestamp:yyyyMMdd_HHmmss}}".to_owned())
        }
        ("partition", None) => Ok(Piece::Partition),
        ("start_offset", None) => Ok(Piece::StartOffset),
        ("path", None) => Ok(Piece::Path),
        ("partition" | "start_offset" | "path", Some(_)) => {
            Err(format!("{{{{{name}}}}} takes no argument"))
        }
        _ => Err(format!("no variable {name}: there are {VARIABLES}")),
    }
}

/// A topic without an ending, unless nothing would be left.
fn without<'a>(topic: &'a str, ending: &str) -> &'a str {
    match topic.strip_suffix(ending) {
        Some(rest) if !rest.is_empty() => rest,
        _ => topic,
    }
}

/// A time's text must never come again: no unit may stand without the greater ones.
fn check_time(letters: &str) -> Result<(), String> {
    let has = |any: &str| letters.contains(|letter| any.contains(letter));
    let year_day = has("D");
    let hour = has("Hk") || (has("hK") && has("a"));
    let units = [
        ("year (yyyy)", has("Yy")),
        ("month (MM)", has("M") || year_day),
        ("day (dd)", has("d") || year_day),
        ("hour (HH)", hour),
        ("minute (mm)", has("m")),
        ("second (ss)", has("s")),
    ];
    let needs = [("S", 6), ("s", 5), ("mHkhKa", 4), ("dDwxeE", 3), ("M", 2)];
    let smallest = needs.iter().find(|(letters, _)| has(letters));
    let needed = smallest.map_or(1, |(_, units)| *units);
    match units.iter().take(needed).find(|(_, there)| !there) {
        Some((missing, _)) => Err(format!(
            "names would come again: the time has no {missing}; add it, or {{{{start_offset}}}}"
        )),
        None => Ok(()),
    }
}

fn zoned(moment: Timestamp, zone: &TimeZone) -> Zoned {
    jiff::Timestamp::from_millisecond(moment.as_millis())
        .unwrap_or_default()
        .to_zoned(zone.clone())
}

/// True in the hour that clocks show a second time: its names were there an hour ago.
pub(crate) fn is_repeated_hour(moment: Timestamp, zone: &TimeZone) -> bool {
    let moment = zoned(moment, zone);
    match zone.to_ambiguous_zoned(moment.datetime()).offset() {
        AmbiguousOffset::Fold { after, .. } => moment.offset() == after,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(template: &str) -> String {
        let values = NameValues {
            topic: "sales_topic",
            partition: 3,
            start: Offset::new(42),
            width: 10,
            path: "day=26",
            clock: at("2026-02-26T10:23:45Z"),
        };
        NameTemplate::compile(template)
            .unwrap()
            .name(&values, &TimeZone::UTC)
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::from_millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn variables_stand_for_what_they_are_called() {
        assert_eq!(
            name("{{topic:without=_topic}}/{{topic:without=_topic}}_{{timestamp:yyyyMMdd_HHmmss}}"),
            "sales/sales_20260226_102345"
        );
        assert_eq!(
            name("{{topic}}/{{path}}/{{ partition }}-{{start_offset}}"),
            "sales_topic/day=26/3-0000000042"
        );
        assert_eq!(
            name("x{{topic:without=sales_topic}}.{{start_offset}}"),
            "xsales_topic.0000000042"
        );
        assert_eq!(
            name("{{timestamp:yyyy}}{{timestamp:MM}}/{{start_offset}}"),
            "202602/0000000042"
        );
    }

    #[test]
    fn templates_whose_names_could_come_again_are_refused() {
        for wrong in [
            "",
            "sales",
            "{{topic}}/{{partition}}",
            "{{timestamp:HHmmss}}",
            "{{timestamp:yyyyMMdd_mmss}}",
            "{{timestamp:yyyyMMdd_hhmmss}}",
            "{{timestamp:yyyyMMdd_hh}}",
            "{{timestamp:yyyy_E}}",
            "{{timestamp:MMdd}}",
            "{{timestamp:z}}",
            "{{timestamp}}",
            "{{timestamp:yyyyqq}}",
            "{{partition}}{{start_offset}}",
            "{{partition}}0{{start_offset}}",
            "{{offset}}",
            "{{start_offset:5}}",
            "{{topic:_topic}}/{{start_offset}}",
            "{{start_offset",
        ] {
            assert!(NameTemplate::compile(wrong).is_err(), "{wrong}");
        }
        for right in [
            "{{timestamp:yyyyMMdd}}",
            "{{timestamp:yyyy-DDD HH}}",
            "{{timestamp:yyyyMMdd_hhmmss a}}",
            "{{timestamp:yyyyMMdd_HHmmssSSS}}",
            "{{partition}}/{{timestamp:HH}}{{timestamp:yyyyMMdd}}",
            "{{start_offset}}",
        ] {
            assert_eq!(NameTemplate::compile(right).err(), None, "{right}");
        }
    }

    #[test]
    fn the_second_pass_of_an_hour_is_known() {
        let zone = TimeZone::get("America/New_York").unwrap();
        let repeated = |text| is_repeated_hour(at(text), &zone);
        assert!(!repeated("2024-11-03T05:30:00Z"));
        assert!(repeated("2024-11-03T06:30:00Z"));
        assert!(!repeated("2024-11-03T07:30:00Z"));
    }
}
