//! Calls to a worker's REST API.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use connect_core::without_userinfo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::{Client, Method, StatusCode, Url};
use serde_json::Value;

/// Which worker is called.
#[derive(Debug, Args)]
pub(super) struct WorkerUrl {
    /// The worker's address
    #[arg(
        long,
        global = true,
        env = "CONNECT_REST_URL",
        default_value = "http://localhost:8083"
    )]
    pub(super) url: String,
}

/// A running worker, by URL.
#[derive(Debug)]
pub(super) struct RestClient {
    client: Client,
    url: String,
}

/// An answer that is no success.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    message: String,
}

impl RestClient {
    pub(super) fn new(url: &str) -> Result<Self> {
        let form = Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
        // It is not shown: it may hold a password.
        ensure!(
            form,
            "a worker's address is http://host:port or https://host:port: set --url or CONNECT_REST_URL"
        );
        let client = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(95))
            .build()?;
        Ok(Self {
            client,
            url: url.trim_end_matches('/').to_owned(),
        })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// Calls; an answer without a body is null.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let mut request = self.client.request(method, format!("{}{path}", self.url));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| {
            format!("no worker answers at {}: is it running? Another address: --url or CONNECT_REST_URL", without_userinfo(&self.url))
        })?;
        let status = response.status();
        let text = response.text().await?;
        let json: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(json);
        }
        let message = json
            .get("message")
            .and_then(Value::as_str)
            .map_or_else(|| format!("{status} {text}"), str::to_owned);
        Err(anyhow!(Refused { status, message }))
    }
}

/// The path of a connector.
pub(super) fn connector_path(name: &str, rest: &str) -> String {
    format!(
        "/connectors/{}{rest}",
        utf8_percent_encode(name, NON_ALPHANUMERIC)
    )
}

/// True if the error is the answer 404.
pub(super) fn is_not_found(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Refused>()
        .is_some_and(|refused| refused.status == StatusCode::NOT_FOUND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_is_none_is_said_to_be_none() {
        for address in ["localhost:8083", "127.0.0.1:8083", "ftp://worker", ""] {
            let error = RestClient::new(address).unwrap_err().to_string();
            assert!(error.contains("http://host:port"), "{error}");
        }
        assert!(RestClient::new("https://user:secret@worker:8083/").is_ok());
    }
}
