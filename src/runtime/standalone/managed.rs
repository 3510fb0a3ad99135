//! A connector in this worker, as the herder holds it.

use std::sync::Arc;

use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::plugin::ConnectorPlugin;
use tokio::sync::{Mutex, oneshot};

use crate::runtime::connector_actor::{ActorHandle, Command, Desired, Share, task_count};
use crate::runtime::desk::Answer;
use crate::runtime::herder::{HerderError, RestartRequest};
use crate::runtime::info::{ConnectorInfo, ConnectorStateInfo, State, TargetState, TaskName};

/// A connector in this worker.
pub(super) struct Managed {
    pub(super) plugin: &'static ConnectorPlugin,
    pub(super) config: Arc<ConfigMap>,
    /// Counts configurations.
    pub(super) revision: i64,
    pub(super) target: TargetState,
    /// How many tasks it has, running or paused.
    pub(super) tasks: u32,
    pub(super) actor: ActorHandle,
    /// Held while offsets are changed from outside: nothing starts meanwhile.
    pub(super) offsets: Arc<Mutex<()>>,
}

impl Managed {
    pub(super) fn info(&self, name: &str) -> ConnectorInfo {
        ConnectorInfo {
            name: name.to_owned(),
            config: (*self.config).clone(),
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
        self.actor.commands.send(command).await.map_err(|_| ended())
    }

    /// Has the actor make it what is wanted by now.
    pub(super) async fn settle(&self) -> Answer<()> {
        let desired = Desired {
            config: self.config.clone(),
            revision: self.revision,
            target: self.target,
            share: Share::Whole,
        };
        let (done, _not_waited_for) = oneshot::channel();
        self.tell(Command::Become(desired, done)).await
    }

    pub(super) async fn shut_down(&self) -> Answer<()> {
        let (done, stopped) = oneshot::channel();
        self.tell(Command::Shutdown(done)).await?;
        stopped.await.map_err(|_| ended())
    }

    /// Marks what a restart will restart; the answer shows it.
    pub(super) fn mark_restarting(&self, request: RestartRequest) -> ConnectorStateInfo {
        let chosen = |state: State| !request.only_failed || state == State::Failed;
        let before = self.actor.status.info();
        let mut shown = before.clone();
        if chosen(before.connector.state) {
            // A stopped connector shows it, too, but there is nothing to be started.
            shown.connector.state = State::Restarting;
            shown.connector.trace = None;
            if self.target != TargetState::Stopped {
                self.actor.status.connector(State::Restarting);
            }
        }
        if request.include_tasks {
            for task in shown.tasks.iter_mut().filter(|task| chosen(task.state)) {
                task.state = State::Restarting;
                task.trace = None;
                self.actor.status.task(task.id, State::Restarting);
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
