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
    if !herder.is_ready().await {
        return starting(&herder.stage());
    }
    match herder.trouble().await {
        None => {
            let text = "Worker has completed startup and is ready to handle requests.";
            told(StatusCode::OK, "healthy", text)
        }
        Some(trouble) => {
            let text = format!(
                "Worker was unable to handle this request and may be unable to handle other requests. {trouble}"
            );
            told(StatusCode::INTERNAL_SERVER_ERROR, "unhealthy", &text)
        }
    }
}

/// The health of a worker that has not started yet.
pub(super) fn starting(stage: &str) -> Response {
    let text = format!("Worker is still starting up. {stage}");
    told(StatusCode::SERVICE_UNAVAILABLE, "starting", text.trim())
}

fn told(status: StatusCode, state: &str, message: &str) -> Response {
    (status, Json(json!({ "status": state, "message": message }))).into_response()
}
