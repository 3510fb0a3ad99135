//! `/connectors`

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use connect_core::config::ConfigMap;
use serde_json::{Map, Value, json};

use super::error::RestError;
use super::query::Parameters;
use super::{Base, Shared, body};
use crate::runtime::{
    ConnectorInfo, ConnectorStateInfo, GivenConfig, Herder, HerderError, RestartRequest,
    TargetState,
};

type Answer = Result<Response, RestError>;

pub(super) async fn list(State(herder): Shared, RawQuery(query): RawQuery) -> Answer {
    let names = herder.connectors().await?;
    let parameters = Parameters::of(query);
    let expand: Vec<_> = parameters.all("expand").collect();
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

/// The fields of the body of a create.
const CREATE_FIELDS: &[&str] = &["name", "config", "initial_state"];

/// The body of a create.
struct CreateRequest {
    name: String,
    config: GivenConfig,
    initial: TargetState,
}

impl CreateRequest {
    fn read(value: Value) -> Result<Self, RestError> {
        let mut fields = body::object(value)?.ok_or_else(body::missing)?;
        let known = |field: &&String| CREATE_FIELDS.contains(&field.as_str());
        if let Some(field) = fields.keys().find(|field| !known(field)) {
            return Err(body::unknown_field(field, CREATE_FIELDS));
        }
        let mut take = |field: &str| fields.remove(field).unwrap_or_default();
        let name = body::text(take("name"))?.unwrap_or_default();
        let config = body::config(take("config"))?;
        let initial = initial_state(take("initial_state"))?;
        let name = name.trim().to_owned();
        Ok(Self {
            config: named(&name, config.ok_or_else(body::missing)?)?,
            name,
            initial,
        })
    }
}

fn initial_state(value: Value) -> Result<TargetState, RestError> {
    if value.is_array() || value.is_object() {
        return Err(RestError::internal(
            "Input mismatch reading Enum `initial_state`: text is needed",
        ));
    }
    let Some(text) = body::text(value)? else {
        return Ok(TargetState::Started);
    };
    TargetState::of_initial(&text).ok_or_else(|| {
        RestError::internal(format!(
            "Cannot construct instance of `initial_state` from {text}: must be RUNNING, PAUSED or STOPPED"
        ))
    })
}

/// The config with `name` in it; an error if it holds another.
pub(super) fn named(name: &str, mut config: GivenConfig) -> Result<GivenConfig, RestError> {
    let held = config
        .entry("name".to_owned())
        .or_insert_with(|| Some(name.to_owned()));
    match held {
        Some(held) if held != name => Err(HerderError::other_name(held, name).into()),
        _ => Ok(config),
    }
}

pub(super) async fn create(
    State(herder): Shared,
    Extension(base): Extension<Base>,
    bytes: Bytes,
) -> Answer {
    let request = CreateRequest::read(body::json(&bytes)?)?;
    let info = herder
        .create(&request.name, request.config, request.initial)
        .await?;
    Ok(created(&base, &info))
}

fn created(base: &Base, info: &ConnectorInfo) -> Response {
    let location = base.url_of("/connectors/", &info.name);
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
    Extension(base): Extension<Base>,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Answer {
    let config = body::config(body::json(&bytes)?)?.ok_or_else(body::missing)?;
    let config = named(&name, config)?;
    match herder.put_config(&name, config).await? {
        (true, info) => Ok(created(&base, &info)),
        (false, info) => Ok(Json(info).into_response()),
    }
}

pub(super) async fn patch_config(
    State(herder): Shared,
    Path(name): Path<String>,
    bytes: Bytes,
) -> Result<Json<ConnectorInfo>, RestError> {
    let Some(patch) = body::config(body::json(&bytes)?)? else {
        // Whether there is such a connector counts first.
        herder.connector_info(&name).await?;
        return Err(body::missing());
    };
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

pub(super) async fn restart(
    State(herder): Shared,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Answer {
    let parameters = Parameters::of(query);
    let request = RestartRequest {
        include_tasks: parameters.is_true("includeTasks"),
        only_failed: parameters.is_true("onlyFailed"),
    };
    match herder.restart(&name, request).await? {
        Some(info) => Ok((StatusCode::ACCEPTED, Json(info)).into_response()),
        None => Ok(StatusCode::NO_CONTENT.into_response()),
    }
}
