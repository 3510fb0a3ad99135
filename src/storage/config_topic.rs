//! The config topic of a cluster: connectors, target states and task configs, as Kafka Connect writes and reads them.
//!
//! Its entries take effect in their order: task configs with the commit that follows them, and nothing of a connector
//! before its own config. [`ConfigState`] is that reading, without input or output. What this worker does not change it
//! does not write: task configs that a Java worker has made stay as they are as long as config and number of tasks do.

use std::collections::BTreeMap;

use bytes::Bytes;
use connect_core::Result;
use connect_core::config::ConfigMap;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::configs::{StoredConnector, properties, state_json, target_state};
use super::generations::{self, Generations, TaskGeneration};
use super::leader::LeaderWriter;
use super::topic::{Entry, StorageTopic, StorageTopicOptions};
use crate::kafka::{ConsumedRecord, Log};

const STARTED: &str = "STARTED";
const STOPPED: &str = "STOPPED";

/// The config topic.
pub struct ConfigTopic {
    topic: StorageTopic,
    state: Mutex<ConfigState>,
    /// `None`: whoever is the leader writes without a transaction.
    leader: Option<LeaderWriter>,
}

impl ConfigTopic {
    /// Opens the topic, made if it is not there.
    ///
    /// # Errors
    /// `Config` if the topic has more than one partition or would lose entries; otherwise what the log says.
    pub async fn open(log: &dyn Log, options: &StorageTopicOptions) -> Result<Self> {
        Ok(Self {
            topic: StorageTopic::open(log, options).await?,
            state: Mutex::default(),
            leader: None,
        })
    }

    /// Has everything but target states written by `leader`.
    #[must_use]
    pub fn written_by(mut self, leader: LeaderWriter) -> Self {
        self.leader = Some(leader);
        self
    }

    /// Takes the place of whoever wrote as the leader before. To be called by a worker that has become the leader.
    ///
    /// # Errors
    /// What the log says.
    pub async fn lead(&self) -> Result<()> {
        match &self.leader {
            Some(leader) => leader.claim().await,
            None => Ok(()),
        }
    }

    /// Which tasks of a connector are the newest, by all that was written by now.
    ///
    /// # Errors
    /// What the log says.
    pub async fn generation(&self, connector: &str) -> Result<TaskGeneration> {
        let mut state = self.state.lock().await;
        self.read(&mut state).await?;
        Ok(state.generations.of(connector))
    }

    /// Records that so many tasks of a connector may write, and no others.
    ///
    /// # Errors
    /// What the log says.
    pub async fn put_task_count(&self, connector: &str, tasks: u32) -> Result<()> {
        let mut state = self.state.lock().await;
        let record = generations::task_count(connector, tasks);
        self.write(&mut state, vec![record]).await
    }

    pub(super) async fn load(&self) -> Result<BTreeMap<String, StoredConnector>> {
        let mut state = self.state.lock().await;
        self.read(&mut state).await?;
        Ok(state.connectors())
    }

    pub(super) async fn put(&self, name: &str, connector: &StoredConnector) -> Result<()> {
        let mut state = self.state.lock().await;
        self.read(&mut state).await?;
        let changes = state.changes(name, connector);
        self.write(&mut state, changes).await
    }

    pub(super) async fn remove(&self, name: &str) -> Result<()> {
        let mut state = self.state.lock().await;
        let gone = ["connector", "target-state"].map(|kind| (format!("{kind}-{name}"), None));
        self.write(&mut state, gone.into()).await
    }

    async fn write(
        &self,
        state: &mut ConfigState,
        changes: Vec<(String, Option<Value>)>,
    ) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let entry = |(key, value): (String, Option<Value>)| -> Entry {
            (key.into(), value.map(|value| value.to_string().into()))
        };
        let entries = changes.into_iter().map(entry).collect();
        match &self.leader {
            Some(leader) => leader.write(self.topic.records(entries)).await?,
            None => self.topic.write(entries).await?,
        }
        self.read(state).await
    }

    async fn read(&self, state: &mut ConfigState) -> Result<()> {
        let take = |record: ConsumedRecord| {
            let key = record.key.unwrap_or_default();
            if let Ok(key) = std::str::from_utf8(&key) {
                let (offset, value) = (record.offset.value(), record.value.as_ref());
                state
                    .generations
                    .apply(offset, key, value.map(AsRef::as_ref));
                state.apply(key, value);
            }
        };
        // A commit is over before a reader of committed records sees it.
        self.topic.read_through(take).await
    }
}

/// A connector in the topic.
#[derive(Debug, Default)]
struct ConnectorEntry {
    config: ConfigMap,
    /// The committed ones; `None` if the last commit was without some of its task configs.
    tasks: Option<Vec<ConfigMap>>,
}

/// What the entries read so far mean.
#[derive(Debug, Default)]
struct ConfigState {
    connectors: BTreeMap<String, ConnectorEntry>,
    /// May be there before the connector: it is made with an initial state.
    targets: BTreeMap<String, String>,
    /// Task configs that wait for their commit, by connector.
    uncommitted: BTreeMap<String, BTreeMap<u64, ConfigMap>>,
    generations: Generations,
}

impl ConfigState {
    /// Takes the next entry. What is of no concern to a worker that starts (session keys, restart requests, log levels)
    /// is passed over, and so is what is not in its form.
    fn apply(&mut self, key: &str, value: Option<&Bytes>) {
        let value = value.and_then(|value| serde_json::from_slice::<Value>(value).ok());
        let value = value.filter(Value::is_object);
        if let Some(name) = key.strip_prefix("connector-") {
            self.apply_connector(name, value.as_ref());
        } else if let Some(name) = key.strip_prefix("target-state-") {
            match value {
                Some(value) => {
                    let state = target_state(Some(&value));
                    self.targets.insert(name.to_owned(), state)
                }
                None => self.targets.remove(name),
            };
        } else if let Some(name) = key.strip_prefix("commit-") {
            self.apply_commit(name, value.as_ref());
        } else if let Some((name, task)) = task_key(key)
            && let Some(value) = value
        {
            let tasks = self.uncommitted.entry(name.to_owned()).or_default();
            tasks.insert(task, properties(&value));
        }
    }

    fn apply_connector(&mut self, name: &str, value: Option<&Value>) {
        match value {
            Some(value) => {
                let entry = self.connectors.entry(name.to_owned()).or_default();
                entry.config = properties(value);
            }
            None => {
                self.connectors.remove(name);
                self.uncommitted.remove(name);
            }
        }
    }

    /// Task configs of a connector that is not there are left from one that was removed.
    fn apply_commit(&mut self, name: &str, value: Option<&Value>) {
        let uncommitted = self.uncommitted.remove(name).unwrap_or_default();
        let count = value.and_then(|value| value.get("tasks")?.as_u64());
        let (Some(entry), Some(count)) = (self.connectors.get_mut(name), count) else {
            return;
        };
        let complete = uncommitted.keys().copied().eq(0..count);
        entry.tasks = complete.then(|| uncommitted.into_values().collect());
    }

    fn target(&self, name: &str) -> &str {
        self.targets.get(name).map_or(STARTED, String::as_str)
    }

    fn connectors(&self) -> BTreeMap<String, StoredConnector> {
        let stored = |(name, entry): (&String, &ConnectorEntry)| {
            let tasks = entry.tasks.as_ref().map_or(0, Vec::len);
            let connector = StoredConnector {
                config: entry.config.clone(),
                target_state: self.target(name).to_owned(),
                tasks: u32::try_from(tasks).unwrap_or(u32::MAX),
            };
            (name.clone(), connector)
        };
        self.connectors.iter().map(stored).collect()
    }

    /// The entries that make a connector what is wanted, in the order of Kafka Connect: an initial state before the
    /// connector, the end of the tasks before the state that stops them.
    fn changes(&self, name: &str, wanted: &StoredConnector) -> Vec<(String, Option<Value>)> {
        let state = || {
            let value = state_json(&wanted.target_state);
            (format!("target-state-{name}"), Some(value))
        };
        let is_new_state = self.target(name) != wanted.target_state;
        let stops = is_new_state && wanted.target_state == STOPPED;
        let mut changes = Vec::new();
        if is_new_state && !stops {
            changes.push(state());
        }
        let known = self.connectors.get(name);
        if known.is_none_or(|known| known.config != wanted.config) {
            let value = json!({ "properties": wanted.config });
            changes.push((format!("connector-{name}"), Some(value)));
        }
        changes.extend(self.task_changes(name, wanted));
        if stops {
            changes.push(state());
        }
        changes
    }

    fn task_changes(&self, name: &str, wanted: &StoredConnector) -> Vec<(String, Option<Value>)> {
        let known = self.connectors.get(name);
        let tasks = known.and_then(|known| known.tasks.as_ref());
        let count = usize::try_from(wanted.tasks).unwrap_or(usize::MAX);
        let is_same = match (known, tasks) {
            (Some(known), Some(tasks)) => {
                tasks.len() == count && (count == 0 || known.config == wanted.config)
            }
            // Without a commit there are no tasks.
            _ => count == 0,
        };
        if is_same {
            return Vec::new();
        }
        let config = json!({ "properties": task_config(known, &wanted.config) });
        let task = |number| (format!("task-{name}-{number}"), Some(config.clone()));
        let commit = (
            format!("commit-{name}"),
            Some(json!({ "tasks": wanted.tasks })),
        );
        (0..wanted.tasks).map(task).chain([commit]).collect()
    }
}

/// The connector and the number of a task's key; names may hold dashes.
fn task_key(key: &str) -> Option<(&str, u64)> {
    let (name, task) = key.strip_prefix("task-")?.rsplit_once('-')?;
    Some((name, task.parse().ok()?))
}

/// What a task is told: here all that its connector is told, and its class as known from tasks before, or as it is called
/// by custom. A Java connector makes its own task configs anew when it starts.
fn task_config(known: Option<&ConnectorEntry>, config: &ConfigMap) -> ConfigMap {
    const CONNECTOR: &str = "connector.class";
    const TASK: &str = "task.class";
    let class = config.get(CONNECTOR);
    let known = known.filter(|known| known.config.get(CONNECTOR) == class);
    let task = known.and_then(|known| known.tasks.as_ref()?.first()?.get(TASK).cloned());
    let task = task.or_else(|| Some(class?.replace("Connector", "Task")));
    let mut config = config.clone();
    config.extend(task.map(|task| (TASK.to_owned(), task)));
    config
}

#[cfg(test)]
#[path = "config_topic_tests.rs"]
mod tests;
