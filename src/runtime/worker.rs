//! A worker: log, stores and herder, put together and taken down.
//!
//! Alone it keeps what it must not forget in files below `data.dir`; with a `group.id` in the topics of its cluster.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connect_core::clock::SystemClock;
use connect_core::plugin::MemoryBudget;
use connect_core::retry::RetryPolicy;
use connect_core::{Error, Result};
use tracing::{info, warn};

use super::active_topics::ActiveTopics;
use super::cluster_options::ClusterOptions;
use super::distributed::fellow::FellowClient;
use super::distributed::{Cluster, ClusterParts, DistributedHerder, MemberOptions};
use super::dry_run::DryRuns;
use super::environment::Environment;
use super::exactly_once::{SourceSupport, TaskGate, id_of_leader};
use super::herder::Herder;
use super::log_levels::LogLevels;
use super::metrics::Startups;
use super::standalone::StandaloneHerder;
use super::status_writer::StatusWriter;
use super::worker_config::WorkerSettings;
use crate::kafka::Log;
use crate::kafka::client_options::Client;
use crate::kafka::cluster::ClusterLog;
use crate::kafka::embedded::EmbeddedLog;
use crate::storage::{
    ConfigStorage, ConfigTopic, FileStore, LeaderWriter, OffsetStorage, TopicStore,
};

/// The pauses between attempts to reach the brokers.
const CONNECTING: RetryPolicy = RetryPolicy {
    initial: Duration::from_millis(200),
    max: Duration::from_secs(5),
};

/// A running worker.
pub struct Worker {
    herder: Running,
    log: Arc<dyn Log>,
    statuses: StatusWriter,
}

/// A herder of either kind.
enum Running {
    /// A worker alone, with the lock of its folder.
    Alone(
        Arc<StandaloneHerder>,
        #[expect(dead_code, reason = "held, not looked at")] File,
    ),
    /// A member of a cluster.
    Member(Arc<DistributedHerder>),
}

/// How a worker is known to others.
pub struct WorkerIdentity {
    /// `host:port`
    pub worker_id: String,
    /// Where other workers reach its REST API: `http://host:port/`.
    pub url: String,
    /// The levels of its log, which its cluster may change.
    pub levels: Arc<LogLevels>,
}

/// What a worker stands on.
struct Ground {
    log: Arc<dyn Log>,
    offsets: OffsetStorage,
    /// `None`: sources deliver at least once.
    gate: Option<Arc<dyn TaskGate>>,
    statuses: StatusWriter,
}

impl Worker {
    /// Opens the log and the stores. Alone it takes up every stored connector; a member of a cluster joins its group and
    /// takes up what it is given there by itself.
    ///
    /// # Errors
    /// What keeps the worker from starting: a folder that cannot be written, a broker that cannot be reached.
    pub async fn start(settings: WorkerSettings, identity: WorkerIdentity) -> Result<Self> {
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        let memory_budget = settings.memory_budget();
        let worker = match settings.cluster.clone() {
            Some(options) => {
                let log = open_log(&settings).await?;
                in_cluster(log, settings, options, identity).await?
            }
            None => alone(settings, identity.worker_id).await?,
        };
        info!(memory_budget, "worker started");
        Ok(worker)
    }

    /// Waits until the worker may not run: it cannot be in its group, or its log on disk has broken.
    pub async fn lost(&self) -> Error {
        match &self.herder {
            Running::Alone(..) => self.log.lost().await,
            Running::Member(herder) => herder.lost().await,
        }
    }

    /// The herder.
    pub fn herder(&self) -> Arc<dyn Herder> {
        match &self.herder {
            Running::Alone(herder, _) => herder.clone(),
            Running::Member(herder) => herder.clone(),
        }
    }

    /// The log.
    pub fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// Stops all tasks in good order.
    pub async fn shutdown(self) {
        match &self.herder {
            Running::Alone(herder, _) => herder.shutdown().await,
            Running::Member(herder) => herder.shutdown().await,
        }
        self.statuses.close().await;
        info!("worker stopped");
    }
}

fn environment(settings: WorkerSettings, worker_id: String, ground: Ground) -> Environment {
    Environment {
        log: ground.log,
        memory: MemoryBudget::new(settings.memory_budget()),
        providers: settings.providers.clone(),
        settings,
        clock: Arc::new(SystemClock),
        offsets: ground.offsets,
        gate: ground.gate,
        active_topics: ActiveTopics::kept_in(ground.statuses.clone()),
        statuses: ground.statuses,
        connector_startups: Startups::default(),
        task_startups: Startups::default(),
        dry_runs: DryRuns::default(),
        worker_id,
    }
}

/// Makes sure that no other worker uses the folder.
fn lock(data_dir: &Path) -> Result<File> {
    let unusable = |text: &str| {
        Error::config(text)
            .operation("data.dir")
            .target(data_dir.display().to_string())
    };
    let file = File::create(data_dir.join("lock"))
        .map_err(|cause| unusable("the folder cannot be written").source(cause))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(unusable(
            "another worker uses this folder: stop it, or set another",
        )),
        Err(TryLockError::Error(cause)) => {
            Err(unusable("the folder cannot be locked").source(cause))
        }
    }
}

/// A worker alone: its stores are files.
async fn alone(settings: WorkerSettings, worker_id: String) -> Result<Worker> {
    let data_dir = settings.data_dir();
    tokio::fs::create_dir_all(&data_dir)
        .await
        .map_err(|cause| {
            Error::config("the folder cannot be made")
                .operation("data.dir")
                .target(data_dir.display().to_string())
                .source(cause)
        })?;
    let lock = lock(&data_dir)?;
    let log = open_log(&settings).await?;
    let configs = FileStore::open(&data_dir.join("connectors.json")).await?;
    let offsets = FileStore::open(&data_dir.join("offsets.json")).await?;
    let ground = Ground {
        log: log.clone(),
        offsets: OffsetStorage::open(Arc::new(offsets)).await?,
        gate: None,
        statuses: StatusWriter::default(),
    };
    let environment = Arc::new(environment(settings, worker_id, ground));
    let configs = ConfigStorage::new(Arc::new(configs));
    let herder = Arc::new(StandaloneHerder::new(environment, configs));
    herder.take_up_stored().await?;
    Ok(Worker {
        herder: Running::Alone(herder, lock),
        log,
        statuses: StatusWriter::default(),
    })
}

/// A worker of a cluster: its stores are topics.
async fn in_cluster(
    log: Arc<dyn Log>,
    settings: WorkerSettings,
    options: ClusterOptions,
    identity: WorkerIdentity,
) -> Result<Worker> {
    let config = config_topic(&log, &options).await?;
    let offsets = TopicStore::open(&*log, &options.offsets).await?;
    let statuses = TopicStore::open(&*log, &options.statuses).await?;
    let clock = Arc::new(SystemClock);
    let statuses = StatusWriter::open(statuses, identity.worker_id.clone(), clock.clone()).await?;
    let cluster = Cluster::new(
        config,
        ClusterParts {
            log: log.clone(),
            clock,
            fellows: FellowClient::new(&settings)?,
            signing: options.signing.clone(),
            group: options.group_id.clone(),
            producer_settings: settings.client_settings(Client::Producer),
            patience: options.rebalance_timeout,
        },
    );
    let exactly_once = options.exactly_once == SourceSupport::Enabled;
    let ground = Ground {
        log: log.clone(),
        offsets: OffsetStorage::open(Arc::new(offsets)).await?,
        gate: exactly_once.then(|| -> Arc<dyn TaskGate> { cluster.clone() }),
        statuses: statuses.clone(),
    };
    let environment = Arc::new(environment(settings, identity.worker_id, ground));
    let member = MemberOptions {
        cluster: options,
        url: identity.url,
        levels: identity.levels,
    };
    let herder = DistributedHerder::start(environment, cluster, member);
    Ok(Worker {
        herder: Running::Member(Arc::new(herder)),
        log,
        statuses,
    })
}

/// The config topic, written in transactions if sources deliver exactly once, or are about to.
async fn config_topic(log: &Arc<dyn Log>, options: &ClusterOptions) -> Result<ConfigTopic> {
    let topic = ConfigTopic::open(&**log, &options.configs).await?;
    if !options.exactly_once.leads_in_transactions() {
        return Ok(topic);
    }
    let id = id_of_leader(&options.group_id);
    let client_id = format!("{}-leader", options.configs.client_id);
    Ok(topic.written_by(LeaderWriter::new(log.clone(), id, client_id)))
}

/// The log; brokers may come up after the worker.
async fn open_log(settings: &WorkerSettings) -> Result<Arc<dyn Log>> {
    if settings.is_embedded() {
        return Ok(EmbeddedLog::open(&settings.data_dir().join("log")).await?);
    }
    let until = Instant::now() + settings.config.api_timeout;
    let mut attempt = 0;
    loop {
        match ClusterLog::connect(&settings.properties).await {
            Err(error) if error.is_retriable() && Instant::now() < until => {
                attempt += 1;
                warn!(error = error.trace(), "trying again");
                tokio::time::sleep(CONNECTING.pause(attempt, &error)).await;
            }
            outcome => return Ok(Arc::new(outcome?)),
        }
    }
}

#[cfg(test)]
#[path = "worker_tests.rs"]
mod tests;
