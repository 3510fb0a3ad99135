//! A disk on which there is no room: what was stored before stays, and what cannot be stored is refused.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sluice_services::{Kafka, free_port};

use crate::support::{SLUICE, WorkerProcess, wait_until};

const STRINGS: &str = "org.apache.kafka.connect.storage.StringConverter";

/// A worker that may be kept from writing beyond a place in any file: it is told so, not killed.
struct Confined {
    url: String,
    process: Child,
}

impl Confined {
    /// On the log on disk if there is no `bootstrap`.
    async fn start(data: &Path, bootstrap: &str) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let process = Command::new("bash")
            .args(["-c", "trap '' XFSZ; exec \"$@\"", "bash", SLUICE, "worker"])
            .args(["--set", &format!("listeners={url}")])
            .args(["--set", &format!("data.dir={}", data.display())])
            .args(["--set", &format!("bootstrap.servers={bootstrap}")])
            .stderr(Stdio::null())
            .spawn()
            .context("starting bash")?;
        let confined = Self { url, process };
        let ready = || async {
            Ok(reqwest::get(format!("{}/health", confined.url))
                .await?
                .status()
                .is_success())
        };
        wait_until("the worker is ready", Duration::from_secs(30), ready).await?;
        Ok(confined)
    }

    /// From now on no file is written beyond so many bytes.
    fn allow(&self, bytes: u32) -> Result<()> {
        let told = Command::new("prlimit")
            .args(["--pid", &self.process.id().to_string()])
            .arg(format!("--fsize={bytes}:{bytes}"))
            .status()?;
        ensure!(told.success(), "prlimit");
        Ok(())
    }

    async fn put(&self, name: &str, config: &Value) -> Result<()> {
        let url = format!("{}/connectors/{name}/config", self.url);
        let put = reqwest::Client::new().put(url).json(config).send().await?;
        put.error_for_status()?;
        Ok(())
    }

    /// The answer to a connector whose config holds so many bytes more than it needs; it does nothing.
    async fn create(&self, name: &str, bytes: usize) -> Result<(u16, Value)> {
        let config = json!({
            "connector.class": "FileStreamSource",
            "file": "/nowhere",
            "topic": "t",
            "more": "x".repeat(bytes),
        });
        let body = json!({"name": name, "config": config, "initial_state": "STOPPED"});
        let request = reqwest::Client::new().post(format!("{}/connectors", self.url));
        let response = request.json(&body).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        let _ended = self.process.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_finds_no_room_is_refused_and_what_was_stored_stays() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let bootstrap = tokio::task::spawn_blocking(|| Kafka::shared().map(Kafka::bootstrap)).await??;
    let confined = Confined::start(&data, &bootstrap).await?;
    confined.allow(16_000)?;
    assert_eq!(confined.create("kept", 1000).await?.0, 201);
    let (status, refusal) = confined.create("large", 20_000).await?;
    assert_eq!(status, 500, "{refusal}");
    assert_eq!(confined.create("small", 1000).await?.0, 201);
    drop(confined);
    let worker = WorkerProcess::start(folder.path(), Some(bootstrap))?;
    assert_eq!(worker.get("/connectors").await?, json!(["kept", "small"]));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_whose_log_has_no_room_ends_and_goes_on_when_it_has() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (read, written) = (folder.path().join("in.txt"), folder.path().join("out.txt"));
    let lines: String = (0..20_000)
        .map(|number| format!("{number:0>100}\n"))
        .collect();
    std::fs::write(&read, &lines)?;
    let data = folder.path().join("data");
    let mut confined = Confined::start(&data, "").await?;
    confined.allow(100_000)?;
    let source = json!({"connector.class": "FileStreamSource", "file": read, "topic": "t", "value.converter": STRINGS, "batch.size": "100"});
    let sink = json!({"connector.class": "FileStreamSink", "file": written, "topics": "t", "value.converter": STRINGS});
    confined.put("source", &source).await?;
    let until = Instant::now() + Duration::from_secs(60);
    let status = loop {
        match confined.process.try_wait()? {
            Some(status) => break status,
            None if Instant::now() > until => bail!("the worker goes on"),
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    assert_eq!(status.code(), Some(1));
    let worker = WorkerProcess::start(folder.path(), None)?;
    worker.put_config("sink", &sink).await?;
    let all = || async {
        let seen = std::fs::read_to_string(&written).unwrap_or_default();
        let seen: BTreeSet<_> = seen.lines().map(str::to_owned).collect();
        Ok(seen.len() == 20_000)
    };
    wait_until("every line has arrived", Duration::from_secs(60), all).await
}
