//! Topics of sources, made with settings of their own on a real Kafka.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::Kafka;

use crate::support::{WorkerProcess, changed, wait_until};

fn source(name: &str, more: &[(&str, &str)]) -> Value {
    let config = json!({
        "name": name,
        "connector.class": "sluice.datagen.DatagenSourceConnector",
        "kafka.topic": name,
        "event.type": "sales",
        // A compacted topic takes no record without a key.
        "key.field": "store_id",
        "count": "5",
        "rate": "1000",
    });
    changed(config, more)
}

#[tokio::test]
async fn the_group_of_a_topic_says_how_it_is_made() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let options = [
        ("topic.creation.groups", "compacted"),
        ("topic.creation.default.partitions", "2"),
        ("topic.creation.default.replication.factor", "-1"),
        ("topic.creation.compacted.include", "made-.*"),
        ("topic.creation.compacted.partitions", "7"),
        ("topic.creation.compacted.cleanup.policy", "compact"),
    ];
    for name in ["made-compacted", "plain-made"] {
        worker.put_config(name, &source(name, &options)).await?;
        let url = worker.url("/metrics");
        let written = format!(
            "kafka_connect_source_task_metrics_source_record_write_total{{connector=\"{name}\",task=\"0\"}} 5.0"
        );
        wait_until("all are written", Duration::from_secs(30), || async {
            Ok(reqwest::get(&url).await?.text().await?.contains(&written))
        })
        .await?;
    }
    let compacted = kafka.describe_topic("made-compacted")?;
    ensure!(
        compacted.contains("PartitionCount: 7") && compacted.contains("cleanup.policy=compact"),
        "{compacted}"
    );
    let plain = kafka.describe_topic("plain-made")?;
    ensure!(
        plain.contains("PartitionCount: 2") && !plain.contains("cleanup.policy=compact"),
        "{plain}"
    );
    Ok(())
}

#[tokio::test]
async fn topics_are_made_by_the_connectors_own_admin_client() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let bootstrap = Kafka::shared()?.bootstrap();
    let settings = ["admin.client.id=topic-maker"];
    let worker = WorkerProcess::start_with(folder.path(), Some(bootstrap), &settings)?;
    let creation = [
        ("topic.creation.default.partitions", "1"),
        ("topic.creation.default.replication.factor", "1"),
    ];
    let refused = [
        ("admin.override.bootstrap.servers", "127.0.0.1:1"),
        ("admin.override.retries", "5"),
    ];
    for (name, (key, value)) in ["made-nowhere", "made-wrongly"].into_iter().zip(refused) {
        let mut options = creation.to_vec();
        options.push((key, value));
        worker.put_config(name, &source(name, &options)).await?;
        wait_until("a failure", Duration::from_secs(60), || async {
            Ok(worker.states(name).await?.contains("FAILED"))
        })
        .await?;
        let status = worker.get(&format!("/connectors/{name}/status")).await?;
        let named = key.trim_start_matches("admin.override.");
        let shown = status.to_string();
        ensure!(shown.contains(named) || shown.contains(value), "{shown}");
    }
    let options = [&creation[..], &[("admin.override.client.id", "mine")]].concat();
    worker
        .put_config("made-by-me", &source("made-by-me", &options))
        .await?;
    worker
        .await_states("made-by-me", "RUNNING [RUNNING]", Duration::from_secs(30))
        .await
}

#[tokio::test]
async fn a_topic_that_is_there_stays_as_it_is() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    kafka.create_topic("made-before", 1, &[])?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let options = [
        ("topic.creation.default.partitions", "4"),
        ("topic.creation.default.replication.factor", "1"),
    ];
    worker
        .put_config("made-before", &source("made-before", &options))
        .await?;
    worker
        .await_states("made-before", "RUNNING [RUNNING]", Duration::from_secs(30))
        .await?;
    let before = kafka.describe_topic("made-before")?;
    ensure!(before.contains("PartitionCount: 1"), "{before}");
    Ok(())
}

#[tokio::test]
async fn options_that_are_wrong_fail_the_connector_and_not_its_creation() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = WorkerProcess::start(folder.path(), None)?;
    let options = [("topic.creation.default.partitions", "4")];
    worker
        .put_config("half-made", &source("half-made", &options))
        .await?;
    worker
        .await_states("half-made", "FAILED []", Duration::from_secs(30))
        .await?;
    let status = worker.get("/connectors/half-made/status").await?;
    let trace = status["connector"]["trace"].as_str().context("a trace")?;
    ensure!(
        trace.contains("topic.creation.default.replication.factor"),
        "{trace}"
    );
    Ok(())
}

/// It is not started again and again: nothing outside will change.
#[tokio::test]
async fn a_topic_that_no_log_can_have_is_the_records_fault() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let kafka = Kafka::shared()?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let name = "misnamed";
    let route = [
        ("transforms", "route"),
        (
            "transforms.route.type",
            "org.apache.kafka.connect.transforms.RegexRouter",
        ),
        ("transforms.route.regex", "(.*)"),
        ("transforms.route.replacement", "$1 of today"),
    ];
    worker.put_config(name, &source(name, &route)).await?;
    wait_until("the task fails", Duration::from_secs(30), || async {
        Ok(worker.states(name).await? == "RUNNING [FAILED]")
    })
    .await?;
    let status = worker.get(&format!("/connectors/{name}/status")).await?;
    let task = &status["tasks"][0];
    let trace = task["trace"].as_str().unwrap_or_default();
    ensure!(
        trace.contains("\"misnamed of today\" is no topic name"),
        "{trace}"
    );
    ensure!(task["sluice"]["restart"].is_null(), "{status}");
    Ok(())
}
