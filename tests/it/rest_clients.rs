//! What others have made for Kafka Connect's REST API works with ours: clients for Python, and a tool that goes by the API's
//! description.

use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::support::WorkerProcess;

/// Two public clients.
const CLIENTS: [&str; 2] = ["kafka-connect-py==1.0.0", "kafka-connect-api==0.5.10"];
/// Makes calls from the description of an API and checks the answers.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";
/// Seconds it may take.
const LONGEST_LOOK: &str = "25";

/// The interpreter of an environment with these packages.
fn python(packages: &[&str]) -> Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(root.join("scripts/python.sh"))
        .args(packages)
        .output()?;
    ensure!(made.status.success(), "{}", shown(&made));
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}

fn shown(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn the_public_python_clients_work() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rest_clients.py");
    let mut command = Command::new(python(&CLIENTS)?);
    command.arg(script).arg(worker.url("")).arg(folder.path());
    let ran = tokio::task::spawn_blocking(move || command.output()).await??;
    ensure!(ran.status.success(), "{}", shown(&ran));
    Ok(())
}

/// What is not checked: that wrong input is a client's error. Kafka Connect answers 500 to a body that it cannot read, and so
/// do we; that nothing fails inside is seen in the log.
#[tokio::test]
async fn every_answer_is_as_the_description_of_the_api_says() -> Result<()> {
    const CHECKS: &str = "status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,allow_header_conformance";
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    // The connector that the examples speak of.
    let lines =
        json!({ "connector.class": "FileStreamSource", "file": "lines.txt", "topic": "lines" });
    worker.put_config("lines", &lines).await?;
    let tool = Path::new(&python(&[SCHEMATHESIS])?).with_file_name("schemathesis");
    let mut command = Command::new(tool);
    command
        .current_dir(folder.path())
        .args(["run", &worker.url("/openapi.json"), "--checks", CHECKS])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "40",
        ])
        .args(["--max-time", LONGEST_LOOK, "--seed", "1", "--workers", "2"])
        .args(["--suppress-health-check", "all", "--no-color"]);
    let ran = tokio::task::spawn_blocking(move || command.output())
        .await?
        .context("starting schemathesis")?;
    ensure!(ran.status.success(), "{}", shown(&ran));
    let log = worker.log();
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}
