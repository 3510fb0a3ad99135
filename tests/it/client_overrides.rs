//! Clients of connectors with settings of their own, on real Kafkas.

use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaOptions};

use crate::support::{SLUICE, WorkerProcess, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// Makes a request; the body of the answer, which must be one of success.
async fn call(worker: &WorkerProcess, method: Method, path: &str, body: &Value) -> Result<Value> {
    let request = Client::new().request(method, worker.url(path)).json(body);
    let answer = request.send().await?;
    let status = answer.status();
    let text = answer.text().await?;
    ensure!(status.is_success(), "{status}: {text}");
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

#[tokio::test]
async fn a_sink_of_another_cluster_has_its_offsets_there() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (own, other) = (Kafka::shared()?, Kafka::start(&KafkaOptions::default())?);
    let produce = "produce orders --burst --events 7 --partitions 1 --topic abroad --brokers";
    let mut produce: Vec<_> = produce.split(' ').map(str::to_owned).collect();
    produce.push(other.bootstrap());
    let produced = Command::new(SLUICE).args(produce).output()?;
    ensure!(produced.status.success(), "{produced:?}");

    let settings = ["offset.flush.interval.ms=200"];
    let worker = WorkerProcess::start_with(folder.path(), Some(own.bootstrap()), &settings)?;
    let config = json!({
        "connector.class": "FileStreamSink",
        "topics": "abroad",
        "file": folder.path().join("abroad.txt"),
        "consumer.override.bootstrap.servers": other.bootstrap(),
        "admin.override.bootstrap.servers": other.bootstrap(),
    });
    worker.put_config("abroad", &config).await?;
    let of = |offset: u32| {
        let partition = json!({ "kafka_topic": "abroad", "kafka_partition": 0 });
        json!({ "offsets": [{ "partition": partition, "offset": { "kafka_offset": offset } }] })
    };
    let path = "/connectors/abroad/offsets";
    wait_until("all is committed", SOON, || async {
        Ok(worker.get(path).await? == of(7))
    })
    .await?;

    call(&worker, Method::PUT, "/connectors/abroad/stop", &json!({})).await?;
    wait_until("the group is empty", SOON, || async {
        let altered = call(&worker, Method::PATCH, path, &of(3)).await;
        Ok(altered.is_ok())
    })
    .await?;
    assert_eq!(worker.get(path).await?, of(3));
    ensure!(
        other.describe_group("connect-abroad")?.contains("abroad"),
        "no group there"
    );
    call(&worker, Method::DELETE, path, &json!({})).await?;
    assert_eq!(worker.get(path).await?, json!({ "offsets": [] }));
    Ok(())
}
