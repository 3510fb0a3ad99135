//! Confluent's generator class through a worker: records with their schemas, a crash on the way, and the end of its iterations.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::support::{WorkerProcess, wait_until};

const SOON: Duration = Duration::from_secs(60);
const ITERATIONS: usize = 600;

/// A config with schemas in its records.
fn config(name: &str, class: &str, more: Value) -> Value {
    let mut config = json!({
        "name": name,
        "connector.class": class,
        "tasks.max": "1",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "true",
    });
    if let (Some(config), Value::Object(more)) = (config.as_object_mut(), more) {
        config.extend(more);
    }
    config
}

/// Order numbers of the structs in the sink's file, as they come.
fn order_numbers(text: &str) -> Result<Vec<usize>> {
    let number = |line: &str| {
        let fields = line.strip_prefix("Struct{ordertime=").context("a struct")?;
        ensure!(fields.contains(",address=Struct{city=City_"), "{line}");
        let (_, rest) = fields
            .split_once(",orderid=")
            .context("an order's number")?;
        let (number, _) = rest.split_once(",itemid=Item_").context("an item")?;
        Ok(number.parse()?)
    };
    text.lines().map(number).collect()
}

#[tokio::test]
async fn orders_keep_their_schema_go_on_after_a_crash_and_end_as_they_should() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("orders.txt");
    let mut worker = WorkerProcess::start(folder.path(), None)?;
    let source = json!({
        "kafka.topic": "orders",
        "quickstart": "orders",
        "max.interval": "10",
        "iterations": ITERATIONS.to_string(),
    });
    let class = "io.confluent.kafka.connect.datagen.DatagenConnector";
    worker
        .put_config("orders-source", &config("orders-source", class, source))
        .await?;
    let sink = json!({"topics": "orders", "file": file});
    worker
        .put_config(
            "orders-sink",
            &config("orders-sink", "FileStreamSink", sink),
        )
        .await?;
    let sunk = || order_numbers(&std::fs::read_to_string(&file).unwrap_or_default());
    let some = wait_until("some orders", SOON, || async { Ok(sunk()?.len() > 100) });
    some.await.with_context(|| worker.log())?;
    worker.kill9()?;
    worker.launch()?;
    let end = worker.await_states("orders-source", "RUNNING [FAILED]", SOON);
    end.await.with_context(|| worker.log())?;
    let status = worker.get("/connectors/orders-source/status").await?;
    let trace = status["tasks"][0]["trace"].as_str().context("a trace")?;
    let reason =
        format!("Stopping connector: generated the configured {ITERATIONS} number of messages");
    ensure!(trace.contains(&reason), "{trace}");
    let all = wait_until("the last order", SOON, || async {
        Ok(sunk()?.last() == Some(&(ITERATIONS - 1)))
    });
    all.await.with_context(|| worker.log())?;
    // What was not stored when the worker was killed is made again; nothing is left out, and nothing begins from the start.
    let mut next = 0;
    let mut again = 0;
    for number in sunk()? {
        ensure!(number <= next, "order {next} is missing before {number}");
        again += usize::from(number < next);
        next = next.max(number + 1);
    }
    ensure!(next == ITERATIONS, "{next} orders");
    ensure!(again < ITERATIONS / 2, "{again} orders came again");
    worker.stop()
}
