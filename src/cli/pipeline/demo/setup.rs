//! The surroundings of a demo: a folder, the servers the sinks write to, and configs that lead there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Result;

use super::DemoArgs;
use super::plan::{Speed, Stream};
use super::stage::{PostgresStage, S3Stage, SnowflakeStage, Stage};
use super::users::{Api, CsvFile};
use crate::cli::environment;
use crate::cli::output::print_text;
use crate::cli::pipeline::catalog::{Pipeline, PipelineId};
use crate::cli::pipeline::configs::{Changes, Connectors};
use crate::cli::ready_config::ReadyConfig;

/// Worker properties that say how to log in to Kafka.
const LOGIN: [&str; 4] = ["security.", "sasl.", "ssl.", "aws."];

/// Where the sinks write to, and what the sources read.
pub(super) struct Surroundings {
    /// The targets in the order of the sinks; `None` for one that is not there in this run.
    pub(super) targets: Vec<Target>,
    pub(super) s3: Option<Arc<S3Stage>>,
    pub(super) users: Option<(Api, CsvFile)>,
    pub(super) connectors: Connectors,
}

/// A place a sink writes to.
pub(super) struct Target {
    pub(super) name: &'static str,
    /// `None` without `--postgres`.
    pub(super) stage: Option<Arc<dyn Stage>>,
}

impl Surroundings {
    /// Starts servers and fits the connectors to them; what the user sets wins.
    pub(super) async fn start(
        pipeline: &Pipeline,
        args: &DemoArgs,
        speed: &Speed,
        folder: &Path,
    ) -> Result<Self> {
        let changes = Changes {
            set: Vec::new(),
            variant: variant(pipeline.id),
        };
        let ready = Connectors::of(pipeline, &args.selection, &changes)?;
        let sources = ready.sources;
        let mut itself = Self {
            targets: Vec::new(),
            s3: None,
            users: None,
            connectors: Connectors {
                sources: Vec::new(),
                sinks: Vec::new(),
            },
        };
        for sink in ready.sinks {
            itself.add_sink(sink, args, speed, folder).await?;
        }
        if pipeline.id == PipelineId::ApiPostgres {
            itself.add_users(sources, folder).await?;
        }
        for setting in &args.set {
            itself.connectors.change(setting)?;
        }
        Ok(itself)
    }

    async fn add_sink(
        &mut self,
        sink: ReadyConfig,
        args: &DemoArgs,
        speed: &Speed,
        folder: &Path,
    ) -> Result<()> {
        let class = sink.get("connector.class").unwrap_or_default().to_owned();
        let (name, stage, sink): (_, Arc<dyn Stage>, _) = if class.ends_with("S3SinkConnector") {
            let stage = Arc::new(S3Stage::start(folder, &sink).await?);
            self.s3 = Some(stage.clone());
            ("S3", stage.clone(), batches(stage.point(sink), speed))
        } else if class.ends_with("SnowflakeSinkConnector") {
            let stage = Arc::new(SnowflakeStage::start(&sink).await?);
            let seconds = speed.batch.as_secs().to_string();
            let sink = stage.point(sink).with("buffer.flush.time", seconds);
            ("Snowflake", stage, sink)
        } else if let Some(url) = &args.postgres {
            let stage = Arc::new(PostgresStage::start(url, &args.name).await?);
            ("Postgres", stage.clone(), stage.point(sink))
        } else {
            self.targets.push(Target {
                name: "Postgres",
                stage: None,
            });
            return Ok(());
        };
        let stage = Some(stage);
        self.targets.push(Target { name, stage });
        self.connectors.sinks.push(sink);
        Ok(())
    }

    async fn add_users(&mut self, sources: Vec<ReadyConfig>, folder: &Path) -> Result<()> {
        let api = Api::start().await?;
        let file = CsvFile::create(folder.join("users.csv")).await?;
        for source in sources {
            let source = source.with("poll.interval.ms", "500");
            self.connectors
                .sources
                .push(match source.get("connector.class") {
                    Some("sluice.file.FileSourceConnector") => source.with("file", file.path()),
                    _ => source
                        .with("http.url", api.url())
                        .with("since.parameter", "since")
                        .with("since.pointer", "/id"),
                });
        }
        self.users = Some((api, file));
        Ok(())
    }

    /// The topics that a sink reads.
    pub(super) fn topics(sink: &ReadyConfig) -> Vec<&str> {
        let topics = sink.get("topics").unwrap_or_default();
        topics.split(',').map(str::trim).collect()
    }
}

/// The stand-in for Snowflake knows its user by password.
fn variant(pipeline: PipelineId) -> Option<String> {
    (pipeline == PipelineId::RetailSnowflake).then(|| "password".to_owned())
}

/// The S3 sink's config with batches that fit the length of this run.
fn batches(sink: ReadyConfig, speed: &Speed) -> ReadyConfig {
    let millis = speed.batch.as_millis().to_string();
    let keys = ["rotate.schedule.interval.ms", "rotate.interval.ms"];
    let there = keys.into_iter().filter(|key| sink.get(key).is_some());
    let there: Vec<_> = there.collect();
    there
        .into_iter()
        .fold(sink, |sink, key| sink.with(key, millis.clone()))
}

/// Properties of the demo's worker.
pub(super) fn properties(args: &DemoArgs, data: &Path) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    if let Some(brokers) = &args.bootstrap_servers {
        let environment = environment::properties(std::env::vars());
        let login =
            |(key, _): &(String, String)| LOGIN.iter().any(|prefix| key.starts_with(prefix));
        properties.extend(environment.into_iter().filter(login));
        properties.insert("bootstrap.servers".to_owned(), brokers.clone());
    }
    properties.insert("data.dir".to_owned(), data.display().to_string());
    properties.insert("offset.flush.interval.ms".to_owned(), "1000".to_owned());
    properties
}

/// Says what goes where.
pub(super) fn announce(streams: &[Stream], log: &dyn Stage, targets: &[Target]) {
    let names: Vec<_> = streams.iter().map(|stream| stream.name).collect();
    print_text(&format!("{} → {}\n", names.join(", "), log.place()));
    for target in targets {
        let place = target.stage.as_ref().map_or_else(
            || "left out: give its address with --postgres URL".to_owned(),
            |stage| stage.place(),
        );
        print_text(&format!("  → {}: {place}\n", target.name));
    }
}
