//! `/connectors/{connector}/topics`

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Shared;
use super::error::RestError;

pub(super) async fn list(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<Json<Value>, RestError> {
    let topics = herder.topics(&name).await?;
    Ok(Json(json!({ name: { "topics": topics } })))
}

pub(super) async fn reset(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    herder.reset_topics(&name).await?;
    Ok(StatusCode::ACCEPTED)
}
