//! `sluice health`: one question to a worker, answered by the exit code. Images without a shell are probed by it.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Args;

use super::output::print_text;
use super::rest_client::RestClient;

/// Exit code 0 if the worker is ready, 1 if it starts, is unhealthy or does not answer in time.
#[derive(Debug, Args)]
pub(super) struct HealthArgs {
    /// The worker's address; by default this machine, at the port of CONNECT_LISTENERS or 8083
    #[arg(long, env = "CONNECT_REST_URL")]
    url: Option<String>,
    /// Seconds to wait for an answer
    #[arg(long, default_value_t = 4)]
    timeout: u64,
}

pub(super) async fn run(args: HealthArgs) -> Result<ExitCode> {
    ensure!(args.timeout > 0, "--timeout must be 1 or more");
    let url = args
        .url
        .unwrap_or_else(|| own_url(std::env::var("CONNECT_LISTENERS").ok().as_deref()));
    let client = RestClient::new(&url)?;
    let answer = tokio::time::timeout(Duration::from_secs(args.timeout), client.get("/health"))
        .await
        .with_context(|| format!("{url} does not answer within {} s", args.timeout))??;
    let said = answer
        .get("message")
        .and_then(|message| message.as_str())
        .with_context(|| format!("{url}/health is no worker's answer"))?;
    print_text(&format!("{said}\n"));
    Ok(ExitCode::SUCCESS)
}

/// Where a worker with these `listeners` is reached from its own machine.
fn own_url(listeners: Option<&str>) -> String {
    let first = listeners
        .and_then(|all| all.split(',').next())
        .map(str::trim)
        .filter(|first| !first.is_empty());
    let (scheme, address) = first
        .and_then(|listener| listener.split_once("://"))
        .unwrap_or(("http", ":8083"));
    let address = address.trim_end_matches('/');
    let (host, port) = address.rsplit_once(':').unwrap_or((address, "8083"));
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        named => named,
    };
    format!("{}://{host}:{port}", scheme.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::own_url;

    #[test]
    fn a_worker_is_asked_where_it_listens() {
        for (listeners, url) in [
            (None, "http://127.0.0.1:8083"),
            (Some(""), "http://127.0.0.1:8083"),
            (Some("http://:8084"), "http://127.0.0.1:8084"),
            (
                Some(" HTTP://0.0.0.0:8084/,http://:9"),
                "http://127.0.0.1:8084",
            ),
            (Some("http://[::]:8085"), "http://[::1]:8085"),
            (Some("http://worker:8086"), "http://worker:8086"),
        ] {
            assert_eq!(own_url(listeners), url, "{listeners:?}");
        }
    }
}
