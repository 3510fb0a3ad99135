//! Kafka's own classes, in a JVM.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sluice_services::kafka_jars;

/// The oracle's answers, one for each request; `more` stands behind the class path.
pub(crate) fn answers(requests: &[Value], more: &str) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let input = folder.path().join("requests");
    let lines: Vec<_> = requests.iter().map(Value::to_string).collect();
    fs::write(&input, lines.join("\n"))?;
    let jars = kafka_jars()?;
    // This module is compiled into the tests of the converters too, which lie beside this crate.
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let mut programs = crates.map(|folder| folder.join("transforms/tests/oracle/Oracle.java"));
    let program = programs
        .find(|path| path.is_file())
        .context("Oracle.java")?;
    let output = Command::new("java")
        .args([
            "-Xmx256m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Duser.language=en",
            "-Duser.country=US",
            "-Duser.timezone=UTC",
            "-cp",
        ])
        .arg(format!("{}/*{more}", jars.display()))
        .arg(program)
        .stdin(Stdio::from(File::open(&input)?))
        .output()
        .context("starting java: is a JDK installed?")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the oracle failed: {errors}");
    let answers: Vec<Value> = String::from_utf8(output.stdout)?
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()?;
    let (got, asked) = (answers.len(), requests.len());
    ensure!(got == asked, "{got} answers to {asked} requests: {errors}");
    Ok(answers)
}
