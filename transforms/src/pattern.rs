//! Regular expressions that must match a whole text, as Java's `matches`.

use connect_core::config::OptionValue;
use regex::Regex;

/// A regular expression for whole texts.
#[derive(Debug)]
pub(crate) struct Pattern(Regex);

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        // By itself first: a bracket too many must not close ours.
        Regex::new(text)
            .and_then(|_| Regex::new(&format!("^(?:{text})$")))
            .map(Self)
            .map_err(|error| format!("Invalid regex: {error}"))
    }

    /// True if all of `text` matches.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// A validator for options that hold one.
pub(crate) fn is_pattern(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) => Pattern::new(text).map(|_| ()),
        _ => Ok(()),
    }
}
