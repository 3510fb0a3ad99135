//! The surroundings of a demo: a folder, the servers the sinks write to, and configs that lead there.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail, ensure};

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
    /// In the order of the pipeline's sinks.
    pub(super) targets: Vec<Target>,
    pub(super) s3: Option<Arc<S3Stage>>,
    pub(super) users: Option<(Api, CsvFile)>,
    pub(super) streams: Vec<Stream>,
    /// Those that the worker runs.
    pub(super) connectors: Connectors,
}

/// A place a sink writes to.
pub(super) struct Target {
    pub(super) name: &'static str,
    /// `None` without `--postgres`.
    pub(super) stage: Option<Arc<dyn Stage>>,
}

/// The pipeline's connectors as they are ready.
pub(super) fn ready(pipeline: &Pipeline, args: &DemoArgs) -> Result<Connectors> {
    // The stand-in for Snowflake knows its user by password.
    let by_password = pipeline.id == PipelineId::RetailSnowflake;
    let changes = Changes {
        set: Vec::new(),
        variant: by_password.then(|| "password".to_owned()),
    };
    let connectors = Connectors::of(pipeline, &args.selection, &changes)?;
    ensure!(
        !connectors.sources.is_empty(),
        "no source is left: nothing would be produced"
    );
    Ok(connectors)
}

impl Surroundings {
    /// Starts servers and fits the ready connectors to them; what the user sets wins.
    pub(super) async fn start(
        ready: Connectors,
        args: &DemoArgs,
        speed: &Speed,
        folder: &Path,
    ) -> Result<Self> {
        let mut itself = Self {
            targets: Vec::new(),
            s3: None,
            users: None,
            streams: Vec::new(),
            connectors: Connectors {
                sources: ready.sources,
                sinks: Vec::new(),
            },
        };
        for sink in ready.sinks {
            itself.add_sink(sink, args, speed, folder).await?;
        }
        itself.add_users(folder).await?;
        for setting in &args.set {
            itself.connectors.change(setting)?;
        }
        for source in std::mem::take(&mut itself.connectors.sources) {
            let stream = Stream::of(&source)?;
            if !stream.is_generated() {
                itself.connectors.sources.push(source);
            }
            itself.streams.push(stream);
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
        let class = sink.get("connector.class").unwrap_or_default();
        let class = class.rsplit('.').next().unwrap_or_default().to_owned();
        let (name, stage, sink): (_, Arc<dyn Stage>, _) = match (class.as_str(), &args.postgres) {
            ("S3SinkConnector", _) => {
                let stage = Arc::new(S3Stage::start(folder, &sink).await?);
                self.s3 = Some(stage.clone());
                ("S3", stage.clone(), batches(stage.point(sink), speed))
            }
            ("SnowflakeSinkConnector", _) => {
                let stage = Arc::new(SnowflakeStage::start(&sink).await?);
                let seconds = speed.batch.as_secs().to_string();
                let sink = stage.point(sink).with("buffer.flush.time", seconds);
                ("Snowflake", stage, sink)
            }
            ("JdbcSinkConnector", Some(url)) => {
                let stage = Arc::new(PostgresStage::start(url, &args.name).await?);
                ("Postgres", stage.clone(), stage.point(sink))
            }
            ("JdbcSinkConnector", None) => {
                let (name, stage) = ("Postgres", None);
                self.targets.push(Target { name, stage });
                return Ok(());
            }
            _ => bail!("{}: the demo has no target for {class}", sink.name),
        };
        let stage = Some(stage);
        self.targets.push(Target { name, stage });
        self.connectors.sinks.push(sink);
        Ok(())
    }

    /// An API and a file for the sources that read such.
    async fn add_users(&mut self, folder: &Path) -> Result<()> {
        let sources = &mut self.connectors.sources;
        let reads = |source: &ReadyConfig| source.get("poll.interval.ms").is_some();
        if !sources.iter().any(reads) {
            return Ok(());
        }
        let api = Api::start().await?;
        let file = CsvFile::create(folder.join("users.csv")).await?;
        for source in sources {
            let changes = [
                ("poll.interval.ms", "500".to_owned()),
                ("file", file.path()),
                ("http.url", api.url().to_owned()),
            ];
            for (key, value) in changes {
                source.replace(key, value);
            }
            if source.get("http.url").is_some() {
                let since = [("since.parameter", "since"), ("since.pointer", "/id")];
                let since = since.map(|(key, value)| (key.to_owned(), value.to_owned()));
                source.config.extend(since);
            }
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

/// The S3 sink's config with batches that fit the length of this run.
fn batches(mut sink: ReadyConfig, speed: &Speed) -> ReadyConfig {
    for key in ["rotate.schedule.interval.ms", "rotate.interval.ms"] {
        sink.replace(key, speed.batch.as_millis().to_string());
    }
    sink
}

/// Properties of the demo's worker.
///
/// # Errors
/// A property in the environment is not text.
pub(super) fn properties(args: &DemoArgs, data: &Path) -> Result<BTreeMap<String, String>> {
    let mut properties = BTreeMap::new();
    if let Some(brokers) = &args.bootstrap_servers {
        let environment = environment::properties()?;
        let login =
            |(key, _): &(String, String)| LOGIN.iter().any(|prefix| key.starts_with(prefix));
        properties.extend(environment.into_iter().filter(login));
        properties.insert("bootstrap.servers".to_owned(), brokers.clone());
    }
    properties.insert("data.dir".to_owned(), data.display().to_string());
    properties.insert("offset.flush.interval.ms".to_owned(), "1000".to_owned());
    Ok(properties)
}

/// Says what goes where.
pub(super) fn announce(streams: &[Stream], log: &dyn Stage, targets: &[Target]) {
    let names: Vec<_> = streams.iter().map(|stream| stream.name.as_str()).collect();
    print_text(&format!("{} → {}\n", names.join(", "), log.place()));
    for target in targets {
        let place = target.stage.as_ref().map_or_else(
            || "left out: give its address with --postgres URL".to_owned(),
            |stage| stage.place(),
        );
        print_text(&format!("  → {}: {place}\n", target.name));
    }
}
