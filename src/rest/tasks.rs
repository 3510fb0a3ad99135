//! `/connectors/{connector}/tasks`

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;

use super::Shared;
use super::error::RestError;
use crate::runtime::{TaskInfo, TaskState};

pub(super) async fn list(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<Json<Vec<TaskInfo>>, RestError> {
    Ok(Json(herder.tasks(&name).await?))
}

pub(super) async fn status(
    State(herder): Shared,
    Path((name, task)): Path<(String, String)>,
) -> Result<Json<TaskState>, RestError> {
    Ok(Json(herder.task_status(&name, number(&task)?).await?))
}

pub(super) async fn restart(
    State(herder): Shared,
    Path((name, task)): Path<(String, String)>,
) -> Result<StatusCode, RestError> {
    herder.restart_task(&name, number(&task)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn number(task: &str) -> Result<i32, RestError> {
    task.parse()
        .map_err(|_| RestError::not_found("HTTP 404 Not Found"))
}
