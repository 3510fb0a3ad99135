//! A broker dies or is frozen: the coordinator of the workers' group and of their sinks' groups moves to another, and so does
//! all that the broker led. Nothing stays undone, and nothing is done twice.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaCluster, KafkaOptions};
use sluice_stand_in_s3::{S3Options, S3StandIn};

use super::members::{Members, SOON, append, lines};
use crate::p3::{self, TOPIC, count_in_s3};
use crate::support::wait_until;

const SOURCE: &str = "lines";
/// Who runs what: each part in one worker.
const PARTS: &[&str] = &[
    p3::NAME,
    "s3-sink-sales-0",
    "s3-sink-sales-1",
    SOURCE,
    "lines-0",
];
/// Orders and lines of each time under load.
const EVENTS: usize = 3_000;

const SETTINGS: &[&str] = &[
    "config.storage.replication.factor=-1",
    "offset.storage.replication.factor=-1",
    "status.storage.replication.factor=-1",
    "exactly.once.source.support=enabled",
    // A broker that is frozen does not answer: others are asked soon.
    "request.timeout.ms=4000",
];

/// Orders go from a topic to an object store, lines from a file to a topic: each once.
struct Stage {
    members: Members,
    s3: S3StandIn,
    /// Rounds of load that there were.
    rounds: usize,
}

impl Stage {
    async fn set() -> Result<Self> {
        // One partition: all groups have the same coordinator.
        let properties = [("offsets.topic.num.partitions", "1")];
        let options = KafkaOptions {
            properties: properties
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            ..KafkaOptions::default()
        };
        let members = Members::start_on((3, options), 2, SETTINGS).await?;
        let bucket = S3Options::local(members.folder.path().join("s3"), "bronze");
        Ok(Self {
            s3: S3StandIn::start(bucket).await?,
            members,
            rounds: 0,
        })
    }

    async fn deploy(&self) -> Result<()> {
        let node = self.members.kafka.node(1)?;
        tokio::task::block_in_place(|| {
            node.create_topic(TOPIC, 4, &[])?;
            node.create_topic(SOURCE, 1, &[])
        })?;
        let changes = [("tasks.max", "2"), ("rotate.interval.ms", "2000")];
        let sink = p3::sink_config(&self.s3, "s3-sink-sales.json", &changes)?;
        self.members.put(0, p3::NAME, &sink).await?;
        self.members.put(1, SOURCE, &self.source()).await?;
        self.expect_parts().await
    }

    fn source(&self) -> Value {
        json!({
            "connector.class": "FileStreamSource",
            "tasks.max": "1",
            "file": self.members.path("in.txt"),
            "topic": SOURCE,
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
        })
    }

    /// More orders and lines, by way of a node that answers.
    async fn load(&mut self, node: u32) -> Result<()> {
        let from = self.rounds * EVENTS;
        self.rounds += 1;
        append(&self.members.path("in.txt"), &lines(from..from + EVENTS))?;
        let node = self.members.kafka.node(node)?;
        tokio::task::block_in_place(|| p3::finish(p3::produce(node, EVENTS, &["--burst"])?))
    }

    /// The broker that coordinates the groups.
    fn coordinator(&self) -> Result<u32> {
        tokio::task::block_in_place(|| {
            KafkaCluster::leader(self.members.kafka.node(1)?, "__consumer_offsets")
        })
    }

    /// Waits until each part runs in just one worker.
    async fn expect_parts(&self) -> Result<()> {
        let wanted: BTreeSet<_> = PARTS.iter().copied().collect();
        let probe = || async {
            let running = self.members.running(&[p3::NAME, SOURCE]).await?;
            let all: Vec<_> = running.values().flatten().map(String::as_str).collect();
            ensure!(all.len() == PARTS.len(), "{running:?}");
            Ok(all.into_iter().collect::<BTreeSet<_>>() == wanted)
        };
        wait_until("each part runs once", SOON, probe).await
    }

    /// Waits until all orders and lines of all rounds have arrived, by the word of a node that answers.
    async fn expect_all(&self, node: u32) -> Result<()> {
        let (wanted, node) = (self.rounds * EVENTS, self.members.kafka.node(node)?);
        let arrived = || async {
            let (orders, lines) = (count_in_s3(&self.bucket())?, read(node)?.len());
            ensure!(
                orders >= wanted && lines >= wanted,
                "{orders} orders, {lines} lines"
            );
            Ok(true)
        };
        wait_until("all orders and lines", SOON, arrived).await
    }

    fn bucket(&self) -> std::path::PathBuf {
        self.members.folder.path().join("s3")
    }

    /// Makes sure that each order and each line is there once.
    fn assert_once(&self) -> Result<()> {
        let (wanted, node) = (self.rounds * EVENTS, self.members.kafka.node(1)?);
        let found = read(node)?.join("\n") + "\n";
        ensure!(found == lines(0..wanted), "lines are doubled or amiss");
        p3::assert_exactly_once(node, &self.bucket(), wanted)
    }
}

/// The lines that were committed, as another program reads them.
fn read(node: &Kafka) -> Result<Vec<String>> {
    let output = Command::new("kcat")
        .args(["-C", "-e", "-q", "-b", &node.bootstrap(), "-t", SOURCE])
        .args(["-X", "isolation.level=read_committed", "-o", "beginning"])
        .output()
        .context("starting kcat: `make test` installs it on Debian")?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// The coordinator's broker is killed; returns once it runs again.
async fn kill(stage: &mut Stage) -> Result<()> {
    stage.load(1).await?;
    let killed = stage.coordinator()?;
    stage.members.kafka.node_mut(killed)?.kill9()?;
    let alive = killed % 3 + 1;
    stage.load(alive).await?;
    stage.expect_all(alive).await?;
    stage.expect_parts().await?;
    tokio::task::block_in_place(|| stage.members.kafka.node_mut(killed)?.restart())?;
    ensure!(stage.coordinator()? != killed, "nothing has moved");
    Ok(())
}

/// The coordinator's broker is frozen; returns once it has thawed.
async fn freeze(stage: &mut Stage) -> Result<()> {
    stage.load(1).await?;
    let frozen = stage.coordinator()?;
    stage.members.kafka.node(frozen)?.signal("STOP")?;
    let alive = frozen % 3 + 1;
    // A change is taken, and so are records.
    let config = stage.source();
    let put = || async { Ok(stage.members.put(0, SOURCE, &config).await.is_ok()) };
    wait_until("a change is taken", SOON, put).await?;
    stage.load(alive).await?;
    stage.expect_all(alive).await?;
    stage.expect_parts().await?;
    stage.members.kafka.node(frozen)?.signal("CONT")?;
    // What it still has of its time as a leader disturbs nothing.
    stage.load(alive).await?;
    stage.expect_all(alive).await?;
    stage.expect_parts().await
}

async fn kill_and_freeze(stage: &mut Stage) -> Result<()> {
    stage.deploy().await?;
    kill(stage).await?;
    freeze(stage).await?;
    stage.assert_once()
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_once_when_the_coordinators_broker_is_killed_or_frozen() -> Result<()> {
    let mut stage = Stage::set().await?;
    let outcome = kill_and_freeze(&mut stage).await;
    outcome.with_context(|| stage.members.logs())
}
