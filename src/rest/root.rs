//! `/` and `/health`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::Shared;
use super::error::RestError;
use crate::runtime::ServerInfo;

pub(super) async fn info(State(herder): Shared) -> Result<Json<ServerInfo>, RestError> {
    Ok(Json(herder.server_info().await?))
}

pub(super) async fn health(State(herder): Shared) -> Response {
    let (status, state, message) = if herder.is_ready().await {
        let text = "Worker has completed startup and is ready to handle requests.";
        (StatusCode::OK, "healthy", text.to_owned())
    } else {
        let text = format!("Worker is still starting up. {}", herder.stage());
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "starting",
            text.trim().to_owned(),
        )
    };
    (status, Json(json!({ "status": state, "message": message }))).into_response()
}
