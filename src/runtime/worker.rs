//! A worker: log, stores and herder, put together and taken down.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;

use connect_core::clock::SystemClock;
use connect_core::plugin::MemoryBudget;
use connect_core::{Error, Result};
use tracing::{info, warn};

use super::active_topics::ActiveTopics;
use super::environment::Environment;
use super::herder::Herder;
use super::metrics::Startups;
use super::standalone::StandaloneHerder;
use super::worker_config::WorkerSettings;
use crate::kafka::Log;
use crate::kafka::cluster::ClusterLog;
use crate::kafka::embedded::EmbeddedLog;
use crate::storage::{ConfigStorage, FileStore, OffsetStorage};

/// A running worker.
pub struct Worker {
    herder: Arc<StandaloneHerder>,
    log: Arc<dyn Log>,
    /// Held as long as the worker lives: a second one would write over its stores.
    _lock: File,
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
        let configs = ConfigStorage::new(Arc::new(
            FileStore::open(&data_dir.join("connectors.json")).await?,
        ));
        let offsets = OffsetStorage::open(Arc::new(
            FileStore::open(&data_dir.join("offsets.json")).await?,
        ))
        .await?;
        let memory_budget = settings.memory_budget();
        let environment = Environment {
            log: log.clone(),
            memory: MemoryBudget::new(memory_budget),
            providers: settings.providers.clone(),
            settings,
            clock: Arc::new(SystemClock),
            offsets,
            active_topics: ActiveTopics::default(),
            connector_startups: Startups::default(),
            task_startups: Startups::default(),
            worker_id,
        };
        let herder = Arc::new(StandaloneHerder::new(Arc::new(environment), configs));
        herder.take_up_stored().await?;
        info!(memory_budget, "worker started");
        Ok(Self {
            herder,
            log,
            _lock: lock,
        })
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

async fn open_log(settings: &WorkerSettings) -> Result<Arc<dyn Log>> {
    if settings.is_embedded() {
        return Ok(EmbeddedLog::open(&settings.data_dir().join("log")).await?);
    }
    Ok(Arc::new(ClusterLog::connect(&settings.properties).await?))
}
