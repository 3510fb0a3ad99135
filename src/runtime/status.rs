//! What a connector and its tasks are doing, as they themselves report it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use connect_core::Error;
use connect_core::plugin::ConnectorType;

use super::config_providers::Redaction;
use super::info::{ConnectorState, ConnectorStateInfo, State, TaskState};

/// The states of one connector; written by its parts, read by REST.
#[derive(Debug, Clone)]
pub(super) struct StatusBoard(Arc<Mutex<Board>>);

#[derive(Debug)]
struct Board {
    name: String,
    kind: ConnectorType,
    worker_id: String,
    version: &'static str,
    connector: (State, Option<String>),
    tasks: BTreeMap<u32, (State, Option<String>)>,
    redaction: Redaction,
}

impl StatusBoard {
    pub(super) fn new(
        name: &str,
        kind: ConnectorType,
        version: &'static str,
        worker_id: &str,
    ) -> Self {
        Self(Arc::new(Mutex::new(Board {
            name: name.to_owned(),
            kind,
            worker_id: worker_id.to_owned(),
            version,
            connector: (State::Unassigned, None),
            tasks: BTreeMap::new(),
            redaction: Redaction::default(),
        })))
    }

    fn with<T>(&self, change: impl FnOnce(&mut Board) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn connector(&self, state: State) {
        self.with(|board| board.connector = (state, None));
    }

    /// What must not be shown of the configuration in use.
    pub(super) fn hide(&self, redaction: Redaction) {
        self.with(|board| board.redaction = redaction);
    }

    /// What may be shown and logged of an error.
    pub(super) fn trace_of(&self, error: &Error) -> String {
        let redaction = self.with(|board| board.redaction.clone());
        redaction.apply(error.trace())
    }

    pub(super) fn connector_failed(&self, error: &Error) {
        let trace = self.trace_of(error);
        self.with(|board| board.connector = (State::Failed, Some(trace)));
    }

    pub(super) fn task(&self, task: u32, state: State) {
        self.with(|board| board.tasks.insert(task, (state, None)));
    }

    pub(super) fn task_failed(&self, task: u32, error: &Error) {
        let trace = self.trace_of(error);
        self.with(|board| board.tasks.insert(task, (State::Failed, Some(trace))));
    }

    /// Forgets all tasks.
    pub(super) fn clear_tasks(&self) {
        self.with(|board| board.tasks.clear());
    }

    pub(super) fn connector_state(&self) -> State {
        self.with(|board| board.connector.0)
    }

    pub(super) fn task_state(&self, task: u32) -> Option<State> {
        self.with(|board| board.tasks.get(&task).map(|(state, _)| *state))
    }

    pub(super) fn info(&self) -> ConnectorStateInfo {
        self.with(|board| ConnectorStateInfo {
            name: board.name.clone(),
            connector: ConnectorState {
                state: board.connector.0,
                worker_id: board.worker_id.clone(),
                version: Some(board.version.to_owned()),
                trace: board.connector.1.clone(),
            },
            tasks: board
                .tasks
                .iter()
                .map(|(id, (state, trace))| TaskState {
                    id: *id,
                    state: *state,
                    worker_id: board.worker_id.clone(),
                    version: Some(board.version.to_owned()),
                    trace: trace.clone(),
                })
                .collect(),
            kind: Some(board.kind),
        })
    }
}
