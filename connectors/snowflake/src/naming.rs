//! Names: topics to tables, and the objects of a connector, as the official connector makes them.

use regex::Regex;

/// A table's name, one to three parts, as they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TableName(Vec<String>);

impl TableName {
    fn plain(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }

    /// For statements: every part in double quotes.
    pub(crate) fn quoted(&self) -> String {
        let parts: Vec<_> = self.0.iter().map(|part| quoted(part)).collect();
        parts.join(".")
    }

    /// For paths: letters, digits and underscores, one name for one table.
    pub(crate) fn path(&self) -> String {
        sanitized(&self.0.join("."))
    }
}

impl std::fmt::Display for TableName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0.join("."))
    }
}

/// An identifier in double quotes.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant.
pub(crate) fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

fn is_first(c: char) -> bool {
    c.is_ascii_alphabetic() || c == '_'
}

fn is_later(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '$')
}

/// At least two characters, as the official connector's rule has it.
fn is_identifier(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(is_first);
    let rest = characters.as_str();
    first && !rest.is_empty() && rest.chars().all(is_later)
}

/// A valid name in upper case; any other made valid, with the hash of the original behind it.
pub(crate) fn sanitized(name: &str) -> String {
    if is_identifier(name) {
        return name.to_uppercase();
    }
    let cleaned = name.replace(".*", "");
    let mut valid = String::new();
    if !cleaned.starts_with(is_first) {
        valid.push('_');
    }
    valid.extend(cleaned.chars().map(|c| if is_later(c) { c } else { '_' }));
    format!("{valid}_{}", java_hash(name).unsigned_abs()).to_uppercase()
}

/// `String.hashCode`
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0, |hash: i32, unit| {
        hash.wrapping_mul(31).wrapping_add(i32::from(unit))
    })
}

/// `snowflake.topic2table.map`: exact topics first, then patterns over the whole topic.
#[derive(Debug, Clone, Default)]
pub(crate) struct TopicMap(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    topic: String,
    pattern: Option<Regex>,
    table: TableName,
}

impl TopicMap {
    /// Reads `topic:table,topic:table`; either side may be in double quotes, and then hold colons and commas.
    ///
    /// # Errors
    /// The reason, in the official connector's words where it has some.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (topic, _, after) = token(rest, ':')?;
            let after = after.ok_or("Expected ':'")?;
            let (table, is_quoted, after) = token(after, ',')?;
            rest = after.unwrap_or_default().trim_start();
            if entries.iter().any(|entry| entry.topic == topic) {
                return Err(format!("Duplicate topic: {topic}"));
            }
            entries.push(Entry {
                table: table_name(&table, is_quoted)?,
                pattern: Regex::new(&format!("^(?:{topic})$")).ok(),
                topic,
            });
        }
        let overlap = entries.iter().any(|entry| {
            entries.iter().any(|other| {
                other.topic != entry.topic
                    && entry
                        .pattern
                        .as_ref()
                        .is_some_and(|pattern| pattern.is_match(&other.topic))
            })
        });
        if overlap {
            return Err("Topic regexes cannot overlap".to_owned());
        }
        Ok(Self(entries))
    }

    /// The table of a topic.
    pub(crate) fn table(&self, topic: &str) -> TableName {
        let exact = self.0.iter().find(|entry| entry.topic == topic);
        let found = exact.or_else(|| {
            self.0.iter().find(|entry| {
                entry
                    .pattern
                    .as_ref()
                    .is_some_and(|pattern| pattern.is_match(topic))
            })
        });
        found.map_or_else(
            || TableName::plain(&sanitized(topic)),
            |entry| entry.table.clone(),
        )
    }
}

/// The text up to `end`, whether it was quoted, and what follows `end`.
fn token(text: &str, end: char) -> Result<(String, bool, Option<&str>), String> {
    let text = text.trim_start();
    let Some(inner) = text.strip_prefix('"') else {
        let (token, rest) = match text.split_once(end) {
            Some((token, rest)) => (token, Some(rest)),
            None => (text, None),
        };
        let token = token.trim();
        if token.is_empty() {
            return Err("a topic or table is missing".to_owned());
        }
        return Ok((token.to_owned(), false, rest));
    };
    let (token, rest) = inner.split_once('"').ok_or("Unterminated quoted token")?;
    match rest.trim_start() {
        "" => Ok((token.to_owned(), true, None)),
        rest => match rest.strip_prefix(end) {
            Some(rest) => Ok((token.to_owned(), true, Some(rest))),
            None => Err(format!("Expected '{end}'")),
        },
    }
}

fn table_name(text: &str, is_quoted: bool) -> Result<TableName, String> {
    if is_quoted {
        return Ok(TableName::plain(text));
    }
    let parts: Vec<_> = text.split('.').collect();
    if parts.len() > 3 || !parts.iter().all(|part| is_identifier(part)) {
        return Err(format!("{text} is not a table name"));
    }
    Ok(TableName(
        parts.iter().map(|part| part.to_uppercase()).collect(),
    ))
}

/// The names of what a connector keeps in Snowflake.
#[derive(Debug, Clone)]
pub(crate) struct ConnectorNames {
    /// The stage, quoted.
    pub(crate) stage: String,
    /// The table of consumed offsets, as it is.
    pub(crate) offsets: String,
}

impl ConnectorNames {
    pub(crate) fn of(connector: &str) -> Self {
        let app = sanitized(connector);
        Self {
            stage: quoted(&format!("SLUICE_STAGE_{app}")),
            offsets: format!("SLUICE_OFFSETS_{app}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(map: &str, topic: &str) -> String {
        TopicMap::parse(map).map_or_else(|error| error, |map| map.table(topic).quoted())
    }

    #[test]
    fn names_are_sanitized_as_the_official_connector_does_it() {
        assert_eq!(sanitized("sales_events"), "SALES_EVENTS");
        assert_eq!(sanitized("-_aA1"), "___AA1_44483871");
        let name = "testApp.snowflake-connector";
        assert_eq!(sanitized(name), "TESTAPP_SNOWFLAKE_CONNECTOR_36242259");
        assert!(sanitized("12345").starts_with("_12345_"));
        assert!(sanitized("bc*def").starts_with("BC_DEF_"));
    }

    #[test]
    fn an_exact_topic_wins_over_a_pattern() {
        let map = r#"orders.*:all_orders,"a:b":"Mixed,Case",eu.sales:db1.sch1.sales"#;
        assert_eq!(table(map, "orders_eu"), "\"ALL_ORDERS\"");
        assert_eq!(table(map, "a:b"), "\"Mixed,Case\"");
        assert_eq!(table(map, "eu.sales"), "\"DB1\".\"SCH1\".\"SALES\"");
        assert_eq!(table(map, "other_topic"), "\"OTHER_TOPIC\"");
    }

    #[test]
    fn wrong_maps_are_refused_with_the_reason() {
        let error = |map| TopicMap::parse(map).map(|_| ()).unwrap_err();
        assert_eq!(error("a:t1,a:t2"), "Duplicate topic: a");
        assert_eq!(error("a"), "Expected ':'");
        assert_eq!(error("\"a:t1"), "Unterminated quoted token");
        assert_eq!(error("a.*:t1,ab:t2"), "Topic regexes cannot overlap");
        assert_eq!(error("a:bad-name"), "bad-name is not a table name");
    }
}
