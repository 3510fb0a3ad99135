//! Request bodies: JSON, read as Kafka Connect's server reads it.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use super::error::RestError;

/// A config as it came: null stays null, numbers and booleans become text.
pub(super) type NullableConfig = BTreeMap<String, Option<String>>;

/// True if the client takes JSON.
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    let mut accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .peekable();
    accepted.peek().is_none()
        || accepted.flat_map(|value| value.split(',')).any(|kind| {
            let kind = kind.split(';').next().unwrap_or_default().trim();
            ["*/*", "application/*", "application/json"].contains(&kind)
        })
}

/// The body as JSON; anything else is refused as Kafka Connect refuses it.
pub(super) fn json(headers: &HeaderMap, body: &Bytes) -> Result<Value, RestError> {
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/json") {
        return Err(RestError::unsupported_media_type());
    }
    if body.is_empty() {
        return Err(RestError::internal("the request has no body"));
    }
    serde_json::from_slice(body)
        .map_err(|error| RestError::internal(format!("Cannot deserialize value: {error}")))
}

/// A flat map of a config.
pub(super) fn config(value: Value) -> Result<NullableConfig, RestError> {
    let Value::Object(entries) = value else {
        return Err(RestError::internal(
            "Cannot deserialize value of type `java.util.LinkedHashMap`: a JSON object is needed",
        ));
    };
    entries
        .into_iter()
        .map(|(key, value)| {
            let text = match value {
                Value::Null => None,
                Value::String(text) => Some(text),
                Value::Bool(value) => Some(value.to_string()),
                Value::Number(number) => Some(number.to_string()),
                Value::Array(_) | Value::Object(_) => {
                    return Err(RestError::internal(format!("Cannot deserialize value of type `java.lang.String` for key {key}: text is needed")));
                }
            };
            Ok((key, text))
        })
        .collect()
}

/// A config to deploy: a null is an error that names its key.
pub(super) fn without_nulls(config: NullableConfig) -> Result<BTreeMap<String, String>, RestError> {
    let nulls: Vec<_> = config
        .iter()
        .filter(|(_, value)| value.is_none())
        .map(|(key, _)| {
            format!("{key}: Null value can not be supplied as the configuration value.")
        })
        .collect();
    if !nulls.is_empty() {
        return Err(RestError::bad_request(
            connect_core::config::invalid_message(&nulls),
        ));
    }
    Ok(config
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect())
}
