//! The REST protocol of Snowflake's drivers, and the upload half of S3's.

mod statements;

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::Refusal;
use crate::faults::{Fault, Point};
use crate::login::{self, Wishes};
use crate::server::Shared;
use crate::uploads::UploadRequest;
use crate::world::TokenRefusal;
use statements::{query_request, query_result};

/// The longest request: a file of a stage.
const LONGEST: usize = 256 << 20;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/session/v1/login-request", post(login_request))
        .route("/session/token-request", post(token_request))
        .route("/session/heartbeat", post(heartbeat))
        .route("/session", post(close_session))
        .route("/queries/v1/query-request", post(query_request))
        .route("/queries/v1/abort-request", post(accepted))
        .route("/queries/{query}/result", get(query_result))
        .route("/telemetry/send", post(accepted))
        .route("/{bucket}/{*key}", put(upload))
        .layer(axum::extract::DefaultBodyLimit::max(LONGEST))
        .with_state(shared)
}

#[expect(clippy::needless_pass_by_value, reason = "it goes into the reply")]
fn success(data: Json) -> Json {
    json!({"data": data, "message": null, "code": null, "success": true})
}

/// A refusal without details, as logins and tokens are refused.
fn refused(refusal: &Refusal) -> Json {
    json!({"data": null, "message": refusal.message, "code": refusal.code, "success": false})
}

fn reply(body: &Json) -> Response {
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

/// A body that breaks off: the client never gets its answer.
fn cut() -> Response {
    let broken = futures_util::stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("cut on request"))
    });
    Response::new(Body::from_stream(broken))
}

/// What a fault does around an effect.
async fn with_fault(
    shared: &Shared,
    fault: Option<Fault>,
    effect: impl AsyncFnOnce() -> Response,
) -> Response {
    match fault {
        Some(Fault::Status(status)) => StatusCode::from_u16(status)
            .unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
            .into_response(),
        Some(Fault::CutBefore) => cut(),
        Some(Fault::CutAfter) => {
            effect().await;
            cut()
        }
        Some(Fault::HangBefore) => {
            shared.faults.hang().await;
            effect().await
        }
        Some(Fault::HangAfter) => {
            let answer = effect().await;
            shared.faults.hang().await;
            answer
        }
        _ => effect().await,
    }
}

/// The JSON of a body that may be compressed.
fn json_of(headers: &HeaderMap, body: &[u8]) -> Option<Json> {
    let is_gzip = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|value| value == "gzip");
    if !is_gzip {
        return serde_json::from_slice(body).ok();
    }
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(body)
        .read_to_end(&mut text)
        .ok()?;
    serde_json::from_slice(&text).ok()
}

/// The token of `Authorization: Snowflake Token="…"`.
fn token_of(headers: &HeaderMap) -> String {
    let value = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| value.strip_prefix("Snowflake Token=\""));
    token
        .and_then(|token| token.strip_suffix('"'))
        .unwrap_or_default()
        .to_owned()
}

fn bad_request() -> Response {
    (StatusCode::BAD_REQUEST, "not JSON").into_response()
}

async fn login_request(
    State(shared): State<Arc<Shared>>,
    Query(wishes): Query<Wishes>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(body) = json_of(&headers, &body) else {
        return bad_request();
    };
    let fault = shared.faults.take(Point::Login);
    with_fault(&shared, fault, async || {
        let outcome = login::login(&mut shared.world(), &body, &wishes);
        reply(&outcome.map_or_else(|refusal| refused(&refusal), success))
    })
    .await
}

async fn token_request(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(body) = json_of(&headers, &body) else {
        return bad_request();
    };
    if body.get("requestType") != Some(&json!("RENEW")) {
        return bad_request();
    }
    let fault = shared.faults.take(Point::Renew);
    with_fault(&shared, fault, async || {
        let outcome = login::renew(&mut shared.world(), &token_of(&headers));
        reply(&outcome.map_or_else(|refusal| refused(&refusal), success))
    })
    .await
}

async fn accepted() -> Response {
    reply(&success(Json::Null))
}

async fn heartbeat(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    let found = shared.world().session_of(&token_of(&headers));
    reply(&found.map_or_else(
        |refusal| refused(&token_refusal(refusal)),
        |_| success(Json::Null),
    ))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CloseParameters {
    delete: bool,
}

async fn close_session(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Query<CloseParameters>,
    headers: HeaderMap,
) -> Response {
    let fault = shared.faults.take(Point::Close);
    with_fault(&shared, fault, async || {
        let mut world = shared.world();
        let found = world.session_of(&token_of(&headers));
        let answer = match found {
            Ok(id) if parameters.delete => {
                world.close(id);
                success(Json::Null)
            }
            Ok(_) => success(Json::Null),
            Err(refusal) => refused(&token_refusal(refusal)),
        };
        drop(world);
        shared.released.notify_waiters();
        reply(&answer)
    })
    .await
}

fn token_refusal(refusal: TokenRefusal) -> Refusal {
    match refusal {
        TokenRefusal::Unknown => {
            let text = "Session no longer exists.  New login required to access the service.";
            Refusal::new("390111", "08001", text)
        }
        TokenRefusal::Expired => {
            let text = "Authentication token has expired.  The user must authenticate again.";
            Refusal::new("390112", "08001", text)
        }
    }
}

async fn upload(
    State(shared): State<Arc<Shared>>,
    Path((bucket, key)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let text = |name: &str| {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let request = UploadRequest {
        bucket,
        key,
        authorization: text("authorization"),
        token: text("x-amz-security-token"),
        content_sha256: text("x-amz-content-sha256"),
        digest: text("x-amz-meta-sfc-digest"),
    };
    let fault = shared.faults.take(Point::Upload);
    with_fault(&shared, fault, async || {
        let mut world = shared.world();
        let world = &mut *world;
        match world.uploads.store(&mut world.catalog, &request, body) {
            Ok(()) => ([(header::ETAG, "\"stored\"")], "").into_response(),
            Err(refusal) => {
                let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::FORBIDDEN);
                let body = format!(
                    "<?xml version=\"1.0\"?><Error><Code>{0}</Code><Message>{0}</Message></Error>",
                    refusal.code
                );
                (status, body).into_response()
            }
        }
    })
    .await
}
