//! Requests to the REST APIs of other workers of the group: those that are passed on for a client, and those between workers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use connect_core::{Error, ErrorKind, Result, RetryVerdict};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use super::signature::{MacAlgorithm, RequestSignature, SessionKey};
use crate::runtime::rest_options::TlsOptions;
use crate::runtime::tls_material::Identity;
use crate::runtime::worker_config::{WorkerSettings, wrong_options};

/// How long until a connection is given up.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of the longest answer.
const LONGEST_ANSWER: usize = 64 << 20;

/// A request to another worker.
#[derive(Debug, Clone)]
pub struct FellowRequest {
    /// The method.
    pub method: Method,
    /// Where to, with path and query.
    pub url: String,
    /// Headers.
    pub headers: HeaderMap,
    /// The body; may be empty.
    pub body: Bytes,
}

/// What another worker has answered.
#[derive(Debug, Clone)]
pub struct FellowAnswer {
    /// The status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// How a request is signed.
pub type Signing<'a> = (&'a SessionKey, MacAlgorithm);

/// Asks other workers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FellowClient(Client);

impl FellowClient {
    /// With the certificates that the worker's own HTTPS listeners have: what they show is shown, whom they trust is
    /// trusted, or else whom the system trusts.
    ///
    /// # Errors
    /// A configuration error that names the key, if there are such listeners: a file that cannot be read, a certificate
    /// or key that is none.
    pub fn new(settings: &WorkerSettings) -> Result<Self> {
        let options = TlsOptions::of(&settings.properties);
        let options = options.map_err(|errors| wrong_options(&errors).operation("listeners"));
        let has_tls = settings.config.listeners.iter().any(|listener| {
            let scheme = listener.split("://").next().unwrap_or_default();
            scheme.eq_ignore_ascii_case("https")
        });
        let tls = match options.and_then(|options| tls(&options)) {
            // The options may be for brokers alone; then only plain HTTP is spoken here.
            Err(_of_brokers) if !has_tls => client_config(trusted_by_the_system(), None)?,
            made => made?,
        };
        let client = Client::builder()
            .use_preconfigured_tls(tls)
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT)
            .timeout(settings.rest.request_timeout)
            .build();
        let defect = |cause| Error::internal("no HTTP client").source(cause);
        Ok(Self(client.map_err(defect)?))
    }

    /// Sends a request and takes the answer, whatever its status is.
    ///
    /// # Errors
    /// No answer came, or one that is too long.
    pub async fn send(&self, request: FellowRequest) -> Result<FellowAnswer> {
        let unanswered = |cause: reqwest::Error| {
            Error::external("no answer from another worker").source(cause.without_url())
        };
        let sent = self.0.request(request.method, &request.url);
        let sent = sent.headers(request.headers).body(request.body).send();
        let mut answer = sent.await.map_err(unanswered)?;
        let mut body = BytesMut::new();
        while let Some(chunk) = answer.chunk().await.map_err(unanswered)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Error::external("the answer of another worker is too long"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(FellowAnswer {
            status: answer.status(),
            headers: std::mem::take(answer.headers_mut()),
            body: body.freeze(),
        })
    }

    /// Has the leader write the task configs of a connector that this worker runs.
    ///
    /// # Errors
    /// The leader did not do it. If the error is retriable, it may do it later, or another leader.
    pub async fn put_task_configs(
        &self,
        leader_url: &str,
        connector: &str,
        configs: &[BTreeMap<String, String>],
        signing: Option<Signing<'_>>,
    ) -> Result<()> {
        let body = serde_json::to_vec(configs);
        let body = body.map_err(|cause| Error::internal("task configs in JSON").source(cause))?;
        let url = url_of(leader_url, connector, "tasks");
        self.between_workers(Method::POST, url, body.into(), signing)
            .await
    }

    /// Has the leader fence the producers of a source connector's earlier tasks.
    ///
    /// # Errors
    /// As for [`FellowClient::put_task_configs`].
    pub async fn fence_zombies(
        &self,
        leader_url: &str,
        connector: &str,
        signing: Option<Signing<'_>>,
    ) -> Result<()> {
        let url = url_of(leader_url, connector, "fence");
        self.between_workers(Method::PUT, url, Bytes::new(), signing)
            .await
    }

    async fn between_workers(
        &self,
        method: Method,
        url: String,
        body: Bytes,
        signing: Option<Signing<'_>>,
    ) -> Result<()> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in signing
            .iter()
            .flat_map(|(key, algorithm)| RequestSignature::headers(key, *algorithm, &body))
        {
            let value = HeaderValue::try_from(value);
            let value = value.map_err(|cause| Error::internal("a signature").source(cause))?;
            headers.insert(name, value);
        }
        let target = url.clone();
        let request = FellowRequest {
            method,
            url,
            headers,
            body,
        };
        let answered = self.send(request).await.and_then(|answer| check(&answer));
        answered.map_err(|error| error.operation("ask the leader at").target(target))
    }
}

fn url_of(base: &str, connector: &str, what: &str) -> String {
    let connector = utf8_percent_encode(connector, NON_ALPHANUMERIC);
    let base = base.trim_end_matches('/');
    format!("{base}/connectors/{connector}/{what}")
}

/// A refusal is worth another try if the group changes, the leader starts, or the key of signatures has just been replaced:
/// what is wrong with the request stays wrong.
fn check(answer: &FellowAnswer) -> Result<()> {
    if answer.status.is_success() {
        return Ok(());
    }
    let kind = match answer.status {
        StatusCode::CONFLICT => ErrorKind::Conflict,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => ErrorKind::Auth,
        status if status.is_server_error() => ErrorKind::External,
        _ => ErrorKind::Config,
    };
    let may_pass = matches!(kind, ErrorKind::Conflict | ErrorKind::External)
        || answer.status == StatusCode::FORBIDDEN;
    let verdict = match may_pass {
        true => RetryVerdict::Backoff,
        false => RetryVerdict::Never,
    };
    let json = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    let said = json
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let text = format!("{}: {said}", answer.status.as_u16());
    Err(Error::new(kind, text).retry(verdict))
}

fn tls(options: &TlsOptions) -> Result<ClientConfig> {
    let roots = options.trusted_roots()?;
    client_config(
        roots.unwrap_or_else(trusted_by_the_system),
        options.identity()?,
    )
}

fn client_config(roots: RootCertStore, identity: Option<Identity>) -> Result<ClientConfig> {
    let wrong = |cause: rustls::Error| {
        Error::config("certificate and key do not make a client")
            .operation("ssl.keystore")
            .source(cause)
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(wrong)?
        .with_root_certificates(roots);
    match identity {
        Some((certificates, key)) => builder
            .with_client_auth_cert(certificates, key)
            .map_err(wrong),
        None => Ok(builder.with_no_client_auth()),
    }
}

/// Without any, no HTTPS address is trusted; plain ones need none.
fn trusted_by_the_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let _added_and_ignored = roots.add_parsable_certificates(found.certs);
    roots
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16, body: &'static [u8]) -> Error {
        let answer = FellowAnswer {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::from_static(body),
        };
        check(&answer).unwrap_err()
    }

    #[test]
    fn a_refusal_that_may_pass_is_told_from_one_that_stays() {
        let body = br#"{"error_code":409,"message":"a rebalance"}"#;
        let refusal = refused(409, body);
        assert_eq!(refusal.message(), "409: a rebalance");
        assert!(refusal.is_retriable() && refused(503, b"no JSON").is_retriable());
        assert!(
            refused(403, b"").is_retriable(),
            "the key may be newer than the one signed with"
        );
        for status in [400, 401, 404] {
            assert!(!refused(status, b"").is_retriable(), "{status}");
        }
    }

    #[test]
    fn a_connectors_name_is_one_segment_of_the_path() {
        let url = url_of("http://w:8083/", "a/b c?", "tasks");
        assert_eq!(url, "http://w:8083/connectors/a%2Fb%20c%3F/tasks");
        assert_eq!(
            url_of("http://w:1", "a", "fence"),
            "http://w:1/connectors/a/fence"
        );
    }
}
