//! `/metrics`: for Prometheus.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};

use super::{Shared, body};

/// OpenMetrics' text format, for who asks for it.
pub(super) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Prometheus' text format, for all others.
pub(super) const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) async fn show(State(herder): Shared, headers: HeaderMap) -> Response {
    let snapshot = herder.metrics().await;
    let (kind, text) = if body::accepts(&headers, &["application/openmetrics-text"]) {
        (OPEN_METRICS, snapshot.to_open_metrics())
    } else {
        (PLAIN, snapshot.to_text())
    };
    ([(CONTENT_TYPE, kind), (VARY, "accept")], text).into_response()
}
