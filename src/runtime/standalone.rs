//! The herder of a worker alone: every connector runs here.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use connect_core::config::{
    ConfigMap, config_errors, connector_from_map, find_connector_plugin, framework_definition,
    invalid_message, unknown_keys,
};
use connect_core::plugin::ConnectorPlugin;
use tokio::sync::{Mutex, MutexGuard, mpsc, oneshot};
use tracing::{error, warn};

use super::connector_actor::{self, Command, task_count};
use super::environment::Environment;
use super::herder::{Herder, HerderError, RestartRequest};
use super::info::{
    ConfigInfos, ConnectorInfo, ConnectorStateInfo, PluginInfo, ServerInfo, State, TargetState,
    TaskInfo, TaskName, TaskState,
};
use super::metrics::{MetricsSnapshot, WorkerSample};
use super::plugin_catalog;
use super::status::StatusBoard;
use crate::storage::{ConfigStorage, StoredConnector};

type Answer<T> = Result<T, HerderError>;

/// The Kafka Connect version whose interface this worker has.
const COMPATIBLE_WITH: &str = "4.3.1";

/// A connector in this worker.
struct Managed {
    plugin: &'static ConnectorPlugin,
    config: ConfigMap,
    target: TargetState,
    /// How many tasks it has, running or paused.
    tasks: u32,
    commands: mpsc::Sender<Command>,
    status: StatusBoard,
}

/// A configuration that suits its plugin.
struct Checked {
    plugin: &'static ConnectorPlugin,
    /// Placeholders looked up.
    resolved: ConfigMap,
}

/// The herder of a worker alone.
pub(super) struct StandaloneHerder {
    environment: Arc<Environment>,
    storage: ConfigStorage,
    connectors: Mutex<BTreeMap<String, Managed>>,
    ready: AtomicBool,
    /// Set once the worker ends: nothing is changed any more.
    closing: AtomicBool,
}

impl StandaloneHerder {
    pub(super) fn new(environment: Arc<Environment>, storage: ConfigStorage) -> Self {
        Self {
            environment,
            storage,
            connectors: Mutex::default(),
            ready: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// Takes up every stored connector.
    pub(super) async fn take_up_stored(&self) -> connect_core::Result<()> {
        let mut connectors = self.connectors.lock().await;
        for (name, stored) in self.storage.load().await? {
            match find_connector_plugin(
                stored
                    .config
                    .get("connector.class")
                    .map_or("", String::as_str),
            ) {
                Ok(plugin) => {
                    let target = target_of(&stored.target_state);
                    let tasks = self.tasks_of(target, stored.tasks, &stored.config);
                    let managed = self.manage(plugin, &name, stored.config, target, tasks, None);
                    connectors.insert(name, managed);
                }
                Err(failure) => error!(
                    connector = name,
                    error = failure.trace(),
                    "a stored connector cannot be run"
                ),
            }
        }
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    /// Stops every connector in good order; changes are refused from now on, questions answered.
    pub(super) async fn shutdown(&self) {
        self.closing.store(true, Ordering::Release);
        self.ready.store(false, Ordering::Release);
        let connectors = self.connectors.lock().await;
        let mut stopping = Vec::new();
        for managed in connectors.values() {
            let (done, stopped) = oneshot::channel();
            if managed.commands.send(Command::Shutdown(done)).await.is_ok() {
                stopping.push(stopped);
            }
        }
        drop(connectors);
        for stopped in stopping {
            let _actor_left = stopped.await;
        }
    }

    /// The connectors, to be changed.
    async fn to_change(&self) -> Answer<MutexGuard<'_, BTreeMap<String, Managed>>> {
        let connectors = self.connectors.lock().await;
        if self.closing.load(Ordering::Acquire) {
            let text = "Cannot complete request because the worker is shutting down";
            return Err(HerderError::Conflict(text.to_owned()));
        }
        Ok(connectors)
    }

    fn manage(
        &self,
        plugin: &'static ConnectorPlugin,
        name: &str,
        config: ConfigMap,
        target: TargetState,
        tasks: u32,
        after: Option<oneshot::Receiver<()>>,
    ) -> Managed {
        let environment = self.environment.clone();
        let start = connector_actor::Start {
            name,
            config: config.clone(),
            target,
            had_tasks: tasks > 0,
            after,
        };
        let (commands, status) = connector_actor::spawn(environment, plugin, start);
        Managed {
            plugin,
            config,
            target,
            tasks,
            commands,
            status,
        }
    }

    /// Checks a configuration with the values of its placeholders; warns of keys that nobody knows.
    fn checked(&self, name: &str, config: &ConfigMap) -> Answer<Checked> {
        let resolved = self.environment.providers.resolve(config);
        let resolved = resolved.map_err(|error| internal(&error))?;
        let Some(class) = resolved.config.get("connector.class") else {
            let shown: Vec<_> = config.keys().cloned().collect();
            return Err(HerderError::BadRequest(format!(
                "Connector config {{{}}} contains no connector type",
                shown.join(", ")
            )));
        };
        let plugin = find_connector_plugin(class)
            .map_err(|error| HerderError::Internal(error.message().to_owned()))?;
        let nullable = resolved
            .config
            .iter()
            .map(|(key, value)| (key.clone(), Some(value.clone())))
            .collect();
        let errors = config_errors(plugin, &nullable);
        if !errors.is_empty() {
            let message = resolved.redaction.apply(invalid_message(&errors));
            return Err(HerderError::BadRequest(message));
        }
        self.check_unknown(name, plugin, config)?;
        Ok(Checked {
            plugin,
            resolved: resolved.config,
        })
    }

    /// How many tasks a stored connector has once its target state is `target`; none if it cannot be configured now.
    fn tasks_of(&self, target: TargetState, before: u32, config: &ConfigMap) -> u32 {
        let resolved = self.environment.providers.resolve(config);
        resolved.map_or(0, |resolved| tasks_after(target, before, &resolved.config))
    }

    fn check_unknown(
        &self,
        name: &str,
        plugin: &ConnectorPlugin,
        config: &ConfigMap,
    ) -> Answer<()> {
        let (framework, own) = (framework_definition(plugin.kind), (plugin.definition)());
        let unknown = unknown_keys(config, &[&framework, &own]);
        let described: Vec<_> = unknown
            .iter()
            .filter(|unknown| unknown.key != "config.strict")
            .map(|unknown| match unknown.nearest {
                Some(nearest) => format!("{} is not known: was {nearest} meant?", unknown.key),
                None => format!("{} is not known", unknown.key),
            })
            .collect();
        let strict = config
            .get("config.strict")
            .is_some_and(|strict| strict.eq_ignore_ascii_case("true"));
        if strict && !described.is_empty() {
            return Err(HerderError::BadRequest(invalid_message(&described)));
        }
        for text in described {
            warn!(connector = name, "{text}");
        }
        Ok(())
    }

    async fn store(
        &self,
        name: &str,
        config: &ConfigMap,
        target: TargetState,
        tasks: u32,
    ) -> Answer<()> {
        let stored = StoredConnector {
            config: config.clone(),
            target_state: target_text(target).to_owned(),
            tasks,
        };
        self.storage
            .put(name, &stored)
            .await
            .map_err(|error| internal(&error))
    }

    async fn replace(
        &self,
        connectors: &mut BTreeMap<String, Managed>,
        name: &str,
        config: ConfigMap,
    ) -> Answer<ConnectorInfo> {
        let Checked { plugin, resolved } = self.checked(name, &config)?;
        let Some(managed) = connectors.get_mut(name) else {
            return Err(not_found(name));
        };
        let tasks = tasks_after(managed.target, managed.tasks, &resolved);
        self.store(name, &config, managed.target, tasks).await?;
        managed.config = config.clone();
        managed.tasks = tasks;
        if std::ptr::eq(managed.plugin, plugin) {
            tell(managed, Command::Configure(config)).await?;
        } else {
            let (done, stopped) = oneshot::channel();
            tell(managed, Command::Shutdown(done)).await?;
            *managed = self.manage(plugin, name, config, managed.target, tasks, Some(stopped));
        }
        Ok(info(name, managed))
    }
}

fn internal(error: &connect_core::Error) -> HerderError {
    HerderError::Internal(error.trace())
}

fn not_found(name: &str) -> HerderError {
    HerderError::NotFound(format!("Connector {name} not found"))
}

fn unknown(name: &str) -> HerderError {
    HerderError::NotFound(format!("Unknown connector {name}"))
}

async fn tell(managed: &Managed, command: Command) -> Answer<()> {
    let told = managed.commands.send(command).await;
    told.map_err(|_| HerderError::Internal("the connector's actor has ended".to_owned()))
}

async fn stop(managed: &Managed) -> Answer<()> {
    let (done, stopped) = oneshot::channel();
    tell(managed, Command::Shutdown(done)).await?;
    stopped
        .await
        .map_err(|_| HerderError::Internal("the connector's actor has ended".to_owned()))
}

fn target_text(target: TargetState) -> &'static str {
    match target {
        TargetState::Started => "STARTED",
        TargetState::Paused => "PAUSED",
        TargetState::Stopped => "STOPPED",
    }
}

fn target_of(text: &str) -> TargetState {
    match text {
        "PAUSED" => TargetState::Paused,
        "STOPPED" => TargetState::Stopped,
        _ => TargetState::Started,
    }
}

/// How many tasks a connector has once its target state is `target`: a paused one keeps those it had.
fn tasks_after(target: TargetState, before: u32, config: &ConfigMap) -> u32 {
    let made = || connector_from_map(config).and_then(|connector| task_count(&*connector, config));
    match target {
        TargetState::Stopped => 0,
        TargetState::Paused if before == 0 => 0,
        TargetState::Paused | TargetState::Started => made().unwrap_or(0),
    }
}

fn info(name: &str, managed: &Managed) -> ConnectorInfo {
    ConnectorInfo {
        name: name.to_owned(),
        config: managed.config.clone(),
        tasks: (0..managed.tasks)
            .map(|task| TaskName {
                connector: name.to_owned(),
                task,
            })
            .collect(),
        kind: Some(managed.plugin.kind),
    }
}

#[async_trait]
impl Herder for StandaloneHerder {
    async fn server_info(&self) -> Answer<ServerInfo> {
        Ok(ServerInfo {
            version: COMPATIBLE_WITH.to_owned(),
            commit: env!("CARGO_PKG_VERSION").to_owned(),
            kafka_cluster_id: self
                .environment
                .log
                .admin()
                .cluster_id()
                .await
                .map_err(|error| internal(&error))?,
        })
    }

    async fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    async fn connectors(&self) -> Answer<Vec<String>> {
        Ok(self.connectors.lock().await.keys().cloned().collect())
    }

    async fn connector_info(&self, name: &str) -> Answer<ConnectorInfo> {
        let connectors = self.connectors.lock().await;
        connectors
            .get(name)
            .map(|managed| info(name, managed))
            .ok_or_else(|| not_found(name))
    }

    async fn connector_status(&self, name: &str) -> Answer<ConnectorStateInfo> {
        let connectors = self.connectors.lock().await;
        let managed = connectors.get(name);
        managed
            .map(|managed| managed.status.info())
            .ok_or_else(|| HerderError::NotFound(format!("No status found for connector {name}")))
    }

    async fn tasks(&self, name: &str) -> Answer<Vec<TaskInfo>> {
        let connectors = self.connectors.lock().await;
        let managed = connectors.get(name).ok_or_else(|| not_found(name))?;
        let mut config = managed.config.clone();
        config.insert(
            "task.class".to_owned(),
            managed.plugin.class.replace("Connector", "Task"),
        );
        Ok(info(name, managed)
            .tasks
            .into_iter()
            .map(|id| TaskInfo {
                id,
                config: config.clone(),
            })
            .collect())
    }

    async fn task_status(&self, name: &str, task: u32) -> Answer<TaskState> {
        let connectors = self.connectors.lock().await;
        let tasks = connectors
            .get(name)
            .map(|managed| managed.status.info().tasks);
        let found = tasks.into_iter().flatten().find(|state| state.id == task);
        found
            .ok_or_else(|| HerderError::NotFound(format!("No status found for task {name}-{task}")))
    }

    async fn create(
        &self,
        name: &str,
        config: ConfigMap,
        initial: TargetState,
    ) -> Answer<ConnectorInfo> {
        let Checked { plugin, resolved } = self.checked(name, &config)?;
        let mut connectors = self.to_change().await?;
        if connectors.contains_key(name) {
            return Err(HerderError::Conflict(format!(
                "Connector {name} already exists"
            )));
        }
        let tasks = tasks_after(initial, 0, &resolved);
        self.store(name, &config, initial, tasks).await?;
        let managed = self.manage(plugin, name, config, initial, tasks, None);
        let created = info(name, &managed);
        connectors.insert(name.to_owned(), managed);
        Ok(created)
    }

    async fn put_config(&self, name: &str, config: ConfigMap) -> Answer<(bool, ConnectorInfo)> {
        if !self.connectors.lock().await.contains_key(name) {
            match self
                .create(name, config.clone(), TargetState::Started)
                .await
            {
                Ok(created) => return Ok((true, created)),
                Err(HerderError::Conflict(_)) => {} // made by somebody else a moment ago: replace it
                Err(error) => return Err(error),
            }
        }
        let mut connectors = self.to_change().await?;
        Ok((false, self.replace(&mut connectors, name, config).await?))
    }

    async fn patch_config(
        &self,
        name: &str,
        patch: BTreeMap<String, Option<String>>,
    ) -> Answer<ConnectorInfo> {
        let mut connectors = self.to_change().await?;
        let mut config = connectors
            .get(name)
            .ok_or_else(|| not_found(name))?
            .config
            .clone();
        for (key, value) in patch {
            match value {
                Some(value) => config.insert(key, value),
                None => config.remove(&key),
            };
        }
        self.replace(&mut connectors, name, config).await
    }

    async fn delete(&self, name: &str) -> Answer<()> {
        let mut connectors = self.to_change().await?;
        if !connectors.contains_key(name) {
            return Err(not_found(name));
        }
        self.storage
            .remove(name)
            .await
            .map_err(|error| internal(&error))?;
        let managed = connectors.remove(name).ok_or_else(|| not_found(name))?;
        drop(connectors);
        stop(&managed).await
    }

    async fn set_target_state(&self, name: &str, target: TargetState) -> Answer<()> {
        let mut connectors = self.to_change().await?;
        let managed = connectors.get_mut(name).ok_or_else(|| unknown(name))?;
        let tasks = self.tasks_of(target, managed.tasks, &managed.config);
        self.store(name, &managed.config, target, tasks).await?;
        managed.tasks = tasks;
        managed.target = target;
        tell(managed, Command::Target(target)).await
    }

    async fn restart(
        &self,
        name: &str,
        request: RestartRequest,
    ) -> Answer<Option<ConnectorStateInfo>> {
        let (done, restarted) = oneshot::channel();
        let connectors = self.to_change().await?;
        let Some(managed) = connectors.get(name) else {
            return Err(match request == RestartRequest::default() {
                true => not_found(name),
                false => HerderError::NotFound(format!("Unknown connector: {name}")),
            });
        };
        let plan = mark_restarting(managed, request);
        tell(managed, Command::Restart(request, done)).await?;
        let status = managed.status.clone();
        drop(connectors);
        if request != RestartRequest::default() {
            return Ok(Some(plan));
        }
        let _actor_left = restarted.await;
        if status.connector_state() == State::Failed {
            let text = format!("Failed to start connector: {name}");
            return Err(HerderError::Internal(text));
        }
        Ok(None)
    }

    async fn restart_task(&self, name: &str, task: u32) -> Answer<()> {
        let (done, restarted) = oneshot::channel();
        let connectors = self.to_change().await?;
        let managed = connectors.get(name).ok_or_else(|| not_found(name))?;
        if managed.status.task_state(task).is_none() {
            return Err(HerderError::NotFound(format!(
                "Task {name}-{task} not found"
            )));
        }
        tell(managed, Command::RestartTask(task, done)).await?;
        drop(connectors);
        let _actor_left = restarted.await;
        Ok(())
    }

    async fn metrics(&self) -> MetricsSnapshot {
        let environment = &self.environment;
        let worker = WorkerSample::now(
            environment.connector_startups.sample(),
            environment.task_startups.sample(),
            environment.settings.memory_budget(),
        );
        let connectors = self.connectors.lock().await;
        let samples = connectors.values().map(|managed| managed.status.sample());
        MetricsSnapshot::new(worker, samples.collect())
    }

    fn plugins(&self, connectors_only: bool) -> Vec<PluginInfo> {
        plugin_catalog::plugins(connectors_only)
    }

    fn plugin_config(&self, plugin: &str) -> Answer<serde_json::Value> {
        plugin_catalog::plugin_config(plugin)
    }

    async fn validate(
        &self,
        plugin: &str,
        config: BTreeMap<String, Option<String>>,
    ) -> Answer<ConfigInfos> {
        plugin_catalog::validate(plugin, config, &self.environment.providers).await
    }
}

/// Marks what a restart will restart; the answer shows it.
fn mark_restarting(managed: &Managed, request: RestartRequest) -> ConnectorStateInfo {
    let chosen = |state: State| !request.only_failed || state == State::Failed;
    let before = managed.status.info();
    if chosen(before.connector.state) && managed.target != TargetState::Stopped {
        managed.status.connector(State::Restarting);
    }
    if request.include_tasks {
        for task in before.tasks.iter().filter(|task| chosen(task.state)) {
            managed.status.task(task.id, State::Restarting);
        }
    }
    managed.status.info()
}
