//! What the demo of each pipeline produces, and where each event can be found again.

use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::DemoArgs;
use crate::cli::pipeline::catalog::PipelineId;
use crate::cli::produce::EventKind;
use crate::cli::ready_config::ReadyConfig;

const DATAGEN: &str = "sluice.datagen.DatagenSourceConnector";
const HTTP: &str = "sluice.http.HttpSourceConnector";
const FILE: &str = "sluice.file.FileSourceConnector";

/// Events of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    /// The type, as the table shows it.
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) origin: Origin,
}

/// Where the events of a stream come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// Made here and written to the log.
    Generated(EventKind),
    /// Rows of an HTTP API, which a source connector reads.
    Api,
    /// Lines of a CSV file, which a source connector reads.
    Csv,
}

impl Stream {
    /// The stream that a source connector writes.
    pub(super) fn of(source: &ReadyConfig) -> Result<Self> {
        let (name, topic, origin) = match source.get("connector.class") {
            Some(DATAGEN) => {
                let kind = source.get("event.type").unwrap_or_default();
                let named = EventKind::named(kind);
                let origin =
                    Origin::Generated(named.with_context(|| {
                        format!("{}: event.type {kind} is not known", source.name)
                    })?);
                (
                    kind.strip_prefix("dealer-").or(Some(kind)),
                    "kafka.topic",
                    origin,
                )
            }
            Some(HTTP) => (source.get("envelope.source"), "topic", Origin::Api),
            Some(FILE) => (source.get("envelope.source"), "topic", Origin::Csv),
            other => bail!(
                "{}: the demo has no events for connector.class {}",
                source.name,
                other.unwrap_or_default()
            ),
        };
        let topic = source.get(topic);
        Ok(Self {
            name: name.unwrap_or(&source.name).to_owned(),
            topic: topic
                .with_context(|| format!("{}: no topic", source.name))?
                .to_owned(),
            origin,
        })
    }

    /// True if the demo makes the events itself, in the place of the connector.
    pub(super) fn is_generated(&self) -> bool {
        matches!(self.origin, Origin::Generated(_))
    }

    /// The field whose value no two events share.
    pub(super) fn id_field(&self) -> &'static str {
        match self.origin {
            Origin::Generated(kind) => kind.id_field(),
            Origin::Api | Origin::Csv => "id",
        }
    }
}

/// Partitions of a topic that the demo makes.
pub(super) fn partitions(pipeline: PipelineId) -> i32 {
    match pipeline {
        PipelineId::RetailSnowflake | PipelineId::RetailS3 => 3,
        PipelineId::Dealer | PipelineId::ApiPostgres => 1,
    }
}

/// How fast events come, and how many.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Speed {
    /// Between two events of a stream.
    pub(super) interval: Duration,
    /// Events of each stream; without a number the duration ends them.
    pub(super) events: Option<u64>,
    pub(super) duration: Option<Duration>,
    /// Time between two batches of a sink.
    pub(super) batch: Duration,
}

/// P2's stress test: events of each type, one a second.
const STRESS_EVENTS: u64 = 1000;
/// Batches of a run, at the least, where their length can be chosen.
const BATCHES: u32 = 8;
/// Lengths of a batch; each divides a day.
const BATCH_SECONDS: [u64; 7] = [1, 2, 5, 10, 30, 60, 120];

impl Speed {
    /// What the flags say, for a pipeline with this many streams.
    pub(super) fn of(args: &DemoArgs, pipeline: PipelineId, streams: usize) -> Result<Self> {
        let interval = interval(args, pipeline, streams)?;
        let events = args.events.or(args.stress.then_some(STRESS_EVENTS));
        let seconds = args.duration.or(events.is_none().then_some(90));
        let mut speed = Self {
            interval,
            events,
            duration: seconds.map(Duration::from_secs),
            batch: Duration::ZERO,
        };
        speed.batch = batch(speed.expected());
        Ok(speed)
    }

    /// How long events are expected to come.
    fn expected(&self) -> Duration {
        let last = self.events.unwrap_or(u64::MAX).saturating_sub(1);
        let all = u32::try_from(last)
            .ok()
            .and_then(|last| self.interval.checked_mul(last));
        let ends = [all, self.duration];
        ends.into_iter().flatten().min().unwrap_or(Duration::MAX)
    }
}

/// The longest length of a batch of which there are enough in `expected`.
fn batch(expected: Duration) -> Duration {
    let longest = (expected / BATCHES).as_secs();
    let fitting = BATCH_SECONDS.into_iter().rev();
    let seconds = fitting.into_iter().find(|seconds| *seconds <= longest);
    Duration::from_secs(seconds.unwrap_or(1))
}

fn interval(args: &DemoArgs, pipeline: PipelineId, streams: usize) -> Result<Duration> {
    if args.stress {
        return Ok(Duration::from_secs(1));
    }
    if let Some(seconds) = args.interval {
        return match Duration::try_from_secs_f64(seconds) {
            Ok(interval) if !interval.is_zero() => Ok(interval),
            _ => bail!("--interval {seconds}: must be a number of seconds over 0"),
        };
    }
    let rate = args.rate.unwrap_or(match pipeline {
        PipelineId::Dealer => 72.0,
        PipelineId::ApiPostgres => 120.0,
        PipelineId::RetailSnowflake | PipelineId::RetailS3 => 600.0,
    });
    let streams = u32::try_from(streams).unwrap_or(u32::MAX);
    match Duration::try_from_secs_f64(60.0 * f64::from(streams) / rate) {
        Ok(interval) if rate > 0.0 && !interval.is_zero() => Ok(interval),
        _ => bail!("--rate {rate}: must be a number of events a minute over 0"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(change: impl FnOnce(&mut DemoArgs)) -> DemoArgs {
        let mut args = DemoArgs::of("dealer");
        change(&mut args);
        args
    }

    fn speed(change: impl FnOnce(&mut DemoArgs)) -> Result<Speed> {
        Speed::of(&args(change), PipelineId::Dealer, 6)
    }

    #[test]
    fn a_source_s_config_says_which_events_it_writes() {
        let read = |text: &str| Stream::of(&ReadyConfig::parse("x", text).unwrap());
        let dealer = format!(
            r#"{{"name": "x", "connector.class": "{DATAGEN}", "event.type": "dealer-sales", "kafka.topic": "sales_topic"}}"#
        );
        let stream = read(&dealer).unwrap();
        let (name, topic) = (stream.name.as_str(), stream.topic.as_str());
        assert_eq!(
            (name, topic, stream.id_field()),
            ("sales", "sales_topic", "event_id")
        );
        let csv = format!(
            r#"{{"name": "x", "connector.class": "{FILE}", "envelope.source": "csv", "topic": "t"}}"#
        );
        assert_eq!(read(&csv).unwrap().origin, Origin::Csv);
        assert!(read(r#"{"name": "x", "connector.class": "y"}"#).is_err());
    }

    #[test]
    fn by_default_the_dealer_s_six_systems_make_72_events_a_minute_for_90_seconds() {
        let speed = speed(|_| {}).unwrap();
        assert_eq!(speed.interval, Duration::from_secs(5));
        assert_eq!(speed.duration, Some(Duration::from_secs(90)));
        assert_eq!((speed.events, speed.batch.as_secs()), (None, 10));
    }

    #[test]
    fn the_stress_test_is_a_thousand_events_of_each_type_one_a_second() {
        let stress = speed(|args| args.stress = true).unwrap();
        let spelled = speed(|args| {
            args.events = Some(1000);
            args.interval = Some(1.0);
        });
        assert_eq!(stress, spelled.unwrap());
        assert_eq!((stress.events, stress.duration), (Some(1000), None));
        assert_eq!(stress.interval, Duration::from_secs(1));
        assert_eq!(stress.batch.as_secs(), 120);
    }

    #[test]
    fn a_short_run_has_short_batches() {
        let short = speed(|args| args.duration = Some(3)).unwrap();
        assert_eq!(short.batch.as_secs(), 1);
    }

    #[test]
    fn speeds_that_are_none_are_refused() {
        for wrong in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let said = speed(|args| args.rate = Some(wrong))
                .unwrap_err()
                .to_string();
            assert!(said.contains("--rate"), "{said}");
            let said = speed(|args| args.interval = Some(wrong))
                .unwrap_err()
                .to_string();
            assert!(said.contains("--interval"), "{said}");
        }
    }
}
