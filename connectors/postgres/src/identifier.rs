//! Names of tables and columns: how they are read from options, quoted in SQL and cut as Postgres cuts them.

use connect_core::{Error, Result};

use crate::config::Quoting;

/// Postgres keeps so many bytes of a name.
const MAX_BYTES: usize = 63;

/// A name as Postgres stores it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Identifier(String);

impl Identifier {
    /// The name as Postgres would keep it: cut to 63 bytes, in lower case if it were not quoted.
    pub(crate) fn new(name: &str, quoting: Quoting) -> Self {
        let mut name = match quoting {
            Quoting::Always => name.to_owned(),
            Quoting::Never => name.to_lowercase(),
        };
        name.truncate(name.floor_char_boundary(MAX_BYTES));
        Self(name)
    }

    /// The name itself.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name for SQL.
    pub(crate) fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

/// A table, with its schema if one was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableName {
    catalog: Option<Identifier>,
    schema: Option<Identifier>,
    table: Identifier,
}

impl TableName {
    /// Reads `[catalog.]schema.table`; a part in double quotes may hold dots.
    ///
    /// # Errors
    /// A data error if that leaves an empty part or more than three.
    pub(crate) fn parse(text: &str, quoting: Quoting) -> Result<Self> {
        let mut parts: Vec<_> = split(text)
            .into_iter()
            .map(|part| Identifier::new(&part, quoting))
            .collect();
        let is_empty = parts.iter().any(|part| part.as_str().is_empty());
        match parts.pop() {
            Some(table) if !is_empty && parts.len() < 3 => Ok(Self {
                schema: parts.pop(),
                catalog: parts.pop(),
                table,
            }),
            _ => Err(Error::data(format!(
                "`{text}` is not the name of a table: expected [catalog.]schema.table"
            ))),
        }
    }

    /// The database, if one was given.
    pub(crate) fn catalog(&self) -> Option<&str> {
        self.catalog.as_ref().map(Identifier::as_str)
    }

    /// The name for SQL.
    pub(crate) fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", schema.quoted(), self.table.quoted()),
            None => self.table.quoted(),
        }
    }
}

/// Cuts at dots outside of double quotes; the quotes go, doubled ones become one.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut quoted = false;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, quoted) {
            ('"', true) if characters.peek() == Some(&'"') => {
                characters.next();
                push(&mut parts, '"');
            }
            ('"', _) => quoted = !quoted,
            ('.', false) => parts.push(String::new()),
            _ => push(&mut parts, character),
        }
    }
    parts
}

fn push(parts: &mut [String], character: char) {
    if let Some(part) = parts.last_mut() {
        part.push(character);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted(text: &str) -> Option<String> {
        TableName::parse(text, Quoting::Always)
            .ok()
            .map(|name| name.quoted())
    }

    #[test]
    fn dots_outside_of_quotes_separate_schema_and_table() {
        assert_eq!(quoted("orders").as_deref(), Some("\"orders\""));
        assert_eq!(quoted("a.b").as_deref(), Some("\"a\".\"b\""));
        assert_eq!(quoted("db.a.b").as_deref(), Some("\"a\".\"b\""));
        assert_eq!(quoted("\"a.b\"").as_deref(), Some("\"a.b\""));
        assert_eq!(quoted("a.\"b\"\"c\"").as_deref(), Some("\"a\".\"b\"\"c\""));
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for wrong in ["", "a.", ".a", "a..b", "a.b.c.d"] {
            assert_eq!(quoted(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_are_cut_as_postgres_cuts_them_and_never_within_a_character() {
        let name = format!("{}äb", "a".repeat(62));
        let kept = Identifier::new(&name, Quoting::Always);
        assert_eq!(kept.as_str(), "a".repeat(62));
    }

    #[test]
    fn without_quotes_names_are_folded() {
        let name = TableName::parse("Orders", Quoting::Never).unwrap();
        assert_eq!(name.quoted(), "\"orders\"");
    }
}
