//! `sluice pipeline` as users run it: demos on the embedded log, on a real Kafka and with a real Postgres, and whole
//! pipelines on a worker process.

mod demo;
mod on_a_worker;

use std::process::{Command, Output};

use anyhow::{Result, ensure};

use crate::support::SLUICE;

fn pipeline(arguments: &[&str]) -> Command {
    let mut command = Command::new(SLUICE);
    command.arg("pipeline").args(arguments);
    command.env_remove("CONNECT_REST_URL");
    command.env_remove("SLUICE_DEMO_POSTGRES");
    command
}

/// What a command prints, errors last.
fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    let (out, err) = (String::from_utf8_lossy(out), String::from_utf8_lossy(err));
    format!("{out}{err}")
}

/// What a command prints that is to succeed.
fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    let said = text(&output);
    ensure!(output.status.success(), "{command:?}: {said}");
    ensure!(!said.contains("WARN") && !said.contains("ERROR"), "{said}");
    Ok(said)
}

#[test]
fn without_a_name_the_pipelines_are_shown_and_a_wrong_name_is_told_the_right_ones() -> Result<()> {
    for arguments in [&[][..], &["list"][..]] {
        let said = said(&mut pipeline(arguments))?;
        for name in ["retail-snowflake", "dealer", "retail-s3", "api-postgres"] {
            let lines: Vec<_> = said.lines().filter(|line| line.starts_with(name)).collect();
            ensure!(lines.len() == 1, "{name}: {said}");
        }
    }
    for action in ["up", "status", "down", "demo"] {
        let output = pipeline(&[action, "retail"]).output()?;
        let said = text(&output);
        ensure!(output.status.code() == Some(1), "{action}: {said}");
        ensure!(
            said.contains("retail is no pipeline; known are retail-snowflake, dealer"),
            "{said}"
        );
    }
    Ok(())
}
