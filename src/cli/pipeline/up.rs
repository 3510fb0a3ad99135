//! `sluice pipeline up`: sinks first, then sources, each until it runs. Safe to repeat.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use reqwest::Method;
use serde_json::Value;

use super::configs::Connectors;
use crate::cli::deployment::{self, has_failed, status_of, text, traces};
use crate::cli::output::print_text;
use crate::cli::ready_config::ReadyConfig;
use crate::cli::rest_client::{RestClient, connector_path};

/// What runs must still run after this long: after a change, a state may still be that of before.
const STEADY: Duration = Duration::from_millis(500);

/// Starts all connectors. Sources are not started if a sink does not run.
pub(super) async fn up(
    client: &RestClient,
    connectors: &Connectors,
    timeout: Duration,
) -> Result<ExitCode> {
    if !start_all(client, &connectors.sinks, timeout).await {
        if !connectors.sources.is_empty() {
            print_text("the sources are not started: repeat when every sink runs\n");
        }
        return Ok(ExitCode::FAILURE);
    }
    let all_run = start_all(client, &connectors.sources, timeout).await;
    Ok(deployment::exit_code(!all_run))
}

/// Starts each and says how it went; true if all run, and still do a moment later.
async fn start_all(client: &RestClient, connectors: &[ReadyConfig], timeout: Duration) -> bool {
    let mut begun = Vec::new();
    for connector in connectors {
        begun.push((connector, begin(client, connector).await));
    }
    for (connector, _) in begun.iter().filter(|(_, begun)| begun.is_ok()) {
        let _looked_at_again = runs(client, connector, timeout).await;
    }
    tokio::time::sleep(STEADY).await;
    let mut all_run = true;
    for (connector, begun) in begun {
        let runs = match &begun {
            Ok(_) => runs(client, connector, Duration::ZERO).await,
            Err(_) => Ok(()),
        };
        let name = &connector.name;
        match begun.and_then(|done| runs.map(|()| done)) {
            Ok(done) => print_text(&format!("{name}: {done}, RUNNING\n")),
            Err(error) => {
                all_run = false;
                print_text(&format!("{name}: {error:#}{}\n", hint(connector)));
            }
        }
    }
    all_run
}

/// Creates, updates, resumes or restarts what does not run; what was done.
async fn begin(client: &RestClient, connector: &ReadyConfig) -> Result<&'static str> {
    let before = status_of(client, &connector.name).await?;
    let done = deployment::put(client, connector).await?;
    let woken = match before {
        Some(before) => wake(client, &connector.name, &before).await?,
        None => None,
    };
    Ok(woken.unwrap_or(done))
}

/// Waits until the connector runs; an error says why it does not.
async fn runs(client: &RestClient, connector: &ReadyConfig, timeout: Duration) -> Result<()> {
    let status = deployment::wait_until_running(client, &connector.name, timeout).await?;
    if has_failed(&status) {
        bail!("does not run:{}", traces(&status).trim_end());
    }
    Ok(())
}

/// Resumes what is paused or stopped and restarts what has failed; what was done, if anything.
async fn wake(client: &RestClient, name: &str, status: &Value) -> Result<Option<&'static str>> {
    if matches!(text(status, "/connector/state"), "PAUSED" | "STOPPED") {
        let path = connector_path(name, "/resume");
        client.call(Method::PUT, &path, None).await?;
        return Ok(Some("resumed"));
    }
    if has_failed(status) {
        let path = connector_path(name, "/restart?includeTasks=true&onlyFailed=true");
        client.call(Method::POST, &path, None).await?;
        return Ok(Some("restarted"));
    }
    Ok(None)
}

/// Where the values of placeholders come from.
fn hint(connector: &ReadyConfig) -> String {
    let placeholders: Vec<_> = connector
        .config
        .iter()
        .filter(|(_, value)| value.starts_with("${env:"))
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if placeholders.is_empty() {
        return String::new();
    }
    format!(
        "\n  {}: the worker looks these up in its own environment, with config.providers=env \
         (docs/guide/secrets.md); or give values with --set {}.KEY=VALUE",
        placeholders.join(", "),
        connector.name
    )
}
