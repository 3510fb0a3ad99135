//! `/connector-plugins`

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use super::error::RestError;
use super::{Shared, body};
use crate::runtime::PluginInfo;

#[derive(Debug, Deserialize)]
pub(super) struct ListQuery {
    #[serde(rename = "connectorsOnly", default = "yes")]
    connectors_only: String,
}

fn yes() -> String {
    "true".to_owned()
}

pub(super) async fn list(
    State(herder): Shared,
    Query(query): Query<ListQuery>,
) -> Json<Vec<PluginInfo>> {
    Json(herder.plugins(query.connectors_only.eq_ignore_ascii_case("true")))
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
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<Value>, RestError> {
    let config = body::config(body::json(&headers, &bytes)?)?;
    Ok(Json(herder.validate(&plugin, config).await?))
}
