//! What connectors may override of their clients, compared with the real Kafka Connect, and the table of the clients' options.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sluice::kafka::client_options::TABLE;
use sluice_services::{Connect, ConnectOptions, Kafka, kafka_jars};

use super::report::WRITE;
use super::side::Side;
use super::{Findings, script};
use crate::support::WorkerProcess;

const POLICY: &str = "connector.client.config.override.policy";
const ALLOWLIST: &str = "connector.client.config.override.allowlist";

#[test]
fn the_table_of_client_options_is_that_of_apache_kafka() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("java")
        .args(["-Xmx128m", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(format!("{}/*", kafka_jars()?.display()))
        .arg(root.join("tests/it/oracle/ClientOptions.java"))
        .output()
        .context("starting java: is a JDK installed?")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{errors}");
    let printed = String::from_utf8(output.stdout)?;
    if std::env::var_os(WRITE).is_some() {
        return Ok(std::fs::write(
            root.join("src/kafka/client_options.tsv"),
            printed,
        )?);
    }
    ensure!(
        printed == TABLE,
        "src/kafka/client_options.tsv is not what Apache Kafka has: run the test with {WRITE}=1"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_policy_refuses_overrides_as_kafka_connect_does() -> Result<()> {
    let class = "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy";
    for (group, policy) in [
        ("none", class),
        ("principal", "Principal"),
        ("list", "Allowlist"),
    ] {
        let allowed = "acks, max.poll.records ,nope";
        compare(group, [(POLICY, policy), (ALLOWLIST, allowed)]).await?;
    }
    Ok(())
}

async fn compare(group: &'static str, settings: [(&'static str, &'static str); 2]) -> Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let (bootstrap, connect) = tokio::task::spawn_blocking(move || {
        let kafka = Kafka::shared()?;
        anyhow::Ok((kafka.bootstrap(), start(kafka, group, &settings)?))
    })
    .await??;
    let lines = settings.map(|(key, value)| format!("{key}={value}"));
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    let worker = WorkerProcess::start_with(folders[1].path(), Some(bootstrap), &lines)?;
    let theirs = Side::new(connect.address(), folders[0].path(), "4.3.1")?;
    let version = env!("CARGO_PKG_VERSION");
    let ours = Side::new(worker.address(), folders[1].path(), version)?;
    let mut findings = Findings::default();
    findings.run(script::POLICIES, &theirs, &ours).await?;
    findings
        .nothing_wrong()
        .with_context(|| format!("policy {group}"))
}

/// A Kafka Connect with topics of its own.
fn start(kafka: &Kafka, group: &str, settings: &[(&str, &str)]) -> Result<Connect> {
    let topics = ["config", "offset", "status"].map(|kind| {
        (
            format!("{kind}.storage.topic"),
            format!("policy-{group}-{kind}"),
        )
    });
    let settings = settings.iter().copied();
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let group = ("group.id".to_owned(), format!("policy-{group}"));
    let properties = topics.into_iter().chain([group]).chain(settings).collect();
    Connect::start(kafka, &ConnectOptions { properties })
}
