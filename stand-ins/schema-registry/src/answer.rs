//! Refusals, with the registry's codes.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// The media type of every answer.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    NoSubject(String),
    NoVersion,
    NoSchema,
    Unauthorized,
    MediaType,
    Invalid(String),
    Incompatible(String),
    Unavailable,
}

impl Refusal {
    fn parts(&self) -> (StatusCode, u32, String) {
        match self {
            Self::NoSubject(name) => (
                StatusCode::NOT_FOUND,
                40401,
                format!("Subject '{name}' not found."),
            ),
            Self::NoVersion => (
                StatusCode::NOT_FOUND,
                40402,
                "Version not found.".to_owned(),
            ),
            Self::NoSchema => (StatusCode::NOT_FOUND, 40403, "Schema not found".to_owned()),
            Self::Unauthorized => (StatusCode::UNAUTHORIZED, 401, "Unauthorized".to_owned()),
            Self::MediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                415,
                "HTTP 415 Unsupported Media Type".to_owned(),
            ),
            Self::Invalid(why) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                42201,
                format!("Invalid schema: {why}"),
            ),
            Self::Incompatible(subject) => (
                StatusCode::CONFLICT,
                409,
                format!(
                    "Schema being registered is incompatible with an earlier schema for subject \"{subject}\""
                ),
            ),
            Self::Unavailable => (
                StatusCode::INTERNAL_SERVER_ERROR,
                50001,
                "Error in the backend data store".to_owned(),
            ),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, error_code, message) = self.parts();
        let body = json!({ "error_code": error_code, "message": message });
        (status, Answer(body)).into_response()
    }
}

/// An answer in the registry's media type.
pub(crate) struct Answer(pub(crate) Value);

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Json(self.0).into_response();
        let media_type = HeaderValue::from_static(MEDIA_TYPE);
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, media_type);
        response
    }
}
