//! What to produce and where: flags win over the file, the file over the environment, that over defaults.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Map, Value};
use sluice_connector_datagen::events::EventKind;

/// Flags of one stream of events.
#[derive(Debug, Args)]
pub(in crate::cli) struct StreamArgs {
    /// Brokers, separated by commas [env: KAFKA_BOOTSTRAP_SERVERS] [default: localhost:9092]
    #[arg(long, visible_alias = "bootstrap-servers")]
    brokers: Option<String>,
    /// The topic; made if it is not there [env: KAFKA_TOPIC] [default: sales_events]
    #[arg(long)]
    topic: Option<String>,
    /// How many events [default: without end]
    #[arg(long, visible_alias = "events")]
    count: Option<u64>,
    /// Seconds between two events [env: PRODUCER_INTERVAL] [default: 1]
    #[arg(long)]
    interval: Option<f64>,
    /// No pause: as fast as possible
    #[arg(long)]
    burst: bool,
    /// A JSON file with any of these settings
    #[arg(long)]
    config: Option<PathBuf>,
    /// The field that becomes the key [default: no key]
    #[arg(long)]
    key: Option<String>,
    /// The same seed makes the same events [default: another one each time]
    #[arg(long)]
    seed: Option<u64>,
    /// Partitions, if the topic must be made
    #[arg(long)]
    partitions: Option<i32>,
    /// Say more
    #[arg(long, short)]
    verbose: bool,
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

/// Everything decided.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) kind: EventKind,
    pub(super) brokers: Vec<String>,
    pub(super) topic: String,
    pub(super) count: Option<u64>,
    pub(super) interval: Duration,
    pub(super) burst: bool,
    pub(super) key: Option<String>,
    pub(super) seed: u64,
    pub(super) partitions: i32,
    pub(super) level: Level,
}

/// Keys of the file, under any of their names.
const FILE_KEYS: &[&[&str]] = &[
    &["brokers", "bootstrap_servers"],
    &["topic"],
    &["count", "events"],
    &["interval"],
    &["burst"],
    &["key"],
    &["seed"],
    &["partitions"],
    &["verbose"],
];

impl Settings {
    pub(super) fn resolve(kind: EventKind, args: StreamArgs) -> Result<Self> {
        let file = File::read(args.config.as_deref())?;
        let env = |key: &str| std::env::var(key).ok().filter(|value| !value.is_empty());
        let brokers = args
            .brokers
            .or(file.text("brokers")?)
            .or(env("KAFKA_BOOTSTRAP_SERVERS"));
        let interval = match (
            args.interval,
            file.number("interval")?,
            env("PRODUCER_INTERVAL"),
        ) {
            (Some(seconds), _, _) | (None, Some(seconds), _) => seconds,
            (None, None, Some(text)) => text
                .parse()
                .with_context(|| format!("PRODUCER_INTERVAL={text} is not a number of seconds"))?,
            (None, None, None) => 1.0,
        };
        let key = args.key.or(file.text("key")?);
        if let Some(key) = &key
            && !kind.fields().contains(&key.as_str())
        {
            bail!("--key {key}: must be one of {}", kind.fields().join(", "));
        }
        let burst = args.burst || file.flag("burst")?;
        let seconds = if burst { 0.0 } else { interval };
        Ok(Self {
            kind,
            brokers: brokers
                .unwrap_or_else(|| "localhost:9092".to_owned())
                .split(',')
                .map(|broker| broker.trim().to_owned())
                .collect(),
            topic: args
                .topic
                .or(file.text("topic")?)
                .or(env("KAFKA_TOPIC"))
                .unwrap_or_else(|| "sales_events".to_owned()),
            count: args.count.or(file.integer("count")?),
            interval: Duration::try_from_secs_f64(seconds)
                .with_context(|| format!("--interval {seconds}: must be 0 or more seconds"))?,
            burst,
            key,
            seed: args
                .seed
                .or(file.integer("seed")?)
                .unwrap_or_else(|| fastrand::u64(..)),
            partitions: match args.partitions {
                Some(partitions) => partitions,
                None => file
                    .integer("partitions")?
                    .and_then(|number| i32::try_from(number).ok())
                    .unwrap_or(3),
            },
            level: level(
                args.verbose || file.flag("verbose")?,
                env("LOG_LEVEL").as_deref(),
            )?,
        })
    }
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

/// Settings of a file.
struct File(Map<String, Value>);

impl File {
    fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Ok(Self(Map::new()));
        };
        let shown = path.display();
        let text = std::fs::read_to_string(path).with_context(|| format!("reading {shown}"))?;
        let json: Value =
            serde_json::from_str(&text).with_context(|| format!("{shown} is not JSON"))?;
        let Value::Object(given) = json else {
            bail!("{shown}: a JSON object is needed");
        };
        let mut settings = Map::new();
        for (key, value) in given {
            let normal = key.replace('-', "_");
            let Some(name) = FILE_KEYS
                .iter()
                .find(|names| names.contains(&normal.as_str()))
                .and_then(|names| names.first())
            else {
                let known: Vec<_> = FILE_KEYS.concat();
                bail!(
                    "{shown}: {key} is not known; known are {}",
                    known.join(", ")
                );
            };
            settings.insert((*name).to_owned(), value);
        }
        Ok(Self(settings))
    }

    fn get<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&Value) -> Option<T>,
    ) -> Result<Option<T>> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => read(value)
                .map(Some)
                .with_context(|| format!("the config file's {key} is {value}: must be {what}")),
        }
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        self.get(key, "text", |value| value.as_str().map(str::to_owned))
    }

    fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key, "a number", Value::as_f64)
    }

    fn integer(&self, key: &str) -> Result<Option<u64>> {
        self.get(key, "a whole number", Value::as_u64)
    }

    fn flag(&self, key: &str) -> Result<bool> {
        Ok(self
            .get(key, "true or false", Value::as_bool)?
            .unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Wrapper {
        #[command(flatten)]
        args: StreamArgs,
    }

    fn resolved(arguments: &[&str]) -> Result<Settings> {
        let arguments = std::iter::once("produce").chain(arguments.iter().copied());
        Settings::resolve(EventKind::Orders, Wrapper::try_parse_from(arguments)?.args)
    }

    #[test]
    fn flags_win_over_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("producer.json");
        std::fs::write(&path, r#"{"bootstrap-servers": "file:1", "topic": "from_file", "interval": 2.5, "events": 7}"#).unwrap();
        let settings =
            resolved(&["--config", path.to_str().unwrap(), "--topic", "from_flag"]).unwrap();
        assert_eq!(settings.topic, "from_flag");
        assert_eq!(settings.brokers, ["file:1"]);
        assert_eq!(settings.interval, Duration::from_millis(2500));
        assert_eq!(settings.count, Some(7));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("producer.json");
        std::fs::write(&path, r#"{"topik": "x"}"#).unwrap();
        let error = resolved(&["--config", path.to_str().unwrap()]).unwrap_err();
        assert!(error.to_string().contains("topik"), "{error}");
        let error = resolved(&["--key", "nope"]).unwrap_err();
        assert!(error.to_string().contains("customer_id"), "{error}");
        assert!(resolved(&["--interval=-1"]).is_err());
    }
}
