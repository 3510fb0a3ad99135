//! A group that speaks the eager protocol, in which all stop whenever the work is shared anew.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};

use super::members::{Members, SOON};
use crate::support::{WorkerProcess, wait_until};

const NAMES: &[&str] = &["a", "b"];
const UNDER_WAY: &str = "Cannot complete request momentarily due to no known leader URL, likely because a rebalance was underway.";
/// Requests wait for the group no longer than this, and the group does not wait for members that have stopped.
const SETTINGS: &[&str] = &["connect.protocol=eager", "rebalance.timeout.ms=10000"];
/// The group waits for this one while it is frozen.
const PATIENT: &[&str] = &[
    "connect.protocol=eager",
    "session.timeout.ms=120000",
    "rebalance.timeout.ms=120000",
];

fn generator(topic: &str) -> Value {
    json!({
        "connector.class": "DatagenSource", "tasks.max": "2", "kafka.topic": topic, "event.type": "orders", "rate": "20",
    })
}

/// Asks a worker; the status and the message of a refusal.
async fn ask(
    worker: &WorkerProcess,
    (method, path): (Method, &str),
    body: Option<Value>,
) -> Result<(u16, String)> {
    let mut request = Client::new().request(method, worker.url(path));
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.timeout(SOON).send().await?;
    let status = answer.status().as_u16();
    let text = answer.text().await?;
    let answer: Value = serde_json::from_str(&text).unwrap_or_default();
    let message = answer["message"].as_str().unwrap_or_default().to_owned();
    Ok((status, message))
}

/// While the group waits for one of its workers: lists and states are told at once, a change is refused after a while.
async fn expect_refusals(worker: &WorkerProcess) -> Result<()> {
    let begun = Instant::now();
    for path in ["/connectors", "/connectors/a", "/connectors/a/status"] {
        let (status, message) = ask(worker, (Method::GET, path), None).await?;
        ensure!(status == 200, "{path}: {status} {message}");
    }
    ensure!(begun.elapsed() < Duration::from_secs(5), "reading waits");
    let (create, delete) = ("/connectors/late/config", "/connectors/b");
    let restart = "/connectors/a/tasks/0/restart";
    let (created, deleted, restarted) = tokio::try_join!(
        ask(worker, (Method::PUT, create), Some(generator("late"))),
        ask(worker, (Method::DELETE, delete), None),
        ask(worker, (Method::POST, restart), None),
    )?;
    for (status, message) in [created, deleted, restarted] {
        ensure!(
            (status, message.as_str()) == (409, UNDER_WAY),
            "{status} {message}"
        );
    }
    Ok(())
}

/// Whether nothing runs in a worker any more.
async fn has_stopped(worker: &WorkerProcess) -> Result<bool> {
    for name in NAMES {
        let status = worker.get(&format!("/connectors/{name}/status")).await?;
        let tasks = status["tasks"].as_array().into_iter().flatten();
        let mut parts = tasks.chain([&status["connector"]]);
        let runs_here =
            |part: &Value| part["worker_id"] == worker.address() && part["state"] == "RUNNING";
        if parts.any(runs_here) {
            return Ok(false);
        }
    }
    Ok(true)
}

async fn kill_and_freeze(members: &mut Members) -> Result<()> {
    for (worker, name) in NAMES.iter().enumerate() {
        members.put(worker, name, &generator(name)).await?;
    }
    members.expect_even_share(NAMES, 2).await?;
    let log = members.logs();
    ensure!(log.contains("protocol=\"default\""), "not eager");

    let mut victim = members.workers.remove(1);
    victim.kill9()?;
    members.expect_even_share(NAMES, 2).await?;

    // The one that is left leads. It waits for one that came and is frozen once a connector comes.
    members.add(PATIENT)?;
    members.expect_even_share(NAMES, 2).await?;
    let [leader, frozen] = &*members.workers else {
        anyhow::bail!("there are two workers");
    };
    frozen.signal("STOP")?;
    leader.put_config("c", &generator("c")).await?;
    let stopped = wait_until("all has stopped", SOON, || has_stopped(leader)).await;
    let refused = match stopped {
        Ok(()) => expect_refusals(leader).await,
        stopped => stopped,
    };
    frozen.signal("CONT")?;
    refused?;
    members.expect_even_share(&["a", "b", "c"], 2).await?;
    members.put(0, "late", &generator("late")).await?;
    members
        .expect_states(1, "late", "RUNNING [RUNNING, RUNNING]")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_eager_group_takes_over_and_refuses_changes_while_it_waits() -> Result<()> {
    let mut members = Members::start(2, SETTINGS).await?;
    let outcome = kill_and_freeze(&mut members).await;
    outcome.with_context(|| members.logs())
}
