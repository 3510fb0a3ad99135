//! What validation says about exactly-once delivery, beside a real Kafka Connect that delivers exactly once, too.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_services::{Connect, ConnectOptions, Kafka, KafkaOptions};

use super::GROUP;
use crate::support::WorkerProcess;

const CLASS: &str = "org.apache.kafka.connect.file.FileStreamSourceConnector";

/// Options of connectors, as both are asked about them.
fn cases() -> Vec<Value> {
    let file = json!({ "file": "/tmp/x", "topic": "t" });
    let stdin = json!({ "topic": "t" });
    let with = |base: &Value, more: Value| {
        let mut config = base.clone();
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        config
    };
    vec![
        with(&file, json!({ "exactly.once.support": "required" })),
        with(&file, json!({ "exactly.once.support": "REQUESTED" })),
        with(&stdin, json!({ "exactly.once.support": "required" })),
        with(
            &stdin,
            json!({ "file": "", "exactly.once.support": "required" }),
        ),
        with(&file, json!({ "transaction.boundary": "connector" })),
        with(
            &file,
            json!({ "transaction.boundary": "INTERVAL", "transaction.boundary.interval.ms": "-1" }),
        ),
        with(
            &file,
            json!({ "transaction.boundary": "interval", "transaction.boundary.interval.ms": "10" }),
        ),
        with(&file, json!({ "offsets.storage.topic": "mine" })),
        with(&file, json!({ "offsets.storage.topic": "" })),
        json!({ "exactly.once.support": "required", "transaction.boundary": "connector" }),
        with(
            &stdin,
            json!({ "exactly.once.support": "required", "batch.size": "x" }),
        ),
    ]
}

/// Values and errors by option.
type Answer = BTreeMap<String, (Value, Value)>;

async fn validated(address: &str, config: &Value) -> Result<Answer> {
    let url = format!("http://{address}/connector-plugins/FileStreamSource/config/validate");
    let answer = reqwest::Client::new().put(url).json(config).send().await?;
    let answer: Value = answer.json().await?;
    let configs = answer["configs"].as_array();
    let mut options = Answer::new();
    for option in configs.with_context(|| answer.to_string())? {
        let value = &option["value"];
        let name = value["name"].as_str().unwrap_or_default().to_owned();
        options.insert(name, (value["value"].clone(), value["errors"].clone()));
    }
    let count = (answer["error_count"].clone(), Value::Null);
    options.insert("error_count".to_owned(), count);
    // Each has its own.
    options.retain(|name, _| !name.ends_with("plugin.version"));
    Ok(options)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_connector_insists_on_is_answered_as_kafka_connect_answers_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let starting = tokio::task::spawn_blocking(|| -> Result<(Kafka, Connect)> {
        let kafka = Kafka::start(&KafkaOptions::default())?;
        let enabled = ("exactly.once.source.support", "enabled");
        let properties = [enabled].map(|(key, value)| (key.to_owned(), value.to_owned()));
        let options = ConnectOptions {
            properties: properties.into(),
        };
        let connect = Connect::start(&kafka, &options)?;
        Ok((kafka, connect))
    });
    let (kafka, connect) = starting.await??;
    let bootstrap = Some(kafka.bootstrap());
    let start = || WorkerProcess::start_with(folder.path(), bootstrap, GROUP);
    let mut worker = tokio::task::block_in_place(start)?;
    for mut config in cases() {
        config["connector.class"] = json!(CLASS);
        config["name"] = json!("v");
        let theirs = validated(&connect.address(), &config).await?;
        let mut ours = validated(&worker.address(), &config).await?;
        // Where it is the worker's, each worker's own.
        ours.retain(|name, _| theirs.contains_key(name));
        for (name, answer) in &theirs {
            if name.ends_with(".converter") {
                continue;
            }
            ensure!(
                ours.get(name) == Some(answer),
                "{name} of {config}:\n  theirs {answer:?}\n  ours   {:?}",
                ours.get(name)
            );
        }
    }
    worker.stop()?;
    connect.stop()
}
