//! What a server does wrong: what is tried again, what fails the task, what is never taken.

use std::io::Write;
use std::time::Duration;

use axum::body::Body;
use axum::body::Bytes;
use connect_core::{ErrorKind, RetryVerdict};
use futures_util::stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Api, Reply, Worker, users};

#[tokio::test]
async fn a_busy_server_is_left_alone_for_as_long_as_it_says() {
    let api = Api::start(|seen| match seen.number {
        0 => Reply::status(429).header("retry-after", "17"),
        1 => Reply::status(503),
        _ => Reply::json(users(1..=3)),
    })
    .await;
    let mut task = Worker::new(&api.url("/"), &[]).task().await;
    let busy = task.failure().await;
    assert_eq!(busy.verdict(), RetryVerdict::After(Duration::from_secs(17)));
    assert_eq!(task.failure().await.verdict(), RetryVerdict::Backoff);
    assert_eq!(task.next().await.len(), 3);
}

#[tokio::test]
async fn a_page_that_fails_is_read_again_and_no_other() {
    let api = Api::start(
        |seen| match (seen.number, seen.parameter("page").unwrap()) {
            (1, _) => Reply::status(500),
            (_, "1") => Reply::json(users(1..=2)),
            _ => Reply::json("[]"),
        },
    )
    .await;
    let mut task = Worker::new(&api.url("/"), &[("pagination.mode", "page")])
        .task()
        .await;
    assert_eq!(task.next().await.len(), 2);
    assert!(task.failure().await.is_retriable());
    assert!(task.next().await.is_empty());
    assert_eq!(api.uris(), ["/?page=1", "/?page=2", "/?page=2"]);
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_time_out_and_is_asked_for_again() {
    let api = Api::start(|seen| match seen.number {
        0 => Reply::json("[]").delay(Duration::from_secs(60)),
        _ => Reply::json(users(1..=1)),
    })
    .await;
    let mut task = Worker::new(&api.url("/"), &[("http.request.timeout.ms", "200")])
        .task()
        .await;
    let error = task.failure().await;
    assert!(
        error.is_retriable() && error.message().contains("in time"),
        "{error}"
    );
    assert_eq!(task.next().await.len(), 1);
}

#[tokio::test]
async fn a_dropped_poll_does_not_lose_the_request_under_way() {
    let api = Api::start(|_| Reply::json(users(1..=1)).delay(Duration::from_millis(400))).await;
    let mut task = Worker::new(&api.url("/"), &[]).task().await;
    let mut dropped = 0;
    while task.poll_within(Duration::from_millis(20)).await.is_none() {
        dropped += 1;
        assert!(dropped < 1000, "no answer in time");
    }
    assert!(dropped > 3);
    assert_eq!(api.seen().len(), 1);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _length = connection.read(&mut request).await.unwrap();
        let half = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n[{\"id\":1}]";
        connection.write_all(half).await.unwrap();
    });
    let mut task = Worker::new(&url, &[]).task().await;
    let error = task.failure().await;
    assert!(error.is_retriable(), "{}", error.trace());
}

#[tokio::test]
async fn no_server_is_an_error_to_try_again_until_the_time_is_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    drop(listener);
    let mut task = Worker::new(&url, &[]).task().await;
    assert_eq!(task.failure().await.verdict(), RetryVerdict::Backoff);
    let mut task = Worker::new(&url, &[("http.retry.timeout.ms", "0")])
        .task()
        .await;
    let error = task.failure().await;
    assert_eq!(
        (error.kind(), error.verdict()),
        (ErrorKind::External, RetryVerdict::Never)
    );
}

#[tokio::test]
async fn refused_credentials_fail_the_task() {
    let api = Api::start(|_| Reply::status(401)).await;
    let error = Worker::new(&api.url("/users"), &[])
        .task()
        .await
        .failure()
        .await;
    assert_eq!(
        (error.kind(), error.verdict()),
        (ErrorKind::Auth, RetryVerdict::Never)
    );
    assert!(
        error.to_string().contains("/users: the server answers 401"),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_cut_at_the_limit() {
    let api = Api::start(|_| {
        let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![b' '; 65_536]));
        Reply {
            status: 200,
            body: Body::from_stream(stream::repeat_with(chunk)),
            ..Reply::default()
        }
    })
    .await;
    let error = Worker::new(&api.url("/"), &[]).task().await.failure().await;
    assert!(
        error.message().contains("http.response.max.bytes"),
        "{error}"
    );
    assert!(!error.is_retriable());
}

#[tokio::test]
async fn a_small_answer_that_unpacks_to_a_huge_one_is_cut_at_the_limit() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    for _ in 0..64 {
        packer.write_all(&[b' '; 1 << 20]).unwrap();
    }
    let packed = Bytes::from(packer.finish().unwrap());
    assert!(packed.len() < 100_000);
    let api = Api::start(move |_| {
        Reply {
            status: 200,
            body: packed.clone().into(),
            ..Reply::default()
        }
        .header("content-encoding", "gzip")
    })
    .await;
    let error = Worker::new(&api.url("/"), &[]).task().await.failure().await;
    assert!(
        error.message().contains("http.response.max.bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn redirects_end_at_the_limit() {
    let api = Api::start(|seen| match seen.uri.path() {
        "/once" => Reply::status(302).header("location", "/there"),
        "/there" => Reply::json(users(1..=1)),
        _ => Reply::status(302).header("location", "/round"),
    })
    .await;
    assert_eq!(
        Worker::new(&api.url("/once"), &[])
            .task()
            .await
            .next()
            .await
            .len(),
        1
    );
    let error = Worker::new(&api.url("/round"), &[("http.redirects.max", "3")])
        .task()
        .await
        .failure()
        .await;
    assert!(
        !error.is_retriable() && error.trace().contains("http.redirects.max"),
        "{}",
        error.trace()
    );
    let round = api.uris().iter().filter(|uri| *uri == "/round").count();
    assert_eq!(round, 4);
    let error = Worker::new(&api.url("/once"), &[("http.redirects.max", "0")])
        .task()
        .await
        .failure()
        .await;
    assert!(!error.is_retriable(), "{}", error.trace());
}

#[tokio::test]
async fn what_is_not_json_or_has_no_records_fails_the_task_by_name() {
    for (body, word) in [
        ("<html>", "not JSON"),
        (r#"{"error":"x"}"#, "records.pointer"),
    ] {
        let api = Api::start(move |_| Reply::json(body)).await;
        let mut task = Worker::new(&api.url("/users"), &[("records.pointer", "/data")])
            .task()
            .await;
        let error = task.failure().await;
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(
            error.to_string().contains(word) && error.to_string().contains("/users"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_cursor_that_expired_while_the_worker_was_down_begins_the_fetch_again_once() {
    for status in [400, 404, 410] {
        let api = Api::start(move |seen| match (seen.number, seen.parameter("cursor")) {
            (0, None) => Reply::json(r#"{"data":[{"id":1}],"next":"old"}"#),
            // It may be unavailable before it says so.
            (1, Some("old")) => Reply::status(503),
            (_, Some("old")) => Reply::status(status),
            (_, None) => Reply::json(r#"{"data":[{"id":1}],"next":"new"}"#),
            (_, Some("new")) => Reply::json(r#"{"data":[{"id":2}],"next":"lost"}"#),
            _ => Reply::status(status),
        })
        .await;
        let options = [
            ("records.pointer", "/data"),
            ("pagination.mode", "cursor"),
            ("pagination.pointer", "/next"),
        ];
        let worker = Worker::new(&api.url("/"), &options);
        worker.task().await.next().await;
        let mut task = worker.task().await;
        assert!(task.failure().await.is_retriable());
        assert!(task.next().await.is_empty());
        assert_eq!(task.next().await, [r#"{"id":1}"#]);
        assert_eq!(task.next().await, [r#"{"id":2}"#]);
        // A cursor that this fetch was given is the server's fault.
        let error = task.failure().await;
        assert_eq!(error.verdict(), RetryVerdict::Never, "{error}");
        assert!(error.to_string().contains(&status.to_string()), "{error}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_there_fails_also_after_a_restart_within_a_fetch() {
    let api = Api::start(|seen| match seen.number {
        0 => Reply::json(r#"{"data":[{"id":1}],"next":"old"}"#),
        _ => Reply::status(404),
    })
    .await;
    let options = [
        ("records.pointer", "/data"),
        ("pagination.mode", "cursor"),
        ("pagination.pointer", "/next"),
    ];
    let worker = Worker::new(&api.url("/"), &options);
    worker.task().await.next().await;
    let mut task = worker.task().await;
    assert!(task.next().await.is_empty());
    assert_eq!(task.failure().await.verdict(), RetryVerdict::Never);
}
