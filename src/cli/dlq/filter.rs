//! Which dead letters are meant.

use anyhow::{Context, Result};
use clap::Args;
use jiff::{Span, SpanRelativeTo, Timestamp};
use regex::Regex;

use super::letter::Letter;

/// All that are given must hold.
#[derive(Debug, Args, Default)]
pub(super) struct Filter {
    /// Only those that failed there: VALUE_CONVERTER, TRANSFORMATION, TASK_PUT …
    #[arg(long)]
    stage: Option<String>,
    /// Only records made since then: 2026-01-31T12:00:00Z, or 90m, 2h, 1d ago
    #[arg(long, value_parser = moment, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Only those whose error, key or value match this regular expression
    #[arg(long, value_name = "PATTERN")]
    grep: Option<Regex>,
}

impl Filter {
    pub(super) fn is_given(&self) -> bool {
        self.stage.is_some() || self.since.is_some() || self.grep.is_some()
    }

    pub(super) fn takes(&self, letter: &Letter) -> bool {
        let is_stage = |stage: &String| {
            letter
                .said("stage")
                .is_some_and(|said| said.eq_ignore_ascii_case(stage))
        };
        // Without a time of its own a record may be of any.
        let is_since = |since: &Timestamp| {
            letter
                .millis()
                .is_none_or(|millis| millis >= since.as_millisecond())
        };
        self.stage.as_ref().is_none_or(is_stage)
            && self.since.as_ref().is_none_or(is_since)
            && self.grep.as_ref().is_none_or(|grep| matches(grep, letter))
    }
}

fn matches(grep: &Regex, letter: &Letter) -> bool {
    let said = ["exception.message", "exception.stacktrace"];
    let in_error = |name: &&str| letter.said(name).is_some_and(|text| grep.is_match(&text));
    let record = [&letter.record.key, &letter.record.value];
    said.iter().any(in_error)
        || record.into_iter().flatten().any(|bytes| {
            let text = String::from_utf8_lossy(bytes);
            grep.is_match(&text)
        })
}

/// A time, or how long ago.
fn moment(text: &str) -> Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let wrong =
        || format!("{text} is neither a time such as 2026-01-31T12:00:00Z nor 90m, 2h or 1d");
    let span: Span = text.parse().with_context(wrong)?;
    let ago = span.to_duration(SpanRelativeTo::days_are_24_hours());
    let ago = ago.with_context(wrong)?.abs();
    Timestamp::now().checked_sub(ago).with_context(wrong)
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    #[test]
    fn all_that_is_asked_for_must_hold() {
        let dead = letter(&[
            ("__connect.errors.stage", "TRANSFORMATION"),
            ("__connect.errors.exception.message", "no field amount"),
        ]);
        let filter = |stage: &str, since: &str, grep: &str| Filter {
            stage: Some(stage.to_owned()),
            since: Some(moment(since).unwrap()),
            grep: Some(Regex::new(grep).unwrap()),
        };
        assert!(filter("transformation", "2023-11-14T00:00:00Z", "am.unt").takes(&dead));
        assert!(filter("TRANSFORMATION", "2023-11-14T00:00:00Z", "^value$").takes(&dead));
        assert!(!filter("TASK_PUT", "2023-11-14T00:00:00Z", "amount").takes(&dead));
        assert!(!filter("TRANSFORMATION", "1h", "amount").takes(&dead));
        assert!(!filter("TRANSFORMATION", "2023-11-14T00:00:00Z", "absent").takes(&dead));
    }

    #[test]
    fn times_are_read_in_both_forms() {
        let day = Timestamp::now().as_second() - moment("1d").unwrap().as_second();
        assert!((86_399..=86_401).contains(&day));
        assert!(moment("yesterday").is_err() && moment("").is_err());
    }
}
