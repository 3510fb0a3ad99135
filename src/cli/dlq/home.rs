//! Which topic is the queue, and where its log is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;
use connect_core::without_userinfo;
use serde_json::Value;

use super::letter::Place;
use crate::cli::environment;
use crate::cli::rest_client::{RestClient, WorkerUrl, connector_path, is_not_found};
use crate::kafka::Log;
use crate::kafka::cluster::ClusterLog;
use crate::kafka::embedded::EmbeddedLog;
use crate::runtime::properties;

const CONNECT_DEADLINE: Duration = Duration::from_secs(20);
const QUEUE_OPTION: &str = "errors.deadletterqueue.topic.name";

#[derive(Debug, Args)]
pub(super) struct HomeArgs {
    /// Its connector's config names the queue.
    #[command(flatten)]
    worker: WorkerUrl,
    /// The queue's topic, instead of a connector
    #[arg(long, global = true)]
    topic: Option<String>,
    /// Brokers, separated by commas; else those of --command-config or CONNECT_BOOTSTRAP_SERVERS
    #[arg(
        long,
        global = true,
        env = "KAFKA_BOOTSTRAP_SERVERS",
        value_name = "HOST:PORT"
    )]
    bootstrap_servers: Option<String>,
    /// Client settings as for Kafka's tools; the worker's properties file will do
    #[arg(long, global = true, value_name = "FILE")]
    command_config: Option<PathBuf>,
    /// For a worker without Kafka: its data.dir, while it is stopped; needs --topic
    #[arg(long, global = true, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

impl HomeArgs {
    /// The queue's topic, and the letters that were named.
    pub(super) async fn queue(&self, names: &[String]) -> Result<(String, Vec<Place>)> {
        let (topic, places) = match (&self.topic, names) {
            (Some(topic), places) => (topic.clone(), places),
            (None, [connector, places @ ..]) => {
                ensure!(
                    self.data_dir.is_none(),
                    "a stopped worker does not tell a connector's queue: name it with --topic"
                );
                (self.queue_of(connector).await?, places)
            }
            (None, []) => bail!("which queue? Name a connector, or a topic with --topic"),
        };
        let places: Result<_> = places.iter().map(|text| Ok(text.parse()?)).collect();
        Ok((topic, places?))
    }

    async fn queue_of(&self, connector: &str) -> Result<String> {
        let client = RestClient::new(&self.worker.url)?;
        let asked = client.get(&connector_path(connector, "/config")).await;
        let config = asked.map_err(|error| match is_not_found(&error) {
            true => anyhow!(
                "there is no connector {connector} at {}: `sluice connector list` shows those there are",
                without_userinfo(&self.worker.url)
            ),
            false => error.context(format!("asking for the queue of {connector}; --topic names it too")),
        })?;
        let topic = config.get(QUEUE_OPTION).and_then(Value::as_str);
        let topic = topic.map_or("", str::trim);
        ensure!(
            !topic.is_empty(),
            "{connector} has no dead letter queue: its config does not set {QUEUE_OPTION}"
        );
        ensure!(
            !topic.contains("${"),
            "the queue of {connector} is {topic}, which only its worker can resolve: name it with --topic"
        );
        Ok(topic.to_owned())
    }

    /// The log that has the queue.
    pub(super) async fn log(&self) -> Result<Arc<dyn Log>> {
        if let Some(folder) = &self.data_dir {
            let folder = folder.join("log");
            ensure!(folder.is_dir(), "there is no log at {}", folder.display());
            return Ok(EmbeddedLog::open(&folder).await?);
        }
        let properties = self.properties()?;
        let Some(servers) = properties.get("bootstrap.servers") else {
            bail!("{}", self.no_brokers().await);
        };
        let connecting = ClusterLog::connect(&properties);
        let connected = tokio::time::timeout(CONNECT_DEADLINE, connecting).await;
        let log = connected.map_err(|_| {
            anyhow!(
                "no Kafka answers at {servers} within {CONNECT_DEADLINE:?}: set --bootstrap-servers"
            )
        })?;
        Ok(Arc::new(log?))
    }

    /// The environment as a worker takes it, over the file; the flag over both.
    fn properties(&self) -> Result<BTreeMap<String, String>> {
        let mut all = match &self.command_config {
            Some(path) => {
                properties::read(path).with_context(|| format!("reading {}", path.display()))?
            }
            None => BTreeMap::new(),
        };
        all.extend(environment::properties()?);
        if let Some(servers) = &self.bootstrap_servers {
            all.insert("bootstrap.servers".to_owned(), servers.clone());
        }
        Ok(all)
    }

    async fn no_brokers(&self) -> &'static str {
        let client = RestClient::new(&self.worker.url);
        let is_embedded = match client {
            Ok(client) => client.get("/").await.is_ok_and(|root| {
                root.get("kafka_cluster_id").and_then(Value::as_str) == Some("embedded")
            }),
            Err(_) => false,
        };
        match is_embedded {
            true => {
                "the worker keeps the log itself, and only one process can open it: stop the worker, then give --data-dir and --topic"
            }
            false => {
                "where is Kafka? Give --bootstrap-servers, or --command-config with the worker's properties file"
            }
        }
    }
}
