//! Every command of docs/guide and of the README, word for word and in order, in a fresh copy of the tree, as a new user
//! runs them; and what troubleshooting.md quotes.
//!
//! A page has a network of its own, in which the ports and hosts that it names are free. What cannot run here stands in an
//! `sh` fence and in [`NOT_RUN`], with what checks it instead; the run prints it. `make test` runs all.

mod network;
mod page;
mod shell;
mod surroundings;
mod troubleshooting;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tokio::net::TcpStream;

use crate::support::wait_until;
use page::Step;
use shell::{Ran, Shell};
use surroundings::{Need, Surroundings};

/// A command that begins like this is not run, and what checks it instead.
const NOT_RUN: &[(&str, &str)] = &[
    ("make test", "it is what runs this"),
    (
        "make image",
        "tests/it/image.rs runs the image that it builds",
    ),
    ("cargo install", "the binary under test is in the path"),
    ("cargo build", "the binary under test is in the path"),
    (
        "docker build",
        "no Docker here; tests/it/deploy_files.rs compares the Dockerfiles with the image's script",
    ),
    ("scripts/image.sh", "tests/it/image.rs runs what it builds"),
    (
        "docker run",
        "no Docker here; tests/it/container.rs runs the image with the same limits",
    ),
    (
        "docker compose",
        "no Docker here; tests/it/deploy_files.rs checks the files by their schema",
    ),
    (
        "sudo ",
        "no systemd here; tests/it/deploy_files.rs lets systemd-analyze verify the unit",
    ),
    ("journalctl", "no systemd here"),
    (
        "kubectl",
        "no cluster here; tests/it/deploy_files.rs checks the manifest by its schema",
    ),
    (
        "sluice worker connect-distributed.properties",
        "tests/it/takeover.rs moves a cluster of Kafka Connect",
    ),
    ("keytool", "it converts a user's own Java key store"),
    ("openssl pkcs12", "it converts a user's own Java key store"),
];
/// What the pages leave to the user, and what is here.
const FILLED_IN: &[(&str, &str)] = &[
    ("AWS_ACCESS_KEY_ID=…", "AWS_ACCESS_KEY_ID=test"),
    (
        "AWS_SECRET_ACCESS_KEY=…",
        "AWS_SECRET_ACCESS_KEY=test-secret",
    ),
    // The stand-in speaks no TLS.
    (
        "SNOWFLAKE_URL=xy12345.eu-west-1.snowflakecomputing.com",
        "SNOWFLAKE_URL=http://xy12345.eu-west-1.snowflakecomputing.com:8085",
    ),
];
/// Commands that run until Ctrl-C, and the words after which it is pressed.
const UNTIL_CTRL_C: &[(&str, &str)] = &[("cargo run --release -- demo", "events/s")];
/// Commands that only look: they are looked at again until they show what the page shows.
const LOOKS: &[&str] = &[
    "sluice connector status",
    "sluice connector list",
    "sluice pipeline status",
    "curl -s localhost",
    "psql",
    "aws s3",
    "python3",
    "kafka-consumer-groups.sh",
];
/// Commands whose numbers are others each time.
const NUMBERS_VARY: &[&str] = &["sluice pipeline", "kafka-consumer-groups.sh", "aws s3"];
/// What the page on Snowflake produces.
const SNOWFLAKE_EVENTS: usize = 101_000;
const LOOK_DEADLINE: Duration = Duration::from_secs(60);
/// The page whose first sections start a worker and a sink for pages that begin with both.
const FIRST_PAGE: &str = "docs/guide/retail-sales-to-s3.md";

/// The page whose commands tests/it/dlq.rs runs, on a connector whose records fail.
const RUN_ELSEWHERE: &str = "docs/guide/errors.md";

/// The pages, a test each: its file, what it presupposes, and the sections of [`FIRST_PAGE`] that come before it.
macro_rules! pages {
    ($($test:ident: $file:literal, [$($need:ident),*], after [$($section:literal),*];)*) => {
        const PAGES: &[&str] = &[$($file),*];
        $(
            #[test]
            fn $test() -> Result<()> {
                let name = concat!("guides::", stringify!($test));
                network::inside(name, surroundings::fetch, || walk($file, &[$(Need::$need),*], &[$($section),*]))
            }
        )*
    };
}

pages! {
    readme: "README.md", [Kafka, S3], after [];
    api_or_csv_to_postgres: "docs/guide/api-or-csv-to-postgres.md", [Kafka, Postgres, Users], after ["1. The worker"];
    dealer_systems: "docs/guide/dealer-systems-to-csv-and-postgres.md", [Kafka, Postgres, S3], after [];
    deploy: "docs/guide/deploy.md", [Kafka, Postgres, S3], after ["1. The worker"];
    exactly_once_sources: "docs/guide/exactly-once-sources.md", [Kafka], after [];
    monitoring: "docs/guide/monitoring.md", [Kafka, S3], after ["1. The worker", "2. The sink"];
    pipelines: "docs/guide/pipelines.md", [Kafka, S3], after ["1. The worker"];
    rest: "docs/guide/rest.md", [Kafka, S3], after ["1. The worker", "2. The sink"];
    retail_sales_to_s3: "docs/guide/retail-sales-to-s3.md", [Kafka, S3], after [];
    retail_sales_to_snowflake: "docs/guide/retail-sales-to-snowflake.md", [Kafka, Snowflake], after [];
    schema_registry: "docs/guide/schema-registry.md", [Kafka, SchemaRegistry], after ["1. The worker"];
    secrets: "docs/guide/secrets.md", [Kafka, S3], after [];
    cluster: "docs/guide/cluster.md", [], after [];
    take_over: "docs/guide/take-over.md", [], after [];
    troubleshooting: "docs/guide/troubleshooting.md", [Kafka, S3], after ["1. The worker", "2. The sink"];
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_page_of_the_guide_is_run() -> Result<()> {
    let mut files = BTreeSet::from(["README.md".to_owned()]);
    for entry in std::fs::read_dir(root().join("docs/guide"))? {
        let name = entry?.file_name();
        files.insert(format!("docs/guide/{}", name.to_string_lossy()));
    }
    ensure!(files.remove(RUN_ELSEWHERE), "{RUN_ELSEWHERE} is gone");
    let known = PAGES.iter().map(|&page| page.to_owned()).collect();
    ensure!(files == known, "pages {files:?}, run are {known:?}");
    for file in files {
        let steps = page::read(&root().join(&file))?;
        ensure!(steps.iter().any(|step| step.is_run), "{file} runs nothing");
        for step in steps.iter().filter(|step| !step.is_run) {
            why_not_run(&step.command).with_context(|| format!("{file}:{}", step.line))?;
        }
    }
    Ok(())
}

fn why_not_run(command: &str) -> Result<&'static str> {
    let row = NOT_RUN.iter().find(|(begin, _)| command.starts_with(begin));
    let (_, reason) = row.with_context(|| format!("nothing checks {command}"))?;
    Ok(reason)
}

/// A page being walked through.
struct Walk {
    file: &'static str,
    surroundings: Surroundings,
    shell: Shell,
}

#[tokio::main]
async fn walk(file: &'static str, needs: &[Need], before: &[&str]) -> Result<()> {
    let surroundings = Surroundings::start(needs).await?;
    let (tree, variables) = (surroundings.tree(), surroundings.variables()?);
    let shell = Shell::start(&tree, surroundings.outputs(), &variables)?;
    let mut walk = Walk {
        file,
        surroundings,
        shell,
    };
    let first = page::read(&tree.join(FIRST_PAGE))?;
    for section in before {
        let steps: Vec<_> = first
            .iter()
            .filter(|step| step.section == *section)
            .collect();
        ensure!(!steps.is_empty(), "{FIRST_PAGE} has no section {section}");
        for step in steps {
            walk.step(step).await?;
        }
    }
    for step in page::read(&tree.join(file))? {
        walk.step(&step).await?;
    }
    Ok(())
}

impl Walk {
    async fn step(&mut self, step: &Step) -> Result<()> {
        let place = format!("{}:{}", self.file, step.line);
        if !step.is_run {
            let reason = why_not_run(&step.command)?;
            println!("{place}: not run: {} ({reason})", step.command);
            return Ok(());
        }
        println!("{place}: $ {}", step.command);
        let ran = self.run(step).await.with_context(|| place.clone())?;
        let text = ran.text();
        println!("{text}");
        ensure!(
            has_ended_as_shown(step, &ran),
            "{place}: {} ends with {}: {text}",
            step.command,
            ran.status
        );
        ensure!(
            is_as_shown(step, &text),
            "{place}: {} shows {text}, not {:?}",
            step.command,
            step.shown
        );
        self.outside(&step.command).await
    }

    /// What a page leaves to be done, or to be looked at, elsewhere.
    async fn outside(&mut self, command: &str) -> Result<()> {
        if command.starts_with("deploy/snowflake_key_pair.sh") {
            self.surroundings.alter_user().await?;
        }
        let has_snowflake = self.surroundings.rows_in_snowflake().is_some();
        if has_snowflake && command.starts_with("sluice produce sales --burst") {
            let what = "all events are in Snowflake's stand-in";
            wait_until(what, Duration::from_secs(120), || async {
                Ok(self.surroundings.rows_in_snowflake() == Some(SNOWFLAKE_EVENTS))
            })
            .await?;
        }
        Ok(())
    }

    async fn run(&mut self, step: &Step) -> Result<Ran> {
        let mut command = step.command.clone();
        for (left, here) in FILLED_IN {
            command = command.replace(left, here);
        }
        let ends = UNTIL_CTRL_C
            .iter()
            .find(|(begin, _)| command.starts_with(begin));
        if let Some((_, words)) = ends {
            return self.shell.run_until(&command, words);
        }
        let until = Instant::now() + LOOK_DEADLINE;
        loop {
            let ran = self.shell.run(&command)?;
            let is_done = has_ended_as_shown(step, &ran) && is_as_shown(step, &ran.text());
            if is_done && command.ends_with('&') {
                wait_for_worker(&ran).await?;
            }
            if is_done || !begins(&command, LOOKS) || Instant::now() > until {
                return Ok(ran);
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
}

fn begins(command: &str, words: &[&str]) -> bool {
    words.iter().any(|words| command.starts_with(words))
}

fn is_as_shown(step: &Step, output: &str) -> bool {
    page::is_shown(&step.shown, output, begins(&step.command, NUMBERS_VARY))
}

/// As long as a user takes to type the next command.
async fn wait_for_worker(ran: &Ran) -> Result<()> {
    let connect = || async { Ok(TcpStream::connect("127.0.0.1:8083").await.is_ok()) };
    wait_until("a worker answers at 8083", Duration::from_secs(30), connect)
        .await
        .with_context(|| ran.text())
}

/// With exit code 0, unless the page shows an error of the binary.
fn has_ended_as_shown(step: &Step, ran: &Ran) -> bool {
    let is_error = step.shown.iter().any(|line| line.starts_with("sluice: "));
    (ran.status == 0) != is_error
}
