//! Retail sales to S3 by the worker in its image, which buildah runs in its own root file system and on this machine's
//! network.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sluice_services::{Kafka, KafkaOptions, Service, free_port};
use sluice_stand_in_s3::{S3Options, S3StandIn};
use tempfile::TempDir;

use crate::deploy_files::worker_environment;
use crate::image::{TAG, archive, root, succeed};
use crate::p3::{NAME, TOPIC, assert_exactly_once, count_in_s3, finish, produce};
use crate::support::{ready_config, states_at, wait_until};

/// How long Docker waits between its two signals.
const DOCKERS_PATIENCE: Duration = Duration::from_secs(10);

/// The worker in a container that is made anew at each start; only its volume stays.
struct ImageWorker {
    folder: PathBuf,
    environment: BTreeMap<String, String>,
    url: String,
    container: String,
    service: Option<Service>,
    starts: u32,
}

impl ImageWorker {
    /// Set up as in compose.yaml, but for addresses and credentials.
    fn new(folder: &Path, changes: &[(&str, String)]) -> Result<Self> {
        archive()?;
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let mut environment = worker_environment()?;
        environment.extend(
            changes
                .iter()
                .map(|(key, value)| ((*key).to_owned(), value.clone())),
        );
        environment.insert("CONNECT_LISTENERS".to_owned(), url.clone());
        std::fs::create_dir_all(folder.join("data"))?;
        Ok(Self {
            folder: folder.to_owned(),
            environment,
            url,
            container: container()?,
            service: None,
            starts: 0,
        })
    }

    /// A command in the container.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("buildah");
        command.args(["run", "--isolation", "chroot"]);
        for (key, value) in &self.environment {
            command.args(["--env", &format!("{key}={value}")]);
        }
        let volume = format!("{}:/data:U", self.folder.join("data").display());
        command.args(["--volume", &volume, &self.container, "--", "/sluice"]);
        command.args(arguments);
        command
    }

    fn is_healthy(&self) -> Result<bool> {
        let asked = self.command(&["health"]).output()?;
        match asked.status.code() {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => bail!("health: {asked:?}"),
        }
    }

    async fn launch(&mut self) -> Result<()> {
        self.starts += 1;
        let command = self.command(&["worker"]);
        self.service = Some(Service::start(&command, &self.log_path())?);
        let healthy = wait_until("a healthy worker", Duration::from_secs(60), || async {
            self.is_healthy()
        });
        healthy.await.with_context(|| self.log())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("worker-{}.log", self.starts))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// Signals the worker itself, as engines do, waits until it is gone, and puts a new container in its place.
    fn end(&mut self, signal: &str, patience: Duration) -> Result<()> {
        let mut service = self.service.take().context("the worker is not running")?;
        let worker = worker_below(service.pid())?.context("no worker in the container")?;
        let mut kill = Command::new("kill");
        succeed(kill.args(["-s", signal, &worker.to_string()]))?;
        let until = Instant::now() + patience;
        while service.is_running() {
            ensure!(
                Instant::now() < until,
                "still there {patience:?} after {signal}: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let old = std::mem::replace(&mut self.container, container()?);
        remove(&old)
    }

    fn stop(&mut self) -> Result<()> {
        self.end("TERM", DOCKERS_PATIENCE)?;
        ensure!(self.log().contains("worker stopped"), "{}", self.log());
        Ok(())
    }

    fn kill9(&mut self) -> Result<()> {
        self.end("KILL", DOCKERS_PATIENCE)
    }

    /// Runs a script of deploy/ by curl alone: who runs containers has no binary.
    fn script(&self, name: &str, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("sh");
        command
            .arg(root().join("deploy").join(name))
            .args(arguments)
            .current_dir(&self.folder)
            .env("CONNECT_REST_URL", &self.url)
            .env("SLUICE", "")
            .env_remove("CONNECTOR_NAME")
            .env_remove("ENV_FILE");
        succeed(&mut command)
    }

    async fn until_states(&self, wanted: &str) -> Result<()> {
        let reached = wait_until(wanted, Duration::from_secs(30), || async {
            Ok(states_at(&self.url, NAME).await? == wanted)
        });
        reached.await.with_context(|| self.log())
    }
}

impl Drop for ImageWorker {
    fn drop(&mut self) {
        if self.service.is_some() {
            let _gone_already = self.end("KILL", DOCKERS_PATIENCE);
        }
        let _removed = remove(&self.container);
    }
}

/// A new container of the image. Its volume is the one that `buildah run` is given: here the image's own would hide it.
fn container() -> Result<String> {
    let mut from = Command::new("buildah");
    let name = succeed(from.args(["from", "--pull-never", TAG]))?;
    let name = name.trim();
    succeed(Command::new("buildah").args(["config", "--volume", "/data-", name]))?;
    Ok(name.to_owned())
}

fn remove(container: &str) -> Result<()> {
    succeed(Command::new("buildah").args(["rm", container]))?;
    Ok(())
}

/// The process named `sluice` that `ancestor` has started, however deep.
fn worker_below(ancestor: u32) -> Result<Option<u32>> {
    let mut parents = HashMap::new();
    let mut workers = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Ok(process) = entry?.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        // Gone in the meantime.
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else {
            continue;
        };
        let Some((name, rest)) = stat.rsplit_once(") ") else {
            continue;
        };
        if let Some(parent) = rest.split_whitespace().nth(1) {
            parents.insert(process, parent.parse::<u32>()?);
        }
        if name.ends_with("(sluice") {
            workers.push(process);
        }
    }
    Ok(workers.into_iter().find(|worker| {
        std::iter::successors(Some(*worker), |process| parents.get(process).copied())
            .any(|process| process == ancestor)
    }))
}

/// Retail sales to S3, with the worker in its image.
struct Sales {
    kafka: Kafka,
    _s3: S3StandIn,
    objects: PathBuf,
    worker: ImageWorker,
    folder: TempDir,
}

impl Sales {
    async fn start() -> Result<Self> {
        let kafka = Kafka::start(&KafkaOptions::default())?;
        kafka.create_topic(TOPIC, 3, &[])?;
        let folder = tempfile::tempdir()?;
        let objects = folder.path().join("s3");
        let s3 = S3StandIn::start(S3Options::local(&objects, "bronze")).await?;
        let changes = [
            ("CONNECT_BOOTSTRAP_SERVERS", kafka.bootstrap()),
            ("CONNECT_OFFSET_FLUSH_INTERVAL_MS", "1000".to_owned()),
            ("AWS_ENDPOINT_URL_S3", s3.url()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test-secret".to_owned()),
        ];
        let mut worker = ImageWorker::new(folder.path(), &changes)?;
        ensure!(!worker.is_healthy()?, "healthy before it was started");
        worker.launch().await?;
        Ok(Self {
            kafka,
            _s3: s3,
            objects,
            worker,
            folder,
        })
    }

    fn deploy(&self) -> Result<()> {
        let changes = [
            ("rotate.interval.ms", "5000"),
            // A killed worker is missed sooner.
            ("consumer.override.session.timeout.ms", "6000"),
            ("consumer.override.heartbeat.interval.ms", "1000"),
        ];
        let config = ready_config("s3-sink-sales.json", &changes)?;
        let file = self.folder.path().join("s3-sink-sales.json");
        std::fs::write(&file, config.to_string())?;
        let file = file.display().to_string();
        let said = self.worker.script("deploy_connector.sh", &[&file])?;
        ensure!(said.contains("RUNNING"), "{said}");
        Ok(())
    }

    fn manage(&self, action: &str) -> Result<()> {
        self.worker.script("manage_connector.sh", &[action, NAME])?;
        Ok(())
    }

    fn in_s3(&self) -> Result<usize> {
        count_in_s3(&self.objects)
    }

    async fn until_in_s3(&self, what: &str, enough: impl Fn(usize) -> bool) -> Result<()> {
        let arrived = wait_until(what, Duration::from_secs(90), || async {
            Ok(enough(self.in_s3()?))
        });
        arrived.await.with_context(|| self.worker.log())
    }

    async fn restart_and_find(&mut self, states: &str) -> Result<()> {
        self.worker.stop()?;
        self.worker.launch().await?;
        self.worker.until_states(states).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_in_its_image_loses_and_doubles_nothing() -> Result<()> {
    const RUNNING: &str = "RUNNING [RUNNING]";
    const PAUSED: &str = "PAUSED [PAUSED]";
    let mut sales = Sales::start().await?;
    sales.deploy()?;
    finish(produce(&sales.kafka, 10_000, &["--burst"])?)?;
    sales
        .until_in_s3("the first orders", |count| count == 10_000)
        .await?;

    // Paused: nothing more arrives; that it is paused outlives a restart.
    sales.manage("pause")?;
    sales.worker.until_states(PAUSED).await?;
    finish(produce(&sales.kafka, 10_000, &["--burst"])?)?;
    assert_eq!(sales.in_s3()?, 10_000);
    sales.restart_and_find(PAUSED).await?;
    assert_eq!(sales.in_s3()?, 10_000, "paused through the restart");

    // Resumed, and ended in mid-flight in each way.
    sales.manage("resume")?;
    sales.worker.until_states(RUNNING).await?;
    let producer = produce(&sales.kafka, 30_000, &["--interval", "0.0004"])?;
    sales.manage("restart")?;
    sales.worker.until_states(RUNNING).await?;
    sales.restart_and_find(RUNNING).await?;
    sales.worker.kill9()?;
    sales.worker.launch().await?;
    finish(producer)?;
    sales
        .until_in_s3("all orders", |count| count == 50_000)
        .await?;
    assert_exactly_once(&sales.kafka, &sales.objects, 50_000)?;
    sales.worker.stop()
}
