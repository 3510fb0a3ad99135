//! Connector configs and target states of a worker alone, under the keys of Kafka Connect's config topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use connect_core::Result;
use connect_core::config::ConfigMap;
use serde_json::{Value, json};

use super::KeyValueStore;

pub(super) const STARTED: &str = "STARTED";
pub(super) const PAUSED: &str = "PAUSED";
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
                let target = target.and_then(target_state).unwrap_or(STARTED);
                let stored = StoredConnector {
                    config: properties(value).unwrap_or_default(),
                    target_state: target.to_owned(),
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
    let old = if state == STOPPED { PAUSED } else { state };
    json!({ "state": old, "state.v2": state })
}

/// `None` if it is none that is known: there may be newer ones.
pub(super) fn target_state(value: &Value) -> Option<&str> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let state = text("state.v2").or_else(|| text("state"));
    state.filter(|state| [STARTED, PAUSED, STOPPED].contains(state))
}

fn task_count(value: Option<&Value>) -> u32 {
    let count = value.and_then(|value| value.get("tasks")?.as_u64());
    count.map_or(0, |count| u32::try_from(count).unwrap_or(u32::MAX))
}

/// `None` if there are none.
pub(super) fn properties(value: &Value) -> Option<ConfigMap> {
    let properties = value.get("properties")?.as_object()?;
    let text = |(key, value): (&String, &Value)| Some((key.clone(), value.as_str()?.to_owned()));
    Some(properties.iter().filter_map(text).collect())
}
