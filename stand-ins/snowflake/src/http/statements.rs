//! Statements over HTTP: run, waited for, answered.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{bad_request, json_of, refused, reply, success, token_of, token_refusal, with_fault};
use crate::error::{Refusal, Result};
use crate::faults::{Fault, Point};
use crate::run::{self, Answer, Flow};
use crate::server::Shared;
use crate::sql::ast::Statement;
use crate::sql::parse;
use crate::types::SqlType;
use crate::world::{InProgress, TokenRefusal};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct QueryParameters {
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

pub(super) async fn query_request(
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
        let answer = match answered(&shared, id, &parameters.request_id) {
            Some(answer) => answer,
            None => answer_to(&shared, id, &parameters.request_id, &statement, fault).await,
        };
        match fault {
            Some(Fault::InProgress(pause)) => reply(&in_progress(&shared, answer, pause)),
            _ => reply(&answer),
        }
    })
    .await
}

/// Runs a statement and remembers the answer under the request's id.
async fn answer_to(
    shared: &Shared,
    id: u64,
    request: &str,
    statement: &Result<Statement>,
    fault: Option<Fault>,
) -> Json {
    let outcome = match (statement, fault) {
        (_, Some(Fault::Refuse(code))) => Err(Refusal::new(code, "57014", "refused on request")),
        (Ok(statement), _) => execute(shared, id, statement).await,
        (Err(refusal), _) => Err(refusal.clone()),
    };
    let answer = query_reply(shared, id, &outcome);
    if let Some(session) = shared.world().sessions.get_mut(&id) {
        session.remember(request, answer.clone());
    }
    answer
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

pub(super) async fn query_result(
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
