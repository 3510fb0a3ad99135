//! Statuses and used topics of a cluster, kept in its status topic as Kafka Connect keeps them.
//!
//! Whoever reports a state does not wait: only the last of each part is kept until it is written. A worker alone has no
//! topic: then nothing is kept here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connect_core::Result;
use connect_core::clock::Clock;
use connect_core::retry::RetryPolicy;
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tracing::warn;

use super::info::State;
use crate::storage::statuses::{
    StatusEntry, connector_key, connector_of_task, task_key, topic_key, topic_value, used_topic,
};
use crate::storage::{KeyValueStore, StoredConnector, TopicStore};

/// How long the last statuses may take.
const LAST_WRITE: Duration = Duration::from_secs(10);
const PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
};

/// Where states are told; writes them if there is a topic.
#[derive(Clone, Default)]
pub(super) struct StatusWriter(Option<Arc<Shared>>);

/// A state to be told.
pub(super) struct Told<'a> {
    pub(super) state: State,
    pub(super) trace: Option<&'a str>,
    /// The plugin's.
    pub(super) version: &'a str,
}

struct Shared {
    worker_id: String,
    generation: u64,
    clock: Arc<dyn Clock>,
    entries: Mutex<Entries>,
    news: Notify,
    writing: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Entries {
    /// The topic as it will be.
    known: BTreeMap<String, Value>,
    /// What is not in the topic yet.
    unwritten: BTreeMap<String, Option<Value>>,
    is_closing: bool,
}

impl Entries {
    fn set(&mut self, key: String, value: Value) {
        self.known.insert(key.clone(), value.clone());
        self.unwritten.insert(key, Some(value));
    }

    fn remove_all(&mut self, goes: impl Fn(&str) -> bool) {
        let keys: Vec<_> = self.known.keys().filter(|key| goes(key)).cloned().collect();
        for key in keys {
            self.known.remove(&key);
            self.unwritten.insert(key, None);
        }
    }

    /// What was not written is still to be, unless something newer is.
    fn give_back(&mut self, batch: Vec<(String, Option<Value>)>) {
        for (key, value) in batch {
            self.unwritten.entry(key).or_insert(value);
        }
    }

    /// The parts of a worker that ends have no worker, unless they have failed.
    fn unassign(&mut self, worker_id: &str) {
        let mut left = Vec::new();
        for (key, value) in &self.known {
            let is_own = value.get("worker_id").and_then(Value::as_str) == Some(worker_id);
            let state = value.get("state").and_then(Value::as_str);
            if is_own && !matches!(state, Some("FAILED" | "UNASSIGNED")) {
                let mut value = value.clone();
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("state".to_owned(), "UNASSIGNED".into());
                }
                left.push((key.clone(), value));
            }
        }
        for (key, value) in left {
            self.set(key, value);
        }
    }
}

impl StatusWriter {
    /// Goes on with what is in the topic.
    ///
    /// # Errors
    /// What the store says.
    pub(super) async fn open(
        store: TopicStore,
        worker_id: String,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let known: BTreeMap<_, _> = store.load().await?.into_iter().collect();
        let generations = known
            .values()
            .filter_map(|value| value.get("generation")?.as_u64());
        let shared = Arc::new(Shared {
            worker_id,
            generation: generations.max().unwrap_or_default(),
            clock,
            entries: Mutex::new(Entries {
                known,
                ..Entries::default()
            }),
            news: Notify::new(),
            writing: Mutex::default(),
        });
        let writing = tokio::spawn(write(shared.clone(), store));
        *locked(&shared.writing) = Some(writing);
        Ok(Self(Some(shared)))
    }

    fn change(&self, change: impl FnOnce(&Shared, &mut Entries)) {
        if let Some(shared) = &self.0 {
            change(shared, &mut locked(&shared.entries));
            shared.news.notify_one();
        }
    }

    pub(super) fn connector(&self, connector: &str, told: &Told<'_>) {
        self.change(|shared, entries| entries.set(connector_key(connector), shared.value(told)));
    }

    pub(super) fn task(&self, connector: &str, task: u32, told: &Told<'_>) {
        self.change(|shared, entries| entries.set(task_key(connector, task), shared.value(told)));
    }

    /// A connector has no tasks any more.
    pub(super) fn clear_tasks(&self, connector: &str) {
        self.change(|_, entries| {
            entries.remove_all(|key| connector_of_task(key) == Some(connector));
        });
    }

    /// A connector has been removed.
    pub(super) fn forget(&self, connector: &str) {
        self.clear_tasks(connector);
        let own = connector_key(connector);
        self.change(|_, entries| entries.remove_all(|key| key == own));
    }

    /// Removes what is told of connectors and tasks that are not there.
    pub(super) fn keep_only(&self, connectors: &BTreeMap<String, StoredConnector>) {
        let is_gone = |key: &str| match (connector_of_task(key), used_topic(key)) {
            (Some(connector), _) => {
                let there = connectors.get(connector).map_or(0, |stored| stored.tasks);
                !(0..there).any(|task| task_key(connector, task) == key)
            }
            (None, Some((_, connector))) => !connectors.contains_key(connector),
            (None, None) => {
                let connector = key.strip_prefix(&connector_key(""));
                connector.is_some_and(|connector| !connectors.contains_key(connector))
            }
        };
        self.change(|_, entries| entries.remove_all(is_gone));
    }

    /// A task has used a topic for the first time.
    pub(super) fn topic_used(&self, topic: &str, connector: &str, task: u32) {
        self.change(|shared, entries| {
            let value = topic_value(topic, connector, task, shared.clock.now());
            entries.set(topic_key(topic, connector), value);
        });
    }

    /// The topics of a connector are forgotten.
    pub(super) fn topics_reset(&self, connector: &str) {
        self.change(|_, entries| {
            entries.remove_all(|key| used_topic(key).is_some_and(|(_, of)| of == connector));
        });
    }

    /// The used topics: connector and topic.
    pub(super) fn used_topics(&self) -> Vec<(String, String)> {
        let Some(shared) = &self.0 else {
            return Vec::new();
        };
        let entries = locked(&shared.entries);
        let used = entries.known.keys().filter_map(|key| used_topic(key));
        used.map(|(topic, connector)| (connector.to_owned(), topic.to_owned()))
            .collect()
    }

    /// Tells that nothing runs here any more, and waits until all is written.
    pub(super) async fn close(&self) {
        self.change(|shared, entries| {
            entries.unassign(&shared.worker_id);
            entries.is_closing = true;
        });
        let Some(mut writing) = self.take_writing() else {
            return;
        };
        if tokio::time::timeout(LAST_WRITE, &mut writing)
            .await
            .is_err()
        {
            warn!("the last statuses could not be written");
            writing.abort();
        }
    }

    /// Writes nothing more: the statuses are another worker's.
    pub(super) fn abandon(&self) {
        if let Some(writing) = self.take_writing() {
            writing.abort();
        }
    }

    fn take_writing(&self) -> Option<JoinHandle<()>> {
        self.0
            .as_ref()
            .and_then(|shared| locked(&shared.writing).take())
    }
}

impl Shared {
    fn value(&self, told: &Told<'_>) -> Value {
        StatusEntry {
            state: told.state,
            trace: told.trace.map(str::to_owned),
            worker_id: self.worker_id.clone(),
            generation: self.generation,
            version: Some(told.version.to_owned()),
        }
        .value()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes what is told until the worker closes and nothing is left.
async fn write(shared: Arc<Shared>, store: TopicStore) {
    let mut failures = 0;
    loop {
        let (batch, is_closing) = {
            let mut entries = locked(&shared.entries);
            let batch: Vec<_> = std::mem::take(&mut entries.unwritten).into_iter().collect();
            (batch, entries.is_closing)
        };
        if batch.is_empty() {
            if is_closing {
                return;
            }
            shared.news.notified().await;
            continue;
        }
        match store.put(batch.clone()).await {
            Ok(()) => failures = 0,
            Err(failure) => {
                failures += 1;
                warn!(
                    error = failure.trace(),
                    "statuses could not be written and are written again"
                );
                locked(&shared.entries).give_back(batch);
                tokio::time::sleep(PAUSES.pause(failures, &failure)).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_newer_state_is_not_replaced_by_one_that_failed_to_be_written() {
        let mut entries = Entries::default();
        entries.set("a".to_owned(), json!(1));
        entries.set("b".to_owned(), json!(1));
        let batch = std::mem::take(&mut entries.unwritten);
        entries.set("a".to_owned(), json!(2));
        entries.give_back(batch.into_iter().collect());
        let unwritten = [("a", json!(2)), ("b", json!(1))];
        let unwritten = unwritten.map(|(key, value)| (key.to_owned(), Some(value)));
        assert_eq!(entries.unwritten, BTreeMap::from(unwritten));
    }

    #[test]
    fn only_what_this_worker_ran_is_unassigned_at_its_end() {
        let mut entries = Entries::default();
        let entry = |state: &str, worker: &str| json!({ "state": state, "worker_id": worker });
        entries.set("mine".to_owned(), entry("RUNNING", "w"));
        entries.set("failed".to_owned(), entry("FAILED", "w"));
        entries.set("theirs".to_owned(), entry("RUNNING", "other"));
        entries.set("topic".to_owned(), json!({ "topic": {} }));
        entries.unwritten.clear();
        entries.unassign("w");
        let unassigned = BTreeMap::from([("mine".to_owned(), Some(entry("UNASSIGNED", "w")))]);
        assert_eq!(entries.unwritten, unassigned);
    }
}
