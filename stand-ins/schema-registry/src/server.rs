//! The HTTP server.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post, put};
use axum::{Router, serve};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect_core::{Error, Result};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::answer::{Answer, MEDIA_TYPE, Refusal};
use crate::store::{Proposal, Store};

/// Who may ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Everybody.
    Anyone,
    /// User and password.
    Basic(String, String),
    /// A token.
    Bearer(String),
}

#[derive(Debug, Default)]
struct Shared {
    store: Store,
    /// Method and path of every request, in order.
    requests: Vec<String>,
    /// True while every request fails.
    is_down: bool,
}

#[derive(Clone)]
struct Registry {
    shared: Arc<Mutex<Shared>>,
    credentials: Arc<Credentials>,
}

impl Registry {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running registry; stops when dropped.
#[derive(Debug)]
pub struct RegistryStandIn {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    _running: DropGuard,
}

impl RegistryStandIn {
    /// Starts a registry at a free port.
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(credentials: Credentials) -> Result<Self> {
        let cannot = |cause| {
            Error::config("cannot listen")
                .operation("registry")
                .source(cause)
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        let registry = Registry {
            shared: Arc::default(),
            credentials: Arc::new(credentials),
        };
        let shared = registry.shared.clone();
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        let server = serve(listener, routes(registry)).with_graceful_shutdown(stopped);
        tokio::spawn(async move { server.await });
        Ok(Self {
            address,
            shared,
            _running: stop.drop_guard(),
        })
    }

    /// `http://127.0.0.1:port`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The text of the schema with this id.
    pub fn schema(&self, id: usize) -> Option<String> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = shared.store.by_id(id).ok()?;
        Some(stored.text.clone())
    }

    /// Method and path of every request so far.
    pub fn requests(&self) -> Vec<String> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.requests.clone()
    }

    /// While it is down every request is answered with 500.
    pub fn set_down(&self, is_down: bool) {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        shared.is_down = is_down;
    }
}

fn routes(registry: Registry) -> Router {
    Router::new()
        .route("/subjects", get(subjects))
        .route("/subjects/{subject}", post(find))
        .route("/subjects/{subject}/versions", get(versions).post(register))
        .route("/subjects/{subject}/versions/{version}", get(version))
        .route("/schemas/ids/{id}", get(by_id))
        .route("/schemas/types", get(types))
        .route(
            "/compatibility/subjects/{subject}/versions/{version}",
            post(compatibility),
        )
        .route("/config/{subject}", put(set_level))
        .layer(from_fn_with_state(registry.clone(), guard))
        .with_state(registry)
}

/// Notes the request, and refuses those of strangers and in other media types.
async fn guard(State(registry): State<Registry>, request: Request, next: Next) -> Response {
    use axum::response::IntoResponse;
    let checked = {
        let mut shared = registry.shared();
        shared
            .requests
            .push(format!("{} {}", request.method(), request.uri()));
        if shared.is_down {
            Err(Refusal::Unavailable)
        } else {
            admitted(&registry.credentials, request.method(), request.headers())
        }
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

fn admitted(
    credentials: &Credentials,
    method: &Method,
    headers: &HeaderMap,
) -> Result<(), Refusal> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let expected = match credentials {
        Credentials::Anyone => None,
        Credentials::Basic(user, password) => Some(format!(
            "Basic {}",
            STANDARD.encode(format!("{user}:{password}"))
        )),
        Credentials::Bearer(token) => Some(format!("Bearer {token}")),
    };
    if expected.is_some() && expected.as_deref() != text(header::AUTHORIZATION) {
        return Err(Refusal::Unauthorized);
    }
    let has_body = matches!(*method, Method::POST | Method::PUT);
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    if has_body && ![MEDIA_TYPE, "application/json"].contains(&media_type) {
        return Err(Refusal::MediaType);
    }
    Ok(())
}

#[derive(Deserialize)]
struct Flags {
    #[serde(default)]
    normalize: Option<String>,
}

impl Flags {
    fn normalize(&self) -> bool {
        self.normalize
            .as_deref()
            .is_some_and(|flag| flag.eq_ignore_ascii_case("true"))
    }
}

type Answered = Result<Answer, Refusal>;

fn proposal(body: &[u8]) -> Result<Proposal, Refusal> {
    serde_json::from_slice(body).map_err(|cause| Refusal::Invalid(cause.to_string()))
}

async fn subjects(State(registry): State<Registry>) -> Answer {
    Answer(json!(registry.shared().store.subjects()))
}

async fn types() -> Answer {
    Answer(json!(["AVRO", "JSON", "PROTOBUF"]))
}

async fn register(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(flags): Query<Flags>,
    body: Bytes,
) -> Answered {
    let given = proposal(&body)?;
    let id = registry
        .shared()
        .store
        .register(&subject, &given, flags.normalize())?;
    Ok(Answer(json!({ "id": id })))
}

async fn find(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    Query(flags): Query<Flags>,
    body: Bytes,
) -> Answered {
    let given = proposal(&body)?;
    let shared = registry.shared();
    let (version, id) = shared.store.find(&subject, &given, flags.normalize())?;
    Ok(Answer(
        json!({"subject": subject, "version": version, "id": id, "schema": given.schema}),
    ))
}

async fn versions(State(registry): State<Registry>, Path(subject): Path<String>) -> Answered {
    let count = registry.shared().store.versions(&subject)?.len();
    Ok(Answer((1..=count).collect()))
}

async fn version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
) -> Answered {
    let shared = registry.shared();
    let (version, id) = shared.store.version(&subject, &version)?;
    let mut shown = shown(&shared.store, id)?;
    shown.insert("subject".to_owned(), subject.into());
    shown.insert("version".to_owned(), version.into());
    shown.insert("id".to_owned(), id.into());
    Ok(Answer(shown.into()))
}

async fn by_id(State(registry): State<Registry>, Path(id): Path<usize>) -> Answered {
    Ok(Answer(shown(&registry.shared().store, id)?.into()))
}

/// Avro is not named, as the registry does not name it.
fn shown(store: &Store, id: usize) -> Result<Map<String, Value>, Refusal> {
    let stored = store.by_id(id)?;
    let mut shown = Map::new();
    shown.insert("schema".to_owned(), stored.text.as_str().into());
    if stored.kind.name() != "AVRO" {
        shown.insert("schemaType".to_owned(), stored.kind.name().into());
    }
    if !stored.references.is_empty() {
        shown.insert("references".to_owned(), json!(stored.references));
    }
    Ok(shown)
}

async fn compatibility(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    body: Bytes,
) -> Answered {
    let given = proposal(&body)?;
    let is_compatible = registry
        .shared()
        .store
        .is_compatible(&subject, &given, &version)?;
    Ok(Answer(json!({ "is_compatible": is_compatible })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Level {
    compatibility: String,
}

async fn set_level(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    body: Bytes,
) -> Answered {
    let level: Level =
        serde_json::from_slice(&body).map_err(|cause| Refusal::Invalid(cause.to_string()))?;
    registry
        .shared()
        .store
        .set_level(&subject, &level.compatibility);
    Ok(Answer(json!({ "compatibility": level.compatibility })))
}
