//! Which pages of other origins may call, said in headers of every answer: `access.control.allow.origin` and `.methods`.
//!
//! What a browser asks before a call (OPTIONS) is answered by the resource like any other, as in Kafka Connect.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::middleware::Next;
use axum::response::Response;
use connect_core::{Error, Result};

use crate::runtime::RestOptions;

/// Seconds a browser may go by what it was told.
const MAX_AGE: HeaderValue = HeaderValue::from_static("60");
/// What pages may send beside what they always may.
const HEADERS: HeaderValue = HeaderValue::from_static("Content-Type");
/// The methods that pages may call if nothing is said.
const METHODS: HeaderValue = HeaderValue::from_static("GET,POST,HEAD");

/// Who may call what.
#[derive(Clone)]
pub(super) struct Cors {
    origins: Arc<[String]>,
    methods: HeaderValue,
}

impl Cors {
    /// `None`: nothing is said about it.
    ///
    /// # Errors
    /// A configuration error that names a method that is none.
    pub(super) fn of(options: &RestOptions) -> Result<Option<Self>> {
        if options.allow_origin.is_empty() {
            return Ok(None);
        }
        for method in &options.allow_methods {
            Method::from_bytes(method.as_bytes()).map_err(|_| {
                Error::config(format!(
                    "Invalid value {method} for configuration access.control.allow.methods: that is no method"
                ))
            })?;
        }
        let methods = HeaderValue::try_from(options.allow_methods.join(","));
        let methods = methods.ok().filter(|methods| !methods.is_empty());
        Ok(Some(Self {
            origins: options.allow_origin.clone().into(),
            methods: methods.unwrap_or(METHODS),
        }))
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        let is_origin =
            |allowed: &String| allowed == "*" || allowed.as_bytes() == origin.as_bytes();
        self.origins.iter().any(is_origin)
    }

    fn say(&self, origin: Option<HeaderValue>, asks: bool, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        let Some(origin) = origin.filter(|origin| self.allows(origin)) else {
            return;
        };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if asks {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
}

/// Says it in an answer.
pub(super) async fn apply(State(cors): State<Cors>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    let asks = request.method() == Method::OPTIONS
        && request
            .headers()
            .contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = next.run(request).await;
    cors.say(origin, asks, response.headers_mut());
    response
}
