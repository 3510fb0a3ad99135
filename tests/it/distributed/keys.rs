//! The key that signs requests between workers is replaced all the time, and nobody notices.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::members::{Members, SOON};
use crate::support::wait_until;

const NAMES: &[&str] = &["a", "b", "c"];

/// A source whose tasks are made anew whenever its topic changes, and which has older tasks fenced out then.
fn source(file: &str, topic: &str) -> Value {
    json!({ "connector.class": "FileStreamSource", "tasks.max": "1", "file": file, "topic": topic })
}

/// The different keys there have been, by a reader of the config topic that knows nothing of ours.
fn keys(members: &Members) -> Result<usize> {
    let bootstrap = members.kafka.bootstrap();
    let output = Command::new("kcat")
        .args(["-C", "-e", "-q", "-b", &bootstrap, "-t", "workers-configs"])
        .args(["-X", "isolation.level=read_committed", "-o", "beginning"])
        .args(["-f", "%k %s\n"])
        .output()
        .context("starting kcat: `make test` installs it on Debian")?;
    let text = String::from_utf8(output.stdout)?;
    let keys = text.lines().filter(|line| line.starts_with("session-key "));
    Ok(keys.collect::<std::collections::BTreeSet<_>>().len())
}

/// Waits until there were two more keys.
async fn rotate(members: &Members) -> Result<()> {
    let before = keys(members)?;
    let rotated = || async { Ok(keys(members)? >= before + 2) };
    wait_until("two more keys", SOON, rotated).await
}

/// Changes all connectors, and waits until the tasks of each run with the change.
async fn change(members: &Members, topic: &str) -> Result<()> {
    for (number, name) in NAMES.iter().enumerate() {
        let config = source(&members.path("in.txt"), topic);
        let worker = number % members.workers.len();
        members.put(worker, name, &config).await?;
    }
    for name in NAMES {
        let worker = members.workers.first().context("no worker")?;
        let changed = || async {
            let tasks = worker.get(&format!("/connectors/{name}/tasks")).await?;
            ensure!(tasks[0]["config"]["topic"] == topic, "{tasks}");
            let states = worker.states(name).await?;
            ensure!(states == "RUNNING [RUNNING]", "{states}");
            Ok(true)
        };
        wait_until(&format!("{name} writes to {topic}"), SOON, changed).await?;
    }
    Ok(())
}

async fn change_and_rotate(members: &mut Members, settings: &[&str]) -> Result<()> {
    change(members, "first").await?;
    members.expect_even_share(NAMES, 1).await?;
    for topic in ["second", "third"] {
        rotate(members).await?;
        change(members, topic).await?;
    }
    // One that comes learns of the key of now, and of all that follow.
    members.add(settings)?;
    members.expect_even_share(NAMES, 1).await?;
    for topic in ["fourth", "fifth"] {
        rotate(members).await?;
        change(members, topic).await?;
    }
    members.expect_even_share(NAMES, 1).await
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_forwarded_and_fenced_out_while_session_keys_are_replaced() -> Result<()> {
    let settings = [
        "inter.worker.key.ttl.ms=500",
        "exactly.once.source.support=enabled",
        // A task that has failed stays so, and is seen.
        "task.restart.backoff.ms=0",
    ];
    let mut members = Members::start(2, &settings).await?;
    std::fs::write(members.path("in.txt"), "a line\n")?;
    let outcome = change_and_rotate(&mut members, &settings).await;
    outcome.with_context(|| members.logs())
}
