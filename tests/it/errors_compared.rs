//! The same bad records given to the real Kafka Connect 4.3.1 and to ours: what is tolerated, what the dead letter queue gets,
//! what the headers say, what is logged.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Connect, ConnectOptions, Kafka};

use crate::support::{WorkerProcess, kcat, states_at, wait_until};

const SOON: Duration = Duration::from_secs(90);

/// A connector that reads `topic` and cannot cast a text to a number.
fn config(topic: &str, side: &str, folder: &std::path::Path, tolerance: &str) -> Value {
    json!({
        "connector.class": "FileStreamSink",
        "topics": topic,
        // Connectors of the same name on the same brokers would share a group.
        "consumer.override.group.id": format!("{topic}-{side}"),
        "file": folder.join(format!("{topic}-{side}.txt")),
        "errors.tolerance": tolerance,
        "errors.log.enable": "true",
        "errors.log.include.messages": "true",
        "errors.deadletterqueue.topic.name": format!("{topic}-{side}-dead"),
        "errors.deadletterqueue.topic.replication.factor": "1",
        "errors.deadletterqueue.context.headers.enable": "true",
        "transforms": "cast",
        "transforms.cast.type": "org.apache.kafka.connect.transforms.Cast$Value",
        "transforms.cast.spec": "id:int32",
    })
}

/// What one worker has made of a topic.
struct Outcome {
    letters: Vec<kcat::Record>,
    trace: String,
    log: String,
    lines: usize,
}

/// The values of headers that must be alike.
fn facts(letter: &kcat::Record) -> Vec<String> {
    [
        "topic",
        "partition",
        "offset",
        "connector.name",
        "task.id",
        "stage",
        "class.name",
        "exception.class.name",
    ]
    .iter()
    .map(|name| format!("{name}={}", letter.error(name)))
    .collect()
}

fn stage_class(stage: &str) -> &str {
    match stage {
        "TRANSFORMATION" => "Cast$Value",
        _ => "JsonConverter",
    }
}

struct Both {
    theirs: Outcome,
    ours: Outcome,
}

struct Workers {
    kafka: &'static Kafka,
    folder: tempfile::TempDir,
    connect: Connect,
    worker: WorkerProcess,
}

impl Workers {
    async fn start() -> Result<Self> {
        let kafka = tokio::task::spawn_blocking(Kafka::shared).await??;
        let connect =
            tokio::task::spawn_blocking(|| Connect::start(kafka, &ConnectOptions::default()));
        let folder = tempfile::tempdir()?;
        // 0 is as Kafka Connect.
        let settings = ["task.restart.backoff.ms=0"];
        let worker = WorkerProcess::start_with(folder.path(), Some(kafka.bootstrap()), &settings)?;
        Ok(Self {
            kafka,
            folder,
            connect: connect.await??,
            worker,
        })
    }

    fn url(&self, side: &str) -> String {
        match side {
            "theirs" => format!("http://{}", self.connect.address()),
            _ => self.worker.url(""),
        }
    }

    async fn outcome(&self, topic: &str, side: &str, tolerance: &str) -> Result<Outcome> {
        let (url, folder) = (self.url(side), self.folder.path());
        let config = config(topic, side, folder, tolerance);
        let put = format!("{url}/connectors/{topic}/config");
        let answer = reqwest::Client::new().put(put).json(&config).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        let lines = || {
            let text = std::fs::read_to_string(folder.join(format!("{topic}-{side}.txt")));
            text.unwrap_or_default().lines().count()
        };
        wait_until(&format!("{side}: {topic} is through"), SOON, || async {
            let states = states_at(&url, topic).await?;
            Ok(states == "RUNNING [FAILED]" || (tolerance == "all" && lines() == 2))
        })
        .await?;
        let status = reqwest::get(format!("{url}/connectors/{topic}/status")).await?;
        let status: Value = status.json().await?;
        let log = match side {
            "theirs" => self.connect.log()?,
            _ => self.worker.log(),
        };
        Ok(Outcome {
            letters: kcat::records(&self.kafka.bootstrap(), &format!("{topic}-{side}-dead"))?,
            trace: status["tasks"][0]["trace"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            log: log
                .lines()
                .filter(|line| line.contains(topic))
                .collect::<Vec<_>>()
                .join("\n"),
            lines: lines(),
        })
    }

    async fn both(&self, topic: &str, values: &[&str], tolerance: &str) -> Result<Both> {
        self.kafka.create_topic(topic, 1, &[])?;
        kcat::produce(
            &self.kafka.bootstrap(),
            topic,
            values.iter().map(|&value| value.to_owned()),
        )?;
        Ok(Both {
            theirs: self.outcome(topic, "theirs", tolerance).await?,
            ours: self.outcome(topic, "ours", tolerance).await?,
        })
    }
}

impl Both {
    /// The queues hold the same records with the same headers in the same order.
    fn check_letters(&self, count: usize) -> Result<()> {
        assert_eq!(self.theirs.letters.len(), count, "Kafka Connect's queue");
        assert_eq!(self.ours.letters.len(), count, "our queue");
        for (theirs, ours) in self.theirs.letters.iter().zip(&self.ours.letters) {
            assert_eq!(theirs.value, ours.value);
            assert_eq!(facts(theirs), facts(ours));
            assert_eq!(theirs.names, ours.names, "names of headers, in order");
            let (their_message, message) = (
                theirs.error("exception.message"),
                ours.error("exception.message"),
            );
            let cause = their_message.trim_end_matches([' ', ':']);
            ensure!(!cause.is_empty() && message.contains(cause), "{message}");
            ensure!(
                ours.error("exception.stacktrace").contains(cause),
                "the trace lacks {cause}"
            );
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_records_end_where_kafka_connect_puts_them() -> Result<()> {
    let workers = Workers::start().await?;
    let good = r#"{"id": "1"}"#;
    let (broken, no_number) = (r#"{"id": "#, r#"{"id": "no number"}"#);

    // Not tolerated: the first bad record is in the queue all the same, then the task fails.
    for (topic, bad, stage) in [
        ("compared-broken", broken, "VALUE_CONVERTER"),
        ("compared-cast", no_number, "TRANSFORMATION"),
    ] {
        let both = workers.both(topic, &[good, bad, bad], "none").await?;
        both.check_letters(1)?;
        for outcome in [&both.theirs, &both.ours] {
            let is_its = |line: &&str| line.contains("ERROR") && line.contains(stage);
            let line = outcome.log.lines().find(is_its).context("a line")?;
            for told in ["JsonConverter", "Cast$Value"] {
                assert_eq!(line.contains(told), stage_class(stage) == told, "{line}");
            }
            ensure!(line.contains("timestamp="), "{line}");
            // The record itself is not logged, although messages are to be included.
            ensure!(
                !line.contains("id\\\": ") && !line.contains("{\"id"),
                "{line}"
            );
            let cause = outcome.letters.first().context("a letter")?;
            let cause = cause
                .error("exception.message")
                .trim_end_matches([' ', ':']);
            let said = cause.rsplit(": ").next().unwrap_or(cause);
            ensure!(
                outcome.trace.contains(said),
                "no {said} in {}",
                outcome.trace
            );
        }
    }
    // Tolerated: all bad ones are in the queue, all good ones in the file.
    let both = workers
        .both("compared-all", &[good, broken, no_number, good], "all")
        .await?;
    both.check_letters(2)?;
    assert_eq!((both.theirs.lines, both.ours.lines), (2, 2));
    Ok(())
}
