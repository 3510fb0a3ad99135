//! The herder of a worker alone: every connector runs here.

mod checks;
mod managed;
mod offsets;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use connect_core::config::{ConfigMap, find_connector_plugin};
use connect_core::plugin::ConnectorPlugin;
use tokio::sync::{Mutex, MutexGuard, oneshot};
use tracing::error;

use self::checks::Checked;
use self::managed::{Managed, target_of, target_text, tasks_after};
use super::connector_actor::{self, Command};
use super::dry_run::{self, DryRunReport, DryRunRequest};
use super::environment::Environment;
use super::herder::{GivenConfig, Herder, HerderError, RestartRequest};
use super::info::{
    ConfigInfos, ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorStateInfo, PluginInfo,
    ServerInfo, State, TargetState, TaskInfo, TaskState,
};
use super::metrics::{MetricsSnapshot, WorkerSample};
use super::plugin_catalog;
use super::stage::Stages;
use crate::storage::{ConfigStorage, StoredConnector};

type Answer<T> = Result<T, HerderError>;

/// The Kafka Connect version whose interface this worker has.
const COMPATIBLE_WITH: &str = "4.3.1";

/// The herder of a worker alone.
pub(super) struct StandaloneHerder {
    environment: Arc<Environment>,
    storage: ConfigStorage,
    connectors: Mutex<BTreeMap<String, Managed>>,
    stages: Stages,
    ready: AtomicBool,
    /// Set once the worker ends: nothing is changed any more.
    closing: AtomicBool,
}

impl StandaloneHerder {
    pub(super) fn new(environment: Arc<Environment>, storage: ConfigStorage) -> Self {
        let stages = Stages::new(environment.clock.clone());
        Self {
            environment,
            storage,
            connectors: Mutex::default(),
            stages,
            ready: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// Takes up every stored connector.
    pub(super) async fn take_up_stored(&self) -> connect_core::Result<()> {
        let mut connectors = self.connectors.lock().await;
        let stored = self.storage.load().await?;
        self.environment.statuses.keep_only(&stored);
        for (name, stored) in stored {
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
            offsets: Arc::default(),
        }
    }

    /// How many tasks a stored connector has once its target state is `target`; none if it cannot be configured now.
    fn tasks_of(&self, target: TargetState, before: u32, config: &ConfigMap) -> u32 {
        let resolved = self.environment.providers.resolve(config);
        resolved.map_or(0, |resolved| tasks_after(target, before, &resolved.config))
    }

    async fn store(
        &self,
        name: &str,
        config: &ConfigMap,
        target: TargetState,
        tasks: u32,
    ) -> Answer<()> {
        let _stage = self.stages.enter(format!(
            "writing a config for connector {name} to the config store"
        ));
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
        config: GivenConfig,
    ) -> Answer<ConnectorInfo> {
        let Checked {
            plugin,
            config,
            resolved,
        } = self.checked(name, config)?;
        let Some(managed) = connectors.get_mut(name) else {
            return Err(not_found(name));
        };
        let tasks = tasks_after(managed.target, managed.tasks, &resolved);
        self.store(name, &config, managed.target, tasks).await?;
        managed.config = config.clone();
        managed.tasks = tasks;
        managed.status.reconfigured();
        if std::ptr::eq(managed.plugin, plugin) {
            managed.tell(Command::Configure(config)).await?;
        } else {
            let (done, stopped) = oneshot::channel();
            managed.tell(Command::Shutdown(done)).await?;
            *managed = self.manage(plugin, name, config, managed.target, tasks, Some(stopped));
        }
        Ok(managed.info(name))
    }
}

fn internal(error: &connect_core::Error) -> HerderError {
    HerderError::Internal(error.trace())
}

fn not_found(name: &str) -> HerderError {
    HerderError::NotFound(format!("Connector {name} not found"))
}

/// A connector to be restarted that is not there, in the words for that.
fn not_there(name: &str) -> HerderError {
    HerderError::NotFound(format!("Unknown connector: {name}"))
}

/// A configuration with the changes of a patch: null takes a key away.
fn patched(mut config: ConfigMap, patch: GivenConfig) -> GivenConfig {
    for (key, value) in patch {
        match value {
            Some(value) => config.insert(key, value),
            None => config.remove(&key),
        };
    }
    config
        .into_iter()
        .map(|(key, value)| (key, Some(value)))
        .collect()
}

fn unknown(name: &str) -> HerderError {
    HerderError::NotFound(format!("Unknown connector {name}"))
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
            .map(|managed| managed.info(name))
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
        Ok(managed
            .info(name)
            .tasks
            .into_iter()
            .map(|id| TaskInfo {
                id,
                config: config.clone(),
            })
            .collect())
    }

    async fn task_status(&self, name: &str, task: i32) -> Answer<TaskState> {
        let connectors = self.connectors.lock().await;
        let tasks = connectors
            .get(name)
            .map(|managed| managed.status.info().tasks);
        let found = tasks
            .into_iter()
            .flatten()
            .find(|state| i64::from(state.id) == i64::from(task));
        found
            .ok_or_else(|| HerderError::NotFound(format!("No status found for task {name}-{task}")))
    }

    async fn create(
        &self,
        name: &str,
        config: GivenConfig,
        initial: TargetState,
    ) -> Answer<ConnectorInfo> {
        let Checked {
            plugin,
            config,
            resolved,
        } = self.checked(name, config)?;
        let mut connectors = self.to_change().await?;
        if connectors.contains_key(name) {
            return Err(HerderError::Conflict(format!(
                "Connector {name} already exists"
            )));
        }
        let tasks = tasks_after(initial, 0, &resolved);
        self.store(name, &config, initial, tasks).await?;
        let managed = self.manage(plugin, name, config, initial, tasks, None);
        let created = managed.info(name);
        connectors.insert(name.to_owned(), managed);
        Ok(created)
    }

    async fn put_config(&self, name: &str, config: GivenConfig) -> Answer<(bool, ConnectorInfo)> {
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

    async fn patch_config(&self, name: &str, patch: GivenConfig) -> Answer<ConnectorInfo> {
        let mut connectors = self.to_change().await?;
        let managed = connectors.get(name).ok_or_else(|| not_found(name))?;
        let config = patched(managed.config.clone(), patch);
        if let Some(Some(other)) = config
            .get("name")
            .filter(|held| held.as_deref() != Some(name))
        {
            return Err(HerderError::other_name(other, name));
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
        let _stage = self.stages.enter(format!("stopping connector {name}"));
        let stopped = managed.shut_down().await;
        // Last: its tasks may have told a topic while they ended.
        self.environment.active_topics.reset(name);
        self.environment.statuses.forget(name);
        stopped
    }

    async fn set_target_state(&self, name: &str, target: TargetState) -> Answer<()> {
        let _no_offsets_change = self.no_offsets_change(name).await;
        let mut connectors = self.to_change().await?;
        let managed = connectors.get_mut(name).ok_or_else(|| unknown(name))?;
        let tasks = self.tasks_of(target, managed.tasks, &managed.config);
        self.store(name, &managed.config, target, tasks).await?;
        managed.tasks = tasks;
        managed.target = target;
        managed.tell(Command::Target(target)).await
    }

    async fn restart(
        &self,
        name: &str,
        request: RestartRequest,
    ) -> Answer<Option<ConnectorStateInfo>> {
        let (done, restarted) = oneshot::channel();
        let connectors = self.to_change().await?;
        let managed = connectors.get(name).ok_or_else(|| not_there(name))?;
        let plan = managed.mark_restarting(request);
        managed.tell(Command::Restart(request, done)).await?;
        let status = managed.status.clone();
        drop(connectors);
        if request != RestartRequest::default() {
            return Ok(Some(plan));
        }
        let _stage = self.stages.enter(format!("restarting connector {name}"));
        let _actor_left = restarted.await;
        if status.connector_state() == State::Failed {
            let text = format!("Failed to start connector: {name}");
            return Err(HerderError::Internal(text));
        }
        Ok(None)
    }

    async fn restart_task(&self, name: &str, task: i32) -> Answer<()> {
        let (done, restarted) = oneshot::channel();
        let connectors = self.to_change().await?;
        let managed = connectors.get(name).ok_or_else(|| not_there(name))?;
        let known = u32::try_from(task).ok();
        let known = known.filter(|task| managed.status.task_state(*task).is_some());
        let Some(known) = known else {
            let text = format!("Unknown task: {name}-{task}");
            return Err(HerderError::NotFound(text));
        };
        managed.tell(Command::RestartTask(known, done)).await?;
        drop(connectors);
        let _stage = self.stages.enter(format!("restarting task {name}-{task}"));
        let _actor_left = restarted.await;
        Ok(())
    }

    async fn offsets(&self, name: &str) -> Answer<ConnectorOffsets> {
        self.read_offsets(name).await
    }

    async fn alter_offsets(&self, name: &str, offsets: &[ConnectorOffset]) -> Answer<String> {
        self.change_offsets(name, offsets).await
    }

    async fn reset_offsets(&self, name: &str) -> Answer<String> {
        self.remove_offsets(name).await
    }

    async fn topics(&self, name: &str) -> Answer<Vec<String>> {
        if !self.environment.settings.config.topic_tracking {
            return Err(HerderError::Forbidden(
                "Topic tracking is disabled.".to_owned(),
            ));
        }
        Ok(self.environment.active_topics.of(name))
    }

    async fn reset_topics(&self, name: &str) -> Answer<()> {
        self.topics(name).await?;
        if !self.environment.settings.config.topic_tracking_reset {
            let text = "Topic tracking reset is disabled.";
            return Err(HerderError::Forbidden(text.to_owned()));
        }
        self.environment.active_topics.reset(name);
        Ok(())
    }

    fn stage(&self) -> String {
        self.stages.text()
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

    async fn validate(&self, plugin: &str, config: GivenConfig) -> Answer<ConfigInfos> {
        let _stage = self
            .stages
            .enter("performing multi-property validation for the connector".to_owned());
        plugin_catalog::validate(plugin, config, &self.environment.settings).await
    }

    async fn dry_run(
        &self,
        name: &str,
        config: Option<GivenConfig>,
        request: DryRunRequest,
    ) -> Answer<DryRunReport> {
        let given = match config {
            Some(config) => config,
            None => {
                let deployed = self.connector_info(name).await?.config;
                patched(deployed, GivenConfig::new())
            }
        };
        let Checked { plugin, config, .. } = self.checked(name, given)?;
        let _stage = self
            .stages
            .enter(format!("making a dry run of connector {name}"));
        dry_run::run(&self.environment, plugin, name, &config, request).await
    }
}
