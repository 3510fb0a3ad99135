//! Regular expressions as Java's: with look-around and references back, and matched against whole texts.

use connect_core::config::OptionValue;
use fancy_regex::{Captures, Regex};

/// A regular expression for whole texts.
#[derive(Debug)]
pub(crate) struct Pattern {
    /// Of the whole text.
    whole: Regex,
    /// As it was given.
    given: Regex,
}

impl Pattern {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let read = |text: &str| Regex::new(text).map_err(|error| format!("Invalid regex: {error}"));
        let text = unquoted(text);
        // By itself first: a bracket too many must not close ours.
        let given = read(&text)?;
        // A comment at its end must not take ours along.
        let commented = |_| read(&format!("^(?:{text}\n)$"));
        let whole = read(&format!("^(?:{text})$")).or_else(commented)?;
        Ok(Self { whole, given })
    }

    /// True if all of `text` matches; false too if that cannot be found out in a million steps.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text).unwrap_or(false)
    }

    /// The first match in a text that matches as a whole.
    pub(crate) fn first<'t>(&self, text: &'t str) -> Option<Captures<'t, str>> {
        let is_whole = self.matches(text);
        let first = || self.given.captures(text).ok().flatten();
        is_whole.then(first).flatten()
    }

    /// How many groups it has, the whole match being one.
    pub(crate) fn groups(&self) -> usize {
        self.given.captures_len()
    }

    /// True if it has a group of this name.
    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.given
            .capture_names()
            .flatten()
            .any(|known| known == name)
    }
}

/// What stands between `\Q` and `\E`, or the end, is meant as it is: each sign gets a backslash.
fn unquoted(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, characters.peek()) {
            ('\\', Some('E')) if quoted => {
                quoted = false;
                characters.next();
            }
            ('\\', Some('Q')) if !quoted => {
                quoted = true;
                characters.next();
            }
            ('\\', Some(escaped)) if !quoted => {
                plain.extend([character, *escaped]);
                characters.next();
            }
            (sign, _) if quoted && !sign.is_alphanumeric() => plain.extend(['\\', sign]),
            (other, _) => plain.push(other),
        }
    }
    plain
}

/// A validator for options that hold one.
pub(crate) fn is_pattern(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) => Pattern::new(text).map(|_| ()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn the_whole_text_must_match() {
        let matches = |pattern: &str, text: &str| Pattern::new(pattern).unwrap().matches(text);
        assert!(matches("a|ab", "ab"));
        assert!(!matches("a", "ab"));
        assert!(matches("(?!__).*", "orders"));
        assert!(!matches("(?!__).*", "__orders"));
        assert!(matches("(a)\\1", "aa"));
        assert!(matches("(?x) a b # both", "ab"));
        assert!(matches("\\Qa.b\\E.", "a.bc"));
        assert!(!matches("\\Qa.b", "axb"));
        assert!(matches("\\\\Qa", "\\Qa"));
        assert!(Pattern::new("a)(b").is_err());
    }

    #[test]
    fn a_pattern_that_runs_away_matches_nothing() {
        let pattern = Pattern::new("(?:(a+)+(?!c))+b\\1").unwrap();
        assert!(!pattern.matches(&"a".repeat(60)));
    }
}
