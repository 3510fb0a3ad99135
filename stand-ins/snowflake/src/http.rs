//! The REST protocol of Snowflake's drivers, and the upload half of S3's.

use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::error::{Refusal, Result};
use crate::faults::{Fault, Point};
use crate::login::{self, Wishes};
use crate::run::{self, Answer, Flow};
use crate::server::Shared;
use crate::sql::ast::Statement;
use crate::sql::parse;
use crate::types::SqlType;
use crate::uploads::UploadRequest;
use crate::world::{InProgress, TokenRefusal};

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

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct QueryParameters {
    #[serde(rename = "requestId")]
    request_id: String,
}

/// Where a statement may go wrong.
fn point_of(statement: &Statement) -> Point {
    match statement {
        Statement::Begin(_) => Point::Begin,
        Statement::Commit => Point::Commit,
        Statement::Rollback => Point::Rollback,
        Statement::Put { .. } => Point::Put,
        Statement::Copy(_) => Point::Copy,
        Statement::Merge(_) => Point::Merge,
        Statement::Remove(_) => Point::Remove,
        statement if statement.is_ddl() => Point::Ddl,
        _ => Point::Select,
    }
}

async fn query_request(
    State(shared): State<Arc<Shared>>,
    Query(parameters): Query<QueryParameters>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let sql = json_of(&headers, &body);
    let Some(sql) = sql.as_ref().and_then(|body| body.get("sqlText")?.as_str()) else {
        return bad_request();
    };
    let statement = parse(sql);
    tracing::debug!(sql, "statement");
    let point = statement.as_ref().map_or(Point::Statement, point_of);
    let fault = shared.faults.take(point);
    with_fault(&shared, fault, async || {
        let token = token_of(&headers);
        if fault == Some(Fault::Expire) {
            expire(&shared, &token);
        }
        let id = shared.world().session_of(&token);
        let id = match id {
            Ok(id) => id,
            Err(refusal) => return reply(&refused(&token_refusal(refusal))),
        };
        let known = answered(&shared, id, &parameters.request_id);
        let answer = match known {
            Some(answer) => answer,
            None => {
                let outcome = match (&statement, fault) {
                    (_, Some(Fault::Refuse(code))) => {
                        Err(Refusal::new(code, "57014", "refused on request"))
                    }
                    (Ok(statement), _) => execute(&shared, id, statement).await,
                    (Err(refusal), _) => Err(refusal.clone()),
                };
                let answer = query_reply(&shared, id, &outcome);
                if let Some(session) = shared.world().sessions.get_mut(&id) {
                    session.remember(&parameters.request_id, answer.clone());
                }
                answer
            }
        };
        match fault {
            Some(Fault::InProgress(pause)) => reply(&in_progress(&shared, answer, pause)),
            _ => reply(&answer),
        }
    })
    .await
}

fn expire(shared: &Shared, token: &str) {
    let mut world = shared.world();
    let session = world
        .sessions
        .values_mut()
        .find(|session| session.token.text == token);
    if let Some(session) = session {
        session.token.until = Instant::now();
    }
}

fn answered(shared: &Shared, id: u64, request: &str) -> Option<Json> {
    shared.world().sessions.get(&id)?.answer_to(request)
}

/// Runs a statement, waiting for locks as long as the session allows.
async fn execute(shared: &Shared, id: u64, statement: &Statement) -> Result<Answer> {
    let began = Instant::now();
    loop {
        let released = shared.released.notified();
        let (flow, patience) = attempt(shared, id, statement)?;
        let holder = match flow {
            Flow::Done(answer) => return Ok(answer),
            Flow::Blocked(holder) => holder,
        };
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            let text = format!(
                "Statement '{id}' has locked table in transaction {holder} and this lock has not yet been released.\nYour statement was aborted because the number of waiters for this lock exceeds the limit or the wait timed out."
            );
            return Err(Refusal::new("000625", "57014", text));
        }
        let _released_or_not =
            tokio::time::timeout(left.min(Duration::from_secs(1)), released).await;
    }
}

fn attempt(shared: &Shared, id: u64, statement: &Statement) -> Result<(Flow, Duration)> {
    let mut world = shared.world();
    let gone = || token_refusal(TokenRefusal::Unknown);
    let mut session = world.sessions.remove(&id).ok_or_else(gone)?;
    let flow = run::run(&mut world, &mut session, statement);
    let patience = session.lock_timeout();
    world.sessions.insert(id, session);
    drop(world);
    // A statement that waits has released nothing.
    if !matches!(flow, Ok(Flow::Blocked(_))) {
        shared.released.notify_waiters();
    }
    Ok((flow?, patience))
}

fn in_progress(shared: &Shared, answer: Json, pause: Duration) -> Json {
    let mut world = shared.world();
    let query = format!(
        "{:08x}-{:08x}",
        fastrand::u32(..),
        world.catalog.next_number()
    );
    let ready = Instant::now() + pause;
    world
        .results
        .insert(query.clone(), InProgress { answer, ready });
    still_running(&query)
}

fn still_running(query: &str) -> Json {
    json!({
        "data": {
            "getResultUrl": format!("/queries/{query}/result"),
            "queryAbortsAfterSecs": 300,
            "progressDesc": null,
        },
        "message": "Query execution in progress.",
        "code": "333333",
        "success": false,
    })
}

async fn query_result(
    State(shared): State<Arc<Shared>>,
    Path(query): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut world = shared.world();
    if let Err(refusal) = world.session_of(&token_of(&headers)) {
        return reply(&refused(&token_refusal(refusal)));
    }
    let now = Instant::now();
    match world.results.get(&query) {
        None => reply(&refused(&Refusal::new(
            "000605",
            "02000",
            "Identified query does not exist.",
        ))),
        Some(running) if now < running.ready => reply(&still_running(&query)),
        Some(running) => reply(&running.answer),
    }
}

/// The reply to a statement.
fn query_reply(shared: &Shared, id: u64, outcome: &Result<Answer>) -> Json {
    let mut world = shared.world();
    let query = format!(
        "01b0{:08x}-0000-{:012x}",
        fastrand::u32(..),
        world.catalog.next_number()
    );
    let answer = match outcome {
        Ok(answer) => answer,
        Err(refusal) => return statement_refused(refusal, &query),
    };
    if let Some(upload) = &answer.upload {
        let mut data = upload.clone();
        if let Some(field) = data.get_mut("queryId") {
            *field = json!(query);
        }
        return success(data);
    }
    let session = world.sessions.get(&id);
    let names = session.map(|session| {
        (
            &session.database,
            &session.schema,
            &session.warehouse,
            &session.role,
        )
    });
    let rows = answer.wire_rows();
    success(json!({
        "parameters": [{"name": "TIMEZONE", "value": "UTC"}],
        "rowtype": answer.columns.iter().map(|(name, kind)| row_type(name, *kind)).collect::<Vec<_>>(),
        "rowset": rows,
        "total": rows.len(),
        "returned": rows.len(),
        "queryId": query,
        "databaseProvider": null,
        "finalDatabaseName": names.and_then(|names| names.0.clone()),
        "finalSchemaName": names.and_then(|names| names.1.clone()),
        "finalWarehouseName": names.and_then(|names| names.2.clone()),
        "finalRoleName": names.map(|names| names.3.clone()).unwrap_or_default(),
        "numberOfBinds": 0,
        "arrayBindSupported": false,
        "statementTypeId": answer.kind.id(),
        "version": 1,
        "sendResultTime": jiff::Timestamp::now().as_millisecond(),
        "queryResultFormat": "json",
    }))
}

fn statement_refused(refusal: &Refusal, query: &str) -> Json {
    json!({
        "data": {
            "internalError": false,
            "unredactedFromSecureObject": false,
            "errorCode": refusal.code,
            "age": 0,
            "sqlState": refusal.sql_state,
            "queryId": query,
            "line": -1,
            "pos": -1,
            "type": "COMPILATION",
        },
        "code": refusal.code,
        "message": refusal.message,
        "success": false,
        "headers": null,
    })
}

fn row_type(name: &str, kind: SqlType) -> Json {
    let (precision, scale) = match kind {
        SqlType::Number { precision, scale } => (json!(precision), json!(scale)),
        SqlType::Time | SqlType::TimestampLtz | SqlType::TimestampNtz => (json!(0), json!(9)),
        _ => (Json::Null, Json::Null),
    };
    let length = match kind {
        SqlType::Text(length) => json!(length),
        _ => Json::Null,
    };
    json!({
        "name": name,
        "database": "",
        "schema": "",
        "table": "",
        "nullable": true,
        "type": kind.wire_name(),
        "byteLength": length,
        "length": length,
        "scale": scale,
        "precision": precision,
        "collation": null,
    })
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
