//! An HTTP API inside the test, that answers as the test says, and a worker's part towards a task.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::Response;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::plugin::{Connector, TaskId};
use connect_core::testkit::{self, SourceDriver, StoredOffsets};
use sluice_connector_http as _;

/// A request as the server saw it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
    /// From 0.
    pub(crate) number: usize,
    /// Of the server.
    pub(crate) address: SocketAddr,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A query parameter, as spelled.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let query = self.uri.query()?;
        query
            .split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What the server answers.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Body,
    pub(crate) delay: Duration,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn json(body: impl Into<String>) -> Self {
        let body = body.into();
        Self {
            status: 200,
            body: body.into(),
            ..Self::default()
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

type Script = dyn Fn(&Seen) -> Reply + Send + Sync;

/// The server; ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    script: Arc<Script>,
}

impl Api {
    pub(crate) async fn start(script: impl Fn(&Seen) -> Reply + Send + Sync + 'static) -> Self {
        let (api, listener) = Self::bind(script).await;
        let router = api.router();
        tokio::spawn(async move { axum::serve(listener, router).await });
        api
    }

    /// A server whose connections the test accepts itself.
    pub(crate) async fn bind(
        script: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> (Self, tokio::net::TcpListener) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            script: Arc::new(script),
        };
        (api, listener)
    }

    pub(crate) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Paths with queries, in the order asked for.
    pub(crate) fn uris(&self) -> Vec<String> {
        self.seen()
            .iter()
            .map(|seen| seen.uri.to_string())
            .collect()
    }
}

async fn answer(State(api): State<Api>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20)
        .await
        .unwrap_or_default();
    let seen = {
        let mut all = api.seen.lock().unwrap();
        let seen = Seen {
            method: parts.method,
            uri: parts.uri,
            headers: parts.headers,
            body: text(&body),
            number: all.len(),
            address: api.address,
        };
        all.push(seen.clone());
        seen
    };
    let reply = (api.script)(&seen);
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(reply.body).unwrap()
}

fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A configured connector with its stored offsets: what a worker holds.
pub(crate) struct Worker {
    pub(crate) connector: Box<dyn Connector>,
    pub(crate) stored: Arc<StoredOffsets>,
}

/// The options every test needs, and `more`.
pub(crate) fn config(url: &str, more: &[(&str, &str)]) -> ConfigMap {
    let common = [
        ("connector.class", "sluice.http.HttpSourceConnector"),
        ("http.url", url),
        ("topic", "users"),
        ("poll.interval.ms", "60000"),
    ];
    testkit::config(&common, more)
}

impl Worker {
    pub(crate) fn new(url: &str, more: &[(&str, &str)]) -> Self {
        Self {
            connector: connector_from_map(&config(url, more)).unwrap(),
            stored: Arc::default(),
        }
    }

    /// A task, as after a start or restart.
    pub(crate) async fn task(&self) -> SourceDriver {
        let task = TaskId {
            connector: "api-users".into(),
            task: 0,
        };
        SourceDriver::start(&*self.connector, task, 1, self.stored.clone()).await
    }
}

/// `[{"id":first}, …]`
pub(crate) fn users(ids: impl IntoIterator<Item = u64>) -> String {
    let rows: Vec<_> = ids
        .into_iter()
        .map(|id| format!("{{\"id\":{id}}}"))
        .collect();
    format!("[{}]", rows.join(","))
}
