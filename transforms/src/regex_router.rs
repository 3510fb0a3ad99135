//! `RegexRouter`: renames the topic where the whole name matches.

use connect_core::Result;
use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::plugin::{Transform, TransformRecord, Transformed};
use regex::Regex;

use crate::part::register;
use crate::pattern::{Pattern, is_pattern};

/// Options of RegexRouter.
#[derive(Debug, ConnectorConfig)]
struct RegexRouterOptions {
    /// The regular expression that the whole name must match.
    #[option(name = "regex", importance = High, validator = Validator::Custom(is_pattern))]
    regex: String,
    /// The new name; `$1` is the first group, `${name}` a named one, a backslash takes the meaning from a sign.
    #[option(name = "replacement", importance = High)]
    replacement: String,
}

/// A part of the replacement.
#[derive(Debug, PartialEq)]
enum Token {
    Text(String),
    Group(usize),
    Named(String),
}

struct RegexRouter {
    whole: Pattern,
    first: Regex,
    replacement: Vec<Token>,
}

impl RegexRouter {
    fn new(options: &RegexRouterOptions) -> Result<Self, Vec<OptionError>> {
        let refused = |reason: &str| {
            vec![OptionError::invalid(
                "replacement",
                &options.replacement,
                reason,
            )]
        };
        let regex = |error: String| vec![OptionError::invalid("regex", &options.regex, &error)];
        let whole = Pattern::new(&options.regex).map_err(regex)?;
        let first = Regex::new(&options.regex).map_err(|error| regex(error.to_string()))?;
        let replacement = tokens(&options.replacement, first.captures_len()).map_err(refused)?;
        Ok(Self {
            whole,
            first,
            replacement,
        })
    }

    /// As Java's `replaceFirst`: what it replaces may be less than the whole name.
    fn renamed(&self, topic: &str) -> Option<String> {
        if !self.whole.matches(topic) {
            return None;
        }
        let found = self.first.captures(topic)?;
        let place = found.get(0)?;
        let mut name = topic.get(..place.start())?.to_owned();
        for token in &self.replacement {
            match token {
                Token::Text(text) => name.push_str(text),
                Token::Group(group) => {
                    name.push_str(found.get(*group).map_or("", |group| group.as_str()));
                }
                Token::Named(group) => {
                    name.push_str(found.name(group).map_or("", |group| group.as_str()));
                }
            }
        }
        name.push_str(topic.get(place.end()..)?);
        Some(name)
    }
}

/// Reads Java's form of replacements: a group's number goes on as long as there is such a group.
fn tokens(text: &str, groups: usize) -> Result<Vec<Token>, &'static str> {
    let mut tokens = Vec::new();
    let mut plain = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(
                characters
                    .next()
                    .ok_or("character to be escaped is missing")?,
            ),
            '$' => {
                tokens.push(Token::Text(std::mem::take(&mut plain)));
                if characters.next_if_eq(&'{').is_some() {
                    let name: String = characters
                        .by_ref()
                        .take_while(|next| *next != '}')
                        .collect();
                    tokens.push(Token::Named(name));
                    continue;
                }
                let digit = characters.next().and_then(|next| next.to_digit(10));
                let mut group = digit.ok_or("Illegal group reference")? as usize;
                if group >= groups {
                    return Err("No such group");
                }
                while let Some(digit) = characters.peek().and_then(|next| next.to_digit(10)) {
                    let longer = group * 10 + digit as usize;
                    if longer >= groups {
                        break;
                    }
                    group = longer;
                    characters.next();
                }
                tokens.push(Token::Group(group));
            }
            other => plain.push(other),
        }
    }
    tokens.push(Token::Text(plain));
    Ok(tokens)
}

impl Transform for RegexRouter {
    fn apply(&mut self, mut record: TransformRecord) -> Result<Transformed> {
        if let Some(name) = self.renamed(&record.topic) {
            record.topic = name.into();
        }
        Ok(Transformed::One(record))
    }
}

register!("RegexRouter", RegexRouterOptions, |options| {
    RegexRouter::new(&options)
});

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed(regex: &str, replacement: &str, topic: &str) -> Option<String> {
        let (regex, replacement) = (regex.to_owned(), replacement.to_owned());
        RegexRouter::new(&RegexRouterOptions { regex, replacement })
            .unwrap()
            .renamed(topic)
    }

    #[test]
    fn names_are_replaced_as_java_replaces_them() {
        assert_eq!(renamed("(.*)-(\\d+)", "$2_$1x", "a-7").unwrap(), "7_ax");
        assert_eq!(renamed("(?<all>.*)", "p.${all}\\$1", "a").unwrap(), "p.a$1");
        assert_eq!(renamed("(.)(.*)", "$12", "ab").unwrap(), "a2");
        assert_eq!(renamed("a", "b", "aa"), None);
        assert_eq!(renamed("a|ab", "x", "ab").unwrap(), "xb");
    }
}
