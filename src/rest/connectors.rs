//! `/connectors`

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, RawQuery, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use connect_core::config::ConfigMap;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::error::RestError;
use super::{Shared, body};
use crate::runtime::{
    ConnectorInfo, ConnectorStateInfo, Herder, HerderError, RestartRequest, TargetState,
};

type Answer = Result<Response, RestError>;

pub(super) async fn list(State(herder): Shared, RawQuery(query): RawQuery) -> Answer {
    let names = herder.connectors().await?;
    let query = query.unwrap_or_default();
    let expand: Vec<_> = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("expand="))
        .collect();
    if expand.is_empty() {
        return Ok(Json(names).into_response());
    }
    let mut expanded = Map::new();
    for name in names {
        if let Some(entry) = expand_one(&*herder, &name, &expand).await? {
            expanded.insert(name, entry);
        }
    }
    Ok(Json(expanded).into_response())
}

/// `None` if the connector has gone meanwhile.
async fn expand_one(
    herder: &dyn Herder,
    name: &str,
    expand: &[&str],
) -> Result<Option<Value>, RestError> {
    let mut entry = Map::new();
    if expand.contains(&"status") {
        match herder.connector_status(name).await {
            Ok(status) => entry.insert("status".to_owned(), json!(status)),
            Err(HerderError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    }
    if expand.contains(&"info") {
        match herder.connector_info(name).await {
            Ok(info) => entry.insert("info".to_owned(), json!(info)),
            Err(HerderError::NotFound(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
    }
    Ok(Some(Value::Object(entry)))
}

/// The body of a create.
struct CreateRequest {
    name: String,
    config: ConfigMap,
    initial: TargetState,
}

impl CreateRequest {
    fn read(value: Value) -> Result<Self, RestError> {
        let Value::Object(mut fields) = value else {
            return Err(RestError::internal(
                "Cannot construct instance of `CreateConnectorRequest`: a JSON object is needed",
            ));
        };
        let name = fields
            .remove("name")
            .and_then(|name| name.as_str().map(str::to_owned))
            .unwrap_or_default();
        let config = body::config(fields.remove("config").unwrap_or_else(|| json!({})))?;
        let initial = initial_state(fields.remove("initial_state"))?;
        if let Some(key) = fields.keys().next() {
            return Err(RestError::internal(format!(
                "Unrecognized field \"{key}\", not marked as ignorable"
            )));
        }
        let name = name.trim().to_owned();
        Ok(Self {
            config: named(&name, body::without_nulls(config)?)?,
            name,
            initial,
        })
    }
}

fn initial_state(value: Option<Value>) -> Result<TargetState, RestError> {
    let text = match value {
        None | Some(Value::Null) => return Ok(TargetState::Started),
        Some(Value::String(text)) => text,
        Some(other) => other.to_string(),
    };
    match text.to_ascii_uppercase().as_str() {
        "RUNNING" => Ok(TargetState::Started),
        "PAUSED" => Ok(TargetState::Paused),
        "STOPPED" => Ok(TargetState::Stopped),
        _ => Err(RestError::internal(format!(
            "Cannot deserialize value: initial_state is {text}, must be RUNNING, PAUSED or STOPPED"
        ))),
    }
}

/// The config with `name` in it; an error if it holds another.
fn named(name: &str, mut config: ConfigMap) -> Result<ConfigMap, RestError> {
    let held = config
        .entry("name".to_owned())
        .or_insert_with(|| name.to_owned());
    if held != name {
        return Err(RestError::bad_request(format!(
            "Connector name configuration ({held}) doesn't match connector name in the URL ({name})"
        )));
    }
    Ok(config)
}

pub(super) async fn create(State(herder): Shared, headers: HeaderMap, bytes: Bytes) -> Answer {
    let request = CreateRequest::read(body::json(&headers, &bytes)?)?;
    let info = herder
        .create(&request.name, request.config, request.initial)
        .await?;
    Ok(created(&info))
}

fn created(info: &ConnectorInfo) -> Response {
    let location = format!(
        "/connectors/{}",
        utf8_percent_encode(&info.name, NON_ALPHANUMERIC)
    );
    (StatusCode::CREATED, [(LOCATION, location)], Json(info)).into_response()
}

pub(super) async fn info(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<Json<ConnectorInfo>, RestError> {
    Ok(Json(herder.connector_info(&name).await?))
}

pub(super) async fn config(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<Json<ConfigMap>, RestError> {
    Ok(Json(herder.connector_info(&name).await?.config))
}

pub(super) async fn put_config(
    State(herder): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Answer {
    let config = body::config(body::json(&headers, &bytes)?)?;
    let config = named(&name, body::without_nulls(config)?)?;
    match herder.put_config(&name, config).await? {
        (true, info) => Ok(created(&info)),
        (false, info) => Ok(Json(info).into_response()),
    }
}

pub(super) async fn patch_config(
    State(herder): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Json<ConnectorInfo>, RestError> {
    let patch = body::config(body::json(&headers, &bytes)?)?;
    Ok(Json(herder.patch_config(&name, patch).await?))
}

pub(super) async fn delete(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    herder.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn status(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<Json<ConnectorStateInfo>, RestError> {
    Ok(Json(herder.connector_status(&name).await?))
}

pub(super) async fn pause(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    herder.set_target_state(&name, TargetState::Paused).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn resume(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    herder.set_target_state(&name, TargetState::Started).await?;
    Ok(StatusCode::ACCEPTED)
}

pub(super) async fn stop(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<StatusCode, RestError> {
    herder.set_target_state(&name, TargetState::Stopped).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RestartQuery {
    #[serde(rename = "includeTasks", default)]
    include_tasks: String,
    #[serde(rename = "onlyFailed", default)]
    only_failed: String,
}

pub(super) async fn restart(
    State(herder): Shared,
    Path(name): Path<String>,
    Query(query): Query<RestartQuery>,
) -> Answer {
    let request = RestartRequest {
        include_tasks: query.include_tasks.eq_ignore_ascii_case("true"),
        only_failed: query.only_failed.eq_ignore_ascii_case("true"),
    };
    match herder.restart(&name, request).await? {
        Some(info) => Ok((StatusCode::ACCEPTED, Json(info)).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
