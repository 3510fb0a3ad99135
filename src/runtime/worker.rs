//! A worker: log, stores and herder, put together and taken down.
//!
//! Alone it keeps what it must not forget in files below `data.dir`; with a `group.id` in the topics of its cluster.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use connect_core::clock::{Clock, SystemClock};
use connect_core::plugin::MemoryBudget;
use connect_core::{Error, Result};
use tracing::{info, warn};

use super::active_topics::ActiveTopics;
use super::cluster_options::ClusterOptions;
use super::dry_run::DryRuns;
use super::environment::Environment;
use super::exactly_once::{SourceSupport, TaskGate, ZombieFence, id_of_leader};
use super::herder::Herder;
use super::membership::Membership;
use super::metrics::Startups;
use super::standalone::StandaloneHerder;
use super::status_writer::StatusWriter;
use super::worker_config::WorkerSettings;
use crate::kafka::Log;
use crate::kafka::cluster::ClusterLog;
use crate::kafka::embedded::EmbeddedLog;
use crate::storage::{
    ConfigStorage, ConfigTopic, FileStore, LeaderWriter, OffsetStorage, TopicStore,
};

/// A running worker.
pub struct Worker {
    herder: Arc<StandaloneHerder>,
    log: Arc<dyn Log>,
    statuses: StatusWriter,
    place: Place,
}

/// What keeps others from the stores as long as the worker lives.
enum Place {
    /// The lock of the folder.
    Alone(#[expect(dead_code, reason = "held, not looked at")] File),
    /// The membership in the group.
    Cluster(Membership),
}

/// What a worker stands on.
struct Ground {
    log: Arc<dyn Log>,
    configs: ConfigStorage,
    offsets: OffsetStorage,
    /// `None`: sources deliver at least once.
    gate: Option<Arc<dyn TaskGate>>,
    statuses: StatusWriter,
    place: Place,
}

impl Worker {
    /// Opens the log and the stores and takes up every stored connector. `worker_id` is `host:port`.
    ///
    /// # Errors
    /// What keeps the worker from starting: a folder that cannot be written, a broker that cannot be reached.
    pub async fn start(settings: WorkerSettings, worker_id: String) -> Result<Self> {
        for warning in &settings.warnings {
            warn!("{warning}");
        }
        let clock = Arc::new(SystemClock);
        let ground = match &settings.cluster {
            Some(options) => in_cluster(&settings, options, &worker_id, clock.clone()).await?,
            None => alone(&settings).await?,
        };
        let Ground { log, place, .. } = ground;
        let memory_budget = settings.memory_budget();
        let environment = Environment {
            log: log.clone(),
            memory: MemoryBudget::new(memory_budget),
            providers: settings.providers.clone(),
            settings,
            clock,
            offsets: ground.offsets,
            gate: ground.gate,
            active_topics: ActiveTopics::kept_in(ground.statuses.clone()),
            statuses: ground.statuses.clone(),
            connector_startups: Startups::default(),
            task_startups: Startups::default(),
            dry_runs: DryRuns::default(),
            worker_id,
        };
        let herder = Arc::new(StandaloneHerder::new(Arc::new(environment), ground.configs));
        herder.take_up_stored().await?;
        info!(memory_budget, "worker started");
        Ok(Self {
            herder,
            log,
            statuses: ground.statuses,
            place,
        })
    }

    /// Waits until the worker may no longer run, because its group is another's: never, if it has none.
    pub async fn lost(&self) -> Error {
        match &self.place {
            Place::Alone(_) => std::future::pending().await,
            Place::Cluster(membership) => membership.lost().await,
        }
    }

    /// The herder.
    pub fn herder(&self) -> Arc<dyn Herder> {
        self.herder.clone()
    }

    /// The log.
    pub fn log(&self) -> Arc<dyn Log> {
        self.log.clone()
    }

    /// Stops all tasks in good order.
    pub async fn shutdown(self) {
        self.herder.shutdown().await;
        if let Place::Cluster(membership) = self.place {
            if membership.is_held() {
                self.statuses.close().await;
            } else {
                self.statuses.abandon();
            }
            membership.leave().await;
        }
        info!("worker stopped");
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

/// The stores of a worker alone: files.
async fn alone(settings: &WorkerSettings) -> Result<Ground> {
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
    let log = open_log(settings).await?;
    let configs = FileStore::open(&data_dir.join("connectors.json")).await?;
    let offsets = FileStore::open(&data_dir.join("offsets.json")).await?;
    Ok(Ground {
        log,
        configs: ConfigStorage::new(Arc::new(configs)),
        offsets: OffsetStorage::open(Arc::new(offsets)).await?,
        gate: None,
        statuses: StatusWriter::default(),
        place: Place::Alone(lock),
    })
}

/// The stores of a worker with a `group.id`: topics. What they hold is
/// read to its end once no other worker writes to them.
async fn in_cluster(
    settings: &WorkerSettings,
    options: &ClusterOptions,
    worker_id: &str,
    clock: Arc<dyn Clock>,
) -> Result<Ground> {
    let log = open_log(settings).await?;
    let configs = Arc::new(config_topic(&log, options).await?);
    let offsets = TopicStore::open(&*log, &options.offsets).await?;
    let statuses = TopicStore::open(&*log, &options.statuses).await?;
    let membership = Membership::join(&log, options).await?;
    configs.lead().await?;
    let gate = (options.exactly_once == SourceSupport::Enabled).then(|| -> Arc<dyn TaskGate> {
        let group = options.group_id.clone();
        Arc::new(ZombieFence::new(log.clone(), configs.clone(), group))
    });
    Ok(Ground {
        configs: ConfigStorage::on_topic(configs),
        gate,
        offsets: OffsetStorage::open(Arc::new(offsets)).await?,
        statuses: StatusWriter::open(statuses, worker_id.to_owned(), clock).await?,
        place: Place::Cluster(membership),
        log,
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

async fn open_log(settings: &WorkerSettings) -> Result<Arc<dyn Log>> {
    if settings.is_embedded() {
        return Ok(EmbeddedLog::open(&settings.data_dir().join("log")).await?);
    }
    Ok(Arc::new(ClusterLog::connect(&settings.properties).await?))
}
