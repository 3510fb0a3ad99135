//! Request bodies: JSON, read as Kafka Connect's server reads it.

use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::error::RestError;
use super::routes;
use crate::runtime::GivenConfig;

/// True if the client takes JSON.
pub(super) fn accepts_json(headers: &HeaderMap) -> bool {
    !headers.contains_key(ACCEPT) || accepts(headers, &["*/*", "application/*", "application/json"])
}

/// True if the client names one of these types.
pub(super) fn accepts(headers: &HeaderMap, types: &[&str]) -> bool {
    let accepted = headers.get_all(ACCEPT).iter();
    let mut kinds = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    kinds.any(|kind| {
        types
            .iter()
            .any(|wanted| essence(kind).eq_ignore_ascii_case(wanted))
    })
}

/// True if there is no body, or one that calls itself JSON.
pub(super) fn is_json_or_nothing(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let empty = length.is_none_or(|length| length == "0");
    if empty && !headers.contains_key(header::TRANSFER_ENCODING) {
        return true;
    }
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|kind| essence(kind).eq_ignore_ascii_case("application/json"))
}

/// The bytes of the longest body that a request may have.
pub(super) fn longest(request: &Parts) -> usize {
    routes::longest_between_workers(request).unwrap_or(2 << 20)
}

/// A media type without its parameters.
fn essence(kind: &str) -> &str {
    kind.split(';').next().unwrap_or_default().trim()
}

/// The body as JSON; none at all is null.
pub(super) fn json(body: &[u8]) -> Result<Value, RestError> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        RestError::internal(format!("Invalid UTF-8 after byte {}", error.valid_up_to()))
    })?;
    serde_json::from_str(text).map_err(|error| RestError::internal(reason(text, &error)))
}

/// Why a text is not JSON, beginning as Kafka Connect's parser begins.
fn reason(text: &str, error: &serde_json::Error) -> String {
    let what = error.to_string();
    if what.contains("recursion limit") {
        return match text.trim_start().starts_with('[') {
            true => of_wrong_type("a JSON object", "Array value"),
            false => of_wrong_type("text", "Object value, and one within many others"),
        };
    }
    let in_a_word = ["expected value", "expected ident", "trailing characters"];
    if in_a_word
        .iter()
        .any(|beginning| what.starts_with(beginning))
    {
        return format!("Unrecognized token: {what}");
    }
    format!("Unexpected character or end: {what}")
}

fn of_wrong_type(wanted: &str, found: &str) -> String {
    format!("Cannot deserialize value of type `{wanted}` from {found}")
}

/// The fields of an object; null is `None`.
pub(super) fn object(value: Value) -> Result<Option<serde_json::Map<String, Value>>, RestError> {
    match value {
        Value::Object(fields) => Ok(Some(fields)),
        Value::Null => Ok(None),
        Value::Array(_) => Err(RestError::internal(of_wrong_type(
            "a JSON object",
            "Array value",
        ))),
        other => Err(RestError::internal(format!(
            "Cannot construct instance of `a JSON object` from {other}"
        ))),
    }
}

/// A flat map of a config; null is `None`.
pub(super) fn config(value: Value) -> Result<Option<GivenConfig>, RestError> {
    let Some(entries) = object(value)? else {
        return Ok(None);
    };
    let texts = entries
        .into_iter()
        .map(|(key, value)| Ok((key, text(value)?)));
    texts.collect::<Result<_, _>>().map(Some)
}

/// Text; null stays null, numbers and booleans become text.
pub(super) fn text(value: Value) -> Result<Option<String>, RestError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Array(_) => Err(RestError::internal(of_wrong_type("text", "Array value"))),
        Value::Object(_) => Err(RestError::internal(of_wrong_type("text", "Object value"))),
    }
}

/// The refusal of a body that is missing: with the status of Kafka Connect, which fails on it.
pub(super) fn missing() -> RestError {
    RestError::internal("The request has no body, or one that is null")
}

/// The refusal of a field that nobody knows.
pub(super) fn unknown_field(field: &str, known: &[&str]) -> RestError {
    RestError::internal(format!(
        "Unrecognized field \"{field}\": known are {}",
        known.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_told_apart_as_the_java_parser_does() {
        for (body, words) in [
            (b"{broken".as_slice(), "Unexpected"),
            (b"garbage", "Unrecognized token"),
            (b"{} trailing", "Unrecognized token"),
            (b"\"\xff\"", "Invalid UTF-8"),
            (&b"[".repeat(1000), "Cannot deserialize value of type"),
            (&b"{\"a\":".repeat(1000), "Cannot deserialize value of type"),
        ] {
            let refused = format!("{:?}", json(body).unwrap_err());
            assert!(refused.contains(words), "{words}: {refused}");
        }
        assert_eq!(json(b"").unwrap(), Value::Null);
    }
}
