//! Beside a real worker of Kafka Connect.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice::runtime::distributed::protocol::Work;
use sluice_services::{Connect, ConnectOptions, Kafka};
use tokio::task::block_in_place;

use super::worker::{Seen, Worker, locked};
use super::{SOON, kafka, log, work};
use crate::support::wait_until;

pub(super) fn java(kafka: &Kafka, protocol: &str) -> Result<Connect> {
    let properties = [
        ("connect.protocol", protocol),
        ("scheduled.rebalance.max.delay.ms", "0"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
    ];
    let properties = properties.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let options = ConnectOptions {
        properties: properties.into(),
    };
    block_in_place(|| Connect::start(kafka, &options))
}

async fn get(connect: &Connect, path: &str) -> Result<Value> {
    let url = format!("http://{}{path}", connect.address());
    Ok(reqwest::get(url).await?.json().await?)
}

/// Makes a source of as many tasks as its class allows: one.
pub(super) async fn make_source(connect: &Connect, name: &str) -> Result<()> {
    let config = json!({
        "connector.class": "FileStreamSource", "tasks.max": "1", "file": "/dev/null", "topic": "lines",
    });
    let url = format!("http://{}/connectors/{name}/config", connect.address());
    let made = reqwest::Client::new().put(url).json(&config).send().await?;
    ensure!(made.status().is_success(), "{}", made.text().await?);
    Ok(())
}

pub(super) async fn expect_states(connect: &Connect, name: &str, wanted: &str) -> Result<()> {
    let url = format!("http://{}", connect.address());
    let probe = || async {
        let found = crate::support::states_at(&url, name).await?;
        ensure!(found == wanted, "{found}");
        Ok(true)
    };
    wait_until(&format!("{name}: {wanted}"), SOON, probe).await
}

/// The group's name in services/connect.
pub(super) const JAVA_GROUP: &str = "connect-jvm";

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_kafka_connect_is_followed_and_led() -> Result<()> {
    let kafka = kafka()?;
    let log = log(&kafka).await?;
    let connect = java(&kafka, "sessioned")?;
    make_source(&connect, "one").await?;
    make_source(&connect, "two").await?;
    expect_states(&connect, "two", "RUNNING [RUNNING]").await?;
    let all = work(&["one", "two"], &[("one", 0), ("two", 0)]);
    // It leads: we get half of what it runs.
    let mut worker = Worker::start(&log, JAVA_GROUP, "ours", all.clone()).await?;
    let half = |seen: &Seen| seen.work.connectors.len() == 1 && seen.work.tasks.len() == 1;
    let follower = worker.expect("half of it", half).await?;
    let url = format!("http://{}/", connect.address());
    ensure!(follower.leader_url == url, "{follower:?}");
    ensure!(!follower.is_leader && follower.protocol == "sessioned");
    // It goes: we lead, and have all that it ran.
    block_in_place(|| connect.stop())?;
    let leader = worker.expect_work(&all).await?;
    ensure!(leader.is_leader);
    // Another comes: we give it half, and it runs that.
    let connect = java(&kafka, "sessioned")?;
    let leader = worker.expect("gives half away", half).await?;
    ensure!(leader.is_leader);
    let given = all.without(&leader.work);
    let fellow = given.connectors.first().context("a connector")?;
    let status = format!("/connectors/{fellow}/status");
    let runs_it = || async {
        let found = get(&connect, &status).await?;
        let worker_id = found["connector"]["worker_id"].clone();
        ensure!(worker_id == connect.address(), "{found}");
        ensure!(found["connector"]["state"] == "RUNNING", "{found}");
        Ok(true)
    };
    wait_until("it runs what we gave it", SOON, runs_it).await?;
    let states = locked(&worker.script.fellows).clone();
    let state = states
        .values()
        .find(|state| state.url.contains(&connect.address()));
    let state = state.with_context(|| format!("{states:?}"))?;
    ensure!(state.config_offset > 0, "{state:?}");
    worker.leave().await?;
    block_in_place(|| connect.stop())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_with_an_eager_worker_agrees_on_the_eager_protocol() -> Result<()> {
    let kafka = kafka()?;
    let log = log(&kafka).await?;
    let connect = java(&kafka, "eager")?;
    make_source(&connect, "one").await?;
    expect_states(&connect, "one", "RUNNING [RUNNING]").await?;
    let mut worker = Worker::start(&log, JAVA_GROUP, "ours", Work::default()).await?;
    let seen = worker
        .expect("something", |seen| !seen.work.is_empty())
        .await?;
    ensure!(seen.protocol == "default" && !seen.is_leader, "{seen:?}");
    worker.leave().await?;
    block_in_place(|| connect.stop())
}
