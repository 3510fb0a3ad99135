//! Generations of tasks: which task configs are the newest, and which tasks may still write for older ones.
//!
//! Holds always, in whatever order workers write: as long as task configs have come after the last record of a task count,
//! tasks of the count before may write.

use std::collections::BTreeMap;

use serde_json::Value;

/// The key of a connector's task count, as Kafka Connect's leader records it once older tasks are fenced out.
const TASK_COUNT: &str = "tasks-fencing-";

/// The tasks of one connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TaskGeneration {
    /// Another one for each set of task configs.
    pub commit: i64,
    /// How many tasks are in the newest.
    pub tasks: u32,
    /// How many tasks had been allowed to write when that was last recorded; `None` if it never was.
    pub recorded: Option<u32>,
    /// Whether the newest came after that.
    pub is_pending: bool,
}

/// The tasks of all connectors, those that are gone included: their tasks may write on.
#[derive(Debug, Default)]
pub(super) struct Generations(BTreeMap<String, TaskGeneration>);

impl Generations {
    /// Takes the entry at `offset`.
    pub(super) fn apply(&mut self, offset: i64, key: &str, value: Option<&[u8]>) {
        let value = || serde_json::from_slice::<Value>(value?).ok();
        let count = |field: &str| {
            let count = value()?.get(field)?.as_u64()?;
            u32::try_from(count).ok()
        };
        if let Some(name) = key.strip_prefix("commit-") {
            let Some(tasks) = count("tasks") else {
                return;
            };
            let generation = self.0.entry(name.to_owned()).or_default();
            generation.tasks = tasks;
            generation.commit = offset;
            generation.is_pending = true;
        } else if let Some(name) = key.strip_prefix(TASK_COUNT) {
            let generation = self.0.entry(name.to_owned()).or_default();
            generation.recorded = count("task-count");
            generation.is_pending = false;
        }
    }

    pub(super) fn of(&self, connector: &str) -> TaskGeneration {
        self.0.get(connector).copied().unwrap_or_default()
    }
}

/// The entry that records a task count.
pub(super) fn task_count(connector: &str, tasks: u32) -> (String, Option<Value>) {
    let value = serde_json::json!({ "task-count": tasks });
    (format!("{TASK_COUNT}{connector}"), Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_to_be_fenced_out_from_a_commit_to_the_record_of_their_count() {
        let mut generations = Generations::default();
        assert_eq!(generations.of("c"), TaskGeneration::default());
        generations.apply(4, "commit-c", Some(br#"{"tasks":3}"#));
        let pending = TaskGeneration {
            commit: 4,
            tasks: 3,
            recorded: None,
            is_pending: true,
        };
        assert_eq!(generations.of("c"), pending);
        let (key, value) = task_count("c", 3);
        let value = value.unwrap().to_string();
        assert_eq!(
            (key.as_str(), value.as_str()),
            ("tasks-fencing-c", r#"{"task-count":3}"#)
        );
        generations.apply(5, &key, Some(value.as_bytes()));
        let recorded = TaskGeneration {
            recorded: Some(3),
            is_pending: false,
            ..pending
        };
        assert_eq!(generations.of("c"), recorded);
        generations.apply(6, "connector-c", None);
        generations.apply(7, "commit-c", Some(br#"{"tasks":1}"#));
        let again = generations.of("c");
        assert_eq!(
            (again.tasks, again.recorded, again.is_pending),
            (1, Some(3), true)
        );
    }

    #[test]
    fn what_is_no_commit_changes_nothing() {
        let mut generations = Generations::default();
        for value in [None, Some(&b"{"[..]), Some(br#"{"tasks":-1}"#)] {
            generations.apply(1, "commit-c", value);
        }
        assert_eq!(generations.of("c"), TaskGeneration::default());
    }
}
