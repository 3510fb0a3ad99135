//! What a worker says of itself when its brokers are gone, and what it leaves behind when it stops.

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::task::block_in_place;

use super::members::{Members, SOON};
use crate::support::{WorkerProcess, wait_until};

/// Waits until this is what `/health` says.
async fn expect(worker: &WorkerProcess, code: u16, status: &str) -> Result<()> {
    wait_until(status, SOON, || async {
        let answer = reqwest::get(worker.url("/health")).await?;
        let is_code = answer.status().as_u16() == code;
        let told: Value = answer.json().await?;
        Ok(is_code && told["status"] == status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_coordinator_is_unhealthy_until_it_is_back() -> Result<()> {
    let mut members = Members::start(1, &[]).await?;
    expect(&members.workers[0], 200, "healthy").await?;
    block_in_place(|| members.kafka.node_mut(1)?.kill9())?;
    expect(&members.workers[0], 500, "unhealthy").await?;
    block_in_place(|| members.kafka.node_mut(1)?.restart())?;
    expect(&members.workers[0], 200, "healthy").await?;
    block_in_place(|| members.workers[0].stop())?;
    let log = members.workers[0].log();
    ensure!(!log.contains("dropped without close"), "{log}");
    ensure!(log.contains("worker stopped"), "{log}");
    Ok(())
}
