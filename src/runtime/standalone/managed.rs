//! A connector in this worker, as the herder holds it.

use std::sync::Arc;

use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::plugin::ConnectorPlugin;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::Answer;
use crate::runtime::connector_actor::{Command, task_count};
use crate::runtime::herder::{HerderError, RestartRequest};
use crate::runtime::info::{ConnectorInfo, ConnectorStateInfo, State, TargetState, TaskName};
use crate::runtime::status::StatusBoard;

/// A connector in this worker.
pub(super) struct Managed {
    pub(super) plugin: &'static ConnectorPlugin,
    pub(super) config: ConfigMap,
    pub(super) target: TargetState,
    /// How many tasks it has, running or paused.
    pub(super) tasks: u32,
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: StatusBoard,
    /// Held while offsets are changed from outside: nothing starts meanwhile.
    pub(super) offsets: Arc<Mutex<()>>,
}

impl Managed {
    pub(super) fn info(&self, name: &str) -> ConnectorInfo {
        ConnectorInfo {
            name: name.to_owned(),
            config: self.config.clone(),
            tasks: (0..self.tasks)
                .map(|task| TaskName {
                    connector: name.to_owned(),
                    task,
                })
                .collect(),
            kind: Some(self.plugin.kind),
        }
    }

    pub(super) async fn tell(&self, command: Command) -> Answer<()> {
        self.commands.send(command).await.map_err(|_| ended())
    }

    pub(super) async fn shut_down(&self) -> Answer<()> {
        let (done, stopped) = oneshot::channel();
        self.tell(Command::Shutdown(done)).await?;
        stopped.await.map_err(|_| ended())
    }

    /// Marks what a restart will restart; the answer shows it.
    pub(super) fn mark_restarting(&self, request: RestartRequest) -> ConnectorStateInfo {
        let chosen = |state: State| !request.only_failed || state == State::Failed;
        let before = self.status.info();
        let mut shown = before.clone();
        if chosen(before.connector.state) {
            // A stopped connector shows it, too, but there is nothing to be started.
            shown.connector.state = State::Restarting;
            shown.connector.trace = None;
            if self.target != TargetState::Stopped {
                self.status.connector(State::Restarting);
            }
        }
        if request.include_tasks {
            for task in shown.tasks.iter_mut().filter(|task| chosen(task.state)) {
                task.state = State::Restarting;
                task.trace = None;
                self.status.task(task.id, State::Restarting);
            }
        }
        shown
    }
}

fn ended() -> HerderError {
    HerderError::Internal("the connector's actor has ended".to_owned())
}

/// How many tasks a connector has once its target state is `target`: a paused one keeps those it had.
pub(super) fn tasks_after(target: TargetState, before: u32, config: &ConfigMap) -> u32 {
    let made = || connector_from_map(config).and_then(|connector| task_count(&*connector, config));
    match target {
        TargetState::Stopped => 0,
        TargetState::Paused if before == 0 => 0,
        TargetState::Paused | TargetState::Started => made().unwrap_or(0),
    }
}

pub(super) fn target_text(target: TargetState) -> &'static str {
    match target {
        TargetState::Started => "STARTED",
        TargetState::Paused => "PAUSED",
        TargetState::Stopped => "STOPPED",
    }
}

pub(super) fn target_of(text: &str) -> TargetState {
    match text {
        "PAUSED" => TargetState::Paused,
        "STOPPED" => TargetState::Stopped,
        _ => TargetState::Started,
    }
}
