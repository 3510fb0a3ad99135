//! `/connector-plugins`

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use serde_json::Value;

use super::error::RestError;
use super::query::Parameters;
use super::{Shared, body};
use crate::runtime::PluginInfo;

pub(super) async fn list(
    State(herder): Shared,
    RawQuery(query): RawQuery,
) -> Json<Vec<PluginInfo>> {
    let parameters = Parameters::of(query);
    let mut given = parameters.all("connectorsOnly").peekable();
    let connectors_only = given.peek().is_none() || parameters.is_true("connectorsOnly");
    Json(herder.plugins(connectors_only))
}

pub(super) async fn config(
    State(herder): Shared,
    Path(plugin): Path<String>,
) -> Result<Json<Value>, RestError> {
    Ok(Json(herder.plugin_config(&plugin)?))
}

pub(super) async fn validate(
    State(herder): Shared,
    Path(plugin): Path<String>,
    bytes: Bytes,
) -> Result<Json<Value>, RestError> {
    let config = body::config(body::json(&bytes)?)?.ok_or_else(body::missing)?;
    Ok(Json(herder.validate(&plugin, config).await?))
}
