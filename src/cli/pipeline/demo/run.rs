//! A demo from its first event to its last: produce, wait until all has arrived, stop, judge.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use reqwest::Method;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::DemoArgs;
use super::folder::RunFolder;
use super::generator::Generator;
use super::judgement::Finding;
use super::ledger::Ledger;
use super::pace::Pace;
use super::plan::{Origin, Speed, Stream, partitions};
use super::report::Report;
use super::setup::{self, Surroundings, announce, properties};
use super::stage::{LogStage, Stage};
use crate::cli::deployment::{self, has_failed, status_of, traces};
use crate::cli::local_worker::{self, LocalWorker};
use crate::cli::output::print_text;
use crate::cli::pipeline::catalog::Pipeline;
use crate::cli::ready_config::ReadyConfig;
use crate::cli::rest_client::connector_path;
use crate::kafka::{Log, Producer, ProducerOptions};

/// How long a connector may take until it runs.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(5);
/// Between two looks at what has arrived, at the end.
const LOOK: Duration = Duration::from_millis(300);

/// A demo whose worker and sinks run.
pub(super) struct Demo {
    worker: LocalWorker,
    surroundings: Surroundings,
    log: Arc<LogStage>,
    streams: Vec<(Stream, Ledger)>,
    speed: Speed,
    folder: RunFolder,
    drain: Option<Duration>,
}

impl Demo {
    pub(super) async fn start(pipeline: &'static Pipeline, args: &DemoArgs) -> Result<Self> {
        let ready = setup::ready(pipeline, args)?;
        let speed = Speed::of(args, pipeline.id, ready.sources.len())?;
        let server = local_worker::bind(args.port).await?;
        let folder = RunFolder::make(args)?;
        let mut surroundings = Surroundings::start(ready, args, &speed, folder.path()).await?;
        let streams = std::mem::take(&mut surroundings.streams);
        let properties = properties(args, &folder.worker())?;
        let worker = LocalWorker::start(server, &properties).await?;
        let (brokers, partitions) = (args.bootstrap_servers.clone(), partitions(pipeline.id));
        let log = LogStage::open(worker.log(), &streams, partitions, brokers).await?;
        announce(&streams, &log, &surroundings.targets);
        for sink in &mut surroundings.connectors.sinks {
            begin_here(&log, sink).await?;
        }
        let demo = Self {
            log: Arc::new(log),
            streams: streams
                .into_iter()
                .map(|stream| (stream, Ledger::default()))
                .collect(),
            drain: args.drain.map(Duration::from_secs),
            worker,
            surroundings,
            speed,
            folder,
        };
        demo.deploy().await?;
        Ok(demo)
    }

    async fn deploy(&self) -> Result<()> {
        let client = self.worker.client();
        for connector in self.surroundings.connectors.all() {
            let name = &connector.name;
            deployment::put(client, connector)
                .await
                .with_context(|| name.clone())?;
            let status = deployment::wait_until_running(client, name, START_DEADLINE).await?;
            if has_failed(&status) {
                bail!("{name} does not run:{}", traces(&status));
            }
            print_text(&format!("{name}: RUNNING\n"));
        }
        print_text(&format!(
            "the worker's REST API is at http://127.0.0.1:{}; Ctrl-C ends the events\n\n",
            self.worker.port()
        ));
        Ok(())
    }

    /// Runs to the end; exit code 0 if each event is at each stage once.
    pub(super) async fn run(self, stop: CancellationToken) -> Result<ExitCode> {
        let produced = self.produce(&stop).await;
        print_text("the events have ended; what is on its way arrives\n");
        let drained = self.drain().await;
        let failures = self.failures().await;
        let Self {
            worker,
            surroundings,
            log,
            streams,
            folder,
            ..
        } = self;
        take_down(worker, &surroundings, &*log.log).await;
        let report = Report {
            log,
            streams: &streams,
            surroundings: &surroundings,
        };
        let judged = report.print().await;
        print_text(&failures);
        for error in [
            produced.as_ref().err(),
            drained.as_ref().err(),
            judged.as_ref().err(),
        ] {
            print_text(&error.map_or_else(String::new, |error| format!("{error:#}\n")));
        }
        print_text(&format!("files of this run: {}\n", folder.path().display()));
        let is_good = produced.is_ok() && drained.is_ok() && judged.unwrap_or(false);
        Ok(deployment::exit_code(!is_good))
    }

    /// Produces to the end or until a signal, with a line of progress every few seconds.
    async fn produce(&self, stop: &CancellationToken) -> Result<()> {
        let options = ProducerOptions {
            client_id: "sluice-pipeline-demo".to_owned(),
            ..ProducerOptions::default()
        };
        let producer = self.log.log.producer(options).await?;
        let produced = self.produce_with(&producer, stop).await;
        let closed = producer.close().await;
        produced?;
        Ok(closed?)
    }

    async fn produce_with(
        &self,
        producer: &Arc<dyn Producer>,
        stop: &CancellationToken,
    ) -> Result<()> {
        let began = Instant::now();
        let mut producing = self.producers(producer, began, stop)?;
        let mut ticks = tokio::time::interval_at((began + PROGRESS).into(), PROGRESS);
        let mut outcome = Ok(());
        loop {
            tokio::select! {
                joined = producing.join_next() => match joined {
                    None => return outcome,
                    Some(ended) => {
                        let ended = ended.context("a producer ended").and_then(|ended| ended);
                        if ended.is_err() {
                            stop.cancel();
                            outcome = outcome.and(ended);
                        }
                    }
                },
                _ = ticks.tick() => self.progress(began).await,
            }
        }
    }

    /// A task for each stream.
    fn producers(
        &self,
        producer: &Arc<dyn Producer>,
        began: Instant,
        stop: &CancellationToken,
    ) -> Result<JoinSet<Result<()>>> {
        let (seed, count) = (fastrand::u64(..), u32::try_from(self.streams.len())?);
        let mut producing = JoinSet::new();
        for (number, (stream, ledger)) in (0..).zip(&self.streams) {
            let pace = Pace {
                // Not all types at the same moment.
                begin: began + self.speed.interval * number / count,
                interval: self.speed.interval,
                events: self.speed.events,
                end: self.speed.duration.map(|duration| began + duration),
                stop: stop.clone(),
            };
            let ledger = ledger.clone();
            match (stream.origin, &self.surroundings.users) {
                (Origin::Generated(kind), _) => {
                    let generator = Generator {
                        topic: stream.topic.as_str().into(),
                        producer: producer.clone(),
                        kind,
                        seed,
                        ledger,
                    };
                    producing.spawn(generator.run(pace))
                }
                (Origin::Api, Some((api, _))) => producing.spawn(api.grow(pace, ledger)),
                (Origin::Csv, Some((_, file))) => producing.spawn(file.grow(pace, ledger)),
                (Origin::Api | Origin::Csv, None) => bail!("{} has no origin", stream.name),
            };
        }
        Ok(producing)
    }

    /// All stages of this run, the log first.
    fn stages(&self) -> impl Iterator<Item = Arc<dyn Stage>> {
        let log: Arc<dyn Stage> = self.log.clone();
        let targets = self.surroundings.targets.iter();
        std::iter::once(log).chain(targets.filter_map(|target| target.stage.clone()))
    }

    fn made(&self) -> usize {
        self.streams.iter().map(|(_, ledger)| ledger.len()).sum()
    }

    /// How many events each stage holds.
    async fn counts(&self) -> Result<Vec<(&'static str, usize)>> {
        let mut counts = Vec::new();
        for stage in self.stages() {
            let mut count = 0;
            for (stream, _) in &self.streams {
                count += stage.count(stream).await?;
            }
            counts.push((stage.name(), count));
        }
        Ok(counts)
    }

    async fn progress(&self, began: Instant) {
        // First what has arrived: it is never more than was made.
        let counted = self.counts().await;
        let (seconds, made) = (began.elapsed().as_secs(), self.made());
        let line = match counted {
            Ok(counts) => {
                let counts = counts
                    .iter()
                    .map(|(name, count)| format!(", {count} in {name}"));
                format!(
                    "{seconds:>4} s  {made} produced{}\n",
                    counts.collect::<String>()
                )
            }
            Err(error) => format!("{seconds:>4} s  {made} produced; {error:#}\n"),
        };
        print_text(&line);
    }

    /// Waits until every stage holds each event, or the time is up, or a connector has failed.
    async fn drain(&self) -> Result<()> {
        let wait = self.drain;
        let wait = wait.unwrap_or(self.longest_batch() + Duration::from_secs(30));
        let (began, until) = (Instant::now(), Instant::now() + wait);
        let mut next_line = began + PROGRESS;
        while !self.have_all_arrived().await? {
            let now = Instant::now();
            if now >= until || !self.failures().await.is_empty() {
                return Ok(());
            }
            if now >= next_line {
                self.progress(began).await;
                next_line = now + PROGRESS;
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// True if each event is in the log and at each target. The log is only counted: what was acknowledged is there.
    async fn have_all_arrived(&self) -> Result<bool> {
        for (stream, ledger) in &self.streams {
            if self.log.count(stream).await? < ledger.len() {
                return Ok(false);
            }
            let produced = ledger.ids();
            for stage in self.stages().skip(1) {
                let held = stage.ids(stream).await?;
                if !Finding::of(&produced, &held).is_complete() {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The longest that an event may wait for its batch to be due.
    fn longest_batch(&self) -> Duration {
        let sinks = self.surroundings.connectors.sinks.iter();
        let waits = sinks.map(super::latency::longest_wait);
        waits.max().unwrap_or_default()
    }

    /// Why connectors have failed; empty if none has.
    async fn failures(&self) -> String {
        let mut text = String::new();
        for connector in self.surroundings.connectors.all() {
            let status = status_of(self.worker.client(), &connector.name).await;
            if let Ok(Some(status)) = status
                && has_failed(&status)
            {
                text += &format!("{} has failed:{}", connector.name, traces(&status));
            }
        }
        text
    }
}

/// Gives the sink a group of its own that begins at the first event of this run: topics may hold older ones.
async fn begin_here(log: &LogStage, sink: &mut ReadyConfig) -> Result<()> {
    let group = format!("sluice-demo-{:08x}-{}", fastrand::u32(..), sink.name);
    let starts = log.starts_of(&Surroundings::topics(sink));
    let offsets = starts
        .into_iter()
        .map(|(partition, start)| (partition, Some(start)));
    let admin = log.log.admin();
    admin
        .alter_group_offsets(&group, &offsets.collect())
        .await?;
    sink.config.insert(GROUP.to_owned(), group);
    Ok(())
}

const GROUP: &str = "consumer.override.group.id";

/// Removes the sources, then the sinks, then the worker and its groups. What fails here is said and changes nothing.
async fn take_down(worker: LocalWorker, surroundings: &Surroundings, log: &dyn Log) {
    let Surroundings { connectors, .. } = surroundings;
    for connector in connectors.sources.iter().chain(&connectors.sinks) {
        let path = connector_path(&connector.name, "");
        if let Err(error) = worker.client().call(Method::DELETE, &path, None).await {
            print_text(&format!("{}: {error:#}\n", connector.name));
        }
    }
    worker.shutdown().await;
    for group in connectors.sinks.iter().filter_map(|sink| sink.get(GROUP)) {
        if let Err(error) = log.admin().delete_group(group).await {
            print_text(&format!("the group {group} stays: {error}\n"));
        }
    }
}
