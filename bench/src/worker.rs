//! A worker process to be measured.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;
use sluice_services::{Service, free_port};

use crate::process::{Usage, usage};

/// A running worker; killed when dropped.
pub(crate) struct Worker {
    service: Service,
    port: u16,
}

impl Worker {
    /// Starts one below `folder`; embedded if there is no `bootstrap`. Returns with its first answer.
    pub(crate) async fn start(
        sluice: &Path,
        folder: &Path,
        bootstrap: Option<&str>,
    ) -> Result<Self> {
        let port = free_port()?;
        let mut command = Command::new(sluice);
        command.arg("worker");
        let mut properties = vec![
            format!("listeners=http://127.0.0.1:{port}"),
            format!("data.dir={}", folder.join("data").display()),
            "key.converter=org.apache.kafka.connect.storage.StringConverter".to_owned(),
            "value.converter=org.apache.kafka.connect.json.JsonConverter".to_owned(),
            "value.converter.schemas.enable=false".to_owned(),
        ];
        properties.extend(bootstrap.map(|bootstrap| format!("bootstrap.servers={bootstrap}")));
        for property in properties {
            command.args(["--set", &property]);
        }
        let log = folder.join("worker.log");
        let service = Service::start(&command, &log)?;
        let worker = Self { service, port };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !worker.answers().await {
            if Instant::now() > deadline {
                bail!("no answer: {}", std::fs::read_to_string(&log)?);
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(worker)
    }

    /// An address of its REST API.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    async fn answers(&self) -> bool {
        matches!(reqwest::get(self.url("/")).await, Ok(answer) if answer.status().is_success())
    }

    /// Deploys a connector.
    pub(crate) async fn deploy(&self, name: &str, config: &Value) -> Result<()> {
        let url = self.url(&format!("/connectors/{name}/config"));
        let answer = reqwest::Client::new().put(url).json(config).send().await?;
        if !answer.status().is_success() {
            bail!("deploying {name}: {}", answer.text().await?);
        }
        Ok(())
    }

    /// The connector's status as one line.
    pub(crate) async fn status(&self, name: &str) -> Result<String> {
        let url = self.url(&format!("/connectors/{name}/status"));
        Ok(reqwest::get(url).await?.text().await?)
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.service.pid()
    }

    /// What it has used so far.
    pub(crate) fn usage(&self) -> Result<Usage> {
        usage(self.service.pid())
    }
}
