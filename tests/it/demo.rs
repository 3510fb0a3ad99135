//! `sluice demo` as a newcomer runs it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use anyhow::{Result, ensure};
use sluice_services::{Service, free_port};

use crate::support::{SLUICE, wait_until};

fn demo(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(SLUICE);
    command
        .args(["demo", "--port", &port.to_string(), "--dir"])
        .arg(folder);
    command
}

fn text(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

#[tokio::test]
async fn the_demo_ends_with_every_event_in_s3_once_also_after_a_kill() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (dir, log) = (folder.path().join("demo"), folder.path().join("log"));
    let port = free_port()?;
    let first = Service::start(&demo(&dir, port), &log)?;
    wait_until("events flow", Duration::from_secs(30), || async {
        Ok(std::fs::read_to_string(&log)?.contains("events/s"))
    })
    .await?;
    first.kill9()?;
    let second = demo(&dir, port).args(["--for", "3"]).output()?;
    let said = text(&second);
    ensure!(second.status.success(), "{said}");
    for words in ["every event has arrived once", "Try next:"] {
        ensure!(said.contains(words), "no word of {words}: {said}");
    }
    ensure!(
        !said.contains("ERROR") && !said.contains("WARN"),
        "a second run is as clean as the first: {said}"
    );
    Ok(())
}

#[test]
fn the_demo_fills_a_table_of_the_snowflake_stand_in_and_says_that_it_is_one() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for _run in 0..2 {
        let mut command = demo(folder.path(), free_port()?);
        let output = command.args(["--snowflake", "--for", "4"]).output()?;
        let said = text(&output);
        ensure!(output.status.success(), "{said}");
        for words in [
            "stand-in",
            "rows in the table",
            "every event has arrived once",
        ] {
            ensure!(said.contains(words), "no word of {words}: {said}");
        }
        ensure!(!said.contains("ERROR") && !said.contains("WARN"), "{said}");
    }
    Ok(())
}

#[test]
fn a_port_that_is_taken_and_a_folder_that_cannot_be_written_are_named() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let port = taken.local_addr()?.port();
    let output = demo(folder.path(), port).args(["--for", "1"]).output()?;
    ensure!(!output.status.success());
    let said = text(&output);
    ensure!(
        said.contains(&format!("port {port} is taken")) && said.contains("--port"),
        "{said}"
    );

    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder")?;
    let output = demo(&file, free_port()?).args(["--for", "1"]).output()?;
    ensure!(!output.status.success());
    let said = text(&output);
    ensure!(
        said.contains("cannot be used") && said.contains("--dir"),
        "{said}"
    );
    Ok(())
}
