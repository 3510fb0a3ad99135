//! Connectors of a worker over REST: creating, updating, waiting, reading statuses. `connector`, `pipeline` and the
//! demos call it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use reqwest::Method;
use serde_json::{Value, json};

use super::ready_config::ReadyConfig;
use super::rest_client::{RestClient, connector_path, is_not_found};

/// The text at `pointer`; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// The tasks of a status.
pub(super) fn tasks(status: &Value) -> &[Value] {
    status
        .get("tasks")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// True if the connector or a task has failed.
pub(super) fn has_failed(status: &Value) -> bool {
    text(status, "/connector/state") == "FAILED"
        || tasks(status)
            .iter()
            .any(|task| text(task, "/state") == "FAILED")
}

/// True if the connector runs, and every one of its tasks, of which there is one at least.
pub(super) fn runs(status: &Value) -> bool {
    text(status, "/connector/state") == "RUNNING"
        && !tasks(status).is_empty()
        && tasks(status)
            .iter()
            .all(|task| text(task, "/state") == "RUNNING")
}

/// 1 if something failed.
pub(super) fn exit_code(failed: bool) -> ExitCode {
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// Why the connector and its tasks failed; empty if they did not.
pub(super) fn traces(status: &Value) -> String {
    let mut parts = vec![("connector".to_owned(), status.get("connector"))];
    parts.extend(tasks(status).iter().map(|task| {
        (
            format!("task {}", task.get("id").unwrap_or(&Value::Null)),
            Some(task),
        )
    }));
    parts
        .into_iter()
        .filter_map(|(part, value)| Some((part, value?.get("trace")?.as_str()?)))
        .map(|(part, trace)| format!("\n{part}:\n{trace}\n"))
        .collect()
}

/// A connector's status; `None` if the worker does not have it.
pub(super) async fn status_of(client: &RestClient, name: &str) -> Result<Option<Value>> {
    found(client.get(&connector_path(name, "/status")).await)
}

/// `None` for the answer 404.
fn found(answer: Result<Value>) -> Result<Option<Value>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Creates or updates a connector; does nothing if the worker has the same. The answer is what was done.
pub(super) async fn put(client: &RestClient, connector: &ReadyConfig) -> Result<&'static str> {
    let path = connector_path(&connector.name, "/config");
    let known = found(client.get(&path).await)?;
    let wanted = json!(connector.config);
    let done = match &known {
        Some(known) if *known == wanted => return Ok("unchanged"),
        Some(_) => "updated",
        None => {
            create(client, connector).await?;
            return Ok("created");
        }
    };
    client.call(Method::PUT, &path, Some(&wanted)).await?;
    Ok(done)
}

/// Creates a connector, in the state that its file asks for.
async fn create(client: &RestClient, connector: &ReadyConfig) -> Result<()> {
    let ReadyConfig {
        name,
        config,
        initial,
    } = connector;
    let Some(initial) = initial else {
        let path = connector_path(name, "/config");
        client
            .call(Method::PUT, &path, Some(&json!(config)))
            .await?;
        return Ok(());
    };
    let body = json!({ "name": name, "config": config, "initial_state": initial.initial() });
    client
        .call(Method::POST, "/connectors", Some(&body))
        .await?;
    Ok(())
}

/// Waits until everything runs, has failed, or is paused or stopped on purpose.
pub(super) async fn wait_until_settled(
    client: &RestClient,
    name: &str,
    timeout: Duration,
) -> Result<Value> {
    wait_for(client, name, timeout, |status| {
        let on_purpose = matches!(text(status, "/connector/state"), "PAUSED" | "STOPPED");
        on_purpose || runs(status) || has_failed(status)
    })
    .await
}

/// Waits until everything runs or something has failed.
pub(super) async fn wait_until_running(
    client: &RestClient,
    name: &str,
    timeout: Duration,
) -> Result<Value> {
    wait_for(client, name, timeout, |status| {
        runs(status) || has_failed(status)
    })
    .await
}

async fn wait_for(
    client: &RestClient,
    name: &str,
    timeout: Duration,
    is_settled: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let deadline = Instant::now() + timeout;
    loop {
        // A worker of a cluster may not know the state of a new connector yet.
        let status = status_of(client, name).await?.unwrap_or_default();
        if is_settled(&status) {
            return Ok(status);
        }
        if Instant::now() >= deadline {
            let connector = match text(&status, "/connector/state") {
                "" => "not there",
                state => state,
            };
            bail!(
                "{name} is {connector} and does not run after {timeout:?}; see `sluice connector status {name}`"
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
