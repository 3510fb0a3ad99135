//! What workers of a group ask each other: `POST /connectors/{connector}/tasks`, `PUT /connectors/{connector}/fence`.
//!
//! Users have no business here: requests are signed with the group's key, and not by a user's password. Nothing is read of a
//! body before its signature is checked.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use super::error::RestError;
use super::{Shared, body};
use crate::runtime::distributed::signature::{
    ALGORITHM_HEADER, RequestSignature, SIGNATURE_HEADER,
};

/// Takes the task configs that a worker has made of its connector.
pub(super) async fn put_task_configs(
    State(herder): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, RestError> {
    herder.check_signature(signature(&headers, &bytes)?.as_ref())?;
    let configs = match body::json(&bytes)? {
        Value::Array(configs) => configs,
        _ => {
            return Err(RestError::internal(
                "task configurations are a JSON array of objects",
            ));
        }
    };
    let configs = configs.into_iter().map(|config| {
        let config = body::config(config)?.ok_or_else(body::missing)?;
        let entries = config.into_iter();
        Ok(entries
            .filter_map(|(key, value)| Some((key, value?)))
            .collect())
    });
    let configs = configs.collect::<Result<Vec<_>, RestError>>()?;
    herder.put_task_configs(&name, configs).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Fences the producers of a source connector's earlier tasks.
pub(super) async fn fence(
    State(herder): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<StatusCode, RestError> {
    herder.check_signature(signature(&headers, &bytes)?.as_ref())?;
    herder.fence_zombies(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `None` if one of the two headers is missing.
fn signature(headers: &HeaderMap, body: &[u8]) -> Result<Option<RequestSignature>, RestError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    match (text(SIGNATURE_HEADER), text(ALGORITHM_HEADER)) {
        (Some(mac), Some(algorithm)) => Ok(Some(RequestSignature::received(mac, algorithm, body)?)),
        _ => Ok(None),
    }
}
