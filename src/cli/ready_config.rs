//! A connector's config as files have it, those of connector-configs/ above all.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::runtime::{TargetState, properties};

/// A connector's name and options. The options hold the name too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReadyConfig {
    pub(super) name: String,
    pub(super) config: BTreeMap<String, String>,
    /// What it is to do once it is made.
    pub(super) initial: Option<TargetState>,
}

impl ReadyConfig {
    /// Reads a file: `.properties`, a flat JSON object, or one with `name` and `config`.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let shown = path.display().to_string();
        let reading = || format!("reading {shown}");
        if path
            .extension()
            .is_some_and(|extension| extension == "properties")
        {
            let config = properties::read(path).with_context(reading)?;
            return Self::new(&shown, None, config);
        }
        let text = std::fs::read_to_string(path).with_context(reading)?;
        Self::parse(&shown, &text)
    }

    /// Reads JSON; `shown` names where it stands.
    pub(super) fn parse(shown: &str, text: &str) -> Result<Self> {
        let json: Value =
            serde_json::from_str(text).with_context(|| format!("{shown} is not JSON"))?;
        let inside = json.get("config").filter(|config| config.is_object());
        let inner = inside.unwrap_or(&json);
        let fields = inner
            .as_object()
            .with_context(|| format!("{shown}: a JSON object is needed"))?;
        let mut config = BTreeMap::new();
        for (key, value) in fields {
            config.insert(key.clone(), option_text(shown, key, value)?);
        }
        let outer = |key: &str| json.get(key).and_then(Value::as_str);
        // In a flat object it is an option like any other.
        let initial = inside.and_then(|_| json.get("initial_state"));
        let initial = initial.filter(|state| !state.is_null());
        let mut ready = Self::new(shown, outer("name"), config)?;
        ready.initial = initial
            .map(|state| initial_state(shown, state))
            .transpose()?;
        Ok(ready)
    }

    fn new(
        shown: &str,
        outer_name: Option<&str>,
        config: BTreeMap<String, String>,
    ) -> Result<Self> {
        let name = outer_name.map(str::to_owned);
        let name = name
            .or_else(|| config.get("name").cloned())
            .with_context(|| format!("{shown}: name is missing"))?;
        let unnamed = Self {
            name: String::new(),
            config,
            initial: None,
        };
        Ok(unnamed.named(name))
    }

    /// Under another name.
    pub(super) fn named(mut self, name: String) -> Self {
        self.config.insert("name".to_owned(), name.clone());
        self.name = name;
        self
    }
}

/// What the demos look at and change.
#[cfg(any(feature = "demo", test))]
impl ReadyConfig {
    /// With another value of an option.
    pub(super) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.config.insert(key.to_owned(), value.into());
        self
    }

    /// Another value for an option that it has; nothing if it has not.
    pub(super) fn replace(&mut self, key: &str, value: String) {
        if let Some(old) = self.config.get_mut(key) {
            *old = value;
        }
    }

    /// An option's value.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.config.get(key).map(String::as_str)
    }

    /// A number of an option; `None` if it is not there or none.
    pub(super) fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

fn initial_state(shown: &str, value: &Value) -> Result<TargetState> {
    let state = value.as_str().and_then(TargetState::of_initial);
    state.with_context(|| format!("{shown}: initial_state must be RUNNING, PAUSED or STOPPED"))
}

/// An option's value as text; Kafka Connect takes numbers and booleans too.
fn option_text(shown: &str, key: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => bail!("{shown}: the value of {key} must be text, a number or a boolean"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_a_name_and_options_that_hold_it() {
        let text = r#"{"name": "a", "config": {"tasks.max": 2, "topics": "t"}}"#;
        let ready = ReadyConfig::parse("a.json", text).unwrap().with("x", "y");
        assert_eq!(ready.get("name"), Some("a"));
        assert_eq!(ready.number("tasks.max"), Some(2));
        let flat = r#"{"name": "a", "tasks.max": "2", "topics": "t", "x": "y"}"#;
        assert_eq!(ReadyConfig::parse("a.json", flat).unwrap(), ready);
        assert_eq!((ready.number("topics"), ready.get("x")), (None, Some("y")));
    }

    #[test]
    fn a_file_may_say_what_a_connector_is_made_with() {
        let state = |text: &str| ReadyConfig::parse("a.json", text).unwrap().initial;
        let text = r#"{"name": "a", "config": {}, "initial_state": "paused"}"#;
        assert_eq!(state(text), Some(TargetState::Paused));
        let text = r#"{"name": "a", "config": {}, "initial_state": null}"#;
        assert_eq!(state(text), None);
        assert_eq!(state(r#"{"name": "a", "initial_state": "paused"}"#), None);
    }

    #[test]
    fn what_is_no_ready_config_is_named() {
        for (text, words) in [
            ("{", "a.json is not JSON"),
            ("[]", "a.json: a JSON object is needed"),
            (r#"{"config": {}}"#, "a.json: name is missing"),
            (
                r#"{"name": "a", "config": {"x": []}}"#,
                "the value of x must be text",
            ),
            (
                r#"{"name": "a", "config": {}, "initial_state": "FLYING"}"#,
                "initial_state must be RUNNING",
            ),
        ] {
            let error = ReadyConfig::parse("a.json", text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
