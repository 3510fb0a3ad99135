//! A value that grows from record to record: what is newer is asked for by it.

use std::cmp::Ordering;

use connect_core::{Error, Result};
use serde_json::Value;
use serde_json::value::RawValue;

/// A number or text found in a record. Kept as JSON, so that a number keeps its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark(Value);

impl Mark {
    /// The mark in a record.
    pub(crate) fn of(found: Option<&RawValue>) -> Result<Self> {
        let value = found.and_then(|raw| serde_json::from_str(raw.get()).ok());
        Self::stored(value)
            .ok_or_else(|| Error::data("a record has no number or text at since.pointer"))
    }

    /// A mark read back from an offset.
    pub(crate) fn stored(value: Option<Value>) -> Option<Self> {
        value
            .filter(|value| value.is_number() || value.is_string())
            .map(Self)
    }

    /// The mark the configuration gives for the first fetch.
    pub(crate) fn initial(text: &str) -> Self {
        Self(Value::from(text))
    }

    /// As an offset keeps it.
    pub(crate) fn json(&self) -> Value {
        self.0.clone()
    }

    /// As a request says it.
    pub(crate) fn text(&self) -> String {
        match &self.0 {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }

    /// The higher of two.
    pub(crate) fn highest(known: Option<Self>, new: Self) -> Self {
        match known {
            Some(known) if known.compare(&new) != Ordering::Less => known,
            _ => new,
        }
    }

    /// Numbers by value, texts by their characters; a text of digits counts as a number beside a number.
    fn compare(&self, other: &Self) -> Ordering {
        if let (Value::String(mine), Value::String(theirs)) = (&self.0, &other.0) {
            return mine.cmp(theirs);
        }
        let (mine, theirs) = (self.text(), other.text());
        match (mine.parse::<i128>(), theirs.parse::<i128>()) {
            (Ok(mine), Ok(theirs)) => mine.cmp(&theirs),
            _ => number(&mine).total_cmp(&number(&theirs)),
        }
    }
}

/// A text that is no number stands below every number.
fn number(text: &str) -> f64 {
    text.parse().unwrap_or(f64::NEG_INFINITY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(json: &str) -> Mark {
        Mark::stored(serde_json::from_str(json).ok()).unwrap()
    }

    fn highest(marks: &[&str]) -> String {
        let mut highest = None;
        for text in marks {
            highest = Some(Mark::highest(highest.take(), mark(text)));
        }
        highest.unwrap().text()
    }

    #[test]
    fn numbers_go_by_value_and_texts_by_characters() {
        assert_eq!(highest(&["9", "10", "2"]), "10");
        assert_eq!(
            highest(&["9007199254740993", "9007199254740992"]),
            "9007199254740993"
        );
        assert_eq!(highest(&["1.5", "1.25"]), "1.5");
        assert_eq!(
            highest(&["\"2026-02-26T10\"", "\"2026-02-26T09\""]),
            "2026-02-26T10"
        );
        assert_eq!(highest(&["\"0\"", "7"]), "7");
    }

    #[test]
    fn a_record_without_a_mark_is_an_error() {
        assert!(Mark::of(None).is_err());
        let null: Box<RawValue> = serde_json::from_str("null").unwrap();
        assert!(Mark::of(Some(&null)).is_err());
    }
}
