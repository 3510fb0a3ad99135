//! A disk on which there is no room: what was stored before stays, and what cannot be stored is refused.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use sluice_services::{Kafka, free_port};

use crate::support::{SLUICE, WorkerProcess, wait_until};

/// A worker that can write no file of more than so many KiB: it is told, not killed.
struct Confined {
    url: String,
    process: Child,
}

impl Confined {
    async fn start(data: &Path, bootstrap: &str, longest_file: u32) -> Result<Self> {
        let url = format!("http://127.0.0.1:{}", free_port()?);
        let process = Command::new("bash")
            .args([
                "-c",
                "trap '' XFSZ; ulimit -f $1; shift; exec \"$@\"",
                "bash",
            ])
            .args([&longest_file.to_string(), SLUICE, "worker"])
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
    let confined = Confined::start(&data, &bootstrap, 16).await?;
    assert_eq!(confined.create("kept", 1000).await?.0, 201);
    let (status, refusal) = confined.create("large", 20_000).await?;
    assert_eq!(status, 500, "{refusal}");
    assert_eq!(confined.create("small", 1000).await?.0, 201);
    drop(confined);
    let worker = WorkerProcess::start(folder.path(), Some(bootstrap))?;
    assert_eq!(worker.get("/connectors").await?, json!(["kept", "small"]));
    Ok(())
}
