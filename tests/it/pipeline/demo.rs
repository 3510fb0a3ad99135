//! Demos: on the embedded log, on a real Kafka, with a real Postgres; and one that goes wrong.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use sluice_services::{Kafka, KafkaOptions, Postgres, PostgresOptions};
use sluice_stand_in_s3::list_objects;

use super::{pipeline, said, text};

const AGREES: &str = "every event is at every stage once";

/// A short demo with its files below `folder`.
fn demo(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = pipeline(&["demo"]);
    command.args(arguments).arg("--dir").arg(folder);
    command
}

/// A demo under way; killed when dropped.
struct Running {
    process: Child,
    log: PathBuf,
}

impl Running {
    fn start(folder: &Path, arguments: &[&str]) -> Result<Self> {
        let log = folder.join("log");
        let out = File::create(&log)?;
        let mut command = demo(folder, arguments);
        let process = command.stderr(out.try_clone()?).stdout(out).spawn()?;
        Ok(Self { process, log })
    }

    fn said(&self) -> Result<String> {
        Ok(std::fs::read_to_string(&self.log)?)
    }

    fn interrupt(&self) -> Result<()> {
        let pid = self.process.id().to_string();
        let sent = Command::new("kill").args(["-s", "INT", &pid]).status()?;
        ensure!(sent.success(), "no signal sent");
        Ok(())
    }

    /// Waits until it has ended; the exit code.
    fn exit_code(&mut self) -> Result<i32> {
        let ended = wait(Duration::from_secs(60), || self.process.try_wait().ok()?)?;
        ended.code().context("ended by a signal")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// The cells of a row of the closing table.
fn row<'a>(said: &'a str, name: &str) -> Result<Vec<&'a str>> {
    let table = said.split_once("\nTYPE").context("no closing table")?.1;
    let mut lines = table.lines().map(|line| line.split_whitespace().collect());
    let found = lines.find(|cells: &Vec<&str>| cells.first() == Some(&name));
    found.with_context(|| format!("no row {name} in {said}"))
}

#[test]
fn the_demo_of_each_pipeline_needs_nothing_and_ends_with_a_table_that_agrees() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (name, types) in [
        ("dealer", &["sales", "telemetry"][..]),
        ("retail-s3", &["orders"][..]),
        ("retail-snowflake", &["sales"][..]),
        ("api-postgres", &["api_users", "csv_users"][..]),
    ] {
        let arguments = [name, "--duration", "3", "--rate", "1200"];
        let said = said(&mut demo(folder.path(), &arguments))?;
        ensure!(said.contains(AGREES), "{said}");
        for name in types {
            let row = row(&said, name)?;
            let produced: usize = row.get(1).context("a number")?.parse()?;
            ensure!(produced >= 5 && row.get(2) == row.get(1), "{said}");
        }
        let is_left_out = said.contains("Postgres was not part of this run");
        ensure!(
            is_left_out == ["dealer", "api-postgres"].contains(&name),
            "{said}"
        );
        ensure!(!folder.path().join(format!("{name}-1/worker")).exists());
    }
    Ok(())
}

#[test]
fn the_dealer_s_demo_prints_how_long_events_and_batches_took() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let size = "s3-sink-automotive-csv.flush.size=7";
    let arguments = [
        "dealer",
        "--events",
        "20",
        "--interval",
        "0.1",
        "--set",
        size,
    ];
    let said = said(&mut demo(folder.path(), &arguments))?;
    ensure!(
        row(&said, "all")? == ["all", "120", "120", "120", "-"],
        "{said}"
    );
    for (line, count) in [
        ("event → the log", "120 events"),
        ("the log → S3", " objects"),
    ] {
        let lines: Vec<_> = said
            .lines()
            .filter(|shown| shown.starts_with(line))
            .collect();
        let [line] = lines.as_slice() else {
            bail!("no line {line}: {said}");
        };
        ensure!(line.contains(" ms") && line.contains(count), "{said}");
    }
    let objects = list_objects(&folder.path().join("dealer-1/s3"), "automotive")?;
    ensure!(objects.len() >= 6 * 3, "batches are not of 7: {objects:?}");
    Ok(())
}

#[test]
fn a_system_or_a_target_can_be_left_out() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let without = [
        "--without",
        "dealer-sales-source",
        "--without",
        "postgres-sink-automotive",
    ];
    let mut arguments = vec!["dealer", "--events", "3", "--interval", "0.2"];
    arguments.extend(without);
    let said = said(&mut demo(folder.path(), &arguments))?;
    ensure!(row(&said, "all")? == ["all", "15", "15", "15"], "{said}");
    ensure!(
        row(&said, "sales").is_err() && !said.contains("POSTGRES"),
        "{said}"
    );
    Ok(())
}

#[test]
fn a_demo_whose_target_loses_an_object_says_so_and_fails() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let arguments = [
        "dealer",
        "--events",
        "30",
        "--interval",
        "0.2",
        "--drain",
        "3",
    ];
    let mut running = Running::start(folder.path(), &arguments)?;
    let root = folder.path().join("dealer-1/s3");
    let lost = wait(Duration::from_secs(60), || {
        let objects = list_objects(&root, "automotive").unwrap_or_default();
        let keys = objects.into_iter().map(|(key, _)| key);
        keys.into_iter()
            .find(|key| key.starts_with("sales/") && key.ends_with(".csv"))
    })?;
    std::fs::remove_file(root.join("automotive").join(&lost))?;
    let code = running.exit_code()?;
    let said = running.said()?;
    let row = row(&said, "sales")?.join(" ");
    ensure!(row.contains("<- S3:") && row.contains("lost"), "{said}");
    ensure!(
        code == 1 && said.contains("NOT EVERY EVENT"),
        "{code}: {said}"
    );
    Ok(())
}

/// Waits until there is something.
fn wait<T>(deadline: Duration, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let until = Instant::now() + deadline;
    loop {
        if let Some(found) = probe() {
            return Ok(found);
        }
        ensure!(Instant::now() < until, "not within {deadline:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ctrl_c_ends_the_events_and_what_was_made_still_arrives_and_is_counted() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut running = Running::start(folder.path(), &["retail-s3", "--rate", "3000"])?;
    wait(Duration::from_secs(60), || {
        let said = running.said().ok()?;
        said.contains(" produced, ").then_some(())
    })?;
    running.interrupt()?;
    let (code, said) = (running.exit_code()?, running.said()?);
    ensure!(
        said.contains(AGREES) && row(&said, "orders").is_ok(),
        "{said}"
    );
    ensure!(code == 0, "{said}");
    Ok(())
}

/// `postgres://…` for the superuser of the test's server.
fn url(postgres: &Postgres, database: &str) -> String {
    let password = Postgres::PASSWORD.replace('\'', "%27").replace(' ', "%20");
    let (user, port) = (Postgres::USER, postgres.port());
    format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}")
}

#[test]
fn with_kafka_and_postgres_each_event_is_in_both_and_in_s3_and_older_ones_do_not_count()
-> Result<()> {
    // Its own: other tests count what is in the topics of these names.
    let kafka = Kafka::start(&KafkaOptions::default())?;
    let postgres = Postgres::start(&PostgresOptions::default())?;
    postgres.sql("postgres", "CREATE DATABASE warehouse")?;
    let (folder, url) = (tempfile::tempdir()?, url(&postgres, "warehouse"));
    let bootstrap = kafka.bootstrap();
    for _run in 0..2 {
        let arguments = [
            "dealer",
            "--events",
            "15",
            "--interval",
            "0.2",
            "--bootstrap-servers",
            &bootstrap,
            "--postgres",
            &url,
        ];
        let said = said(&mut demo(folder.path(), &arguments))?;
        ensure!(
            row(&said, "all")? == ["all", "90", "90", "90", "90"],
            "{said}"
        );
        ensure!(
            said.contains("event → Kafka") && said.contains("IN KAFKA"),
            "{said}"
        );
        ensure!(!said.contains("secret"), "{said}");
        let count = "SELECT count(*) FROM sluice_demo_dealer.telemetry_topic";
        assert_eq!(postgres.sql("warehouse", count)?.trim(), "15");
    }
    let groups = kafka.tool(
        "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
        &["--bootstrap-server", &bootstrap, "--list"],
    )?;
    let groups = String::from_utf8(groups.stdout)?;
    ensure!(!groups.contains("sluice-demo"), "groups are left: {groups}");
    Ok(())
}

#[test]
fn rows_of_api_and_file_are_counted_in_postgres() -> Result<()> {
    let postgres = Postgres::start(&PostgresOptions::default())?;
    let (folder, url) = (tempfile::tempdir()?, url(&postgres, "postgres"));
    let arguments = [
        "api-postgres",
        "--events",
        "40",
        "--interval",
        "0.1",
        "--postgres",
        &url,
    ];
    let said = said(&mut demo(folder.path(), &arguments))?;
    ensure!(row(&said, "all")? == ["all", "80", "80", "80"], "{said}");
    let count = "SELECT count(DISTINCT id) FROM sluice_demo_api_postgres.data_stream";
    assert_eq!(postgres.sql("postgres", count)?.trim(), "80");
    Ok(())
}

#[test]
fn what_keeps_a_demo_from_starting_is_named_without_a_password() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for (arguments, words) in [
        (
            &["dealer", "--postgres", "postgres://me:hidden@127.0.0.1:1/x"][..],
            "Postgres at 127.0.0.1:1",
        ),
        (
            &["dealer", "--postgres", "hidden://"][..],
            "postgres://user:password@host",
        ),
        (
            &["dealer", "--set", "s3-sink.x=y"][..],
            "s3-sink-automotive-csv",
        ),
        (&["dealer", "--rate", "0"][..], "--rate 0"),
    ] {
        let output = demo(folder.path(), arguments).output()?;
        let said = text(&output);
        ensure!(
            output.status.code() == Some(1) && said.contains(words),
            "{said}"
        );
        ensure!(!said.contains("hidden"), "{said}");
    }
    Ok(())
}
