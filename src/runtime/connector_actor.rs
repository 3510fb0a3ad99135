//! One connector: an actor that keeps what runs of it in this worker as it is wanted.
//!
//! A worker alone runs the whole of it; of a cluster's connector it runs parts: the connector itself, which says what tasks
//! there are, or some of the tasks, or both. A connector that hangs holds up nobody else: each has its own actor, and REST
//! reads the status board.

mod desired;
mod planning;
mod starting;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use connect_core::config::ConfigMap;
use connect_core::plugin::{Connector, ConnectorPlugin};
use connect_core::{Error, Result};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{error, info};

pub(super) use self::desired::{Desired, Parts, Share};
pub(super) use self::planning::{TaskCommitter, task_count};
use super::control::Wanted;
use super::environment::Environment;
use super::healing::{Healer, Part};
use super::herder::RestartRequest;
use super::info::{State, TargetState};
use super::status::{BoardOwner, StatusBoard};
use super::task_runner::TaskRunner;

/// Requests that may wait for one connector.
const WAITING_COMMANDS: usize = 64;

/// What a connector is told.
pub(super) enum Command {
    /// What is wanted of it. Answered once nothing else runs here.
    Become(Desired, oneshot::Sender<()>),
    Restart(RestartRequest, oneshot::Sender<()>),
    RestartTask(u32, oneshot::Sender<()>),
    /// What has failed may be started again.
    Heal(Part),
    /// Answered once everything told before is done.
    Settled(oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
}

/// What an actor starts with.
pub(super) struct Start<'a> {
    pub(super) name: &'a str,
    pub(super) desired: Desired,
    /// Whether it had tasks before, in another worker's life: a paused connector keeps them.
    pub(super) had_tasks: bool,
    /// The end of the actor whose place it takes: nothing is started before.
    pub(super) after: Option<oneshot::Receiver<()>>,
    /// `None`: its tasks are its own matter.
    pub(super) committer: Option<Arc<dyn TaskCommitter>>,
}

/// How an actor is reached.
#[derive(Clone)]
pub(super) struct ActorHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: StatusBoard,
    /// Ends its tasks at once, whatever it is doing, and then the actor.
    pub(super) cut_off: CancellationToken,
}

/// Starts the actor of a connector.
pub(super) fn spawn(
    environment: Arc<Environment>,
    plugin: &'static ConnectorPlugin,
    start: Start<'_>,
) -> ActorHandle {
    let (commands, receiver) = mpsc::channel(WAITING_COMMANDS);
    let clock = environment.clock.clone();
    let policy = environment.settings.restart_policy();
    let healer = Healer::new(policy, commands.downgrade(), clock.clone());
    let status = StatusBoard::new(BoardOwner {
        name: start.name.to_owned(),
        plugin,
        worker_id: environment.worker_id.clone(),
        clock,
        startups: environment.task_startups.clone(),
        healer: healer.clone(),
        statuses: environment.statuses.clone(),
    });
    status.hide(environment.settings.redaction.clone());
    let handle = ActorHandle {
        commands,
        status: status.clone(),
        cut_off: CancellationToken::new(),
    };
    let tasks = TaskRunner::new(
        environment.clone(),
        status.clone(),
        healer.clone(),
        handle.cut_off.clone(),
    );
    let actor = ConnectorActor {
        name: start.name.into(),
        plugin,
        desired: start.desired,
        connector: None,
        has_tasks: start.had_tasks,
        tasks,
        healer,
        environment,
        status,
        committer: start.committer,
        committing: None,
        commands: receiver,
        waiting: VecDeque::new(),
        cut_off: handle.cut_off.clone(),
    };
    tokio::spawn(actor.run(start.after));
    handle
}

struct Started {
    connector: Arc<dyn Connector>,
    /// Placeholders looked up.
    config: ConfigMap,
}

struct ConnectorActor {
    name: Arc<str>,
    plugin: &'static ConnectorPlugin,
    desired: Desired,
    /// Set once it has started, with the configuration it started with.
    connector: Option<Started>,
    environment: Arc<Environment>,
    /// Whether the whole of it has tasks while it is paused: not before its first start, nor after a stop.
    has_tasks: bool,
    tasks: TaskRunner,
    healer: Healer,
    status: StatusBoard,
    committer: Option<Arc<dyn TaskCommitter>>,
    /// Held while the tasks are being committed; given up when dropped.
    committing: Option<DropGuard>,
    commands: mpsc::Receiver<Command>,
    /// Commands that came while the connector started.
    waiting: VecDeque<Command>,
    cut_off: CancellationToken,
}

impl ConnectorActor {
    async fn run(mut self, after: Option<oneshot::Receiver<()>>) {
        if let Some(after) = after
            && self.cut_off.run_until_cancelled(after).await.is_none()
        {
            return;
        }
        self.settle().await;
        while let Some(command) = self.next_command().await {
            match command {
                Command::Shutdown(done) => {
                    self.end().await;
                    let _asker_left = done.send(());
                    return;
                }
                command => self.obey(command).await,
            }
        }
        self.end().await;
    }

    /// `None` once the actor is cut off, or nobody can tell it anything any more.
    async fn next_command(&mut self) -> Option<Command> {
        if self.cut_off.is_cancelled() {
            return None;
        }
        if let Some(command) = self.waiting.pop_front() {
            return Some(command);
        }
        let command = self.cut_off.run_until_cancelled(self.commands.recv());
        command.await.flatten()
    }

    /// Whoever takes over from one that is cut off tells of the connector, and may do so already.
    async fn end(&mut self) {
        self.tasks.stop_all().await;
        if self.desired.runs_connector() && !self.cut_off.is_cancelled() {
            self.give_up_connector();
        }
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Become(desired, done) => self.become_desired(desired, done).await,
            Command::Restart(request, done) => {
                self.forget_restarts(request);
                self.restart(request).await;
                let _asker_left = done.send(());
            }
            Command::RestartTask(task, done) => {
                self.healer.forget(Part::Task(task));
                self.restart_tasks(&[task]).await;
                let _asker_left = done.send(());
            }
            Command::Heal(part) => self.heal(part).await,
            Command::Settled(done) | Command::Shutdown(done) => {
                let _asker_left = done.send(());
            }
        }
    }

    /// A user restarts what the request says: the worker plans anew.
    fn forget_restarts(&self, request: RestartRequest) {
        if request.include_tasks {
            self.healer.forget_all();
        } else {
            self.healer.forget(Part::Connector);
        }
    }

    /// Starts a part again that has failed on an outside cause.
    async fn heal(&mut self, part: Part) {
        if !self.healer.is_due(part) || self.desired.target == TargetState::Stopped {
            return;
        }
        match part {
            Part::Connector
                if self.desired.runs_connector()
                    && self.status.connector_state() == State::Failed =>
            {
                info!(connector = &*self.name, "starting the connector again");
                self.connector = None;
                self.settle().await;
            }
            Part::Task(task) if self.status.task_state(task) == Some(State::Failed) => {
                info!(connector = &*self.name, task, "starting the task again");
                self.restart_tasks(&[task]).await;
            }
            _ => {}
        }
    }

    /// Stops what is no longer wanted here and answers; what was wanted before.
    async fn replace_desired(&mut self, desired: Desired, done: oneshot::Sender<()>) -> Desired {
        let before = std::mem::replace(&mut self.desired, desired);
        self.stop_unwanted(before.task_revision()).await;
        if before.runs_connector() && !self.desired.runs_connector() {
            self.give_up_connector();
        }
        let _asker_left = done.send(());
        before
    }

    /// Stops what is no longer wanted here, answers, and makes the rest what is wanted.
    async fn become_desired(&mut self, desired: Desired, done: oneshot::Sender<()>) {
        let before = self.replace_desired(desired, done).await;
        let is_new_config = before.revision != self.desired.revision;
        let had_connector = before.runs_connector();
        let target = self.desired.target;
        if before.target != target {
            info!(connector = &*self.name, ?target, "target state changed");
        }
        if is_new_config {
            info!(connector = &*self.name, "configuration changed");
            self.connector = None;
            self.forget_plans();
            if had_connector && self.desired.runs_connector() {
                self.status.connector(State::Unassigned);
            }
        } else if target == TargetState::Stopped {
            self.healer.forget_all();
        } else if had_connector && self.status.connector_state() == State::Failed {
            // It stays failed unless it is stopped or restarted; the target counts then. Its tasks run on from before.
            return self.settle_tasks();
        } else if had_connector && before.target == target {
            return self.settle_tasks();
        }
        self.settle().await;
    }

    /// With a new configuration nothing is planned of what was made from the one before. The tasks of a cluster's connector
    /// are made anew only by a commit.
    fn forget_plans(&self) {
        let keeps_tasks = matches!(self.desired.share, Share::Parts(_));
        if keeps_tasks && self.desired.target != TargetState::Stopped {
            self.healer.forget(Part::Connector);
        } else {
            self.healer.forget_all();
        }
    }

    /// Stops the tasks that are not wanted here, or were started for other task configs.
    async fn stop_unwanted(&mut self, revision_before: i64) {
        let is_stale = revision_before != self.desired.task_revision();
        // Some have failed before they could be started, of some the status has been cleared.
        let mut unwanted: BTreeSet<_> = self.status.task_numbers().into_iter().collect();
        unwanted.extend(self.tasks.numbers());
        unwanted.retain(|task| is_stale || !self.desired.runs_task(*task));
        if unwanted.is_empty() {
            return;
        }
        let unwanted = Vec::from_iter(unwanted);
        self.tasks.stop(&unwanted).await;
        for task in unwanted {
            self.healer.forget(Part::Task(task));
            if self.desired.has_task(task) && matches!(self.desired.share, Share::Parts(_)) {
                self.status.hand_over_task(task);
            } else {
                self.status.forget_task(task);
            }
        }
    }

    /// Another worker runs the connector from now on, or none.
    fn give_up_connector(&mut self) {
        self.connector = None;
        self.committing = None;
        self.healer.forget(Part::Connector);
        self.status.connector(State::Unassigned);
    }

    /// Makes connector and tasks what the target says.
    async fn settle(&mut self) {
        if self.desired.target == TargetState::Stopped {
            self.tasks.stop_all().await;
            self.status.clear_tasks();
            self.connector = None;
            self.committing = None;
            self.has_tasks = false;
            if self.desired.runs_connector() {
                self.status.connector(State::Stopped);
            }
            return;
        }
        // Tasks of a cluster's connector do not wait for it.
        self.settle_tasks();
        if !self.desired.runs_connector() {
            return;
        }
        if self.desired.target == TargetState::Paused {
            let outcome = self.pause();
            self.settled(State::Paused, outcome);
        } else {
            self.has_tasks = true;
            let outcome = self.start().await;
            self.settled(State::Running, outcome);
        }
    }

    /// Tells the tasks what the target says; starts those of a cluster's connector that are wanted here and are not there.
    fn settle_tasks(&mut self) {
        let wanted = wanted_of(self.desired.target);
        self.tasks.tell(wanted);
        let Share::Parts(parts) = &self.desired.share else {
            return;
        };
        let mut missing = parts.tasks.clone();
        missing.retain(|task| *task < parts.count && self.status.task_state(*task).is_none());
        if missing.is_empty() || wanted == Wanted::Stop {
            return;
        }
        match self.task_plan(parts) {
            Ok(plan) => missing
                .iter()
                .for_each(|task| self.tasks.start(&plan, *task, wanted)),
            Err(failure) => self.tasks_failed(missing.iter().copied(), &failure),
        }
    }

    fn tasks_failed(&self, tasks: impl Iterator<Item = u32>, failure: &Error) {
        for task in tasks {
            if self.status.task_state(task).is_none() {
                let _counted_later = self.status.new_task(task);
            }
            self.status.task_failed(task, failure);
            self.healer.failed(Part::Task(task), failure);
        }
    }

    fn settled(&self, state: State, outcome: Result<()>) {
        match outcome {
            _ if self.is_superseded() => {}
            Ok(()) => self.status.connector(state),
            Err(failure) => {
                error!(
                    connector = &*self.name,
                    error = self.status.trace_of(&failure),
                    "connector failed"
                );
                self.status.connector_failed(&failure);
                self.healer.failed(Part::Connector, &failure);
            }
        }
    }

    /// Restarts what was marked RESTARTING.
    async fn restart(&mut self, request: RestartRequest) {
        let info = self.status.info();
        let chosen = |state: State| {
            state == State::Restarting || (!request.only_failed || state == State::Failed)
        };
        let is_here = self.desired.runs_connector();
        let is_stopped = self.desired.target == TargetState::Stopped;
        if is_here && chosen(info.connector.state) && !is_stopped {
            self.connector = None;
            self.status.connector(State::Restarting);
        }
        if request.include_tasks {
            let tasks: Vec<_> = info
                .tasks
                .iter()
                .filter(|task| chosen(task.state))
                .map(|task| task.id)
                .collect();
            self.restart_tasks(&tasks).await;
        }
        if is_here && self.status.connector_state() == State::Restarting {
            self.settle().await;
        }
    }

    async fn restart_tasks(&mut self, tasks: &[u32]) {
        // Some may have been taken away since they were chosen.
        let here = tasks.iter().copied();
        let tasks: Vec<_> = here.filter(|task| self.desired.runs_task(*task)).collect();
        if tasks.is_empty() || self.desired.target == TargetState::Stopped {
            return;
        }
        for task in &tasks {
            self.status.task(*task, State::Restarting);
        }
        self.tasks.stop(&tasks).await;
        let plan = match &self.desired.share {
            Share::Whole => self.plan().await,
            Share::Parts(parts) => self.task_plan(parts),
        };
        match plan {
            Ok(plan) => {
                let wanted = wanted_of(self.desired.target);
                for task in tasks.iter().filter(|task| **task < plan.count) {
                    self.tasks.start(&plan, *task, wanted);
                }
            }
            Err(failure) => self.tasks_failed(tasks.iter().copied(), &failure),
        }
    }
}

/// What tasks are to do while the connector's target is `target`.
fn wanted_of(target: TargetState) -> Wanted {
    match target {
        TargetState::Started => Wanted::Run,
        TargetState::Paused => Wanted::Pause,
        TargetState::Stopped => Wanted::Stop,
    }
}
