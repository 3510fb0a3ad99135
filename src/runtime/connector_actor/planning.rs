//! What tasks a connector has, and their start: those of a worker alone, or what a cluster has committed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connect_core::Result;
use connect_core::config::{
    CommonOptions, ConfigMap, ConnectorConfig, connector_from_map, find_connector_plugin,
};
use connect_core::plugin::Connector;
use connect_core::retry::RetryPolicy;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{ConnectorActor, Parts, Share};
use crate::runtime::control::Wanted;
use crate::runtime::task_runner::TaskPlan;
use crate::runtime::worker_config::wrong_options;

/// Pauses between tries to have task configs committed.
const COMMIT_PAUSES: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(250),
    max: Duration::from_secs(60),
};

/// Has the task configs of a cluster's connector committed.
#[async_trait]
pub(in crate::runtime) trait TaskCommitter: Send + Sync {
    /// Commits `count` tasks of a connector with this configuration, unless they are.
    async fn commit(&self, connector: &str, config: &ConfigMap, count: u32) -> Result<()>;
}

impl ConnectorActor {
    /// Pauses the tasks, or makes the paused ones there were. The connector itself is not started for that.
    pub(super) fn pause(&mut self) -> Result<()> {
        let is_part = matches!(self.desired.share, Share::Parts(_));
        if is_part || !self.tasks.is_empty() || !self.has_tasks {
            return Ok(());
        }
        let config = self.resolved()?;
        let plan = self.plan_of(connector_from_map(&config)?.into(), config)?;
        self.tasks.start_all(&plan, Wanted::Pause);
        Ok(())
    }

    /// Plans the tasks, and starts them or has them committed.
    pub(super) async fn start(&mut self) -> Result<()> {
        let plan = self.plan().await?;
        if let Some(committer) = &self.committer {
            let committing = commit(
                committer.clone(),
                self.name.clone(),
                self.desired.config.clone(),
                plan.count,
            );
            let given_up = CancellationToken::new();
            self.committing = Some(given_up.clone().drop_guard());
            tokio::spawn(async move { given_up.run_until_cancelled(committing).await });
        } else if self.tasks.is_empty() {
            self.tasks.start_all(&plan, Wanted::Run);
        }
        Ok(())
    }

    /// The plan of the tasks. Starts the connector if it has not been, or if what placeholders stand for has changed.
    pub(super) async fn plan(&mut self) -> Result<TaskPlan> {
        let config = self.resolved()?;
        let connector = match &self.connector {
            Some(started) if started.config == config => started.connector.clone(),
            _ => self.start_connector(&config).await?,
        };
        self.plan_of(connector, config)
    }

    /// The plan of the tasks of a cluster's connector, which has been started in this worker or in another.
    pub(super) fn task_plan(&self, parts: &Parts) -> Result<TaskPlan> {
        let resolved = self.environment.providers.resolve(&parts.made_from)?;
        self.status.hide_of_tasks(resolved.redaction);
        // They may be of the class before.
        let class = parts.made_from.get("connector.class");
        let plugin = find_connector_plugin(class.map_or("", String::as_str))?;
        Ok(TaskPlan {
            name: self.name.clone(),
            kind: plugin.kind,
            count: parts.count,
            connector: connector_from_map(&resolved.config)?.into(),
            config: resolved.config,
        })
    }

    /// The configuration with the values of now in place of placeholders.
    fn resolved(&self) -> Result<ConfigMap> {
        let resolved = self.environment.providers.resolve(&self.desired.config)?;
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
}

/// Tries until the tasks are committed.
async fn commit(
    committer: Arc<dyn TaskCommitter>,
    name: Arc<str>,
    config: Arc<ConfigMap>,
    count: u32,
) {
    let mut failures = 0;
    while let Err(failure) = committer.commit(&name, &config, count).await {
        failures += 1;
        let pause = COMMIT_PAUSES.pause(failures, &failure);
        warn!(
            connector = &*name,
            error = failure.trace(),
            ?pause,
            "the tasks could not be committed, trying again"
        );
        tokio::time::sleep(pause).await;
    }
}

/// How many tasks a configuration makes.
pub(in crate::runtime) fn task_count(connector: &dyn Connector, config: &ConfigMap) -> Result<u32> {
    let options = CommonOptions::from_map(config).map_err(|errors| wrong_options(&errors))?;
    Ok(connector
        .task_count(options.tasks_max)
        .min(options.tasks_max))
}
