//! What stands in for a match, as Java writes it: `$1` and `${name}` are groups, a backslash takes the meaning from a sign.

use std::iter::Peekable;
use std::str::Chars;

use fancy_regex::Captures;

use crate::pattern::Pattern;

/// A replacement, read.
#[derive(Debug)]
pub(crate) struct Replacement(Vec<Token>);

#[derive(Debug)]
enum Token {
    Text(char),
    Group(usize),
    Named(String),
}

impl Replacement {
    /// Reads `text` for matches of `pattern`.
    ///
    /// # Errors
    /// What is wrong with it, in Java's words.
    pub(crate) fn new(text: &str, pattern: &Pattern) -> Result<Self, String> {
        let mut tokens = Vec::new();
        let mut rest = text.chars().peekable();
        while let Some(character) = rest.next() {
            tokens.push(match character {
                '\\' => Token::Text(rest.next().ok_or("character to be escaped is missing")?),
                '$' if rest.next_if_eq(&'{').is_some() => named(&mut rest, pattern)?,
                '$' => numbered(&mut rest, pattern.groups())?,
                other => Token::Text(other),
            });
        }
        Ok(Self(tokens))
    }

    /// Appends it with the groups of a match.
    pub(crate) fn fill(&self, found: &Captures<'_, str>, text: &mut String) {
        for token in &self.0 {
            let group = match token {
                Token::Text(character) => {
                    text.push(*character);
                    continue;
                }
                Token::Group(group) => found.get(*group),
                Token::Named(group) => found.name(group),
            };
            text.push_str(group.map_or("", |group| group.as_str()));
        }
    }
}

fn named(rest: &mut Peekable<Chars<'_>>, pattern: &Pattern) -> Result<Token, String> {
    let name: String = rest.take_while(|next| *next != '}').collect();
    if !pattern.has_group(&name) {
        return Err(format!("No group with name {{{name}}}"));
    }
    Ok(Token::Named(name))
}

/// A group's number goes on as long as there is such a group.
fn numbered(rest: &mut Peekable<Chars<'_>>, groups: usize) -> Result<Token, String> {
    let digit = |next: Option<&char>| {
        next.and_then(|next| next.to_digit(10))
            .map(|digit| digit as usize)
    };
    let Some(mut group) = digit(rest.next().as_ref()) else {
        return Err("Illegal group reference: group index is missing".to_owned());
    };
    if group >= groups {
        return Err(format!("No group {group}"));
    }
    while let Some(longer) = digit(rest.peek()).map(|digit| group * 10 + digit)
        && longer < groups
    {
        group = longer;
        rest.next();
    }
    Ok(Token::Group(group))
}
