//! A real Kafka and a worker; what stands in them, counted before and after a dry run.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use serde_json::{Map, Value};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::{Log, NewTopic, ProducerOptions, ProducerRecord};
use sluice_services::Kafka;
use tempfile::TempDir;

use crate::support::{WorkerProcess, wait_until};

/// How long a sink may take to write what there is.
pub(super) const DEADLINE: Duration = Duration::from_secs(60);

/// A worker on a real Kafka.
pub(super) struct World {
    pub(super) kafka: &'static Kafka,
    pub(super) worker: WorkerProcess,
    pub(super) folder: TempDir,
    log: ClusterLog,
    /// Part of the name of all that is the test's own: the broker is shared.
    name: &'static str,
}

/// What a dry run must leave as it is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Standing {
    topics: Vec<String>,
    groups: Vec<String>,
    connectors: Value,
    /// Source offsets and configs of the worker.
    stores: Vec<(String, String)>,
    /// Names of series.
    metrics: Vec<String>,
}

impl World {
    pub(super) async fn start(name: &'static str) -> Result<Self> {
        Self::start_with(name, &[]).await
    }

    pub(super) async fn start_with(name: &'static str, settings: &[&str]) -> Result<Self> {
        let kafka = Kafka::shared()?;
        let folder = tempfile::tempdir()?;
        let bootstrap = kafka.bootstrap();
        let properties = [("bootstrap.servers".to_owned(), bootstrap.clone())];
        Ok(Self {
            worker: WorkerProcess::start_with(&folder.path().join("w"), Some(bootstrap), settings)?,
            log: ClusterLog::connect(&properties.into()).await?,
            kafka,
            folder,
            name,
        })
    }

    pub(super) async fn topic(&self, name: &str, partitions: i32) -> Result<()> {
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: Some(partitions),
            replication_factor: Some(1),
            settings: [].into(),
        };
        ensure!(
            self.log.admin().create_topic(&topic).await?,
            "{name} is new"
        );
        Ok(())
    }

    /// Writes values, each with its number as its key.
    pub(super) async fn write(
        &self,
        topic: &str,
        partition: i32,
        values: impl IntoIterator<Item = Vec<u8>>,
    ) -> Result<()> {
        let topic: Arc<str> = topic.into();
        let record = |(number, value): (usize, Vec<u8>)| ProducerRecord {
            topic: topic.clone(),
            partition: Some(partition),
            timestamp: None,
            headers: Vec::new(),
            key: Some(Bytes::from(number.to_string())),
            value: Some(Bytes::from(value)),
        };
        let records = values.into_iter().enumerate().map(record).collect();
        let producer = self.log.producer(ProducerOptions::default()).await?;
        for result in producer.send(records).await? {
            result?;
        }
        Ok(producer.close().await?)
    }

    /// The answer to a dry run: its status and body.
    pub(super) async fn call(
        &self,
        name: &str,
        query: &str,
        config: Option<&Value>,
    ) -> Result<(u16, Value)> {
        let url = self
            .worker
            .url(&format!("/connectors/{name}/dry-run{query}"));
        let mut request = reqwest::Client::new().post(url);
        if let Some(config) = config {
            request = request.json(config);
        }
        let response = request.send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    /// A dry run that succeeds and changes nothing.
    pub(super) async fn dry_run(
        &self,
        name: &str,
        query: &str,
        config: Option<&Value>,
    ) -> Result<Value> {
        let before = self.standing().await?;
        let (status, report) = self.call(name, query, config).await?;
        if status != 200 {
            bail!("{status}: {report:#}");
        }
        let after = self.standing().await?;
        ensure!(
            after == before,
            "something has changed: {before:#?} {after:#?}"
        );
        Ok(report)
    }

    pub(super) async fn standing(&self) -> Result<Standing> {
        let bootstrap = self.kafka.bootstrap();
        let groups = self.kafka.tool(
            "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
            &[
                "--bootstrap-server",
                &bootstrap,
                "--describe",
                "--all-groups",
                "--offsets",
            ],
        )?;
        let mut topics = self.log.admin().list_topics().await?;
        topics.retain(|topic| topic.contains(self.name));
        topics.sort();
        let metrics = reqwest::get(self.worker.url("/metrics"))
            .await?
            .text()
            .await?;
        let groups = String::from_utf8(groups.stdout)?;
        let mine = groups
            .lines()
            .filter(|line| line.contains(self.name))
            .map(str::to_owned);
        let connectors = self.worker.get("/connectors?expand=info").await?;
        Ok(Standing {
            topics,
            groups: mine.collect(),
            connectors: connectors.clone(),
            stores: stores(&self.folder.path().join("w/data"))?,
            // A connector that runs gets new ones by itself.
            metrics: match connectors.as_object().is_none_or(Map::is_empty) {
                true => series(&metrics),
                false => Vec::new(),
            },
        })
    }

    /// Ends a connector's tasks: what is written from now on stays unread.
    pub(super) async fn stop(&self, name: &str) -> Result<()> {
        let url = self.worker.url(&format!("/connectors/{name}/stop"));
        reqwest::Client::new()
            .put(url)
            .send()
            .await?
            .error_for_status()?;
        self.worker.await_states(name, "STOPPED []", DEADLINE).await
    }

    /// Waits until the sink's group has no lag.
    pub(super) async fn wait_until_committed(&self, name: &str, records: i64) -> Result<()> {
        wait_until("all is committed", DEADLINE, async || {
            let answer = self
                .worker
                .get(&format!("/connectors/{name}/offsets"))
                .await?;
            let offsets = answer["offsets"].as_array().context("offsets")?;
            let count = |offset: &Value| offset["offset"]["kafka_offset"].as_i64();
            Ok(offsets.iter().filter_map(count).sum::<i64>() == records)
        })
        .await
    }
}

/// The worker's own files.
fn stores(folder: &Path) -> Result<Vec<(String, String)>> {
    ["connectors.json", "offsets.json"]
        .into_iter()
        .map(|name| {
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            Ok((name.to_owned(), text))
        })
        .collect()
}

/// The names and labels of series about connectors, tasks and topics.
fn series(metrics: &str) -> Vec<String> {
    let name = |line: &str| line.rsplit_once(' ').map(|(name, _)| name.to_owned());
    let mut names: Vec<_> = metrics.lines().filter_map(name).collect();
    names.sort();
    names
}

/// The effects of one kind.
pub(super) fn effects<'a>(report: &'a Value, kind: &str) -> Vec<&'a Value> {
    let effects = report["effects"].as_array().map_or(&[][..], Vec::as_slice);
    let is_it = |effect: &&Value| effect["effect"] == kind;
    effects.iter().filter(is_it).collect()
}

/// The outcome of each record, in order.
pub(super) fn outcomes(report: &Value) -> Vec<&str> {
    let records = report["records"].as_array().map_or(&[][..], Vec::as_slice);
    records
        .iter()
        .map(|record| record["outcome"].as_str().unwrap_or("?"))
        .collect()
}
