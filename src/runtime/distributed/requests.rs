//! What REST asks of a worker of a cluster: read from the topics, or written to them by whoever may.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::config::{ConfigMap, find_connector_plugin};
use connect_core::plugin::{ConnectorType, TaskId};
use tokio::sync::{MutexGuard, oneshot};

use super::DistributedHerder;
use super::cluster::{Role, are_due};
use super::signature::RequestSignature;
use crate::runtime::connector_actor::{ActorHandle, Command};
use crate::runtime::desk::{
    Answer, already_exists, internal, no_status, not_found, not_stopped, not_there, patched,
    shutting_down, state_of_task, unknown, unknown_task,
};
use crate::runtime::dry_run::{DryRunReport, DryRunRequest};
use crate::runtime::exactly_once::TaskGate;
use crate::runtime::herder::{GivenConfig, Herder, HerderError, RestartRequest};
use crate::runtime::info::{
    ConfigInfos, ConnectorInfo, ConnectorOffset, ConnectorOffsets, ConnectorState,
    ConnectorStateInfo, PluginInfo, ServerInfo, State, TargetState, TaskInfo, TaskName, TaskState,
};
use crate::runtime::metrics::MetricsSnapshot;
use crate::runtime::plugin_catalog;
use crate::runtime::status_writer::Known;
use crate::storage::{ClusterConfig, ClusterConnector};

/// How long tasks may take to end once their connector is stopped, before its offsets are changed.
const STOP_DEADLINE: Duration = Duration::from_secs(60);
/// How often their states are looked at.
const LOOK: Duration = Duration::from_millis(100);

/// Where something runs.
enum Owner {
    Here(ActorHandle),
    /// Elsewhere: another worker must be asked.
    Other(HerderError),
}

impl DistributedHerder {
    /// All there is, as it is now.
    async fn current(&self) -> Answer<Arc<ClusterConfig>> {
        let refreshed = self.cluster.config.refresh().await;
        refreshed.map_err(|error| internal(&error))?;
        Ok(self.cluster.view())
    }

    fn must_run(&self) -> Answer<()> {
        match self.stop.is_cancelled() {
            true => Err(shutting_down()),
            false => Ok(()),
        }
    }

    async fn must_lead(&self) -> Answer<()> {
        self.must_run()?;
        let _stage = self
            .desk
            .stages
            .enter("ensuring membership in the cluster".to_owned());
        self.cluster.must_lead().await
    }

    /// As the leader, all there is: nothing else changes it as long as the guard lives.
    async fn alone(&self) -> Answer<(MutexGuard<'_, ()>, Arc<ClusterConfig>)> {
        loop {
            self.must_lead().await?;
            let alone = self.cluster.changing.lock().await;
            let view = self.current().await?;
            // Another may lead by now: what was changed before may have taken long.
            if self.cluster.leads() {
                return Ok((alone, view));
            }
        }
    }

    /// Writes a configuration that was checked.
    async fn store(
        &self,
        name: &str,
        config: &ConfigMap,
        initial: Option<&str>,
    ) -> Answer<ConnectorInfo> {
        let _stage = self.desk.stages.enter(format!(
            "writing a config for connector {name} to the config topic"
        ));
        let written = self.cluster.config.put_connector(name, config, initial);
        written.await.map_err(|error| internal(&error))?;
        let view = self.cluster.view();
        let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
        Ok(info(name, known))
    }

    /// The states of a connector; none of one that was deleted, though its tasks may be ending.
    fn known_states(&self, name: &str) -> Option<ConnectorStateInfo> {
        let is_known = self.cluster.view().connectors.contains_key(name);
        is_known.then(|| self.states(name)).flatten()
    }

    /// The states as their workers told them, with what this worker knows more of its own parts.
    fn states(&self, name: &str) -> Option<ConnectorStateInfo> {
        let told = self.desk.environment.statuses.states(name);
        let local = self.locals.get(name);
        let local = local.map(|(actor, parts)| (actor.status.info(), parts));
        let mut connector = told.connector.map(connector_state);
        let mut tasks: std::collections::BTreeMap<_, _> = told
            .tasks
            .into_iter()
            .map(|(id, known)| (id, task_state(id, known)))
            .collect();
        if let Some((info, parts)) = local {
            if parts.connector {
                connector = Some(info.connector);
            }
            tasks.extend(info.tasks.into_iter().map(|task| (task.id, task)));
        }
        let view = self.cluster.view();
        Some(ConnectorStateInfo {
            name: name.to_owned(),
            connector: connector?,
            tasks: tasks.into_values().collect(),
            kind: view.connectors.get(name).and_then(kind),
        })
    }

    /// Where a connector runs, or one of its tasks.
    async fn owner(&self, name: &str, task: Option<u32>) -> Answer<Owner> {
        let role = self.cluster.role().await?;
        if let Some((actor, parts)) = self.locals.get(name) {
            let is_here = match task {
                None => parts.connector,
                Some(task) => parts.tasks.contains(&task),
            };
            if is_here {
                return Ok(Owner::Here(actor));
            }
        }
        let url = match (role, task) {
            (Role::Unsettled, _) => None,
            (Role::Follower { leader_url }, _) => Some(leader_url),
            (Role::Leader(owners), None) => owners.connectors.get(name).cloned(),
            (Role::Leader(owners), Some(task)) => {
                let connector = name.into();
                owners.tasks.get(&TaskId { connector, task }).cloned()
            }
        };
        Ok(Owner::Other(HerderError::Forward { url }))
    }

    /// The configuration of a connector if it is stopped and none of its tasks runs any more.
    async fn stopped(&self, name: &str, view: &ClusterConfig) -> Answer<Arc<ConfigMap>> {
        stopped_config(name, view)?;
        let runs = || {
            let states = self.desk.environment.statuses.states(name);
            let mut states = states.tasks.into_values();
            states.any(|known| !matches!(known.state, State::Unassigned | State::Failed))
        };
        let ended = async {
            while runs() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // A worker that has died does not tell that its tasks have ended.
        let _ended_or_dead = tokio::time::timeout(STOP_DEADLINE, ended).await;
        // Meanwhile it may have been resumed by another worker, which may also have become the leader.
        self.must_lead().await?;
        stopped_config(name, &*self.current().await?)
    }
}

/// The configuration of a connector that is stopped and has no tasks.
fn stopped_config(name: &str, view: &ClusterConfig) -> Answer<Arc<ConfigMap>> {
    let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
    match target(known) == TargetState::Stopped && known.task_count() == 0 {
        true => Ok(known.config.clone()),
        false => Err(not_stopped(name)),
    }
}

fn info(name: &str, known: &ClusterConnector) -> ConnectorInfo {
    let task = |task| TaskName {
        connector: name.to_owned(),
        task,
    };
    ConnectorInfo {
        name: name.to_owned(),
        config: (*known.config).clone(),
        tasks: (0..known.task_count()).map(task).collect(),
        kind: kind(known),
    }
}

/// `None` for a class that this worker does not have.
fn kind(known: &ClusterConnector) -> Option<ConnectorType> {
    let class = known.config.get("connector.class")?;
    find_connector_plugin(class).ok().map(|plugin| plugin.kind)
}

fn target(known: &ClusterConnector) -> TargetState {
    TargetState::of(&known.target_state)
}

fn connector_state(known: Known) -> ConnectorState {
    ConnectorState {
        state: known.state,
        worker_id: known.worker_id,
        version: known.version,
        trace: known.trace,
        details: None,
    }
}

fn task_state(id: u32, known: Known) -> TaskState {
    TaskState {
        id,
        state: known.state,
        worker_id: known.worker_id,
        version: known.version,
        trace: known.trace,
        details: None,
    }
}

/// Marks what a restart will restart.
fn mark_restarting(info: &mut ConnectorStateInfo, request: RestartRequest) {
    let chosen = |state: State| !request.only_failed || state == State::Failed;
    if chosen(info.connector.state) {
        info.connector.state = State::Restarting;
        info.connector.trace = None;
    }
    if request.include_tasks {
        for task in info.tasks.iter_mut().filter(|task| chosen(task.state)) {
            task.state = State::Restarting;
            task.trace = None;
        }
    }
}

#[async_trait]
impl Herder for DistributedHerder {
    async fn server_info(&self) -> Answer<ServerInfo> {
        self.desk.server_info().await
    }

    async fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    async fn trouble(&self) -> Option<String> {
        let missing = !self.cluster.is_member();
        missing.then(|| "It is not in its group at the moment: it runs nothing.".to_owned())
    }

    async fn connectors(&self) -> Answer<Vec<String>> {
        Ok(self.cluster.view().connectors.keys().cloned().collect())
    }

    async fn connector_info(&self, name: &str) -> Answer<ConnectorInfo> {
        let view = self.cluster.view();
        let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
        Ok(info(name, known))
    }

    async fn connector_status(&self, name: &str) -> Answer<ConnectorStateInfo> {
        self.known_states(name).ok_or_else(|| no_status(name))
    }

    async fn tasks(&self, name: &str) -> Answer<Vec<TaskInfo>> {
        let view = self.cluster.view();
        let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
        let configs = known.tasks.as_ref().map(|tasks| tasks.configs.clone());
        let configs = configs.unwrap_or_default();
        let task = |(task, config): (u32, &ConfigMap)| TaskInfo {
            id: TaskName {
                connector: name.to_owned(),
                task,
            },
            config: config.clone(),
        };
        Ok((0..).zip(&*configs).map(task).collect())
    }

    async fn task_status(&self, name: &str, task: i32) -> Answer<TaskState> {
        let tasks = self.known_states(name).map(|info| info.tasks);
        state_of_task(name, task, tasks)
    }

    async fn create(
        &self,
        name: &str,
        config: GivenConfig,
        initial: TargetState,
    ) -> Answer<ConnectorInfo> {
        let checked = self.desk.checked(name, config)?;
        let (_alone, view) = self.alone().await?;
        if view.connectors.contains_key(name) {
            return Err(already_exists(name));
        }
        let initial = (initial != TargetState::Started).then(|| initial.text());
        self.store(name, &checked.config, initial).await
    }

    async fn put_config(&self, name: &str, config: GivenConfig) -> Answer<(bool, ConnectorInfo)> {
        let checked = self.desk.checked(name, config)?;
        let (_alone, view) = self.alone().await?;
        let is_new = !view.connectors.contains_key(name);
        let info = self.store(name, &checked.config, None).await?;
        Ok((is_new, info))
    }

    async fn patch_config(&self, name: &str, patch: GivenConfig) -> Answer<ConnectorInfo> {
        let (_alone, view) = self.alone().await?;
        let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
        let config = patched(name, (*known.config).clone(), patch)?;
        let checked = self.desk.checked(name, config)?;
        self.store(name, &checked.config, None).await
    }

    async fn delete(&self, name: &str) -> Answer<()> {
        let (_alone, view) = self.alone().await?;
        if !view.connectors.contains_key(name) {
            return Err(not_found(name));
        }
        let removed = self.cluster.config.remove(name).await;
        removed.map_err(|error| internal(&error))
    }

    async fn set_target_state(&self, name: &str, target: TargetState) -> Answer<()> {
        self.must_run()?;
        // The leader stops, which takes the tasks away. Any worker may write the others; but the leader not while it changes
        // offsets.
        let (_alone, view) = match target {
            TargetState::Stopped => self.alone().await?,
            TargetState::Started | TargetState::Paused => {
                (self.cluster.changing.lock().await, self.current().await?)
            }
        };
        if !view.connectors.contains_key(name) {
            return Err(unknown(name));
        }
        let config = &self.cluster.config;
        let written = match target {
            TargetState::Stopped => config.stop(name).await,
            TargetState::Started | TargetState::Paused => {
                config.put_target(name, target.text()).await
            }
        };
        written.map_err(|error| internal(&error))
    }

    async fn restart(
        &self,
        name: &str,
        request: RestartRequest,
    ) -> Answer<Option<ConnectorStateInfo>> {
        self.must_run()?;
        if !self.current().await?.connectors.contains_key(name) {
            return Err(not_there(name));
        }
        if request != RestartRequest::default() {
            let _alone = self.alone().await?;
            let _stage = self.desk.stages.enter(format!(
                "writing restart request for connector {name} to the config topic"
            ));
            let mut plan = self.states(name).ok_or_else(|| no_status(name))?;
            mark_restarting(&mut plan, request);
            let (tasks, failed) = (request.include_tasks, request.only_failed);
            let written = self.cluster.config.put_restart(name, tasks, failed).await;
            written.map_err(|error| internal(&error))?;
            return Ok(Some(plan));
        }
        let actor = match self.owner(name, None).await? {
            Owner::Here(actor) => actor,
            Owner::Other(forward) => return Err(forward),
        };
        let _stage = self
            .desk
            .stages
            .enter(format!("restarting connector {name}"));
        let (done, restarted) = oneshot::channel();
        let told = actor.commands.send(Command::Restart(request, done)).await;
        if told.is_err() || restarted.await.is_err() {
            return Err(HerderError::stale());
        }
        if actor.status.connector_state() == State::Failed {
            let text = format!("Failed to start connector: {name}");
            return Err(HerderError::Internal(text));
        }
        Ok(None)
    }

    async fn restart_task(&self, name: &str, task: i32) -> Answer<()> {
        self.must_run()?;
        let view = self.current().await?;
        let known = view.connectors.get(name).ok_or_else(|| not_there(name))?;
        let number = u32::try_from(task).ok();
        let number = number.filter(|task| *task < known.task_count());
        let number = number.ok_or_else(|| unknown_task(name, task))?;
        let actor = match self.owner(name, Some(number)).await? {
            Owner::Here(actor) => actor,
            Owner::Other(forward) => return Err(forward),
        };
        let _stage = self
            .desk
            .stages
            .enter(format!("restarting task {name}-{task}"));
        let (done, restarted) = oneshot::channel();
        let command = Command::RestartTask(number, done);
        let told = actor.commands.send(command).await;
        if told.is_err() || restarted.await.is_err() {
            return Err(HerderError::stale());
        }
        Ok(())
    }

    async fn offsets(&self, name: &str) -> Answer<ConnectorOffsets> {
        let view = self.cluster.view();
        let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
        self.desk.read_offsets(name, &known.config).await
    }

    async fn alter_offsets(&self, name: &str, offsets: &[ConnectorOffset]) -> Answer<String> {
        let (_alone, view) = self.alone().await?;
        let _stage = self.desk.modifying_offsets(name);
        let config = self.stopped(name, &view).await?;
        self.desk.change_offsets(name, &config, offsets).await
    }

    async fn reset_offsets(&self, name: &str) -> Answer<String> {
        let (_alone, view) = self.alone().await?;
        let _stage = self.desk.modifying_offsets(name);
        let config = self.stopped(name, &view).await?;
        self.desk.remove_offsets(name, &config).await
    }

    async fn topics(&self, name: &str) -> Answer<Vec<String>> {
        self.desk.topics(name)
    }

    async fn reset_topics(&self, name: &str) -> Answer<()> {
        self.desk.reset_topics(name)
    }

    async fn set_cluster_level(&self, logger: &str, level: &str) -> Answer<()> {
        let written = self.cluster.config.put_level(logger, level).await;
        written.map_err(|error| internal(&error))
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

    fn check_signature(&self, signature: Option<&RequestSignature>) -> Answer<()> {
        self.must_run()?;
        self.cluster.check_signature(signature)
    }

    async fn put_task_configs(&self, name: &str, configs: Vec<ConfigMap>) -> Answer<()> {
        let (_alone, view) = self.alone().await?;
        let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
        if !are_due(known, &configs)? {
            return Ok(());
        }
        let committed = self.cluster.config.put_tasks(name, &configs).await;
        committed.map_err(|error| internal(&error))
    }

    async fn fence_zombies(&self, name: &str) -> Answer<()> {
        self.must_lead().await?;
        let view = self.current().await?;
        let known = view.connectors.get(name).ok_or_else(|| not_found(name))?;
        let resolved = self.desk.environment.providers.resolve(&known.config);
        let resolved = resolved.map_err(|error| internal(&error))?;
        let fenced = self.cluster.fence(name, &resolved.config).await;
        fenced.map_err(|error| internal(&error))
    }

    fn stage(&self) -> String {
        self.desk.stages.text()
    }

    async fn metrics(&self) -> MetricsSnapshot {
        let actors = self.locals.actors();
        let samples = actors.iter().map(|actor| actor.status.sample());
        let metrics = self.desk.metrics(samples.collect());
        metrics.with_rebalances(self.rebalances.sample())
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
}
