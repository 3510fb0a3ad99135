//! Work is shared evenly, each part runs once, and what a dead worker ran goes on elsewhere.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::members::{Members, SOON, append, lines};
use crate::support::wait_until;

/// A source that makes some events a second.
fn generator(topic: &str, tasks: u32) -> Value {
    json!({
        "connector.class": "DatagenSource",
        "tasks.max": tasks.to_string(),
        "kafka.topic": topic,
        "event.type": "orders",
        "rate": "20",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn connectors_and_tasks_are_shared_and_each_runs_once() -> Result<()> {
    let mut members = Members::start(2, &[]).await?;
    let names = ["a", "b", "c"];
    for (worker, name) in [0, 1, 0].into_iter().zip(names) {
        members.put(worker, name, &generator(name, 4)).await?;
    }
    let shared = members.expect_even_share(&names, 4).await;
    shared.with_context(|| members.logs())?;
    // Each tells the same of all parts, whoever runs them.
    for worker in 0..2 {
        for name in names {
            let wanted = "RUNNING [RUNNING, RUNNING, RUNNING, RUNNING]";
            members.expect_states(worker, name, wanted).await?;
        }
    }
    // One more takes its share.
    members.add(&[])?;
    let shared = members.expect_even_share(&names, 4).await;
    shared.with_context(|| members.logs())?;
    // One that leaves in good order leaves nothing behind.
    let mut left = members.workers.remove(0);
    tokio::task::block_in_place(|| left.stop())?;
    let shared = members.expect_even_share(&names, 4).await;
    shared.with_context(|| members.logs())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_worker_ran_goes_on_elsewhere_and_no_line_is_lost() -> Result<()> {
    let mut members = Members::start(2, &[]).await?;
    let names = ["in-0", "in-1", "out"];
    for (number, name) in names.iter().take(2).enumerate() {
        let file = members.path(name);
        append(&file, &lines(0..1000))?;
        let source = json!({ "connector.class": "FileStreamSource", "tasks.max": "1", "file": file, "topic": name });
        members.put(number, name, &source).await?;
    }
    let out = members.path("out");
    let sink = json!({ "connector.class": "FileStreamSink", "tasks.max": "1", "file": out, "topics": "in-0,in-1" });
    members.put(1, "out", &sink).await?;
    let arrived = || async {
        let written = std::fs::read_to_string(&out).unwrap_or_default();
        Ok(written.lines().count() >= 2000)
    };
    let outcome = wait_until("the first lines", SOON, arrived).await;
    outcome.with_context(|| members.logs())?;
    let first = members.workers.first().context("no worker")?;
    let owners = members.owners(first, &names).await?;
    let victim = owners.get("in-0-0").context("in-0 runs nowhere")?.clone();
    members.at(&victim)?.kill9()?;
    for name in ["in-0", "in-1"] {
        append(&members.path(name), &lines(1000..2000))?;
    }
    members.workers.retain(|worker| worker.address() != victim);
    let complete = || async {
        let written = std::fs::read_to_string(&out)?;
        let wanted = lines(0..2000);
        let twice = |line: &str| written.lines().filter(|found| *found == line).count() >= 2;
        let missing = wanted.lines().filter(|line| !twice(line)).count();
        ensure!(missing == 0, "{missing} lines are missing");
        Ok(true)
    };
    let outcome = wait_until("all lines", SOON, complete).await;
    outcome.with_context(|| members.logs())?;
    for name in names {
        members.expect_states(0, name, "RUNNING [RUNNING]").await?;
    }
    Ok(())
}
