//! `/metrics`: for Prometheus.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Shared;

/// OpenMetrics' text format.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn show(State(herder): Shared) -> Response {
    let text = herder.metrics().await.to_text();
    ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}
