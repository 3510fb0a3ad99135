//! `/connectors/{connector}/offsets`

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::error::RestError;
use super::{Shared, body};
use crate::runtime::{ConnectorOffset, ConnectorOffsets, OffsetFields};

type Answer = Result<Json<Value>, RestError>;

pub(super) async fn show(
    State(herder): Shared,
    Path(name): Path<String>,
) -> Result<Json<ConnectorOffsets>, RestError> {
    Ok(Json(herder.offsets(&name).await?))
}

pub(super) async fn alter(State(herder): Shared, Path(name): Path<String>, bytes: Bytes) -> Answer {
    let offsets = entries(body::json(&bytes)?)?;
    if offsets.is_empty() {
        return Err(RestError::bad_request(
            "Partitions / offsets need to be provided for an alter offsets request",
        ));
    }
    let message = herder.alter_offsets(&name, &offsets).await?;
    Ok(Json(json!({ "message": message })))
}

pub(super) async fn reset(State(herder): Shared, Path(name): Path<String>) -> Answer {
    let message = herder.reset_offsets(&name).await?;
    Ok(Json(json!({ "message": message })))
}

/// The entries of `offsets`; none if there are not any.
fn entries(value: Value) -> Result<Vec<ConnectorOffset>, RestError> {
    let mut fields = body::object(value)?.ok_or_else(body::missing)?;
    let given = fields.remove("offsets").unwrap_or_default();
    if let Some(field) = fields.keys().next() {
        return Err(body::unknown_field(field, &["offsets"]));
    }
    match given {
        Value::Null => Ok(Vec::new()),
        Value::Array(entries) => entries.into_iter().map(entry).collect(),
        _ => Err(RestError::internal(
            "Cannot deserialize value of type `a JSON array` for offsets",
        )),
    }
}

fn entry(value: Value) -> Result<ConnectorOffset, RestError> {
    let mut fields = body::object(value)?.ok_or_else(body::missing)?;
    let entry = ConnectorOffset {
        partition: map(fields.remove("partition"))?,
        offset: map(fields.remove("offset"))?,
    };
    match fields.keys().next() {
        Some(field) => Err(body::unknown_field(field, &["partition", "offset"])),
        None => Ok(entry),
    }
}

fn map(value: Option<Value>) -> Result<Option<OffsetFields>, RestError> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(fields)) => Ok(Some(fields.into_iter().collect())),
        Some(other) => Err(RestError::internal(format!(
            "Cannot deserialize value of type `a JSON object` from {other}"
        ))),
    }
}
