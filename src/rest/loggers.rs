//! `/admin/loggers`

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::{info, warn};

use super::Shared;
use super::body;
use super::error::RestError;
use super::query::Parameters;
use crate::runtime::{LevelError, LogLevels, LoggerLevel};

type Levels = State<Arc<LogLevels>>;

pub(super) async fn list(State(levels): Levels) -> Json<BTreeMap<String, LoggerLevel>> {
    Json(levels.all())
}

pub(super) async fn show(
    State(levels): Levels,
    Path(name): Path<String>,
) -> Result<Json<LoggerLevel>, RestError> {
    let level = levels.get(&name);
    let missing = || RestError::not_found(format!("Logger {name} not found."));
    level.map(Json).ok_or_else(missing)
}

/// A worker alone is its whole cluster: `scope` decides on the form of the answer.
pub(super) async fn set(
    State(levels): Levels,
    State(herder): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    bytes: Bytes,
) -> Result<Response, RestError> {
    let mut fields = body::config(body::json(&bytes)?)?.ok_or_else(body::missing)?;
    let level = fields.remove("level").flatten().ok_or_else(|| {
        RestError::bad_request("Desired 'level' parameter was not specified in request.")
    })?;
    let affected = levels.set(&name, &level).map_err(|error| match error {
        LevelError::Unknown(_) => RestError::not_found(error.to_string()),
        LevelError::Empty => RestError::internal(error.to_string()),
    })?;
    info!(logger = name, level, "level of logging changed");
    let parameters = Parameters::of(query);
    let scope = parameters.all("scope").next().unwrap_or("worker");
    if scope.eq_ignore_ascii_case("cluster") {
        herder.set_cluster_level(&name, &level).await?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    if !scope.eq_ignore_ascii_case("worker") {
        warn!(scope, "a scope that is not known: taken for worker");
    }
    Ok(Json(affected).into_response())
}
