//! Whole pipelines on a worker process: up, status, down.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_stand_in_s3::{S3Options, S3StandIn, list_objects};

use super::{pipeline, text};
use crate::support::{WorkerProcess, wait_until};

/// A worker on the embedded log, an S3 server, and how a pipeline gets there.
struct Surroundings {
    worker: WorkerProcess,
    s3: S3StandIn,
    _folder: tempfile::TempDir,
}

impl Surroundings {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let s3 = S3Options::local(folder.path().join("s3"), "bronze");
        Ok(Self {
            worker: WorkerProcess::start(folder.path(), None)?,
            s3: S3StandIn::start(s3).await?,
            _folder: folder,
        })
    }

    /// `sluice pipeline <action> retail-s3 …` at this worker.
    fn run(&self, action: &str, more: &[&str]) -> Result<(i32, String)> {
        let url = self.worker.url("");
        let mut command = pipeline(&[action, "retail-s3", "--url", &url]);
        let output = command.args(more).output()?;
        let code = output.status.code().context("ended by a signal")?;
        Ok((code, text(&output)))
    }

    fn settings(&self) -> Vec<String> {
        let sink = |setting: String| format!("s3-sink-sales.{setting}");
        vec![
            sink(format!("store.url={}", self.s3.url())),
            sink("aws.access.key.id=test".to_owned()),
            sink("aws.secret.access.key=test-secret".to_owned()),
            sink("rotate.interval.ms=2000".to_owned()),
            "retail-orders-source.rate=50".to_owned(),
        ]
    }

    fn up(&self, more: &[&str]) -> Result<(i32, String)> {
        let settings = self.settings();
        let mut arguments: Vec<&str> = Vec::new();
        for setting in &settings {
            arguments.extend(["--set", setting]);
        }
        arguments.extend(more);
        self.run("up", &arguments)
    }

    fn lines_in_s3(&self) -> Result<usize> {
        let mut lines = 0;
        for (key, _) in list_objects(self.s3.folder(), "bronze")? {
            let path: PathBuf = self.s3.folder().join("bronze").join(key);
            lines += std::fs::read_to_string(path)?.lines().count();
        }
        Ok(lines)
    }

    async fn names(&self) -> Result<Value> {
        self.worker.get("/connectors").await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_goes_up_runs_and_comes_down_with_nothing_left_unwritten() -> Result<()> {
    let services = Surroundings::start().await?;
    let (code, said) = services.run("status", &[])?;
    ensure!(code == 1 && said.contains("MISSING"), "{said}");
    let (code, said) = services.up(&[])?;
    ensure!(
        code == 0 && said.contains("s3-sink-sales: created, RUNNING"),
        "{said}"
    );
    let (code, said) = services.up(&[])?;
    ensure!(
        code == 0 && said.contains("s3-sink-sales: unchanged, RUNNING"),
        "{said}"
    );
    let (code, said) = services.run("status", &[])?;
    ensure!(
        code == 0 && said.contains("task 0") && !said.contains("MISSING"),
        "{said}"
    );
    let (code, said) = services.run("status", &["--json"])?;
    let shown: Value = serde_json::from_str(&said)?;
    ensure!(code == 0 && shown[0]["name"] == "s3-sink-sales", "{said}");
    wait_until("objects", Duration::from_secs(60), || async {
        Ok(services.lines_in_s3()? > 100)
    })
    .await?;
    let (code, said) = services.run("down", &[])?;
    ensure!(
        code == 0 && said.contains("s3-sink-sales: removed"),
        "{said}"
    );
    ensure!(!said.contains("has not written"), "{said}");
    assert_eq!(services.names().await?, serde_json::json!([]));
    all_is_written(&services)
}

/// Orders count up: if none is lost and none doubled, the highest of them says how many there are.
fn all_is_written(services: &Surroundings) -> Result<()> {
    let mut orders = Vec::new();
    for (key, _) in list_objects(services.s3.folder(), "bronze")? {
        let text = std::fs::read_to_string(services.s3.folder().join("bronze").join(key))?;
        for line in text.lines() {
            let order: Value = serde_json::from_str(line)?;
            let id = order["order_id"]
                .as_str()
                .context("an order without an id")?;
            orders.push(id.to_owned());
        }
    }
    orders.sort_unstable();
    let expected: Vec<_> = (0..orders.len())
        .map(|number| format!("ORD-{}", 100_000 + number))
        .collect();
    ensure!(
        orders == expected,
        "{} orders, some lost or doubled",
        orders.len()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_kept_is_paused_and_goes_on_when_it_is_up_again() -> Result<()> {
    let services = Surroundings::start().await?;
    let (code, said) = services.up(&["--variant", "low-latency"])?;
    ensure!(code == 0, "{said}");
    wait_until("objects", Duration::from_secs(60), || async {
        Ok(services.lines_in_s3()? > 0)
    })
    .await?;
    let (code, said) = services.run("down", &["--keep"])?;
    ensure!(
        code == 0 && said.contains("s3-sink-sales: paused"),
        "{said}"
    );
    let (code, said) = services.run("status", &[])?;
    ensure!(code == 1 && said.contains("PAUSED"), "{said}");
    let before = services.lines_in_s3()?;
    let (code, said) = services.up(&["--variant", "low-latency"])?;
    ensure!(
        code == 0 && said.contains("s3-sink-sales: resumed, RUNNING"),
        "{said}"
    );
    wait_until("more objects", Duration::from_secs(60), || async {
        Ok(services.lines_in_s3()? > before)
    })
    .await?;
    let (code, said) = services.run("down", &[])?;
    ensure!(code == 0, "{said}");
    all_is_written(&services)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_sink_cannot_write_in_time_is_said_and_written_when_it_is_up_again() -> Result<()> {
    let services = Surroundings::start().await?;
    let (code, said) = services.up(&[])?;
    ensure!(code == 0, "{said}");
    wait_until("objects", Duration::from_secs(60), || async {
        Ok(services.lines_in_s3()? > 0)
    })
    .await?;
    services.s3.faults().down(true);
    let before = services.lines_in_s3()?;
    wait_until("records to write", Duration::from_secs(60), || async {
        let (_code, said) = services.run("status", &["--json"])?;
        let statuses: Value = serde_json::from_str(&said)?;
        Ok(statuses[0]["tasks"][0]["sluice"]["lag"].as_u64() > Some(50))
    })
    .await?;
    let (code, said) = services.run("down", &["--drain", "2"])?;
    ensure!(
        code == 0 && said.contains("s3-sink-sales has not written "),
        "{said}"
    );
    assert_eq!(services.names().await?, serde_json::json!([]));
    services.s3.faults().down(false);
    let (code, said) = services.up(&[])?;
    ensure!(
        code == 0 && said.contains("s3-sink-sales: created, RUNNING"),
        "{said}"
    );
    wait_until(
        "the records that were left",
        Duration::from_secs(60),
        || async { Ok(services.lines_in_s3()? > before + 50) },
    )
    .await?;
    let (code, said) = services.run("down", &[])?;
    ensure!(code == 0 && !said.contains("has not written"), "{said}");
    all_is_written(&services)
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_do_not_start_while_a_sink_does_not_run_and_what_is_missing_is_said() -> Result<()>
{
    let services = Surroundings::start().await?;
    let url = services.worker.url("");
    let output = pipeline(&["up", "retail-snowflake", "--url", &url]).output()?;
    let said = text(&output);
    ensure!(output.status.code() == Some(1), "{said}");
    for words in [
        "snowflake-sink-sales: ",
        "snowflake.private.key=${env:SNOWFLAKE_PRIVATE_KEY}",
        "config.providers=env",
        "the sources are not started",
    ] {
        ensure!(said.contains(words), "no word of {words}: {said}");
    }
    assert_eq!(services.names().await?, serde_json::json!([]));
    let output = pipeline(&["status", "dealer", "--url", "http://127.0.0.1:1"]).output()?;
    let said = text(&output);
    ensure!(
        output.status.code() == Some(1) && said.contains("no worker answers"),
        "{said}"
    );
    Ok(())
}
