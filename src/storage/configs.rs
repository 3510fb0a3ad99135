//! Connector configs and target states of a worker alone, under the keys of Kafka Connect's config topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::Result;
use connect_core::config::ConfigMap;
use serde_json::{Value, json};

use super::KeyValueStore;

pub(super) const STARTED: &str = "STARTED";
pub(super) const STOPPED: &str = "STOPPED";

/// A connector as stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoredConnector {
    /// Its configuration, as it was given.
    pub config: ConfigMap,
    /// `STARTED`, `PAUSED` or `STOPPED`.
    pub target_state: String,
    /// How many tasks it has, running or paused: none before its first start, and none while it is stopped.
    pub tasks: u32,
}

/// Stored connectors.
#[derive(Clone)]
pub struct ConfigStorage(Arc<dyn KeyValueStore>);

impl ConfigStorage {
    /// Stands on `store`.
    pub fn new(store: Arc<dyn KeyValueStore>) -> Self {
        Self(store)
    }

    /// All connectors, by name.
    ///
    /// # Errors
    /// What the store says.
    pub async fn load(&self) -> Result<BTreeMap<String, StoredConnector>> {
        let entries: BTreeMap<_, _> = self.0.load().await?.into_iter().collect();
        let mut connectors = BTreeMap::new();
        for (key, value) in &entries {
            if let Some(name) = key.strip_prefix("connector-") {
                let target = entries.get(&format!("target-state-{name}"));
                let stored = StoredConnector {
                    config: properties(value),
                    target_state: target_state(target),
                    tasks: task_count(entries.get(&format!("commit-{name}"))),
                };
                connectors.insert(name.to_owned(), stored);
            }
        }
        Ok(connectors)
    }

    /// Stores a connector with its target state.
    ///
    /// # Errors
    /// What the store says; then nothing is changed.
    pub async fn put(&self, name: &str, connector: &StoredConnector) -> Result<()> {
        let config = json!({ "properties": connector.config });
        let changes = vec![
            (format!("connector-{name}"), Some(config)),
            (
                format!("target-state-{name}"),
                Some(state_json(&connector.target_state)),
            ),
            (
                format!("commit-{name}"),
                Some(json!({ "tasks": connector.tasks })),
            ),
        ];
        self.0.put(changes).await
    }

    /// Removes a connector.
    ///
    /// # Errors
    /// What the store says; then nothing is changed.
    pub async fn remove(&self, name: &str) -> Result<()> {
        let changes = vec![
            (format!("connector-{name}"), None),
            (format!("target-state-{name}"), None),
            (format!("commit-{name}"), None),
        ];
        self.0.put(changes).await
    }
}

/// Old readers know no `STOPPED`: for them it is `PAUSED`.
pub(super) fn state_json(state: &str) -> Value {
    let old = if state == STOPPED { "PAUSED" } else { state };
    json!({ "state": old, "state.v2": state })
}

pub(super) fn target_state(value: Option<&Value>) -> String {
    value
        .and_then(|value| value.get("state.v2").or_else(|| value.get("state")))
        .and_then(Value::as_str)
        .unwrap_or(STARTED)
        .to_owned()
}

fn task_count(value: Option<&Value>) -> u32 {
    let count = value.and_then(|value| value.get("tasks")?.as_u64());
    count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
}

pub(super) fn properties(value: &Value) -> ConfigMap {
    let properties = value.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
