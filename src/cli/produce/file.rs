//! The JSON file of `--config`: any of the flags, under any of their names.

use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

/// Keys of the file, under any of their names; dashes, dots and underscores are the same.
const KEYS: &[&[&str]] = &[
    &["brokers", "bootstrap_servers"],
    &["topic"],
    &["count", "events", "num_transactions"],
    &["interval"],
    &["burst"],
    &["continuous"],
    &["duration"],
    &["type"],
    &["late"],
    &["duplicates"],
    &["exactly_once"],
    &["transactional_id"],
    &["key"],
    &["seed"],
    &["start"],
    &["partitions"],
    &["verbose"],
];

/// Settings of a file; none if there is no file.
pub(super) struct File(Map<String, Value>);

impl File {
    pub(super) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self(Map::new()));
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
        let json: Value =
            serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        let Value::Object(given) = json else {
            bail!("{shown}: a JSON object is needed");
        };
        let mut settings = Map::new();
        for (key, value) in given {
            let Some(name) = name_of(&key) else {
                let known = KEYS.concat().join(", ");
                bail!("{shown}: {key} is not known; known are {known}");
            };
            settings.insert(name.to_owned(), value);
        }
        Ok(Self(settings))
    }

    fn get<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .with_context(|| format!("the config file's {key} is {value}: must be {what}")),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key, "text", |value| value.as_str().map(str::to_owned))
    }

    /// Text, or a list of texts, which is then separated by commas.
    pub(super) fn list(&self, key: &str) -> Result<Option<String>> {
        self.get(key, "text or a list of texts", |value| match value {
            Value::Array(items) => {
                let texts: Option<Vec<_>> = items.iter().map(Value::as_str).collect();
                texts.map(|texts| texts.join(","))
            }
            other => other.as_str().map(str::to_owned),
        })
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a number", Value::as_f64)
    }

    pub(super) fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.get(key, "a whole number", Value::as_u64)
    }

    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        let flag = self.get(key, "true or false", Value::as_bool)?;
        Ok(flag.unwrap_or(false))
    }
}

fn name_of(key: &str) -> Option<&'static str> {
    let normal = key.replace(['-', '.'], "_").to_ascii_lowercase();
    let names = KEYS.iter().find(|names| names.contains(&normal.as_str()))?;
    names.first().copied()
}
