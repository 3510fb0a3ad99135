//! An HTTP API inside the test, that answers as the test says, and a worker's part towards a task.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::response::Response;
use connect_core::clock::SystemClock;
use connect_core::config::{ConfigMap, connector_from_map};
use connect_core::data::{SourceOffset, SourcePartition, SourceRecord};
use connect_core::plugin::{
    Connector, OffsetReader, Polled, SourceTask, SourceTaskContext, TaskId,
};
use connect_core::{Error, Result};
use sluice_connector_http as _;

/// No step of a test takes longer.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

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

/// Offsets that were stored.
#[derive(Default)]
pub(crate) struct Stored(Mutex<BTreeMap<String, SourceOffset>>);

fn key(partition: &SourcePartition) -> String {
    format!("{partition:?}")
}

#[async_trait]
impl OffsetReader for Stored {
    async fn offset(&self, partition: &SourcePartition) -> Result<Option<SourceOffset>> {
        Ok(self.0.lock().unwrap().get(&key(partition)).cloned())
    }
}

impl Stored {
    pub(crate) fn text(&self) -> String {
        format!("{:?}", self.0.lock().unwrap())
    }
}

/// A configured connector with its stored offsets: what a worker holds.
pub(crate) struct Worker {
    pub(crate) connector: Box<dyn Connector>,
    pub(crate) stored: Arc<Stored>,
}

/// The options every test needs, and `more`.
pub(crate) fn config(url: &str, more: &[(&str, &str)]) -> ConfigMap {
    let basic = [
        ("connector.class", "sluice.http.HttpSourceConnector"),
        ("http.url", url),
        ("topic", "users"),
        ("poll.interval.ms", "60000"),
    ];
    let all = basic.iter().chain(more);
    all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

impl Worker {
    pub(crate) fn new(url: &str, more: &[(&str, &str)]) -> Self {
        Self {
            connector: connector_from_map(&config(url, more)).unwrap(),
            stored: Arc::default(),
        }
    }

    /// A task, as after a start or restart.
    pub(crate) async fn task(&self) -> Running {
        let context = SourceTaskContext {
            task: TaskId {
                connector: "api-users".into(),
                task: 0,
            },
            task_count: 1,
            clock: Arc::new(SystemClock),
            offsets: self.stored.clone(),
            transactions: None,
        };
        let mut task = self.connector.source_task(context).unwrap();
        task.start().await.unwrap();
        Running {
            task,
            stored: self.stored.clone(),
        }
    }
}

/// A running task.
pub(crate) struct Running {
    task: Box<dyn SourceTask>,
    stored: Arc<Stored>,
}

impl Running {
    /// One poll; nothing is stored.
    pub(crate) async fn poll(&mut self) -> Result<Vec<SourceRecord>> {
        match tokio::time::timeout(DEADLINE, self.task.poll()).await {
            Ok(Ok(Polled::Records(records))) => Ok(records),
            Ok(Ok(Polled::Finished)) => panic!("an HTTP source has no end"),
            Ok(Err(error)) => Err(error),
            Err(_) => panic!("no answer in time"),
        }
    }

    /// A poll that is dropped after `patience`, as a worker drops one to store offsets.
    pub(crate) async fn poll_for(&mut self, patience: Duration) -> Option<Result<Polled>> {
        tokio::time::timeout(patience, self.task.poll()).await.ok()
    }

    /// Stores the offsets of acknowledged records.
    pub(crate) fn acknowledge(&self, records: &[SourceRecord]) {
        let mut stored = self.stored.0.lock().unwrap();
        for record in records {
            if let Some(offset) = &record.source_offset {
                stored.insert(key(&record.source_partition), offset.clone());
            }
        }
    }

    /// One poll whose records are acknowledged; their values as text.
    pub(crate) async fn next(&mut self) -> Vec<String> {
        let records = self.poll().await.unwrap();
        self.acknowledge(&records);
        values(&records)
    }

    /// The error of a poll.
    pub(crate) async fn failure(&mut self) -> Error {
        self.poll().await.unwrap_err()
    }
}

/// The values as they are spelled.
pub(crate) fn values(records: &[SourceRecord]) -> Vec<String> {
    let raw = records
        .iter()
        .map(|record| record.value.raw_json().unwrap());
    raw.map(text).collect()
}

/// `[{"id":first}, …]`
pub(crate) fn users(ids: impl IntoIterator<Item = u64>) -> String {
    let rows: Vec<_> = ids
        .into_iter()
        .map(|id| format!("{{\"id\":{id}}}"))
        .collect();
    format!("[{}]", rows.join(","))
}
