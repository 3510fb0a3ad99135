//! The herder of a worker alone: every connector runs here.

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

use self::managed::{Managed, tasks_after};
use super::connector_actor::{self, Command, Desired, Share};
use super::desk::{
    self, Answer, Checked, Desk, internal, no_status, not_found, not_there, shutting_down, unknown,
    unknown_task,
};
use super::dry_run::{DryRunReport, DryRunRequest};
use super::environment::Environment;
use super::herder::{GivenConfig, Herder, HerderError, RestartRequest};
use super::info::{
    ConfigInfos, ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorStateInfo, PluginInfo,
    ServerInfo, State, TargetState, TaskInfo, TaskState,
};
use super::metrics::MetricsSnapshot;
use super::plugin_catalog;
use crate::storage::{ConfigStorage, StoredConnector};

/// The herder of a worker alone.
pub(super) struct StandaloneHerder {
    desk: Desk,
    storage: ConfigStorage,
    connectors: Mutex<BTreeMap<String, Managed>>,
    ready: AtomicBool,
    /// Set once the worker ends: nothing is changed any more.
    closing: AtomicBool,
}

impl StandaloneHerder {
    pub(super) fn new(environment: Arc<Environment>, storage: ConfigStorage) -> Self {
        Self {
            desk: Desk::new(environment),
            storage,
            connectors: Mutex::default(),
            ready: AtomicBool::new(false),
            closing: AtomicBool::new(false),
        }
    }

    /// Takes up every stored connector.
    pub(super) async fn take_up_stored(&self) -> connect_core::Result<()> {
        let mut connectors = self.connectors.lock().await;
        let stored = self.storage.load().await?;
        for (name, stored) in stored {
            match find_connector_plugin(
                stored
                    .config
                    .get("connector.class")
                    .map_or("", String::as_str),
            ) {
                Ok(plugin) => {
                    let target = TargetState::of(&stored.target_state);
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
            if managed.tell(Command::Shutdown(done)).await.is_ok() {
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
            return Err(shutting_down());
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
        let (config, revision) = (Arc::new(config), 0);
        let start = connector_actor::Start {
            name,
            desired: Desired {
                config: config.clone(),
                revision,
                target,
                share: Share::Whole,
            },
            had_tasks: tasks > 0,
            after,
            committer: None,
        };
        Managed {
            plugin,
            config,
            revision,
            target,
            tasks,
            actor: connector_actor::spawn(self.desk.environment.clone(), plugin, start),
            offsets: Arc::default(),
        }
    }

    /// How many tasks a stored connector has once its target state is `target`; none if it cannot be configured now.
    fn tasks_of(&self, target: TargetState, before: u32, config: &ConfigMap) -> u32 {
        let resolved = self.desk.environment.providers.resolve(config);
        resolved.map_or(0, |resolved| tasks_after(target, before, &resolved.config))
    }

    async fn store(
        &self,
        name: &str,
        config: &ConfigMap,
        target: TargetState,
        tasks: u32,
    ) -> Answer<()> {
        let _stage = self.desk.stages.enter(format!(
            "writing a config for connector {name} to the config store"
        ));
        let stored = StoredConnector {
            config: config.clone(),
            target_state: target.text().to_owned(),
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
        } = self.desk.checked(name, config)?;
        let Some(managed) = connectors.get_mut(name) else {
            return Err(not_found(name));
        };
        let tasks = tasks_after(managed.target, managed.tasks, &resolved);
        self.store(name, &config, managed.target, tasks).await?;
        managed.tasks = tasks;
        managed.actor.status.reconfigured();
        if std::ptr::eq(managed.plugin, plugin) {
            managed.config = Arc::new(config);
            managed.revision += 1;
            managed.settle().await?;
        } else {
            let (done, stopped) = oneshot::channel();
            managed.tell(Command::Shutdown(done)).await?;
            *managed = self.manage(plugin, name, config, managed.target, tasks, Some(stopped));
        }
        Ok(managed.info(name))
    }
}

#[async_trait]
impl Herder for StandaloneHerder {
    async fn server_info(&self) -> Answer<ServerInfo> {
        self.desk.server_info().await
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
            .map(|managed| managed.actor.status.info())
            .ok_or_else(|| no_status(name))
    }

    async fn tasks(&self, name: &str) -> Answer<Vec<TaskInfo>> {
        let connectors = self.connectors.lock().await;
        let managed = connectors.get(name).ok_or_else(|| not_found(name))?;
        let mut config = (*managed.config).clone();
        config.insert(
            "task.class".to_owned(),
            plugin_catalog::task_class(managed.plugin.class),
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
            .map(|managed| managed.actor.status.info().tasks);
        desk::state_of_task(name, task, tasks)
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
        } = self.desk.checked(name, config)?;
        let mut connectors = self.to_change().await?;
        if connectors.contains_key(name) {
            return Err(desk::already_exists(name));
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
        let config = desk::patched(name, (*managed.config).clone(), patch)?;
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
        let _stage = self.desk.stages.enter(format!("stopping connector {name}"));
        let stopped = managed.shut_down().await;
        // Last: its tasks may have told a topic while they ended.
        self.desk.environment.active_topics.reset(name);
        self.desk.environment.statuses.forget(name);
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
        managed.settle().await
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
        let status = managed.actor.status.clone();
        drop(connectors);
        if request != RestartRequest::default() {
            return Ok(Some(plan));
        }
        let _stage = self
            .desk
            .stages
            .enter(format!("restarting connector {name}"));
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
        let known = known.filter(|task| managed.actor.status.task_state(*task).is_some());
        let known = known.ok_or_else(|| unknown_task(name, task))?;
        managed.tell(Command::RestartTask(known, done)).await?;
        drop(connectors);
        let _stage = self
            .desk
            .stages
            .enter(format!("restarting task {name}-{task}"));
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
        self.desk.topics(name)
    }

    async fn reset_topics(&self, name: &str) -> Answer<()> {
        self.desk.reset_topics(name)
    }

    fn stage(&self) -> String {
        self.desk.stages.text()
    }

    async fn metrics(&self) -> MetricsSnapshot {
        let connectors = self.connectors.lock().await;
        let samples = connectors.values();
        let samples = samples.map(|managed| managed.actor.status.sample());
        self.desk.metrics(samples.collect())
    }

    fn plugins(&self, connectors_only: bool) -> Vec<PluginInfo> {
        plugin_catalog::plugins(connectors_only)
    }

    fn plugin_config(&self, plugin: &str) -> Answer<serde_json::Value> {
        plugin_catalog::plugin_config(plugin)
    }

    async fn validate(&self, plugin: &str, config: GivenConfig) -> Answer<ConfigInfos> {
        self.desk.validate(plugin, config).await
    }

    async fn dry_run(
        &self,
        name: &str,
        config: Option<GivenConfig>,
        request: DryRunRequest,
    ) -> Answer<DryRunReport> {
        let deployed = match config {
            Some(_) => ConfigMap::new(),
            None => self.connector_info(name).await?.config,
        };
        self.desk.dry_run(name, config, deployed, request).await
    }
}
