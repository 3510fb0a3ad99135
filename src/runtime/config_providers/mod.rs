//! Config providers: `${provider:[path:]key}` in a configuration stands for a value that is kept elsewhere.
//!
//! Holds always: configurations are stored and shown with their placeholders. Values are looked up when they are used,
//! so that a restart picks up a change, and are taken out again of every text that is shown or logged.

mod lookup;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use connect_core::config::{ConfigMap, OptionError};
use connect_core::{Error, Result};
use regex::{Captures, Regex};
use tracing::warn;

use super::worker_config::strip_prefix;
use lookup::Provider;

/// Kafka's own expression: provider, path if any, key.
static PLACEHOLDER: LazyLock<Regex> = LazyLock::new(|| {
    let expression = r"\$\{([^}]*?):(?:([^}]*?):)?([^}]*?)\}";
    Regex::new(expression).expect("a constant that a test compiles")
});
/// Shorter values are not looked for in texts: they would be found everywhere.
const SHORTEST_HIDDEN: usize = 4;

/// The providers of a worker, by alias.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigProviders(Arc<BTreeMap<String, Provider>>);

/// A configuration with the values in place of the placeholders.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) config: ConfigMap,
    pub(super) redaction: Redaction,
}

/// Puts placeholders back where texts show what they stand for.
#[derive(Debug, Clone, Default)]
pub(super) struct Redaction(Arc<Vec<(String, String)>>);

impl Redaction {
    /// What hides these values in all their forms.
    fn of_values(values: Vec<(String, String)>) -> Self {
        let mut hidden = Vec::new();
        for (value, placeholder) in values {
            let forms = forms(&value).into_iter();
            let long = forms.filter(|form| form.len() >= SHORTEST_HIDDEN);
            hidden.extend(long.map(|form| (form, placeholder.clone())));
        }
        Self::of(hidden)
    }

    /// Longer texts first: a shorter one may be part of them.
    fn of(mut hidden: Vec<(String, String)>) -> Self {
        hidden.sort_by_key(|(text, _)| std::cmp::Reverse(text.len()));
        Self(Arc::new(hidden))
    }

    /// True if it hides nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What either hides.
    pub(super) fn and(&self, other: &Self) -> Self {
        Self::of(self.0.iter().chain(other.0.iter()).cloned().collect())
    }

    /// `text` without values that came from a provider.
    pub(super) fn apply(&self, text: String) -> String {
        let hide = |text: String, (value, placeholder): &(String, String)| {
            if text.contains(value) {
                text.replace(value, placeholder)
            } else {
                text
            }
        };
        self.0.iter().fold(text, hide)
    }
}

/// How a value may be spelled where it is told: as it is; without the blanks around it, which options lose (a file ends with a
/// line); in quotes; in an address.
fn forms(value: &str) -> BTreeSet<String> {
    let short = value.trim();
    let mut forms: BTreeSet<_> = [value.to_owned(), short.to_owned()].into();
    forms.insert(short.escape_debug().to_string());
    if let Ok(mut url) = reqwest::Url::parse("http://host") {
        url.set_query(Some(short));
        forms.extend(url.query().map(str::to_owned));
        url.set_path(short);
        forms.insert(url.path().trim_start_matches('/').to_owned());
    }
    forms
}

impl ConfigProviders {
    /// The providers that worker properties name: `config.providers`, `config.providers.<alias>.class` and `.param.`.
    ///
    /// # Errors
    /// Each alias without a class, and each wrong parameter.
    pub(super) fn of(properties: &ConfigMap) -> Result<Self, Vec<OptionError>> {
        let names = properties
            .get("config.providers")
            .map_or("", String::as_str);
        let (mut providers, mut errors) = (BTreeMap::new(), Vec::new());
        for alias in names
            .split(',')
            .map(str::trim)
            .filter(|alias| !alias.is_empty())
        {
            let prefix = format!("config.providers.{alias}.");
            match Provider::of(&prefix, &strip_prefix(properties, &prefix)) {
                Ok(provider) => {
                    providers.insert(alias.to_owned(), provider);
                }
                Err(error) => errors.push(error),
            }
        }
        if errors.is_empty() {
            Ok(Self(Arc::new(providers)))
        } else {
            Err(errors)
        }
    }

    /// Puts values in place of placeholders. One whose provider or key is not known stays as it is, with a warning.
    ///
    /// # Errors
    /// A file that cannot be read, or a path where the provider takes none.
    pub(super) fn resolve(&self, config: &ConfigMap) -> Result<Resolved> {
        let (mut resolved, mut hidden) = (ConfigMap::new(), Vec::new());
        for (key, raw) in config {
            let value = self.resolve_value(key, raw, &mut hidden)?;
            resolved.insert(key.clone(), value);
        }
        Ok(Resolved {
            config: resolved,
            redaction: Redaction::of_values(hidden),
        })
    }

    fn resolve_value(
        &self,
        key: &str,
        raw: &str,
        hidden: &mut Vec<(String, String)>,
    ) -> Result<String> {
        let mut value = String::new();
        let mut end = 0;
        for found in PLACEHOLDER.captures_iter(raw) {
            let Some(whole) = found.get(0) else { continue };
            value.push_str(raw.get(end..whole.start()).unwrap_or_default());
            end = whole.end();
            match self.look_up(key, &found)? {
                Some(text) => {
                    hidden.push((text.clone(), whole.as_str().to_owned()));
                    value.push_str(&text);
                }
                None => value.push_str(whole.as_str()),
            }
        }
        value.push_str(raw.get(end..).unwrap_or_default());
        Ok(value)
    }

    fn look_up(&self, option: &str, found: &Captures<'_>) -> Result<Option<String>> {
        let part = |index: usize| found.get(index).map_or("", |part| part.as_str());
        let (whole, alias) = (part(0), part(1));
        let Some(provider) = self.0.get(alias) else {
            warn!(
                "{option}: {whole} stays as it is: the worker has no provider {alias}, set config.providers={alias} and config.providers.{alias}.class"
            );
            return Ok(None);
        };
        let value = provider.get(part(2), part(3)).map_err(|cause| {
            Error::new(cause.kind(), format!("{whole} cannot be looked up"))
                .operation(option)
                .source(cause)
        })?;
        if value.is_none() {
            warn!("{option}: {whole} stays as it is: nothing of that name is there");
        }
        Ok(value)
    }
}
