//! Kafka Connect's REST API on a [`Herder`]: shapes, statuses and messages are those of Kafka Connect 4.3.1.
//!
//! One file a resource. What is asked is parsed here; what is answered is the herder's.

mod body;
mod connectors;
mod error;
mod metrics;
mod plugins;
mod root;
mod server;
mod tasks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};

use crate::runtime::Herder;
use error::RestError;
pub use server::RestServer;

/// What every handler gets.
type Shared = axum::extract::State<Arc<dyn Herder>>;

/// A request may take this long, as in Kafka Connect.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(90);
/// Bytes of a refusal of the HTTP layer.
const LONGEST_REFUSAL: usize = 4096;

/// The routes.
pub fn router(herder: Arc<dyn Herder>) -> Router {
    let connector = Router::new()
        .route("/", get(connectors::info).delete(connectors::delete))
        .route(
            "/config",
            get(connectors::config)
                .put(connectors::put_config)
                .patch(connectors::patch_config),
        )
        .route("/status", get(connectors::status))
        .route("/pause", put(connectors::pause))
        .route("/resume", put(connectors::resume))
        .route("/stop", put(connectors::stop))
        .route("/restart", post(connectors::restart))
        .route("/tasks", get(tasks::list))
        .route("/tasks/{task}/status", get(tasks::status))
        .route("/tasks/{task}/restart", post(tasks::restart));
    let metrics = Router::new()
        .route("/metrics", get(metrics::show))
        .with_state(herder.clone());
    let connect = Router::new()
        .route("/", get(root::info))
        .route("/health", get(root::health))
        .route(
            "/connectors",
            get(connectors::list).post(connectors::create),
        )
        .nest("/connectors/{connector}", connector)
        .route("/connector-plugins", get(plugins::list))
        .route("/connector-plugins/{plugin}/config", get(plugins::config))
        .route(
            "/connector-plugins/{plugin}/config/validate",
            put(plugins::validate),
        )
        .fallback(|| async { RestError::not_found("HTTP 404 Not Found") })
        .method_not_allowed_fallback(|| async { RestError::method_not_allowed() })
        .layer(middleware::from_fn(checked))
        .with_state(herder);
    connect.merge(metrics)
}

/// What holds for every request: an answer in JSON must be acceptable, and must come in time. What is begun is ended, also
/// if the client leaves or the time is up: a change is never left half done.
async fn checked(request: Request, next: Next) -> Response {
    if !body::accepts_json(request.headers()) {
        return RestError::not_acceptable().into_response();
    }
    let answering = tokio::spawn(next.run(request));
    match tokio::time::timeout(REQUEST_TIMEOUT, answering).await {
        Ok(Ok(response)) => in_json(response).await,
        Ok(Err(_panicked)) => {
            RestError::internal("a defect in Sluice, see the log").into_response()
        }
        Err(_) => RestError::internal("Request timed out").into_response(),
    }
}

/// Refusals of the HTTP layer (a path or query that is none, a body that is too large) in the shape of all others.
async fn in_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), LONGEST_REFUSAL).await;
    let text = text.unwrap_or_default();
    RestError::new(status, String::from_utf8_lossy(&text)).into_response()
}
