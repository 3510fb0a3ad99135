//! What to produce and where: flags win over the file, the file over the environment, that over defaults.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use sluice_connector_datagen::events::{Disorder, EventKind, System};

use super::file::File;

/// Flags that all generators have.
#[derive(Debug, Args)]
pub(super) struct StreamArgs {
    /// Brokers, separated by commas [env: KAFKA_BOOTSTRAP_SERVERS] [default: localhost:9092]
    #[arg(long, visible_alias = "bootstrap-servers")]
    brokers: Option<String>,
    /// The topic; made if it is not there [env: KAFKA_TOPIC] [default: sales_events, transactions or TYPE_topic]
    #[arg(long)]
    topic: Option<String>,
    /// How many events [default: without end]
    #[arg(long, visible_aliases = ["events", "num-transactions"])]
    count: Option<u64>,
    /// Seconds between two events [env: PRODUCER_INTERVAL] [default: 1, for dealer 5]
    #[arg(long)]
    interval: Option<f64>,
    /// No pause: as fast as possible
    #[arg(long)]
    burst: bool,
    /// Without end, or until --duration
    #[arg(long, conflicts_with = "count")]
    continuous: bool,
    /// Seconds until it ends
    #[arg(long)]
    duration: Option<f64>,
    /// A JSON file with any of these settings
    #[arg(long)]
    config: Option<PathBuf>,
    /// Write in transactions: readers of committed records see each event once
    #[arg(long)]
    exactly_once: bool,
    /// The transactional id; a new run with it fences an older one [default: another one each time]
    #[arg(long, requires = "exactly_once")]
    transactional_id: Option<String>,
    /// Percent of events dated back by 11 to 60 minutes
    #[arg(long, value_name = "PERCENT")]
    late: Option<f64>,
    /// Percent of events written twice in a row; --count counts them once
    #[arg(long, value_name = "PERCENT")]
    duplicates: Option<f64>,
    /// The field that becomes the key [default: no key]
    #[arg(long)]
    key: Option<String>,
    /// The same seed makes the same events [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// The number of the first event of the seed, from 0
    #[arg(long)]
    start: Option<u64>,
    /// Partitions, if the topic must be made [default: 3]
    #[arg(long)]
    partitions: Option<i32>,
    /// Show each event [env: LOG_LEVEL=DEBUG, INFO, WARNING or ERROR]
    #[arg(long, short)]
    verbose: bool,
}

/// Flags of the dealer's systems.
#[derive(Debug, Args)]
pub(super) struct DealerArgs {
    /// sales, payments, interactions, inventory, procurement, telemetry, or all; runs with the same --seed tell one story [default: all]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    #[command(flatten)]
    stream: StreamArgs,
}

/// How much is said: LOG_LEVEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    Debug,
    Info,
    Warning,
    Error,
}

impl Level {
    pub(super) fn shows_info(self) -> bool {
        self <= Self::Info
    }
}

/// What a reader may rely on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Guarantee {
    AtLeastOnce,
    ExactlyOnce { transactional_id: String },
}

/// Events of one kind, to one topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stream {
    pub(super) kind: EventKind,
    pub(super) topic: String,
}

/// Everything decided.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) streams: Vec<Stream>,
    pub(super) brokers: Vec<String>,
    /// Events of each stream.
    pub(super) count: Option<u64>,
    pub(super) interval: Duration,
    pub(super) duration: Option<Duration>,
    pub(super) burst: bool,
    pub(super) guarantee: Guarantee,
    pub(super) disorder: Disorder,
    pub(super) key: Option<String>,
    pub(super) seed: u64,
    /// The number of the first event.
    pub(super) start: u64,
    pub(super) partitions: i32,
    pub(super) level: Level,
}

impl Settings {
    /// Settings of one generator.
    pub(super) fn resolve(kind: EventKind, args: StreamArgs) -> Result<Self> {
        let given = Given::new(args)?;
        let default = match kind {
            EventKind::Transactions => "transactions".to_owned(),
            EventKind::Sales | EventKind::Orders => "sales_events".to_owned(),
            EventKind::Dealer(system) => format!("{}_topic", system.name()),
        };
        let topic = given.topic()?.or(env("KAFKA_TOPIC")).unwrap_or(default);
        given.settings(vec![Stream { kind, topic }], 1.0)
    }

    /// Settings of one or all of the dealer's systems.
    pub(super) fn resolve_dealer(args: DealerArgs) -> Result<Self> {
        let given = Given::new(args.stream)?;
        let kind = args.kind.or(given.file.text("type")?);
        let systems = systems(kind.as_deref().unwrap_or("all"))?;
        let topic = given.topic()?;
        if topic.is_some() && systems.len() > 1 {
            bail!(
                "--topic is for one --type; of all, each has its own: sales_topic, payments_topic …"
            );
        }
        let topic = topic.or_else(|| env("KAFKA_TOPIC").filter(|_| systems.len() == 1));
        let stream = |system: System| Stream {
            kind: EventKind::Dealer(system),
            topic: topic
                .clone()
                .unwrap_or_else(|| format!("{}_topic", system.name())),
        };
        let streams = systems.into_iter().map(stream).collect();
        given.settings(streams, 5.0)
    }
}

fn systems(name: &str) -> Result<Vec<System>> {
    if name.eq_ignore_ascii_case("all") {
        return Ok(System::ALL.to_vec());
    }
    let named = System::ALL
        .into_iter()
        .find(|system| system.name().eq_ignore_ascii_case(name));
    let names = || System::ALL.map(System::name).join(", ");
    let system = named.with_context(|| format!("--type {name}: must be {} or all", names()))?;
    Ok(vec![system])
}

fn env(key: &str) -> Option<String> {
    std::env::var(key).ok().filter(|value| !value.is_empty())
}

/// Flags, with the file they name.
struct Given {
    args: StreamArgs,
    file: File,
}

impl Given {
    fn new(args: StreamArgs) -> Result<Self> {
        let file = File::read(args.config.as_deref())?;
        Ok(Self { args, file })
    }

    fn topic(&self) -> Result<Option<String>> {
        Ok(self.args.topic.clone().or(self.file.text("topic")?))
    }

    fn settings(self, streams: Vec<Stream>, default_interval: f64) -> Result<Settings> {
        let (args, file) = (&self.args, &self.file);
        let burst = args.burst || file.flag("burst")?;
        let seed = args.seed.or(file.integer("seed")?);
        let start = args.start.or(file.integer("start")?);
        Ok(Settings {
            brokers: self.brokers()?,
            count: self.count()?,
            interval: if burst {
                Duration::ZERO
            } else {
                self.interval(default_interval)?
            },
            duration: self.duration()?,
            burst,
            guarantee: self.guarantee()?,
            disorder: self.disorder()?,
            key: self.key(&streams)?,
            seed: seed.unwrap_or_else(|| fastrand::u64(..)),
            start: start.unwrap_or(0),
            partitions: self.partitions()?,
            level: self.level()?,
            streams,
        })
    }

    fn brokers(&self) -> Result<Vec<String>> {
        let given = self.args.brokers.clone().or(self.file.list("brokers")?);
        let given = given.or(env("KAFKA_BOOTSTRAP_SERVERS"));
        let text = given.unwrap_or_else(|| "localhost:9092".to_owned());
        Ok(text
            .split(',')
            .map(|broker| broker.trim().to_owned())
            .collect())
    }

    fn count(&self) -> Result<Option<u64>> {
        if self.args.continuous {
            return Ok(None);
        }
        if self.args.count.is_some() {
            return Ok(self.args.count);
        }
        let count = self.file.integer("count")?;
        Ok(if self.file.flag("continuous")? {
            None
        } else {
            count
        })
    }

    fn interval(&self, default: f64) -> Result<Duration> {
        let variable = env("PRODUCER_INTERVAL").map(|text| {
            let read = text.parse();
            read.with_context(|| format!("PRODUCER_INTERVAL={text} is not a number of seconds"))
        });
        let seconds = match (self.args.interval, self.file.number("interval")?) {
            (Some(seconds), _) | (None, Some(seconds)) => seconds,
            (None, None) => variable.transpose()?.unwrap_or(default),
        };
        duration("--interval", seconds)
    }

    fn duration(&self) -> Result<Option<Duration>> {
        let seconds = self.args.duration.or(self.file.number("duration")?);
        seconds
            .map(|seconds| duration("--duration", seconds))
            .transpose()
    }

    fn guarantee(&self) -> Result<Guarantee> {
        let id = self.args.transactional_id.clone();
        let id = id.or(self.file.text("transactional_id")?);
        if !self.args.exactly_once && !self.file.flag("exactly_once")? {
            return Ok(Guarantee::AtLeastOnce);
        }
        let transactional_id =
            id.unwrap_or_else(|| format!("sluice-produce-{:016x}", fastrand::u64(..)));
        Ok(Guarantee::ExactlyOnce { transactional_id })
    }

    fn disorder(&self) -> Result<Disorder> {
        let disorder = Disorder {
            late: self.args.late.or(self.file.number("late")?).unwrap_or(0.0),
            duplicates: self
                .args
                .duplicates
                .or(self.file.number("duplicates")?)
                .unwrap_or(0.0),
        };
        for (flag, percent) in [
            ("--late", disorder.late),
            ("--duplicates", disorder.duplicates),
        ] {
            if !(0.0..=100.0).contains(&percent) {
                bail!("{flag} {percent}: must be 0 to 100 percent");
            }
        }
        Ok(disorder)
    }

    /// The key's field; at least one stream must have it.
    fn key(&self, streams: &[Stream]) -> Result<Option<String>> {
        let key = self.args.key.clone().or(self.file.text("key")?);
        let has = |stream: &Stream, key: &str| stream.kind.fields().contains(&key);
        if let Some(key) = &key
            && !streams.iter().any(|stream| has(stream, key))
        {
            let fields = streams.iter().flat_map(|stream| stream.kind.fields());
            let mut fields: Vec<_> = fields.copied().collect();
            fields.sort_unstable();
            fields.dedup();
            bail!("--key {key}: must be one of {}", fields.join(", "));
        }
        Ok(key)
    }

    fn partitions(&self) -> Result<i32> {
        let given = match self.args.partitions {
            Some(partitions) => Some(partitions),
            None => self
                .file
                .integer("partitions")?
                .map(|number| i32::try_from(number).unwrap_or(i32::MAX)),
        };
        match given.unwrap_or(3) {
            partitions @ 1.. => Ok(partitions),
            partitions => bail!("--partitions {partitions}: must be 1 or more"),
        }
    }

    fn level(&self) -> Result<Level> {
        let verbose = self.args.verbose || self.file.flag("verbose")?;
        level(verbose, env("LOG_LEVEL").as_deref())
    }
}

fn duration(flag: &str, seconds: f64) -> Result<Duration> {
    Duration::try_from_secs_f64(seconds)
        .with_context(|| format!("{flag} {seconds}: must be 0 or more seconds"))
}

fn level(verbose: bool, text: Option<&str>) -> Result<Level> {
    if verbose {
        return Ok(Level::Debug);
    }
    Ok(match text.map(str::to_ascii_uppercase).as_deref() {
        None | Some("INFO") => Level::Info,
        Some("DEBUG") => Level::Debug,
        Some("WARNING" | "WARN") => Level::Warning,
        Some("ERROR") => Level::Error,
        Some(other) => bail!("LOG_LEVEL={other}: must be DEBUG, INFO, WARNING or ERROR"),
    })
}

#[cfg(test)]
mod tests;
