//! Letters that are too large for the dead letter queue with all that they say of their errors.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;
use sluice_services::Kafka;

use crate::support::{WorkerProcess, kcat, wait_until};

/// What the queue's topic takes: batches of so many bytes.
const MOST_BYTES: usize = 100_000;

#[tokio::test]
async fn a_letter_that_is_too_large_says_less_and_the_task_goes_on() -> Result<()> {
    let (folder, kafka) = (tempfile::tempdir()?, Kafka::shared()?);
    let (name, queue) = ("large-letters", "large-letters-dead");
    kafka.create_topic(name, 1, &[])?;
    kafka.create_topic(queue, 1, &[&format!("max.message.bytes={MOST_BYTES}")])?;
    // Room for all headers, for those of the place, for none.
    let broken = [2_000, 500, 120].map(|room| "x".repeat(MOST_BYTES - room));
    let good = "{\"id\":1}".to_owned();
    kcat::produce(
        &kafka.bootstrap(),
        name,
        broken.clone().into_iter().chain([good]),
    )?;
    let worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    let file = folder.path().join("lines");
    let config = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "topics": name, "file": file,
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": queue,
        "errors.deadletterqueue.context.headers.enable": "true",
    });
    worker.put_config(name, &config).await?;
    wait_until("all is committed", Duration::from_secs(60), async || {
        let status = worker.get(&format!("/connectors/{name}/status")).await?;
        Ok(status["tasks"][0]["sluice"]["lag"] == 0)
    })
    .await
    .with_context(|| worker.log())?;
    ensure!(std::fs::read_to_string(&file)? == "{id=1}\n");
    let mut letters = kcat::records(&kafka.bootstrap(), queue)?;
    letters.sort_by_key(|letter| letter.value.len());
    let values: Vec<_> = letters.iter().map(|letter| &letter.value).collect();
    ensure!(
        values == broken.iter().collect::<Vec<_>>(),
        "{} letters",
        values.len()
    );
    let headers: Vec<_> = letters.iter().map(|letter| letter.names.len()).collect();
    // The first is kcat's.
    assert_eq!(headers, [11, 4, 1]);
    let place = ["topic", "partition", "offset"].map(|name| format!("__connect.errors.{name}"));
    ensure!(
        letters
            .get(1)
            .is_some_and(|letter| letter.names.ends_with(&place))
    );
    Ok(())
}
