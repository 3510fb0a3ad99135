//! A cluster moves from the real Kafka Connect to this worker and back, on the same topics, while lines go from a file to
//! a file: all at once, and worker by worker, with both in one group.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Connect, ConnectOptions, Kafka, KafkaOptions};

use crate::support::{WorkerProcess, kcat, states_at, wait_until};

const SOON: Duration = Duration::from_secs(90);

/// The options of the cluster, as services/connect gives them to Kafka Connect.
const CLUSTER: &[&str] = &[
    "group.id=connect-jvm",
    "config.storage.topic=connect-jvm-configs",
    "offset.storage.topic=connect-jvm-offsets",
    "status.storage.topic=connect-jvm-status",
    "config.storage.replication.factor=1",
    "offset.storage.replication.factor=1",
    "status.storage.replication.factor=1",
    "offset.storage.partitions=1",
    "status.storage.partitions=1",
    "offset.flush.interval.ms=500",
    "scheduled.rebalance.max.delay.ms=0",
];

/// What the sources of a cluster deliver.
#[derive(Clone, Copy)]
enum Delivery {
    AtLeastOnce,
    ExactlyOnce,
}

impl Delivery {
    /// The workers' option for it.
    fn option(self) -> (&'static str, &'static str) {
        let value = match self {
            Self::AtLeastOnce => "disabled",
            Self::ExactlyOnce => "enabled",
        };
        ("exactly.once.source.support", value)
    }
}

/// Files that connectors read and write.
struct Files(PathBuf);

impl Files {
    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn append(&self, name: &str, lines: &str) -> Result<()> {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(self.0.join(name))?;
        Ok(file.write_all(lines.as_bytes())?)
    }

    /// Waits until a file is just this.
    async fn expect(&self, name: &str, lines: &str) -> Result<()> {
        let read = || std::fs::read_to_string(self.0.join(name)).unwrap_or_default();
        let arrived = wait_until(name, SOON, || async { Ok(read() == lines) });
        let found = || format!("{name} has {} lines", read().lines().count());
        arrived.await.with_context(found)
    }

    fn source(&self, file: &str, topic: &str) -> Value {
        json!({ "connector.class": "FileStreamSource", "tasks.max": "1", "file": self.path(file), "topic": topic })
    }

    fn sink(&self, file: &str) -> Value {
        json!({ "connector.class": "FileStreamSink", "tasks.max": "1", "file": self.path(file), "topics": "lines" })
    }
}

/// The REST API of whoever runs the cluster.
struct Rest(String);

impl Rest {
    fn url(&self, path: &str) -> String {
        format!("http://{}/connectors{path}", self.0)
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Result<()> {
        let method = method.parse()?;
        let mut request = reqwest::Client::new().request(method, self.url(path));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        ensure!(
            answer.status().is_success(),
            "{path}: {}",
            answer.text().await?
        );
        Ok(())
    }

    async fn create(&self, name: &str, config: Value) -> Result<()> {
        let body = json!({ "name": name, "config": config });
        self.send("POST", "", Some(body)).await
    }

    async fn get(&self, path: &str) -> Result<Value> {
        Ok(reqwest::get(self.url(path)).await?.json().await?)
    }

    async fn expect_states(&self, wanted: &[(&str, &str)]) -> Result<()> {
        for (name, states) in wanted {
            let what = format!("{name}: {states}");
            let url = format!("http://{}", self.0);
            let probe = || async {
                let found = states_at(&url, name).await?;
                ensure!(found == *states, "{found}");
                Ok(true)
            };
            wait_until(&what, SOON, probe).await?;
        }
        Ok(())
    }

    /// Waits until the offset of a connector's only partition is this.
    async fn expect_offset(&self, name: &str, offset: Value) -> Result<()> {
        let what = format!("{name}: {offset}");
        let path = format!("/{name}/offsets");
        let probe = || async {
            let found = self.get(&path).await?;
            ensure!(found["offsets"][0]["offset"] == offset, "{found}");
            Ok(true)
        };
        wait_until(&what, SOON, probe).await
    }
}

async fn kafka() -> Result<Kafka> {
    let start = || {
        let kafka = Kafka::start(&KafkaOptions::default())?;
        kafka.create_topic("lines", 1, &[])?;
        Ok(kafka)
    };
    tokio::task::spawn_blocking(start).await?
}

fn java(kafka: &Kafka, delivery: Delivery) -> Result<(Connect, Rest)> {
    // What a worker that leaves has run is given to others at once.
    let delay = ("scheduled.rebalance.max.delay.ms", "0");
    let options = ConnectOptions {
        properties: [delay, delivery.option()]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    };
    let connect = tokio::task::block_in_place(|| Connect::start(kafka, &options))?;
    let rest = Rest(connect.address());
    Ok((connect, rest))
}

fn sluice(kafka: &Kafka, folder: &Path, delivery: Delivery) -> Result<(WorkerProcess, Rest)> {
    let bootstrap = Some(kafka.bootstrap());
    let (key, value) = delivery.option();
    let delivery = format!("{key}={value}");
    let settings: Vec<_> = CLUSTER.iter().copied().chain([delivery.as_str()]).collect();
    let worker =
        tokio::task::block_in_place(|| WorkerProcess::start_with(folder, bootstrap, &settings))?;
    let rest = Rest(worker.address());
    Ok((worker, rest))
}

fn lines(range: std::ops::Range<u32>) -> String {
    range.fold(String::new(), |mut text, number| {
        let _never_fails = writeln!(text, "line {number}");
        text
    })
}

/// Kafka Connect's own connectors: two that run, one paused, one stopped in mid-file, one to be removed.
async fn run_in_java(rest: &Rest, files: &Files) -> Result<()> {
    rest.create("source", files.source("in.txt", "lines"))
        .await?;
    rest.create("sink", files.sink("out.txt")).await?;
    rest.create("paused", files.sink("paused.txt")).await?;
    rest.create("stopped", files.source("other.txt", "others"))
        .await?;
    rest.create("removed", files.sink("removed.txt")).await?;
    for file in ["out.txt", "paused.txt", "removed.txt"] {
        files.expect(file, &lines(0..1000)).await?;
    }
    rest.expect_offset("stopped", json!({ "position": lines(0..3).len() }))
        .await?;
    rest.send("PUT", "/paused/pause", None).await?;
    rest.send("PUT", "/stopped/stop", None).await?;
    rest.expect_states(&[
        ("source", "RUNNING [RUNNING]"),
        ("sink", "RUNNING [RUNNING]"),
        ("paused", "PAUSED [PAUSED]"),
        ("stopped", "STOPPED []"),
        ("removed", "RUNNING [RUNNING]"),
    ])
    .await
}

/// All goes on; then states are changed, one connector is removed and one made.
async fn run_in_sluice(rest: &Rest, files: &Files) -> Result<()> {
    files.expect("out.txt", &lines(0..2000)).await?;
    rest.expect_states(&[
        ("source", "RUNNING [RUNNING]"),
        ("sink", "RUNNING [RUNNING]"),
        ("paused", "PAUSED [PAUSED]"),
        ("stopped", "STOPPED []"),
    ])
    .await?;
    let position = json!({ "position": lines(0..3).len() });
    rest.expect_offset("stopped", position).await?;
    rest.expect_offset("paused", json!({ "kafka_offset": 1000 }))
        .await?;
    let topics = rest.get("/sink/topics").await?;
    ensure!(
        topics == json!({ "sink": { "topics": ["lines"] } }),
        "{topics}"
    );
    files.expect("removed.txt", &lines(0..2000)).await?;
    rest.send("DELETE", "/removed", None).await?;
    rest.create("made", files.sink("made.txt")).await?;
    files.expect("made.txt", &lines(0..2000)).await?;
    rest.send("PUT", "/sink/pause", None).await?;
    rest.send("PUT", "/stopped/resume", None).await?;
    files.append("other.txt", &lines(3..5))?;
    let position = json!({ "position": lines(0..5).len() });
    rest.expect_offset("stopped", position).await?;
    rest.send("PUT", "/made/stop", None).await?;
    rest.expect_states(&[("sink", "PAUSED [PAUSED]"), ("made", "STOPPED []")])
        .await
}

/// All is as it was left; what was paused or stopped goes on where it was.
async fn run_in_java_again(rest: &Rest, files: &Files) -> Result<()> {
    rest.expect_states(&[
        ("source", "RUNNING [RUNNING]"),
        ("sink", "PAUSED [PAUSED]"),
        ("paused", "PAUSED [PAUSED]"),
        ("stopped", "RUNNING [RUNNING]"),
        ("made", "STOPPED []"),
    ])
    .await?;
    let mut names: Vec<String> = serde_json::from_value(rest.get("").await?)?;
    names.sort();
    ensure!(
        names == ["made", "paused", "sink", "source", "stopped"],
        "{names:?}"
    );
    for name in ["sink", "paused", "made"] {
        rest.send("PUT", &format!("/{name}/resume"), None).await?;
    }
    for file in ["out.txt", "paused.txt", "made.txt"] {
        files.expect(file, &lines(0..3000)).await?;
    }
    let position = json!({ "position": lines(0..5).len() });
    rest.expect_offset("stopped", position).await?;
    files.expect("removed.txt", &lines(0..2000)).await
}

async fn take_over_and_hand_back(delivery: Delivery) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files = Files(folder.path().to_owned());
    let kafka = kafka().await?;
    files.append("in.txt", &lines(0..1000))?;
    files.append("other.txt", &lines(0..3))?;
    let (connect, rest) = java(&kafka, delivery)?;
    run_in_java(&rest, &files).await?;
    connect.stop()?;

    files.append("in.txt", &lines(1000..2000))?;
    let (mut worker, rest) = sluice(&kafka, &folder.path().join("worker"), delivery)?;
    let outcome = run_in_sluice(&rest, &files).await;
    outcome.with_context(|| worker.log())?;
    worker.stop()?;
    let others = records_of_topic(&kafka, "others")?;
    ensure!(others == 5, "{others} lines of others.txt");

    files.append("in.txt", &lines(2000..3000))?;
    let (connect, rest) = java(&kafka, delivery)?;
    run_in_java_again(&rest, &files).await?;
    let sent = records_of_topic(&kafka, "lines")?;
    ensure!(sent == 3000, "{sent} lines of in.txt");
    connect.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_kafka_connect_is_taken_over_and_handed_back() -> Result<()> {
    take_over_and_hand_back(Delivery::AtLeastOnce).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_delivers_exactly_once_is_taken_over_and_handed_back() -> Result<()> {
    take_over_and_hand_back(Delivery::ExactlyOnce).await
}

/// How many committed records a topic holds.
fn records_of_topic(kafka: &Kafka, topic: &str) -> Result<usize> {
    Ok(kcat::lines(&kafka.bootstrap(), topic, "%o")?.len())
}

const SHARED: &[&str] = &["source", "sink", "other"];

impl Rest {
    /// The workers that run something of the shared connectors, by this one's word.
    async fn owners(&self) -> Result<BTreeSet<String>> {
        let mut owners = BTreeSet::new();
        for name in SHARED {
            let status = self.get(&format!("/{name}/status")).await?;
            let tasks = status["tasks"].as_array().into_iter().flatten();
            for part in tasks.chain([&status["connector"]]) {
                ensure!(part["state"] == "RUNNING", "{status}");
                owners.insert(part["worker_id"].as_str().unwrap_or_default().to_owned());
            }
        }
        Ok(owners)
    }

    /// Waits until just these workers run the shared connectors.
    async fn expect_owners(&self, wanted: &[&Self]) -> Result<()> {
        let wanted: BTreeSet<_> = wanted.iter().map(|rest| rest.0.clone()).collect();
        let probe = || async {
            let found = self.owners().await?;
            ensure!(found == wanted, "{found:?}");
            Ok(true)
        };
        wait_until(&format!("run by {wanted:?}"), SOON, probe).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_java_worker_and_sluice_share_a_group_and_one_replaces_the_other() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let files = Files(folder.path().to_owned());
    let kafka = kafka().await?;
    files.append("in.txt", &lines(0..100))?;
    let (connect, java_rest) = java(&kafka, Delivery::AtLeastOnce)?;
    java_rest
        .create("source", files.source("in.txt", "lines"))
        .await?;
    java_rest.create("sink", files.sink("out.txt")).await?;
    java_rest.create("other", files.sink("other.txt")).await?;
    files.expect("out.txt", &lines(0..100)).await?;

    let (mut worker, rest) = sluice(&kafka, &folder.path().join("worker"), Delivery::AtLeastOnce)?;
    let outcome = share_and_replace(&files, connect, &java_rest, &rest).await;
    outcome.with_context(|| worker.log())?;

    // And back.
    let (connect, java_rest) = java(&kafka, Delivery::AtLeastOnce)?;
    let shared = java_rest.expect_owners(&[&rest, &java_rest]).await;
    shared.with_context(|| worker.log())?;
    worker.stop()?;
    java_rest.expect_owners(&[&java_rest]).await?;
    files.append("in.txt", &lines(300..400))?;
    files.expect("out.txt", &lines(0..400)).await?;
    files.expect("other.txt", &lines(0..400)).await?;
    connect.stop()
}

async fn share_and_replace(
    files: &Files,
    connect: Connect,
    java: &Rest,
    sluice: &Rest,
) -> Result<()> {
    java.expect_owners(&[java, sluice]).await?;
    sluice.expect_owners(&[java, sluice]).await?;
    files.append("in.txt", &lines(100..200))?;
    for file in ["out.txt", "other.txt"] {
        files.expect(file, &lines(0..200)).await?;
    }
    // What one is told the other does, too.
    sluice.send("PUT", "/other/pause", None).await?;
    java.expect_states(&[("other", "PAUSED [PAUSED]")]).await?;
    java.send("PUT", "/other/resume", None).await?;
    sluice
        .expect_states(&[("other", "RUNNING [RUNNING]")])
        .await?;
    tokio::task::block_in_place(|| connect.stop())?;
    sluice.expect_owners(&[sluice]).await?;
    files.append("in.txt", &lines(200..300))?;
    for file in ["out.txt", "other.txt"] {
        files.expect(file, &lines(0..300)).await?;
    }
    Ok(())
}
