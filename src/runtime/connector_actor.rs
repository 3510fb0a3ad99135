//! One connector: an actor that keeps it and its tasks as the user wants them.
//!
//! A connector that hangs holds up nobody else: each has its own actor, and REST reads the status board.

use std::sync::Arc;
use std::time::Duration;

use connect_core::config::{CommonOptions, ConfigMap, ConnectorConfig, connector_from_map};
use connect_core::plugin::{Connector, ConnectorPlugin, ConnectorType};
use connect_core::{Error, Result};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::control::Wanted;
use super::environment::Environment;
use super::healing::{Healer, Part};
use super::herder::RestartRequest;
use super::info::{State, TargetState};
use super::status::{BoardOwner, StatusBoard};
use super::task_runner::{TaskPlan, TaskRunner};
use super::topic_creation::TopicCreation;
use super::worker_config::wrong_options;

/// How long a connector may take to look at the outside world before it counts as failed.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Requests that may wait for one connector.
const WAITING_COMMANDS: usize = 64;

/// What a connector is told.
pub(super) enum Command {
    Configure(ConfigMap),
    Target(TargetState),
    Restart(RestartRequest, oneshot::Sender<()>),
    RestartTask(u32, oneshot::Sender<()>),
    /// What has failed may be started again.
    Heal(Part),
    /// Answered once everything told before is done.
    Settled(oneshot::Sender<()>),
    Shutdown(oneshot::Sender<()>),
}

/// What a connector is when its actor starts.
pub(super) struct Start<'a> {
    pub(super) name: &'a str,
    pub(super) config: ConfigMap,
    pub(super) target: TargetState,
    /// Whether it had tasks before, in another worker's life: a paused connector keeps them.
    pub(super) had_tasks: bool,
    /// The end of the actor whose place it takes: nothing is started before.
    pub(super) after: Option<oneshot::Receiver<()>>,
}

/// Starts the actor of a connector.
pub(super) fn spawn(
    environment: Arc<Environment>,
    plugin: &'static ConnectorPlugin,
    start: Start<'_>,
) -> (mpsc::Sender<Command>, StatusBoard) {
    let (sender, receiver) = mpsc::channel(WAITING_COMMANDS);
    let Start {
        name,
        config,
        target,
        had_tasks,
        after,
    } = start;
    let clock = environment.clock.clone();
    let policy = environment.settings.restart_policy();
    let healer = Healer::new(policy, sender.downgrade(), clock.clone());
    let status = StatusBoard::new(BoardOwner {
        name: name.to_owned(),
        plugin,
        worker_id: environment.worker_id.clone(),
        clock,
        startups: environment.task_startups.clone(),
        healer: healer.clone(),
        statuses: environment.statuses.clone(),
    });
    status.hide(environment.settings.redaction.clone());
    let actor = ConnectorActor {
        name: name.into(),
        plugin,
        config,
        target,
        connector: None,
        has_tasks: had_tasks,
        tasks: TaskRunner::new(environment.clone(), status.clone(), healer.clone()),
        healer,
        environment,
        status: status.clone(),
    };
    tokio::spawn(actor.run(receiver, after));
    (sender, status)
}

struct Started {
    connector: Arc<dyn Connector>,
    /// Placeholders looked up.
    config: ConfigMap,
}

struct ConnectorActor {
    name: Arc<str>,
    plugin: &'static ConnectorPlugin,
    /// As the user gave it: with placeholders.
    config: ConfigMap,
    target: TargetState,
    /// Set once it has started, with the configuration it started with.
    connector: Option<Started>,
    environment: Arc<Environment>,
    /// Whether it has tasks while it is paused: not before its first start, nor after a stop.
    has_tasks: bool,
    tasks: TaskRunner,
    healer: Healer,
    status: StatusBoard,
}

impl ConnectorActor {
    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        after: Option<oneshot::Receiver<()>>,
    ) {
        if let Some(after) = after {
            let _ended_or_gone = after.await;
        }
        self.settle().await;
        while let Some(command) = commands.recv().await {
            match command {
                Command::Configure(config) => self.configure(config).await,
                Command::Target(target) => self.retarget(target).await,
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
                Command::Settled(done) => {
                    let _asker_left = done.send(());
                }
                Command::Shutdown(done) => {
                    self.tasks.stop_all().await;
                    let _asker_left = done.send(());
                    return;
                }
            }
        }
        self.tasks.stop_all().await;
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
        if !self.healer.is_due(part) || self.target == TargetState::Stopped {
            return;
        }
        match part {
            Part::Connector if self.status.connector_state() == State::Failed => {
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

    async fn configure(&mut self, config: ConfigMap) {
        info!(connector = &*self.name, "configuration changed");
        self.healer.forget_all();
        self.tasks.stop_all().await;
        self.status.clear_tasks();
        self.config = config;
        self.connector = None;
        self.settle().await;
    }

    /// A failed connector stays failed unless it is stopped or restarted; the target counts then.
    async fn retarget(&mut self, target: TargetState) {
        info!(connector = &*self.name, ?target, "target state changed");
        self.target = target;
        if target == TargetState::Stopped {
            self.healer.forget_all();
        }
        if self.status.connector_state() == State::Failed && target != TargetState::Stopped {
            // Its tasks may run on from before.
            self.tasks.tell(wanted_of(target));
            return;
        }
        self.settle().await;
    }

    /// Makes connector and tasks what the target says.
    async fn settle(&mut self) {
        match self.target {
            TargetState::Stopped => {
                self.tasks.stop_all().await;
                self.status.clear_tasks();
                self.connector = None;
                self.has_tasks = false;
                self.status.connector(State::Stopped);
            }
            TargetState::Paused => {
                let outcome = self.pause();
                self.settled(State::Paused, outcome);
            }
            TargetState::Started => {
                self.has_tasks = true;
                let outcome = self.start().await;
                self.settled(State::Running, outcome);
            }
        }
    }

    fn settled(&self, state: State, outcome: Result<()>) {
        match outcome {
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

    /// Pauses the tasks, or makes the paused ones there were. The connector itself is not started for that.
    fn pause(&mut self) -> Result<()> {
        if !self.tasks.is_empty() || !self.has_tasks {
            self.tasks.tell(Wanted::Pause);
            return Ok(());
        }
        let config = self.resolved()?;
        let plan = self.plan_of(connector_from_map(&config)?.into(), config)?;
        self.tasks.start_all(&plan, Wanted::Pause);
        Ok(())
    }

    async fn start(&mut self) -> Result<()> {
        let plan = self.plan().await?;
        if self.tasks.is_empty() {
            self.tasks.start_all(&plan, Wanted::Run);
        } else {
            self.tasks.tell(Wanted::Run);
        }
        Ok(())
    }

    /// The plan of the tasks. Starts the connector if it has not been, or if what placeholders stand for has changed.
    async fn plan(&mut self) -> Result<TaskPlan> {
        let config = self.resolved()?;
        let connector = match &self.connector {
            Some(started) if started.config == config => started.connector.clone(),
            _ => self.start_connector(&config).await?,
        };
        self.plan_of(connector, config)
    }

    /// The configuration with the values of now in place of placeholders.
    fn resolved(&self) -> Result<ConfigMap> {
        let resolved = self.environment.providers.resolve(&self.config)?;
        let of_worker = &self.environment.settings.redaction;
        self.status.hide(resolved.redaction.and(of_worker));
        Ok(resolved.config)
    }

    fn plan_of(&self, connector: Arc<dyn Connector>, config: ConfigMap) -> Result<TaskPlan> {
        Ok(TaskPlan {
            name: self.name.clone(),
            kind: self.plugin.kind,
            count: task_count(&*connector, &config)?,
            config,
            connector,
        })
    }

    async fn start_connector(&mut self, config: &ConfigMap) -> Result<Arc<dyn Connector>> {
        let makes_topics = self.environment.settings.config.topic_creation;
        let outcome = match self.plugin.kind {
            ConnectorType::Source if makes_topics => TopicCreation::of(config).map(|_checked| ()),
            _ => Ok(()),
        };
        let outcome = match outcome {
            Ok(()) => try_to_start(config).await,
            Err(wrong) => Err(wrong),
        };
        match &outcome {
            Ok(_) => self.environment.connector_startups.succeeded(),
            Err(_) => self.environment.connector_startups.failed(),
        }
        let connector = outcome?;
        self.connector = Some(Started {
            connector: connector.clone(),
            config: config.clone(),
        });
        Ok(connector)
    }

    /// Restarts what was marked RESTARTING.
    async fn restart(&mut self, request: RestartRequest) {
        let info = self.status.info();
        let chosen = |state: State| {
            state == State::Restarting || (!request.only_failed || state == State::Failed)
        };
        if chosen(info.connector.state) && self.target != TargetState::Stopped {
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
        if self.status.connector_state() == State::Restarting {
            self.settle().await;
        }
    }

    async fn restart_tasks(&mut self, tasks: &[u32]) {
        if tasks.is_empty() || self.target == TargetState::Stopped {
            return;
        }
        for task in tasks {
            self.status.task(*task, State::Restarting);
        }
        self.tasks.stop(tasks).await;
        match self.plan().await {
            Ok(plan) => {
                let wanted = wanted_of(self.target);
                for task in tasks.iter().filter(|task| **task < plan.count) {
                    self.tasks.start(&plan, *task, wanted);
                }
            }
            Err(failure) => {
                for task in tasks {
                    self.status.task_failed(*task, &failure);
                    self.healer.failed(Part::Task(*task), &failure);
                }
            }
        }
    }
}

async fn try_to_start(config: &ConfigMap) -> Result<Arc<dyn Connector>> {
    let connector: Arc<dyn Connector> = connector_from_map(config)?.into();
    tokio::time::timeout(START_DEADLINE, connector.start())
        .await
        .map_err(|_| {
            Error::external(format!("no end after {START_DEADLINE:?}")).operation("start connector")
        })??;
    Ok(connector)
}

/// What tasks are to do while the connector's target is `target`.
fn wanted_of(target: TargetState) -> Wanted {
    match target {
        TargetState::Started => Wanted::Run,
        TargetState::Paused => Wanted::Pause,
        TargetState::Stopped => Wanted::Stop,
    }
}

/// How many tasks a configuration makes.
pub(super) fn task_count(connector: &dyn Connector, config: &ConfigMap) -> Result<u32> {
    let options = CommonOptions::from_map(config).map_err(|errors| wrong_options(&errors))?;
    Ok(connector
        .task_count(options.tasks_max)
        .min(options.tasks_max))
}
