//! The entries of Kafka Connect's status topic. No input or output.

use connect_core::data::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// A state as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatusEntry<S> {
    /// `RUNNING`, `FAILED` …
    pub(crate) state: S,
    pub(crate) trace: Option<String>,
    pub(crate) worker_id: String,
    /// Later entries have no lower one.
    pub(crate) generation: u64,
    /// The plugin's.
    pub(crate) version: Option<String>,
}

impl<S: Serialize> StatusEntry<S> {
    pub(crate) fn value(&self) -> Value {
        json!({
            "state": self.state,
            "trace": self.trace,
            "worker_id": self.worker_id,
            "generation": self.generation,
            "version": self.version,
        })
    }
}

impl<S: DeserializeOwned> StatusEntry<S> {
    /// `None` if it is none.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let text = |field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            state: S::deserialize(value.get("state")?).ok()?,
            trace: text("trace"),
            worker_id: text("worker_id")?,
            generation: value
                .get("generation")
                .and_then(Value::as_u64)
                .unwrap_or_default(),
            version: text("version"),
        })
    }
}

pub(crate) fn connector_key(connector: &str) -> String {
    format!("status-connector-{connector}")
}

pub(crate) fn task_key(connector: &str, task: u32) -> String {
    format!("status-task-{connector}-{task}")
}

/// The connector that a task's key is about.
pub(crate) fn connector_of_task(key: &str) -> Option<&str> {
    let (connector, task) = key.strip_prefix("status-task-")?.rsplit_once('-')?;
    task.parse::<u32>().ok().map(|_| connector)
}

pub(crate) fn topic_key(topic: &str, connector: &str) -> String {
    format!("status-topic-{topic}:connector-{connector}")
}

/// That a task has used a topic.
pub(crate) fn topic_value(topic: &str, connector: &str, task: u32, discovered: Timestamp) -> Value {
    json!({ "topic": {
        "name": topic,
        "connector": connector,
        "task": task,
        "discoverTimestamp": discovered.as_millis(),
    } })
}

/// The topic and the connector of an entry about a used topic. A topic's name holds no colon.
pub(crate) fn used_topic(key: &str) -> Option<(&str, &str)> {
    let rest = key.strip_prefix("status-topic-")?;
    let (topic, connector) = rest.split_once(':')?;
    Some((topic, connector.strip_prefix("connector-")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries as Kafka Connect 4.3.1 has written them.
    #[test]
    fn entries_are_those_of_kafka_connect() {
        let entry = StatusEntry {
            state: "RUNNING",
            trace: None,
            worker_id: "127.0.0.1:39180".to_owned(),
            generation: 2,
            version: Some("4.3.1".to_owned()),
        };
        assert_eq!(
            entry.value().to_string(),
            r#"{"state":"RUNNING","trace":null,"worker_id":"127.0.0.1:39180","generation":2,"version":"4.3.1"}"#
        );
        let discovered = Timestamp::from_millis(1_795_269_667_822);
        assert_eq!(
            topic_value("t", "src", 0, discovered).to_string(),
            r#"{"topic":{"name":"t","connector":"src","task":0,"discoverTimestamp":1795269667822}}"#
        );
        assert_eq!(topic_key("t", "src"), "status-topic-t:connector-src");
        assert_eq!(task_key("a-b", 10), "status-task-a-b-10");
        assert_eq!(connector_key("a-b"), "status-connector-a-b");
    }

    #[test]
    fn names_with_dashes_and_colons_are_found_again() {
        assert_eq!(connector_of_task("status-task-a-b-10"), Some("a-b"));
        assert_eq!(connector_of_task("status-task-a-b"), None);
        let key = topic_key("t-1", "a:connector-b");
        assert_eq!(used_topic(&key), Some(("t-1", "a:connector-b")));
        assert_eq!(used_topic("status-connector-a"), None);
    }
}
