//! What holds for every request, before and after what answers it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use tokio_util::sync::CancellationToken;

use super::error::RestError;
use super::{body, routes};
use crate::runtime::Herder;

/// Bytes of a refusal of the HTTP layer.
const LONGEST_REFUSAL: usize = 4096;

/// How long a request may take, and who knows why it took longer.
#[derive(Clone)]
pub(super) struct Patience {
    pub(super) herder: Arc<dyn Herder>,
    pub(super) timeout: Duration,
}

/// Cancelled once nobody waits for the answer any more: for what may be left undone.
#[derive(Clone)]
pub(super) struct Unawaited(pub(super) CancellationToken);

/// Answers in time, and whatever happens. What is begun is ended, also if the client leaves or the time is up: a change is
/// never left half done. What changes nothing may end with [`Unawaited`].
pub(super) async fn in_time(
    State(patience): State<Patience>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Err(refusal) = check_path(request.uri().path()) {
        return refusal.into_response();
    }
    let unawaited = CancellationToken::new();
    request
        .extensions_mut()
        .insert(Unawaited(unawaited.clone()));
    let _client_is_there = unawaited.drop_guard();
    let answering = tokio::spawn(next.run(request));
    match tokio::time::timeout(patience.timeout, answering).await {
        Ok(Ok(response)) => in_json(response).await,
        Ok(Err(_panicked)) => {
            RestError::internal("a defect in Sluice, see the log").into_response()
        }
        Err(_) => {
            let stage = patience.herder.stage();
            let text = if stage.is_empty() {
                "Request timed out".to_owned()
            } else {
                format!("Request timed out. {stage}")
            };
            RestError::internal(text).into_response()
        }
    }
}

/// No name holds a control character, and a percent sign is one of an encoded byte.
fn check_path(path: &str) -> Result<(), RestError> {
    let mut rest = path;
    while let Some((_, after)) = rest.split_once('%') {
        let digits = after
            .get(..2)
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match digits {
            Some(byte) if !byte.is_ascii_control() => rest = after,
            _ => {
                return Err(RestError::bad_request(
                    "Bad Request: the path is not one of a URL",
                ));
            }
        }
    }
    Ok(())
}

/// Bodies are JSON, here and there.
pub(super) async fn json_only(request: Request, next: Next) -> Response {
    if !body::accepts_json(request.headers()) {
        return RestError::not_acceptable().into_response();
    }
    if !body::is_json_or_nothing(request.headers()) {
        return RestError::unsupported_media_type().into_response();
    }
    next.run(request).await
}

/// A method that a path does not know; OPTIONS asks which there are.
pub(super) async fn other_method(method: Method, path: MatchedPath) -> Response {
    if method != Method::OPTIONS {
        return RestError::method_not_allowed().into_response();
    }
    let routes = routes::all().into_iter();
    let known = routes.filter(|route| route.path == path.as_str());
    let mut methods: Vec<_> = known.map(|route| route.method.to_string()).collect();
    if methods.iter().any(|method| method == "GET") {
        methods.push("HEAD".to_owned());
    }
    methods.push("OPTIONS".to_owned());
    let allowed = methods.join(", ");
    let headers = [
        (ALLOW, allowed.clone()),
        (CONTENT_TYPE, "text/plain".to_owned()),
    ];
    (StatusCode::OK, headers, allowed).into_response()
}

/// Refusals of the HTTP layer (a path or query that is none, a body that is too large) in the shape of all others.
async fn in_json(response: Response) -> Response {
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"));
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let text = axum::body::to_bytes(response.into_body(), LONGEST_REFUSAL).await;
    let text = text.unwrap_or_default();
    RestError::new(status, String::from_utf8_lossy(&text)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_no_name_can_stand_in_is_refused() {
        for path in ["/a%zz", "/a%", "/a%4", "/a%00", "/a%0Ab", "/a%7f"] {
            assert!(check_path(path).is_err(), "{path}");
        }
        for path in ["/", "/a%2Fb%20c", "/%C3%BC"] {
            assert!(check_path(path).is_ok(), "{path}");
        }
    }
}
