//! Sinks that deliver exactly once do so while workers die, are frozen, and are restarted one after the other.

use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Postgres, PostgresOptions};
use sluice_stand_in_s3::{S3Options, S3StandIn};

use super::members::{Members, SOON};
use crate::p3::{self, TOPIC, count_in_s3};
use crate::support::wait_until;

const TO_POSTGRES: &str = "to-postgres";
const SINKS: &[&str] = &[p3::NAME, TO_POSTGRES];
const BUCKET: &str = "bronze";

/// The same records go to an object store and into a table that takes every row it is given.
struct Targets {
    s3: S3StandIn,
    postgres: Postgres,
    folder: tempfile::TempDir,
}

impl Targets {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let s3 = S3StandIn::start(S3Options::local(folder.path(), BUCKET)).await?;
        let start = || Postgres::start(&PostgresOptions::default());
        let postgres = tokio::task::block_in_place(start)?;
        postgres.sql("postgres", "CREATE DATABASE warehouse")?;
        Ok(Self {
            s3,
            postgres,
            folder,
        })
    }

    fn to_postgres(&self) -> Value {
        json!({
            "connector.class": "io.confluent.connect.jdbc.JdbcSinkConnector",
            "tasks.max": "3",
            "topics": TOPIC,
            "connection.url": self.postgres.jdbc_url("warehouse"),
            "connection.user": Postgres::USER,
            "connection.password": Postgres::PASSWORD,
            "insert.mode": "insert",
            "pk.mode": "none",
            "auto.create": "true",
            "delivery.guarantee": "exactly_once",
            "consumer.override.session.timeout.ms": "6000",
            "consumer.override.heartbeat.interval.ms": "1000",
        })
    }

    async fn deploy(&self, members: &Members) -> Result<()> {
        let changes = [("tasks.max", "3"), ("rotate.interval.ms", "2000")];
        let to_s3 = p3::sink_config(&self.s3, "s3-sink-sales.json", &changes)?;
        members.put(0, p3::NAME, &to_s3).await?;
        members.put(1, TO_POSTGRES, &self.to_postgres()).await
    }

    fn rows(&self) -> Result<usize> {
        let count = format!("SELECT count(*) FROM {TOPIC}");
        let answer = self.postgres.sql("warehouse", &count);
        // The table is made with the first row.
        Ok(answer.map_or(Ok(0), |answer| answer.trim().parse())?)
    }

    /// Waits until both have all records of so many times under load, and looks whether each is there once. The orders of
    /// each time are the same.
    async fn expect(&self, members: &Members, times: usize) -> Result<()> {
        let events = times * EVENTS;
        let arrived = || async {
            let (rows, lines) = (self.rows()?, count_in_s3(self.folder.path())?);
            ensure!(
                rows >= events && lines >= events,
                "{rows} rows, {lines} lines"
            );
            Ok(true)
        };
        let outcome = wait_until("all records", SOON, arrived).await;
        outcome.with_context(|| members.logs())?;
        p3::assert_exactly_once(members.kafka.node(1)?, self.folder.path(), events)?;
        let wrong = format!(
            "SELECT count(*) FROM (SELECT 1 FROM {TOPIC} GROUP BY order_id HAVING count(*) <> {times}) AS wrong"
        );
        let wrong = self.postgres.sql("warehouse", &wrong)?;
        let rows = self.rows()?;
        ensure!(
            rows == events && wrong.trim() == "0",
            "{rows} rows, of {wrong} orders too many or too few"
        );
        Ok(())
    }

    /// Waits until both have got more than now.
    async fn moved(&self) -> Result<()> {
        let (rows, lines) = (self.rows()?, count_in_s3(self.folder.path())?);
        let moved =
            || async { Ok(self.rows()? > rows && count_in_s3(self.folder.path())? > lines) };
        wait_until("both sinks write", SOON, moved).await
    }
}

/// Three workers, both sinks and a topic of six partitions.
async fn busy_members() -> Result<(Members, Targets)> {
    let members = Members::start(3, &[]).await?;
    members.kafka.node(1)?.create_topic(TOPIC, 6, &[])?;
    let targets = Targets::start().await?;
    targets.deploy(&members).await?;
    members.expect_even_share(SINKS, 3).await?;
    Ok((members, targets))
}

/// Records of one time under load.
const EVENTS: usize = 10_000;

/// Puts the sinks under load for some seconds; returns when both are at it.
async fn load(members: &Members, targets: &Targets) -> Result<Child> {
    let producer = p3::produce(members.kafka.node(1)?, EVENTS, &["--interval", "0.001"])?;
    targets.moved().await.with_context(|| members.logs())?;
    Ok(producer)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_arrives_once_while_workers_are_killed_and_frozen() -> Result<()> {
    let (mut members, targets) = busy_members().await?;
    for victim in [0, 1] {
        let producer = load(&members, &targets).await?;
        let worker = members.workers.get_mut(victim).context("no worker")?;
        worker.kill9()?;
        p3::finish(producer)?;
        let worker = members.workers.get_mut(victim).context("no worker")?;
        tokio::task::block_in_place(|| worker.launch())?;
        let shared = members.expect_even_share(SINKS, 3).await;
        shared.with_context(|| members.logs())?;
    }
    // One is frozen for longer than its session and than that of its sink tasks.
    let producer = load(&members, &targets).await?;
    let frozen = members.workers.get(2).context("no worker")?;
    frozen.signal("STOP")?;
    let address = frozen.address();
    let given = || async {
        let owners = members.owners(&members.workers[0], SINKS).await?;
        Ok(owners.values().all(|owner| *owner != address))
    };
    let outcome = wait_until("its tasks run elsewhere", SOON, given).await;
    let awake = frozen.signal("CONT");
    outcome.and(awake).with_context(|| members.logs())?;
    p3::finish(producer)?;
    let shared = members.expect_even_share(SINKS, 3).await;
    shared.with_context(|| members.logs())?;
    targets.expect(&members, 3).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_arrives_once_while_all_workers_are_restarted_in_turn() -> Result<()> {
    let (mut members, targets) = busy_members().await?;
    for number in 0..3 {
        let producer = load(&members, &targets).await?;
        let worker = members.workers.get_mut(number).context("no worker")?;
        tokio::task::block_in_place(|| {
            worker.stop()?;
            worker.launch()
        })?;
        p3::finish(producer)?;
        let shared = members.expect_even_share(SINKS, 3).await;
        shared.with_context(|| members.logs())?;
    }
    targets.expect(&members, 3).await
}

/// How long a worker that leads may be missed.
const FEW_SECONDS: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn when_the_leader_dies_another_takes_changes() -> Result<()> {
    let (mut members, targets) = busy_members().await?;
    // Whichever leads is among the first two to be killed.
    for _ in 0..2 {
        let mut victim = members.workers.remove(0);
        victim.kill9()?;
        let config = targets.to_postgres();
        let put = || async { Ok(members.put(0, TO_POSTGRES, &config).await.is_ok()) };
        let outcome = wait_until("a change is taken", FEW_SECONDS, put).await;
        outcome.with_context(|| members.logs())?;
    }
    let shared = members.expect_even_share(SINKS, 3).await;
    shared.with_context(|| members.logs())
}
