//! What a connector and its tasks are doing, as they themselves report it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use connect_core::Error;
use connect_core::clock::Clock;
use connect_core::data::Timestamp;
use connect_core::plugin::ConnectorPlugin;

use super::config_providers::Redaction;
use super::healing::{Healer, Part};
use super::info::{
    ConnectorDetails, ConnectorState, ConnectorStateInfo, RestartInfo, State, TaskDetails,
    TaskState,
};
use super::metrics::{ConnectorSample, Startups, StateTimes, TaskMetrics, TaskSample, rfc3339};
use super::status_writer::{StatusWriter, Told};

/// The states of one connector; written by its parts, read by REST.
#[derive(Clone)]
pub(super) struct StatusBoard(Arc<Mutex<Board>>);

/// Whose states they are, and what they are told by.
pub(super) struct BoardOwner {
    pub(super) name: String,
    pub(super) plugin: &'static ConnectorPlugin,
    pub(super) worker_id: String,
    pub(super) clock: Arc<dyn Clock>,
    /// Starts of tasks, of all connectors.
    pub(super) startups: Startups,
    /// Restarts that are planned.
    pub(super) healer: Healer,
    /// Where states are kept for others.
    pub(super) statuses: StatusWriter,
}

impl BoardOwner {
    fn told<'a>(&self, state: State, trace: Option<&'a str>) -> Told<'a> {
        Told {
            state,
            trace,
            version: Some(self.plugin.version),
        }
    }
}

struct Board {
    owner: BoardOwner,
    connector: (State, Option<String>),
    tasks: BTreeMap<u32, TaskEntry>,
    redaction: Redaction,
    /// The tasks may run with a configuration from before.
    redaction_of_tasks: Redaction,
}

/// A task on the board.
struct TaskEntry {
    state: State,
    trace: Option<String>,
    since: Timestamp,
    times: StateTimes,
    metrics: TaskMetrics,
}

/// The longest text of an error that is shown.
const LONGEST_TRACE: usize = 16 << 10;

/// The beginning and the end of a text that is too long: what it is about, and the cause of it all.
fn shortened(text: String) -> String {
    if text.len() <= LONGEST_TRACE {
        return text;
    }
    let begin = text.floor_char_boundary(LONGEST_TRACE / 2);
    let end = text.ceil_char_boundary(text.len() - LONGEST_TRACE / 2);
    let (first, last) = (text.get(..begin), text.get(end..));
    format!(
        "{} … ({} bytes left out) … {}",
        first.unwrap_or_default(),
        end - begin,
        last.unwrap_or_default()
    )
}

impl StatusBoard {
    pub(super) fn new(owner: BoardOwner) -> Self {
        Self(Arc::new(Mutex::new(Board {
            owner,
            connector: (State::Unassigned, None),
            tasks: BTreeMap::new(),
            redaction: Redaction::default(),
            redaction_of_tasks: Redaction::default(),
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn connector(&self, state: State) {
        self.with(|board| board.set_connector(state, None));
    }

    /// What must not be shown of the configuration in use.
    pub(super) fn hide(&self, redaction: Redaction) {
        self.with(|board| board.redaction = redaction);
    }

    /// What must not be shown of the configuration that the tasks were made from, if that may be another.
    pub(super) fn hide_of_tasks(&self, redaction: Redaction) {
        self.with(|board| board.redaction_of_tasks = redaction);
    }

    /// What may be shown and logged of an error. Names in it may be a record's, and as long as that.
    pub(super) fn trace_of(&self, error: &Error) -> String {
        let redaction = self.with(|board| board.redaction.and(&board.redaction_of_tasks));
        shortened(redaction.apply(error.trace()))
    }

    pub(super) fn connector_failed(&self, error: &Error) {
        let trace = self.trace_of(error);
        self.with(|board| board.set_connector(State::Failed, Some(trace)));
    }

    /// A task that is being made, with numbers that begin at zero.
    pub(super) fn new_task(&self, task: u32) -> TaskMetrics {
        let metrics = TaskMetrics::default();
        let counted = metrics.clone();
        self.with(|board| {
            // Why it was started anew is not forgotten with its numbers.
            if let Some(before) = board.tasks.get(&task) {
                metrics.remember(&before.metrics);
            }
            let entry = TaskEntry {
                state: State::Unassigned,
                trace: None,
                since: board.owner.clock.now(),
                times: StateTimes::begin(State::Unassigned, Instant::now()),
                metrics,
            };
            board.tasks.insert(task, entry);
        });
        counted
    }

    pub(super) fn task(&self, task: u32, state: State) {
        self.with(|board| board.set_task(task, state, None));
    }

    pub(super) fn task_failed(&self, task: u32, error: &Error) {
        let trace = self.trace_of(error);
        self.with(|board| {
            if let Some(entry) = board.tasks.get(&task) {
                entry.metrics.failed(trace.clone(), board.owner.clock.now());
            }
            board.set_task(task, State::Failed, Some(trace));
        });
    }

    /// Something of a task failed and is tried again.
    pub(super) fn task_retries(&self, task: u32, error: &Error) {
        let trace = self.trace_of(error);
        self.with(|board| {
            if let Some(entry) = board.tasks.get(&task) {
                entry.metrics.retried(trace, board.owner.clock.now());
            }
        });
    }

    /// The connector has a new configuration: what it was with the old one says nothing any more.
    pub(super) fn reconfigured(&self) {
        self.clear_tasks();
        self.connector(State::Unassigned);
    }

    /// Forgets all tasks: there are none any more.
    pub(super) fn clear_tasks(&self) {
        for task in self.task_numbers() {
            self.forget_task(task);
        }
    }

    /// Forgets a task that is no more.
    pub(super) fn forget_task(&self, task: u32) {
        self.with(|board| {
            board.tasks.remove(&task);
            board.owner.statuses.forget_task(&board.owner.name, task);
        });
    }

    /// Forgets a task that another worker tells of from now on.
    pub(super) fn hand_over_task(&self, task: u32) {
        self.with(|board| board.tasks.remove(&task));
    }

    /// The tasks that are told of.
    pub(super) fn task_numbers(&self) -> Vec<u32> {
        self.with(|board| board.tasks.keys().copied().collect())
    }

    pub(super) fn connector_state(&self) -> State {
        self.with(|board| board.connector.0)
    }

    pub(super) fn task_state(&self, task: u32) -> Option<State> {
        self.with(|board| board.tasks.get(&task).map(|entry| entry.state))
    }

    pub(super) fn info(&self) -> ConnectorStateInfo {
        self.with(|board| ConnectorStateInfo {
            name: board.owner.name.clone(),
            connector: ConnectorState {
                state: board.connector.0,
                worker_id: board.owner.worker_id.clone(),
                version: Some(board.owner.plugin.version.to_owned()),
                trace: board.connector.1.clone(),
                details: board
                    .restart_of(Part::Connector)
                    .map(|restart| ConnectorDetails { restart }),
            },
            tasks: board
                .tasks
                .iter()
                .map(|(id, entry)| TaskState {
                    id: *id,
                    state: entry.state,
                    worker_id: board.owner.worker_id.clone(),
                    version: Some(board.owner.plugin.version.to_owned()),
                    trace: entry.trace.clone(),
                    details: Some(board.details(*id, entry)),
                })
                .collect(),
            kind: Some(board.owner.plugin.kind),
        })
    }

    /// The numbers of now.
    pub(super) fn sample(&self) -> ConnectorSample {
        let now = Instant::now();
        self.with(|board| ConnectorSample {
            name: board.owner.name.clone(),
            class: board.owner.plugin.class,
            kind: board.owner.plugin.kind,
            version: board.owner.plugin.version,
            state: board.connector.0,
            tasks: board
                .tasks
                .iter()
                .map(|(id, entry)| TaskSample {
                    id: *id,
                    state: entry.state,
                    times: entry.times.clone(),
                    numbers: entry.metrics.numbers(),
                    now,
                })
                .collect(),
        })
    }
}

impl Board {
    fn restart_of(&self, part: Part) -> Option<RestartInfo> {
        let restart = self.owner.healer.restart_of(part)?;
        Some(RestartInfo {
            attempts: restart.attempts,
            at: rfc3339(restart.at),
        })
    }

    fn details(&self, task: u32, entry: &TaskEntry) -> TaskDetails {
        let numbers = entry.metrics.numbers();
        let mut details = numbers.details(entry.since, self.owner.plugin.kind);
        details.restart = self.restart_of(Part::Task(task));
        details
    }

    fn set_connector(&mut self, state: State, trace: Option<String>) {
        self.connector = (state, trace);
        let told = self.owner.told(state, self.connector.1.as_deref());
        self.owner.statuses.connector(&self.owner.name, &told);
    }

    fn set_task(&mut self, task: u32, state: State, trace: Option<String>) {
        // A task that was forgotten meanwhile has nothing more to say.
        let Some(entry) = self.tasks.get_mut(&task) else {
            return;
        };
        match (entry.state, state) {
            (State::Unassigned, State::Running | State::Paused) => self.owner.startups.succeeded(),
            (State::Unassigned, State::Failed) => self.owner.startups.failed(),
            _ => {}
        }
        if entry.state != state {
            entry.since = self.owner.clock.now();
            entry.times.enter(state, Instant::now());
        }
        entry.state = state;
        let told = self.owner.told(state, trace.as_deref());
        self.owner.statuses.task(&self.owner.name, task, &told);
        entry.trace = trace;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_too_long_keeps_its_beginning_and_its_end() {
        let short = "wrong\n\tcaused by: no number".to_owned();
        assert_eq!(shortened(short.clone()), short);
        let long = format!("field {}: no number", "ü".repeat(1_000_000));
        let shown = shortened(long);
        assert!(shown.len() < LONGEST_TRACE + 100, "{}", shown.len());
        assert!(shown.starts_with("field ü") && shown.ends_with("ü: no number"));
        assert!(shown.contains("bytes left out"));
    }
}
