//! Several workers in one group, as processes, on a Kafka of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_services::{KafkaCluster, KafkaOptions, free_port};
use tempfile::TempDir;

use crate::support::{WorkerProcess, wait_until};

/// How long anything may take that waits for sessions and rebalances.
pub(super) const SOON: Duration = Duration::from_secs(120);

/// The options that all workers have.
const COMMON: &[&str] = &[
    "group.id=workers",
    "config.storage.topic=workers-configs",
    "offset.storage.topic=workers-offsets",
    "status.storage.topic=workers-status",
    "config.storage.replication.factor=1",
    "offset.storage.replication.factor=1",
    "status.storage.replication.factor=1",
    "offset.storage.partitions=2",
    "status.storage.partitions=2",
    "offset.flush.interval.ms=500",
    "session.timeout.ms=6000",
    "heartbeat.interval.ms=1000",
    "scheduled.rebalance.max.delay.ms=1000",
];

/// Workers of a group.
pub(super) struct Members {
    pub(super) kafka: KafkaCluster,
    pub(super) folder: TempDir,
    pub(super) workers: Vec<WorkerProcess>,
}

/// Where the tasks of connectors run: the worker's address by `connector-task`.
pub(super) type Owners = BTreeMap<String, String>;

impl Members {
    /// So many workers on one broker; `settings` of all, `key=value` each.
    pub(super) async fn start(count: usize, settings: &[&str]) -> Result<Self> {
        Self::start_on((1, KafkaOptions::default()), count, settings).await
    }

    /// So many workers on so many brokers.
    pub(super) async fn start_on(
        (brokers, options): (u32, KafkaOptions),
        count: usize,
        settings: &[&str],
    ) -> Result<Self> {
        let start = move || KafkaCluster::start(brokers, &options);
        let kafka = tokio::task::spawn_blocking(start).await??;
        let mut members = Self {
            kafka,
            folder: tempfile::tempdir()?,
            workers: Vec::new(),
        };
        for _ in 0..count {
            members.add(settings)?;
        }
        Ok(members)
    }

    /// One more worker.
    pub(super) fn add(&mut self, settings: &[&str]) -> Result<()> {
        self.add_on(free_port()?, settings)
    }

    /// One more worker, with a port that its settings may name, too.
    pub(super) fn add_on(&mut self, port: u16, settings: &[&str]) -> Result<()> {
        let folder = self.folder.path();
        let folder = folder.join(format!("worker-{port}"));
        let settings: Vec<_> = COMMON.iter().chain(settings).copied().collect();
        let bootstrap = Some(self.kafka.bootstrap());
        let start = || WorkerProcess::start_on(port, &folder, bootstrap, &settings);
        self.workers.push(tokio::task::block_in_place(start)?);
        Ok(())
    }

    /// The path of a file of the test.
    pub(super) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Creates or updates a connector by asking one of the workers.
    pub(super) async fn put(&self, worker: usize, name: &str, config: &Value) -> Result<()> {
        let worker = self
            .workers
            .get(worker)
            .context("there is no such worker")?;
        worker.put_config(name, config).await.map(drop)
    }

    /// What a worker tells of a connector's states, as `RUNNING [RUNNING]`.
    pub(super) async fn expect_states(
        &self,
        worker: usize,
        name: &str,
        wanted: &str,
    ) -> Result<()> {
        let worker = self
            .workers
            .get(worker)
            .context("there is no such worker")?;
        let probe = || async {
            let found = worker.states(name).await?;
            ensure!(found == wanted, "{found}");
            Ok(true)
        };
        wait_until(&format!("{name}: {wanted}"), SOON, probe).await
    }

    /// The parts of connectors that each worker runs by its own word, by address: `name` the connector itself, `name-0` a
    /// task. Only a worker that runs a task tells its rates.
    pub(super) async fn running(
        &self,
        names: &[&str],
    ) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let mut running = BTreeMap::new();
        for worker in &self.workers {
            let mut parts = BTreeSet::new();
            for name in names {
                let status = worker.get(&format!("/connectors/{name}/status")).await?;
                let connector = &status["connector"];
                if connector["worker_id"] == worker.address() && connector["state"] == "RUNNING" {
                    parts.insert((*name).to_owned());
                }
                for task in status["tasks"].as_array().into_iter().flatten() {
                    if task["sluice"].is_object() && task["state"] == "RUNNING" {
                        parts.insert(format!("{name}-{}", task["id"]));
                    }
                }
            }
            running.insert(worker.address(), parts);
        }
        Ok(running)
    }

    /// Waits until each part of these connectors with so many tasks each runs in just one worker, evenly shared.
    pub(super) async fn expect_even_share(&self, names: &[&str], tasks: usize) -> Result<()> {
        let workers = self.workers.len();
        let probe = || async {
            let running = self.running(names).await?;
            let all: Vec<_> = running.values().flatten().collect();
            let wanted = names.len() * (tasks + 1);
            ensure!(all.len() == wanted, "{running:?}");
            let different: BTreeSet<_> = all.iter().collect();
            ensure!(different.len() == wanted, "{running:?}");
            let count = |parts: &BTreeSet<String>, connectors: bool| {
                let is = |part: &&String| names.contains(&part.as_str()) == connectors;
                parts.iter().filter(is).count()
            };
            for parts in running.values() {
                let (connectors, each) = (count(parts, true), count(parts, false));
                let all = names.len() * tasks;
                ensure!(
                    each >= all / workers && each <= all.div_ceil(workers),
                    "{running:?}"
                );
                ensure!(connectors >= names.len() / workers, "{running:?}");
            }
            Ok(true)
        };
        wait_until("an even share", SOON, probe).await
    }

    /// Where the tasks of connectors run, by the word of a worker.
    pub(super) async fn owners(&self, worker: &WorkerProcess, names: &[&str]) -> Result<Owners> {
        let mut owners = Owners::new();
        for name in names {
            let status = worker.get(&format!("/connectors/{name}/status")).await?;
            for task in status["tasks"].as_array().into_iter().flatten() {
                let owner = task["worker_id"].as_str().unwrap_or_default();
                owners.insert(format!("{name}-{}", task["id"]), owner.to_owned());
            }
        }
        Ok(owners)
    }

    /// The worker at an address.
    pub(super) fn at(&mut self, address: &str) -> Result<&mut WorkerProcess> {
        let mut workers = self.workers.iter_mut();
        let found = workers.find(|worker| worker.address() == address);
        found.with_context(|| format!("no worker at {address}"))
    }

    /// What all workers have logged.
    pub(super) fn logs(&self) -> String {
        let logs = self.workers.iter();
        let logs = logs.map(|worker| format!("== {}\n{}", worker.address(), worker.log()));
        logs.collect::<Vec<_>>().join("\n")
    }
}

/// Lines of a file, numbered.
pub(super) fn lines(range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |mut text, number| {
        let _never_fails = writeln!(text, "line {number}");
        text
    })
}

pub(super) fn append(path: &str, lines: &str) -> Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.append(true).create(true).open(path)?;
    Ok(file.write_all(lines.as_bytes())?)
}
