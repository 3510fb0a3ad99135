//! Secrets that config providers keep: used, never stored, shown or logged.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sluice_stand_in_s3::S3StandIn;

use crate::support::{WorkerProcess, ready_config, s3_server, wait_until};

const CLASS: &str = "io.confluent.connect.s3.S3SinkConnector";
const SECRET: &str = "t0p-s3cret-value";

fn worker(folder: &Path) -> Result<WorkerProcess> {
    let settings = [
        "config.providers=file",
        "config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider",
    ];
    WorkerProcess::start_with(folder, None, &settings)
}

fn keep(folder: &Path, secret: &str, bucket: &str) -> Result<()> {
    let text = format!("secret={secret}\nbucket={bucket}\n");
    Ok(std::fs::write(folder.join("s3.properties"), text)?)
}

/// The ready config, with placeholders for the secret and the bucket.
fn config(folder: &Path, s3: &S3StandIn) -> Result<Value> {
    let placeholder = |key: &str| format!("${{file:{}/s3.properties:{key}}}", folder.display());
    let changes = [
        ("store.url", s3.url()),
        ("s3.bucket.name", placeholder("bucket")),
        ("aws.access.key.id", "test".to_owned()),
        ("aws.secret.access.key", placeholder("secret")),
    ];
    let changes: Vec<_> = changes
        .iter()
        .map(|(key, value)| (*key, value.as_str()))
        .collect();
    ready_config("s3-sink-sales.json", &changes)
}

/// Every text below the folder that the worker wrote: its logs, its stored configs.
fn written(folder: &Path) -> Result<String> {
    let mut text = String::new();
    for file in [folder.to_owned(), folder.join("data")] {
        for entry in std::fs::read_dir(file)? {
            let path = entry?.path();
            if path.is_file() && !path.ends_with("s3.properties") {
                text.push_str(&String::from_utf8_lossy(&std::fs::read(path)?));
            }
        }
    }
    Ok(text)
}

async fn validated(worker: &WorkerProcess, config: &Value) -> Result<Value> {
    let url = worker.url(&format!("/connector-plugins/{CLASS}/config/validate"));
    let answer = reqwest::Client::new().put(url).json(config).send().await?;
    Ok(answer.json().await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn placeholders_are_kept_and_what_they_stand_for_is_used_anew_at_each_restart() -> Result<()>
{
    let folder = tempfile::tempdir()?;
    let s3 = s3_server(folder.path()).await?;
    let mut worker = worker(folder.path())?;
    let name = "s3-sink-sales";
    // A bucket that is not there, so that the failure names it.
    keep(folder.path(), "test-secret", SECRET)?;
    let config = config(folder.path(), &s3)?;
    worker.put_config(name, &config).await?;
    wait_until("a failure", Duration::from_secs(90), || async {
        Ok(worker.states(name).await?.starts_with("FAILED"))
    })
    .await
    .with_context(|| worker.log())?;
    let mut shown = worker
        .get(&format!("/connectors/{name}/status"))
        .await?
        .to_string();
    for path in ["", "/config", "/tasks"] {
        let answer = worker.get(&format!("/connectors/{name}{path}")).await?;
        shown.push_str(&answer.to_string());
    }
    ensure!(shown.contains("s3.properties:secret}"), "{shown}");
    ensure!(
        shown.contains("s3.properties:bucket}"),
        "the failure names the placeholder: {shown}"
    );
    shown.push_str(&validated(&worker, &config).await?.to_string());

    keep(folder.path(), "test-secret", "bronze")?;
    let restart = worker.url(&format!("/connectors/{name}/restart?includeTasks=true"));
    let answer = reqwest::Client::new().post(restart).send().await?;
    ensure!(answer.status().is_success(), "{answer:?}");
    worker
        .await_states(name, "RUNNING [RUNNING]", Duration::from_secs(30))
        .await?;
    worker.stop()?;
    shown.push_str(&written(folder.path())?);
    ensure!(
        shown.contains("s3.properties:secret}"),
        "stored configs were read"
    );
    ensure!(
        !shown.contains(SECRET) && !shown.contains("test-secret"),
        "{shown}"
    );
    Ok(())
}

#[tokio::test]
async fn a_client_setting_that_is_refused_does_not_show_its_value() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let mut worker = worker(folder.path())?;
    let s3 = s3_server(folder.path()).await?;
    keep(folder.path(), "test-secret", "bronze")?;
    let name = "s3-sink-sales";
    let mut config = config(folder.path(), &s3)?;
    let login = format!("org.example.Login required username=\"a\" password=\"{SECRET}\";");
    for client in ["consumer", "admin"] {
        config[format!("{client}.override.sasl.jaas.config")] = json!(login);
    }
    let mut shown = validated(&worker, &config).await?.to_string();
    ensure!(shown.contains("[hidden]"), "{shown}");
    worker.put_config(name, &config).await?;
    wait_until("a failure", Duration::from_secs(30), || async {
        Ok(worker.states(name).await?.contains("FAILED"))
    })
    .await?;
    shown.push_str(
        &worker
            .get(&format!("/connectors/{name}/status"))
            .await?
            .to_string(),
    );
    ensure!(shown.contains("sasl.jaas.config"), "{shown}");
    shown.push_str(&worker.log());
    worker.stop()?;
    ensure!(!shown.contains(SECRET), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_wrong_value_behind_a_placeholder_is_refused_without_showing_it() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let worker = worker(folder.path())?;
    keep(folder.path(), SECRET, "bronze")?;
    let placeholder = format!("${{file:{}/s3.properties:secret}}", folder.path().display());
    let mut config = ready_config("s3-sink-sales.json", &[("flush.size", &placeholder)])?;
    let infos = validated(&worker, &config).await?.to_string();
    ensure!(infos.contains("s3.properties:secret}"), "{infos}");
    let refused = format!("{:?}", worker.put_config("s3-sink-sales", &config).await);
    ensure!(refused.contains("flush.size"), "{refused}");
    config["flush.size"] = json!("${file:/no/such/file:key}");
    let unread = format!("{:?}", worker.put_config("s3-sink-sales", &config).await);
    ensure!(
        unread.starts_with("Err(500") && unread.contains("/no/such/file"),
        "{unread}"
    );
    ensure!(
        !format!("{infos}{refused}{}", worker.log()).contains(SECRET),
        "{infos} {refused}"
    );
    Ok(())
}
