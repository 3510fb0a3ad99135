//! Exactly-once sources on a real Kafka: whatever is killed, a reader of committed records sees each line once.

mod compared;
mod proxy;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use connect_core::ErrorKind;
use connect_core::data::TopicPartition;
use serde_json::{Value, json};
use sluice::kafka::cluster::ClusterLog;
use sluice::kafka::{Log, NewTopic, ProducerOptions, ProducerRecord};

use crate::support::{WorkerProcess, kcat, wait_until};
use proxy::{Point, ProxiedKafka};

const SOON: Duration = Duration::from_secs(90);
const PARTITIONS: i32 = 3;
/// Of the generator.
const EVENTS: usize = 20_000;

/// The options of a worker that delivers exactly once.
const GROUP: &[&str] = &[
    "group.id=once",
    "config.storage.topic=once-configs",
    "offset.storage.topic=once-offsets",
    "status.storage.topic=once-statuses",
    "config.storage.replication.factor=1",
    "offset.storage.replication.factor=1",
    "status.storage.replication.factor=1",
    "offset.storage.partitions=2",
    "status.storage.partitions=1",
    "session.timeout.ms=6000",
    "heartbeat.interval.ms=1000",
    // What a worker that has died has run is given to the next at once.
    "scheduled.rebalance.max.delay.ms=0",
    "exactly.once.source.support=enabled",
    "value.converter=org.apache.kafka.connect.storage.StringConverter",
    "task.restart.backoff.ms=200",
];

/// A broker, its clients and a folder.
struct Stage {
    kafka: ProxiedKafka,
    log: ClusterLog,
    folder: tempfile::TempDir,
}

impl Stage {
    async fn set() -> Result<Self> {
        let kafka = ProxiedKafka::start().await?;
        let properties = [("bootstrap.servers".to_owned(), kafka.bootstrap())].into();
        Ok(Self {
            log: ClusterLog::connect(&properties).await?,
            kafka,
            folder: tempfile::tempdir()?,
        })
    }

    async fn topic(&self, name: &str) -> Result<()> {
        self.topic_with(name, &[]).await
    }

    async fn topic_with(&self, name: &str, settings: &[(&str, &str)]) -> Result<()> {
        let settings = settings.iter();
        let topic = NewTopic {
            name: name.to_owned(),
            partitions: Some(PARTITIONS),
            replication_factor: Some(1),
            settings: settings
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        };
        self.log.admin().create_topic(&topic).await?;
        Ok(())
    }

    /// A worker of the group; `name` is that of its folder.
    fn worker(&self, name: &str) -> Result<WorkerProcess> {
        let (folder, bootstrap) = (self.path(name), self.kafka.bootstrap());
        tokio::task::block_in_place(|| WorkerProcess::start_with(&folder, Some(bootstrap), GROUP))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Offsets of a topic, markers and dropped records included.
    async fn written(&self, topic: &str) -> Result<i64> {
        let partitions: Vec<_> = (0..PARTITIONS)
            .map(|number| TopicPartition::new(topic, number))
            .collect();
        let ends = self.log.admin().end_offsets(&partitions).await?;
        Ok(ends.values().map(|end| end.value()).sum())
    }

    /// Waits until more than `offsets` are written.
    async fn await_written(&self, topic: &str, offsets: i64) -> Result<()> {
        let what = format!("{offsets} offsets of {topic}");
        wait_until(&what, SOON, || async {
            Ok(self.written(topic).await? > offsets)
        })
        .await
    }

    /// Keys and values of a compacted topic.
    fn entries(&self, topic: &str) -> Result<Vec<String>> {
        kcat::lines(&self.kafka.bootstrap(), topic, "%k %s")
    }

    /// Waits until this is the offset of the connector's only source partition.
    async fn await_offset(&self, worker: &WorkerProcess, offset: &Value) -> Result<()> {
        let probe = || async {
            let found = worker.get("/connectors/lines/offsets").await?;
            ensure!(found["offsets"][0]["offset"] == *offset, "{found}");
            Ok(true)
        };
        wait_until(&offset.to_string(), SOON, probe).await
    }

    /// Committed values by partition, in order.
    fn committed(&self, topic: &str) -> Result<BTreeMap<i32, Vec<String>>> {
        let mut records = BTreeMap::<_, Vec<_>>::new();
        for line in kcat::lines(&self.kafka.bootstrap(), topic, "%p %s")? {
            let (partition, value) = line.split_once(' ').context("partition and value")?;
            let partition = partition.parse()?;
            records.entry(partition).or_default().push(value.to_owned());
        }
        Ok(records)
    }

    /// Waits until as many records are committed, then looks that each of them is there once.
    async fn expect_once(&self, topic: &str, count: usize) -> Result<BTreeMap<i32, Vec<String>>> {
        let what = format!("{count} records of {topic}");
        let arrived = wait_until(&what, SOON, || async {
            let found = self.committed(topic)?.values().map(Vec::len).sum::<usize>();
            ensure!(found >= count, "{found} are there");
            Ok(true)
        });
        arrived.await?;
        let records = self.committed(topic)?;
        let mut all: Vec<_> = records.values().flatten().collect();
        all.sort();
        let sorted = all.len();
        all.dedup();
        ensure!(all.len() == sorted, "{} are doubled", sorted - all.len());
        ensure!(sorted == count, "{sorted} instead of {count}");
        Ok(records)
    }

    /// Waits until lines 0 to `count` are committed: each once, in order in each partition.
    async fn expect_lines(&self, topic: &str, count: usize) -> Result<()> {
        let records = self.expect_once(topic, count).await?;
        for (partition, lines) in &records {
            let numbers: Vec<usize> = lines
                .iter()
                .map(|line| Ok(line.trim_start_matches("line ").parse()?))
                .collect::<Result<_>>()?;
            ensure!(numbers.is_sorted(), "partition {partition} is out of order");
            ensure!(numbers.iter().all(|number| *number < count));
        }
        Ok(())
    }
}

async fn put(worker: &WorkerProcess, path: &str) -> Result<()> {
    let answer = reqwest::Client::new().put(worker.url(path)).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    Ok(())
}

fn record(topic: &str, value: &'static str) -> ProducerRecord {
    ProducerRecord {
        topic: topic.into(),
        partition: None,
        timestamp: None,
        headers: Vec::new(),
        key: None,
        value: Some(value.into()),
    }
}

fn lines(range: std::ops::Range<usize>) -> String {
    range.fold(String::new(), |mut text, number| {
        let _never_fails = writeln!(text, "line {number}");
        text
    })
}

/// A file that grows.
struct Growing {
    path: PathBuf,
    lines: usize,
}

impl Growing {
    fn begin(path: PathBuf) -> Self {
        Self { path, lines: 0 }
    }

    fn grow(&mut self, more: usize) -> Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(&self.path)?;
        file.write_all(lines(self.lines..self.lines + more).as_bytes())?;
        self.lines += more;
        Ok(())
    }
}

fn file_source(file: &Path, topic: &str) -> Value {
    json!({
        "connector.class": "FileStreamSource",
        "file": file.display().to_string(),
        "topic": topic,
        "batch.size": "100",
    })
}

fn generator(tasks: u32, count: usize) -> Value {
    json!({
        "connector.class": "DatagenSource",
        "kafka.topic": "events",
        "event.type": "dealer-sales",
        "tasks.max": tasks.to_string(),
        "rate": "1000",
        "count": count.to_string(),
    })
}

/// Kills the worker when its next transaction comes to a point, and starts it again.
async fn kill_at(stage: &Stage, worker: &mut WorkerProcess, id: &str, point: Point) -> Result<()> {
    stage.kafka.set_trap(point, id, worker.pid()?);
    let what = format!("{point:?}");
    let sprung = wait_until(&what, SOON, || async { Ok(stage.kafka.has_sprung()) });
    sprung.await.with_context(|| worker.log())?;
    worker.has_died()?;
    tokio::task::block_in_place(|| worker.launch())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_line_is_there_once_whenever_worker_and_broker_are_killed() -> Result<()> {
    let mut stage = Stage::set().await?;
    stage.topic("lines").await?;
    let mut file = Growing::begin(stage.path("in.txt"));
    file.grow(2_000)?;
    let mut worker = stage.worker("worker")?;
    worker
        .put_config("lines", &file_source(&file.path, "lines"))
        .await?;
    stage.topic("events").await?;
    worker.put_config("events", &generator(1, EVENTS)).await?;
    for round in 0..3 {
        for point in [Point::BeforeCommit, Point::AfterCommit] {
            file.grow(2_000)?;
            kill_at(&stage, &mut worker, "once-lines-0", point)
                .await
                .with_context(|| format!("{round}"))?;
        }
    }
    // Wherever it happens to be.
    for round in 0..4 {
        let before = stage.written("lines").await?;
        file.grow(6_000)?;
        let within = i64::from(std::process::id().wrapping_mul(round + 7) % 4_000);
        stage.await_written("lines", before + within).await?;
        worker.kill9()?;
        tokio::task::block_in_place(|| worker.launch())?;
    }
    let before = stage.written("lines").await?;
    file.grow(6_000)?;
    stage.await_written("lines", before + 500).await?;
    tokio::task::block_in_place(|| {
        stage.kafka.kafka.kill9()?;
        stage.kafka.kafka.restart()
    })?;
    let outcome = stage.expect_lines("lines", file.lines).await;
    outcome.with_context(|| worker.log())?;
    stage.expect_once("events", EVENTS).await?;
    worker.stop()?;
    stage.expect_lines("lines", file.lines).await
}

/// The state of a connector's only task with its trace.
async fn task_state(worker: &WorkerProcess, name: &str) -> Result<(String, String)> {
    let status = worker.get(&format!("/connectors/{name}/status")).await?;
    let task = &status["tasks"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok((text(&task["state"]), text(&task["trace"])))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_writes_nothing_after_another_has_taken_its_place() -> Result<()> {
    let stage = Stage::set().await?;
    stage.topic("lines").await?;
    let mut file = Growing::begin(stage.path("in.txt"));
    file.grow(3_000)?;
    let mut older = stage.worker("older")?;
    older
        .put_config("lines", &file_source(&file.path, "lines"))
        .await?;
    stage.await_written("lines", 500).await?;
    older.signal("STOP")?;
    file.grow(3_000)?;
    let mut newer = stage.worker("newer")?;
    let outcome = stage.expect_lines("lines", file.lines).await;
    outcome.with_context(|| newer.log())?;
    older.signal("CONT")?;
    file.grow(3_000)?;
    stage.expect_lines("lines", file.lines).await?;
    let _ended_by_itself = older.stop();
    file.grow(1_000)?;
    stage.expect_lines("lines", file.lines).await?;
    newer.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_was_fenced_out_takes_its_place_back_as_long_as_it_is_its_own() -> Result<()> {
    let stage = Stage::set().await?;
    stage.topic("lines").await?;
    let mut file = Growing::begin(stage.path("in.txt"));
    file.grow(500)?;
    let mut worker = stage.worker("worker")?;
    worker
        .put_config("lines", &file_source(&file.path, "lines"))
        .await?;
    stage.expect_lines("lines", 500).await?;
    let options = ProducerOptions::default();
    let thief = stage.log.transactional_producer("once-lines-0", options);
    let thief = thief.await?;
    thief.begin().await?;
    thief.send(vec![record("lines", "line 0")]).await?;
    file.grow(500)?;
    let outcome = stage.expect_lines("lines", 1_000).await;
    outcome.with_context(|| worker.log())?;
    ensure!(worker.log().contains("fenced out"), "{}", worker.log());
    let refused = thief.commit().await.err().map(|error| error.kind());
    ensure!(refused == Some(ErrorKind::Conflict), "{refused:?}");
    stage.expect_lines("lines", 1_000).await?;
    worker.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_of_older_configs_are_fenced_out_and_that_is_recorded() -> Result<()> {
    let stage = Stage::set().await?;
    stage.topic("events").await?;
    let mut worker = stage.worker("worker")?;
    worker
        .put_config("events", &generator(3, 1_000_000))
        .await?;
    stage.await_written("events", 100).await?;
    let options = ProducerOptions::default();
    let zombie = stage.log.transactional_producer("once-events-2", options);
    let zombie = zombie.await?;
    zombie.begin().await?;
    zombie.send(vec![record("events", "zombie")]).await?;
    worker
        .put_config("events", &generator(1, 1_000_000))
        .await?;
    worker
        .await_states("events", "RUNNING [RUNNING]", SOON)
        .await?;
    let refused = zombie.commit().await;
    let kind = refused.err().map(|error| error.kind());
    ensure!(kind == Some(ErrorKind::Conflict), "{kind:?}");
    let entries = stage.entries("once-configs")?;
    let recorded: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.strip_prefix("tasks-fencing-events "))
        .collect();
    ensure!(
        recorded == [r#"{"task-count":3}"#, r#"{"task-count":1}"#],
        "{entries:?}"
    );
    let records = stage.committed("events")?;
    ensure!(!records.values().flatten().any(|value| value == "zombie"));
    worker.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connector_keeps_its_offsets_in_a_topic_of_its_own() -> Result<()> {
    let stage = Stage::set().await?;
    stage.topic("lines").await?;
    let mut file = Growing::begin(stage.path("in.txt"));
    file.grow(1_000)?;
    let mut worker = stage.worker("worker")?;
    let mut config = file_source(&file.path, "lines");
    config["offsets.storage.topic"] = json!("own-offsets");
    config["transaction.boundary"] = json!("interval");
    config["transaction.boundary.interval.ms"] = json!("200");
    worker.put_config("lines", &config).await?;
    stage.expect_lines("lines", 1_000).await?;
    let end = json!({ "position": lines(0..1_000).len() });
    stage.await_offset(&worker, &end).await?;
    let last =
        |topic: &str| -> Result<String> { Ok(stage.entries(topic)?.pop().unwrap_or_default()) };
    for topic in ["own-offsets", "once-offsets"] {
        let found = last(topic)?;
        ensure!(found.ends_with(&end.to_string()), "{topic}: {found}");
    }
    put(&worker, "/connectors/lines/stop").await?;
    let middle = json!({ "position": lines(0..990).len() });
    let partition = json!({ "filename": file.path.display().to_string() });
    let change = json!({ "offsets": [{ "partition": partition, "offset": middle }] });
    let url = worker.url("/connectors/lines/offsets");
    let client = reqwest::Client::new();
    let answer = client.patch(&url).json(&change).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    stage.await_offset(&worker, &middle).await?;
    put(&worker, "/connectors/lines/resume").await?;
    stage.await_offset(&worker, &end).await?;
    let found: usize = stage.committed("lines")?.values().map(Vec::len).sum();
    ensure!(found == 1_010, "{found}");
    put(&worker, "/connectors/lines/stop").await?;
    let answer = client.delete(&url).send().await?;
    ensure!(answer.status().is_success(), "{}", answer.text().await?);
    let left = worker.get("/connectors/lines/offsets").await?;
    ensure!(left == json!({ "offsets": [] }), "{left}");
    worker.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_tolerated_and_one_that_the_broker_refuses_is_not() -> Result<()> {
    let stage = Stage::set().await?;
    stage
        .topic_with("lines", &[("max.message.bytes", "1000")])
        .await?;
    let path = stage.path("in.txt");
    let numbers: Vec<_> = (0..300).map(|number| number.to_string()).collect();
    let with_bad: Vec<_> = numbers
        .iter()
        .flat_map(|number| [number.as_str(), "no number"])
        .collect();
    std::fs::write(&path, with_bad.join("\n") + "\n")?;
    let mut worker = stage.worker("worker")?;
    let mut config = file_source(&path, "lines");
    config["errors.tolerance"] = json!("all");
    config["transforms"] = json!("cast");
    config["transforms.cast.type"] = json!("org.apache.kafka.connect.transforms.Cast$Value");
    config["transforms.cast.spec"] = json!("int32");
    config["value.converter"] = json!("org.apache.kafka.connect.json.JsonConverter");
    config["value.converter.schemas.enable"] = json!("false");
    worker.put_config("lines", &config).await?;
    let end = json!({ "position": with_bad.join("\n").len() + 1 });
    stage.await_offset(&worker, &end).await?;
    let found: usize = stage.committed("lines")?.values().map(Vec::len).sum();
    ensure!(found == numbers.len(), "{found}");

    let large = stage.path("large.txt");
    std::fs::write(&large, format!("small\n{}\nsmall\n", "x".repeat(5_000)))?;
    let mut config = file_source(&large, "lines");
    config["errors.tolerance"] = json!("all");
    worker.put_config("large", &config).await?;
    let failed = || async {
        let (state, trace) = task_state(&worker, "large").await?;
        ensure!(state == "FAILED", "{state}: {trace}");
        Ok(true)
    };
    let outcome = wait_until("the task has failed", SOON, failed).await;
    outcome.with_context(|| worker.log())?;
    let found: usize = stage.committed("lines")?.values().map(Vec::len).sum();
    ensure!(
        found == numbers.len(),
        "{found}: part of a transaction is there"
    );
    worker.stop()
}
