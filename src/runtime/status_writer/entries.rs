//! The status topic as it will be: what was read of it, and what is yet to be written. No input or output.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Known, KnownStates};
use crate::runtime::info::State;
use crate::storage::statuses::{StatusEntry, connector_key, task_key};

#[derive(Default)]
pub(super) struct Entries {
    known: BTreeMap<String, Value>,
    /// What is not in the topic yet.
    unwritten: BTreeMap<String, Option<Value>>,
    /// What was taken to be written is not yet.
    is_writing: bool,
    pub(super) is_closing: bool,
}

impl Entries {
    pub(super) fn new(stored: Vec<(String, Value)>) -> Self {
        Self {
            known: stored.into_iter().collect(),
            ..Self::default()
        }
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.known.contains_key(key)
    }

    pub(super) fn set(&mut self, key: String, value: Value) {
        self.known.insert(key.clone(), value.clone());
        self.unwritten.insert(key, Some(value));
    }

    /// Sets the entry unless another worker has told something of a later generation.
    pub(super) fn set_if_newest(&mut self, key: String, entry: &Known) {
        let known = self.known.get(&key).and_then(StatusEntry::<State>::read);
        let is_newest = known.is_none_or(|known| {
            known.worker_id == entry.worker_id || known.generation <= entry.generation
        });
        if is_newest {
            self.set(key, entry.value());
        }
    }

    /// Takes up what was read from the topic. What is yet to be written is newer. What runs is not ended by the late word
    /// of the worker that had it before.
    pub(super) fn learn(&mut self, key: String, value: Option<Value>) {
        if self.unwritten.contains_key(&key) {
            return;
        }
        let Some(value) = value else {
            self.known.remove(&key);
            return;
        };
        let known = self.known.get(&key).and_then(StatusEntry::<State>::read);
        let read = StatusEntry::<State>::read(&value);
        let is_late = match (known, read) {
            (Some(known), Some(read)) => {
                read.state == State::Unassigned
                    && known.state == State::Running
                    && known.worker_id != read.worker_id
                    && known.generation >= read.generation
            }
            _ => false,
        };
        if !is_late {
            self.known.insert(key, value);
        }
    }

    pub(super) fn remove_all(&mut self, goes: impl Fn(&str) -> bool) {
        let keys: Vec<_> = self.known.keys().filter(|key| goes(key)).cloned().collect();
        for key in keys {
            self.known.remove(&key);
            self.unwritten.insert(key, None);
        }
    }

    pub(super) fn take_unwritten(&mut self) -> Vec<(String, Option<Value>)> {
        self.is_writing = !self.unwritten.is_empty();
        std::mem::take(&mut self.unwritten).into_iter().collect()
    }

    /// Whether all that was told is in the topic.
    pub(super) fn are_written(&self) -> bool {
        self.unwritten.is_empty() && !self.is_writing
    }

    /// What was not written is still to be, unless something newer is.
    pub(super) fn give_back(&mut self, batch: Vec<(String, Option<Value>)>) {
        for (key, value) in batch {
            self.unwritten.entry(key).or_insert(value);
        }
    }

    /// The parts of a worker that ends have no worker, unless they have failed.
    pub(super) fn unassign(&mut self, worker_id: &str) {
        let own = self.known.iter().filter_map(|(key, value)| {
            let entry = StatusEntry::<State>::read(value)?;
            let runs = !matches!(entry.state, State::Failed | State::Unassigned);
            (entry.worker_id == worker_id && runs).then_some((key.clone(), entry))
        });
        for (key, mut entry) in own.collect::<Vec<_>>() {
            entry.state = State::Unassigned;
            self.set(key, entry.value());
        }
    }

    /// The keys of what some workers have told to run, or to be about to.
    pub(super) fn running(&self, workers: &BTreeSet<String>) -> BTreeSet<String> {
        let runs = |value: &Value| {
            let entry = StatusEntry::<State>::read(value)?;
            let runs = !matches!(entry.state, State::Failed | State::Unassigned);
            Some(runs && workers.contains(&entry.worker_id))
        };
        let known = self.known.iter();
        known
            .filter(|(_, value)| runs(value) == Some(true))
            .map(|(key, _)| key.clone())
            .collect()
    }

    pub(super) fn states(&self, connector: &str) -> KnownStates {
        let read = |key: &str| StatusEntry::read(self.known.get(key)?);
        let first = task_key(connector, 0);
        // Keys of tasks stand together, but those of other connectors may be among them.
        let beginning = first.trim_end_matches('0');
        let tasks = self.known.range(beginning.to_owned()..);
        let tasks = tasks
            .take_while(|(key, _)| key.starts_with(beginning))
            .filter_map(|(key, value)| {
                let task = key.strip_prefix(beginning)?.parse().ok()?;
                Some((task, StatusEntry::read(value)?))
            });
        KnownStates {
            connector: read(&connector_key(connector)),
            tasks: tasks.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(state: State, worker: &str, generation: u64) -> Known {
        StatusEntry {
            state,
            trace: None,
            worker_id: worker.to_owned(),
            generation,
            version: Some("1".to_owned()),
        }
    }

    fn state_of(entries: &Entries, connector: &str, task: u32) -> Option<State> {
        let states = entries.states(connector);
        states.tasks.get(&task).map(|known| known.state)
    }

    #[test]
    fn a_newer_state_is_not_replaced_by_one_that_failed_to_be_written() {
        let mut entries = Entries::default();
        entries.set("a".to_owned(), json!(1));
        entries.set("b".to_owned(), json!(1));
        let batch = entries.take_unwritten();
        entries.set("a".to_owned(), json!(2));
        entries.give_back(batch);
        let unwritten = [("a", json!(2)), ("b", json!(1))];
        let unwritten = unwritten.map(|(key, value)| (key.to_owned(), Some(value)));
        assert_eq!(entries.unwritten, BTreeMap::from(unwritten));
    }

    #[test]
    fn only_what_this_worker_ran_is_unassigned_at_its_end() {
        let mut entries = Entries::default();
        let told = [
            ("mine", entry(State::Running, "w", 1)),
            ("failed", entry(State::Failed, "w", 1)),
            ("theirs", entry(State::Running, "other", 1)),
        ];
        for (key, entry) in told {
            entries.set(key.to_owned(), entry.value());
        }
        entries.set("topic".to_owned(), json!({ "topic": {} }));
        entries.unwritten.clear();
        entries.unassign("w");
        let unassigned = entry(State::Unassigned, "w", 1).value();
        let unassigned = BTreeMap::from([("mine".to_owned(), Some(unassigned))]);
        assert_eq!(entries.unwritten, unassigned);
    }

    #[test]
    fn the_end_of_a_task_is_not_told_over_the_word_of_its_next_worker() {
        let mut entries = Entries::default();
        let key = || task_key("a-b", 0);
        entries.set(key(), entry(State::Running, "w", 1).value());
        entries.take_unwritten();
        let next = entry(State::Running, "next", 2);
        entries.learn(key(), Some(next.value()));
        entries.set_if_newest(key(), &entry(State::Unassigned, "w", 1));
        assert!(entries.take_unwritten().is_empty());
        // Nor is it believed, where the workers' words cross.
        let late = entry(State::Unassigned, "w", 2);
        entries.learn(key(), Some(late.value()));
        assert_eq!(state_of(&entries, "a-b", 0), Some(State::Running));
        let end = entry(State::Unassigned, "next", 2);
        entries.learn(key(), Some(end.value()));
        assert_eq!(state_of(&entries, "a-b", 0), Some(State::Unassigned));
        // What another worker left behind is overwritten by a failure of this generation.
        entries.set_if_newest(key(), &entry(State::Failed, "w", 2));
        assert_eq!(state_of(&entries, "a-b", 0), Some(State::Failed));
    }

    #[test]
    fn what_runs_is_what_workers_that_are_there_have_told_to() {
        let mut entries = Entries::default();
        let told = [
            ("a", entry(State::Running, "w", 1)),
            ("b", entry(State::Paused, "w", 1)),
            ("c", entry(State::Failed, "w", 1)),
            ("d", entry(State::Unassigned, "w", 1)),
            ("e", entry(State::Running, "dead", 1)),
        ];
        for (key, entry) in told {
            entries.set(key.to_owned(), entry.value());
        }
        entries.set("topic".to_owned(), json!({ "topic": {} }));
        let running = entries.running(&BTreeSet::from(["w".to_owned()]));
        assert_eq!(Vec::from_iter(running), ["a", "b"]);
    }

    #[test]
    fn states_of_connectors_with_similar_names_are_told_apart() {
        let mut entries = Entries::default();
        for (connector, task) in [("a", 0), ("a", 10), ("a-1", 2), ("a-", 3), ("b", 4)] {
            let value = entry(State::Running, "w", 1).value();
            entries.learn(task_key(connector, task), Some(value));
        }
        let tasks = |name: &str| entries.states(name).tasks.into_keys().collect::<Vec<_>>();
        assert_eq!(tasks("a"), [0, 10]);
        assert_eq!(tasks("a-1"), [2]);
        assert!(entries.states("a").connector.is_none());
    }
}
