//! An HTTP API and a growing CSV file to a topic, unpacked into Postgres; worker and database killed on the way.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use sluice_services::{Kafka, KafkaOptions, Postgres, PostgresOptions};

use crate::support::{WorkerProcess, kcat, ready_config, wait_until};

/// Messages of each source, and rows of each message.
const MESSAGES: usize = 100;
const ROWS: usize = 500;
/// Rows of the API have ids from 0, rows of the file from here.
const FILE_IDS: usize = 1_000_000;

/// The API's requests so far: some fail, some are slow.
type Requests = Arc<AtomicU32>;

#[derive(serde::Deserialize)]
struct Page {
    page: usize,
    limit: usize,
}

async fn users(State(requests): State<Requests>, Query(page): Query<Page>) -> Response {
    let number = requests.fetch_add(1, Ordering::Relaxed);
    if number % 7 == 3 {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if number % 11 == 5 {
        return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")]).into_response();
    }
    tokio::time::sleep(Duration::from_millis(u64::from(number % 5) * 10)).await;
    let first = page.page.saturating_sub(1) * page.limit;
    let rows: Vec<_> = (first..(first + page.limit).min(MESSAGES * ROWS))
        .map(user)
        .collect();
    axum::Json(json!({ "data": rows })).into_response()
}

fn user(id: usize) -> Value {
    json!({ "id": id, "name": format!("user {id}") })
}

async fn serve_users() -> Result<(String, Requests)> {
    let requests = Requests::default();
    let router = Router::new()
        .route("/users", get(users))
        .with_state(requests.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/users", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((url, requests))
}

/// Appends message-sized pieces to the file, some of which end in the middle of a line.
async fn grow(path: &Path) -> Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    file.write_all(b"id,name\n")?;
    for piece in 0..MESSAGES {
        let mut text = String::new();
        for row in piece * ROWS..(piece + 1) * ROWS {
            let id = FILE_IDS + row;
            text.push_str(&format!("{id},\"user, {id}\"\n"));
        }
        let (head, tail) = text.split_at(text.len() - 7);
        file.write_all(head.as_bytes())?;
        file.flush()?;
        tokio::time::sleep(Duration::from_millis(100)).await;
        file.write_all(tail.as_bytes())?;
        file.flush()?;
    }
    Ok(())
}

/// The rows of all messages of the topic, read by kcat.
fn rows_in_kafka(kafka: &Kafka) -> Result<usize> {
    let mut rows = 0;
    for line in kcat::lines(&kafka.bootstrap(), "data-stream", "%s")? {
        let message: Value = serde_json::from_str(&line)?;
        let data = message["data"].as_array().context("no rows")?.len();
        ensure!(message["batch_size"] == json!(data), "{line}");
        ensure!(message["processed"] == json!(false), "{line}");
        rows += data;
    }
    Ok(rows)
}

async fn deploy(worker: &WorkerProcess, postgres: &Postgres, url: &str, csv: &Path) -> Result<()> {
    // Once through the API: what is asked again is written again.
    let source = ready_config(
        "http-source-users.json",
        &[("http.url", url), ("poll.interval.ms", "3600000")],
    )?;
    worker.put_config("http-source-users", &source).await?;
    let file = csv.display().to_string();
    let source = ready_config(
        "csv-source.json",
        &[("file", &file), ("poll.interval.ms", "500")],
    )?;
    worker.put_config("csv-source", &source).await?;
    let login = [
        ("connection.user", Postgres::USER),
        ("connection.password", Postgres::PASSWORD),
    ];
    let jdbc = postgres.jdbc_url("postgres");
    let mut changes = vec![("connection.url", jdbc.as_str())];
    changes.extend(login);
    let sink = ready_config("postgres-sink-data-stream.json", &changes)?;
    worker
        .put_config("postgres-sink-data-stream", &sink)
        .await?;
    changes.extend([
        ("table.name.format", "users"),
        ("insert.mode", "upsert"),
        ("pk.mode", "record_value"),
        ("pk.fields", "id"),
        ("delivery.guarantee", "at_least_once"),
    ]);
    let mut sink = ready_config("postgres-sink-data-stream.json", &changes)?;
    sink["name"] = json!("users");
    worker.put_config("users", &sink).await?;
    Ok(())
}

fn count(postgres: &Postgres, what: &str) -> Result<usize> {
    let answer = postgres.sql("postgres", &format!("SELECT {what}"))?;
    answer
        .trim()
        .parse()
        .with_context(|| format!("{what}: {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_api_and_file_is_in_postgres_whatever_is_killed() -> Result<()> {
    let kafka = Kafka::start(&KafkaOptions::default())?;
    kafka.create_topic("data-stream", 3, &[])?;
    let mut postgres = Postgres::start(&PostgresOptions::default())?;
    let folder = tempfile::tempdir()?;
    let csv = folder.path().join("users.csv");
    let (url, requests) = serve_users().await?;
    let mut worker = WorkerProcess::start(folder.path(), Some(kafka.bootstrap()))?;
    deploy(&worker, &postgres, &url, &csv).await?;
    let growing = tokio::spawn({
        let csv = csv.clone();
        async move { grow(&csv).await }
    });
    let mut chance = fastrand::Rng::with_seed(20_251_213);
    for kill in 0..10 {
        tokio::time::sleep(Duration::from_millis(chance.u64(300..2_000))).await;
        if kill % 3 == 1 {
            postgres.kill9()?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            postgres.restart()?;
        } else {
            worker.kill9()?;
            worker.launch()?;
        }
    }
    growing.await??;

    let expected = 2 * MESSAGES * ROWS;
    let arrived = wait_until("all rows in Postgres", Duration::from_secs(120), || async {
        Ok(count(&postgres, "count(*) FROM users")? == expected)
    });
    arrived.await.with_context(|| worker.log())?;
    // Contents, not only numbers: ids without a gap, each with its own name.
    let odd = "count(*) FROM users WHERE name <> CASE WHEN id >= 1000000 THEN 'user, ' ELSE 'user ' END || id";
    ensure!(count(&postgres, odd)? == 0, "rows with another name");
    let api = "count(DISTINCT id) FROM users WHERE id BETWEEN 0 AND 49999";
    ensure!(count(&postgres, api)? == MESSAGES * ROWS);
    let file = "count(DISTINCT id) FROM users WHERE id BETWEEN 1000000 AND 1049999";
    ensure!(count(&postgres, file)? == MESSAGES * ROWS);
    // Each row of each message of the topic once, those that a source wrote again included.
    let in_kafka = rows_in_kafka(&kafka)?;
    ensure!(in_kafka >= expected, "{in_kafka} rows in Kafka");
    let settled = wait_until("each piece once", Duration::from_secs(60), || async {
        Ok(count(&postgres, "count(*) FROM data_stream")? == in_kafka)
    });
    settled.await.with_context(|| worker.log())?;
    ensure!(
        requests.load(Ordering::Relaxed) > 20,
        "too few requests to have failed"
    );
    worker.stop()?;
    Ok(())
}
