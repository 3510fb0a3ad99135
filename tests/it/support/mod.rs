//! What end-to-end tests share: a worker as a process, its REST API, waiting with a deadline.

pub(crate) mod kcat;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sluice_services::{Service, free_port};
use sluice_stand_in_s3::{S3Options, S3StandIn};

/// The binary under test.
pub(crate) const SLUICE: &str = env!("CARGO_BIN_EXE_sluice");

/// A worker process that may be killed and started again on the same data.
pub(crate) struct WorkerProcess {
    folder: PathBuf,
    bootstrap: Option<String>,
    settings: Vec<String>,
    port: u16,
    service: Option<Service>,
    starts: u32,
}

impl WorkerProcess {
    /// A worker below `folder`, on the embedded log if there is no `bootstrap`.
    pub(crate) fn start(folder: &Path, bootstrap: Option<String>) -> Result<Self> {
        Self::start_with(folder, bootstrap, &[])
    }

    /// With more worker properties, `key=value` each.
    pub(crate) fn start_with(
        folder: &Path,
        bootstrap: Option<String>,
        settings: &[&str],
    ) -> Result<Self> {
        Self::start_on(free_port()?, folder, bootstrap, settings)
    }

    /// With a port that its settings may name, too.
    pub(crate) fn start_on(
        port: u16,
        folder: &Path,
        bootstrap: Option<String>,
        settings: &[&str],
    ) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let mut worker = Self {
            folder: folder.to_owned(),
            bootstrap,
            settings: settings.iter().map(|&setting| setting.to_owned()).collect(),
            port,
            service: None,
            starts: 0,
        };
        worker.launch()?;
        Ok(worker)
    }

    /// Starts it again.
    pub(crate) fn launch(&mut self) -> Result<()> {
        self.starts += 1;
        let mut command = Command::new(SLUICE);
        command.arg("worker");
        let mut properties = vec![
            format!("listeners=http://127.0.0.1:{}", self.port),
            format!("data.dir={}", self.folder.join("data").display()),
            "key.converter=org.apache.kafka.connect.storage.StringConverter".to_owned(),
            "value.converter=org.apache.kafka.connect.json.JsonConverter".to_owned(),
            "value.converter.schemas.enable=false".to_owned(),
            "offset.flush.interval.ms=1000".to_owned(),
        ];
        properties.extend(
            self.bootstrap
                .iter()
                .map(|bootstrap| format!("bootstrap.servers={bootstrap}")),
        );
        properties.extend(self.settings.iter().cloned());
        for property in properties {
            command.args(["--set", &property]);
        }
        let log = self.log_path();
        self.service = Some(Service::start(&command, &log)?);
        let deadline = Instant::now() + Duration::from_secs(30);
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if Instant::now() > deadline {
                bail!(
                    "the worker does not answer: {}",
                    std::fs::read_to_string(&log)?
                );
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    fn log_path(&self) -> PathBuf {
        self.folder.join(format!("worker-{}.log", self.starts))
    }

    /// What the latest process has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    pub(crate) fn kill9(&mut self) -> Result<()> {
        self.service
            .take()
            .context("the worker is not running")?
            .kill9()
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> Result<u32> {
        let service = self.service.as_ref();
        Ok(service.context("the worker is not running")?.pid())
    }

    /// Sends it a signal by name.
    pub(crate) fn signal(&self, name: &str) -> Result<()> {
        let service = self.service.as_ref();
        service.context("the worker is not running")?.signal(name)
    }

    /// Somebody has killed it: waits until it is gone.
    pub(crate) fn has_died(&mut self) -> Result<()> {
        drop(self.service.take().context("the worker is not running")?);
        Ok(())
    }

    pub(crate) fn stop(&mut self) -> Result<()> {
        self.service
            .take()
            .context("the worker is not running")?
            .stop(Duration::from_secs(30))
    }

    /// `host:port` of its REST API.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The address of its REST API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(reqwest::get(self.url(path)).await?.json().await?)
    }

    /// Creates or updates a connector.
    pub(crate) async fn put_config(&self, name: &str, config: &Value) -> Result<Value> {
        let url = self.url(&format!("/connectors/{name}/config"));
        let response = reqwest::Client::new().put(url).json(config).send().await?;
        let status = response.status();
        let answer: Value = response.json().await?;
        if !status.is_success() {
            bail!("{status}: {answer}");
        }
        Ok(answer)
    }

    /// The states of a connector and its tasks, e.g. `RUNNING [RUNNING]`.
    pub(crate) async fn states(&self, name: &str) -> Result<String> {
        states_at(&self.url(""), name).await
    }

    /// Waits until these are the states of a connector and its tasks.
    pub(crate) async fn await_states(
        &self,
        name: &str,
        states: &str,
        deadline: Duration,
    ) -> Result<()> {
        wait_until(&format!("{name} is {states}"), deadline, || async {
            let found = self.states(name).await?;
            ensure!(found == states, "{found}");
            Ok(true)
        })
        .await
    }
}

/// The states of a connector and its tasks at any worker, e.g. `RUNNING [RUNNING]`.
pub(crate) async fn states_at(url: &str, name: &str) -> Result<String> {
    let answer = reqwest::get(format!("{url}/connectors/{name}/status")).await?;
    let status: Value = answer.json().await?;
    let text = |value: &Value| value["state"].as_str().unwrap_or("?").to_owned();
    let tasks: Vec<_> = status["tasks"]
        .as_array()
        .into_iter()
        .flatten()
        .map(text)
        .collect();
    Ok(format!(
        "{} [{}]",
        text(&status["connector"]),
        tasks.join(", ")
    ))
}

/// Waits until `probe` answers true; an error after `deadline`.
pub(crate) async fn wait_until<F>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> F,
) -> Result<()>
where
    F: Future<Output = Result<bool>>,
{
    let until = Instant::now() + deadline;
    loop {
        let outcome = probe().await;
        if matches!(outcome, Ok(true)) {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("not within {deadline:?}: {what} ({outcome:?})");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A ready config of connector-configs/, changed by `changes`.
pub(crate) fn ready_config(file: &str, changes: &[(&str, &str)]) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("connector-configs")
        .join(file);
    let json: Value = serde_json::from_str(&std::fs::read_to_string(path)?)?;
    let mut config = json["config"].clone();
    config["name"] = json["name"].clone();
    Ok(changed(config, changes))
}

/// A config with some options changed or added.
pub(crate) fn changed(mut config: Value, changes: &[(&str, &str)]) -> Value {
    for (key, value) in changes {
        config[*key] = json!(value);
    }
    config
}

/// The bucket of [`s3_server`] and [`s3_sink`].
pub(crate) const BUCKET: &str = "bronze";

/// An S3 server below `folder`, with a bucket.
pub(crate) async fn s3_server(folder: &Path) -> Result<S3StandIn> {
    Ok(S3StandIn::start(S3Options::local(folder.join("s3"), BUCKET)).await?)
}

/// An S3 sink of one topic that is called as its topic.
pub(crate) fn s3_sink(topic: &str, s3: &S3StandIn, changes: &[(&str, &str)]) -> Value {
    let config = json!({
        "name": topic,
        "connector.class": "io.confluent.connect.s3.S3SinkConnector",
        "topics": topic,
        "s3.bucket.name": BUCKET,
        "s3.region": "us-east-1",
        "store.url": s3.url(),
        "aws.access.key.id": "test",
        "aws.secret.access.key": "test-secret",
        "storage.class": "io.confluent.connect.s3.storage.S3Storage",
        "format.class": "io.confluent.connect.s3.format.json.JsonFormat",
        "flush.size": "10",
    });
    changed(config, changes)
}
