//! Requests against a server that gives the same answer to each.

use aws_config::meta::credentials::CredentialsProviderChain;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use connect_core::config::{ConfigMap, ConnectorConfig};
use connect_core::{ErrorKind, RetryVerdict};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// A bucket on a server that answers everything with this status and error code; no body without a code.
async fn bucket_that_answers(status: u16, code: Option<&str>) -> Bucket {
    let body = code.map_or_else(String::new, |code| {
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>m</Message></Error>")
    });
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, answer.clone()));
        }
    });
    let options = [
        ("s3.bucket.name", "b"),
        ("store.url", &url),
        ("aws.access.key.id", "a"),
        ("aws.secret.access.key", "s"),
        ("s3.part.retries", "1"),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Bucket::open(&BucketOptions::from_map(&ConfigMap::from(options)).unwrap()).await
}

/// Reads a request with a body of no more than a few bytes, and answers.
async fn serve(mut stream: TcpStream, answer: String) {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    // The client may be gone already.
    let _sent = stream.write_all(answer.as_bytes()).await;
}

fn destination() -> Destination {
    Destination {
        key: "key".to_owned(),
        origin: None,
    }
}

async fn complete(status: u16, code: Option<&str>) -> Error {
    let bucket = bucket_that_answers(status, code).await;
    let destination = destination();
    let completed = bucket.complete(&destination, "upload", Vec::new(), 10);
    completed.await.unwrap_err()
}

#[tokio::test]
async fn an_error_in_the_body_of_an_answer_200_is_tried_again_if_it_may_pass() {
    for code in [
        "InternalError",
        "SlowDown",
        "ServiceUnavailable",
        "RequestTimeout",
    ] {
        let error = complete(200, Some(code)).await;
        assert_eq!(error.verdict(), RetryVerdict::Backoff, "{code}: {error}");
        assert!(error.to_string().contains(code), "{error}");
    }
    let error = complete(200, None).await;
    assert_eq!(error.verdict(), RetryVerdict::Backoff, "{error}");
    let error = complete(200, Some("InvalidPart")).await;
    assert_eq!(error.verdict(), RetryVerdict::Never, "{error}");
}

#[tokio::test]
async fn what_a_server_does_not_know_is_not_tried_for_ever() {
    let bucket = bucket_that_answers(501, Some("NotImplemented")).await;
    let error = bucket.begin(&destination()).await.unwrap_err();
    assert_eq!(error.verdict(), RetryVerdict::Never);
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("does not know"), "{error}");
}

#[tokio::test]
async fn parts_of_an_upload_that_is_gone_make_the_task_read_again() {
    let bucket = bucket_that_answers(404, Some("NoSuchUpload")).await;
    let part = bucket.part("key", "upload", 1, Bytes::from_static(b"part"));
    assert_eq!(part.await.unwrap_err().kind(), ErrorKind::Conflict);
    let error = complete(404, Some("NoSuchUpload")).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn credentials_that_are_nowhere_are_not_waited_for() {
    let options = [("s3.bucket.name", "b"), ("store.url", "http://127.0.0.1:9")];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut bucket =
        Bucket::open(&BucketOptions::from_map(&ConfigMap::from(options)).unwrap()).await;
    let chain = CredentialsProviderChain::first_try("nowhere", Nowhere);
    let config = bucket.client.config().to_builder();
    bucket.client = Client::from_conf(config.credentials_provider(chain).build());
    for error in [
        bucket.check().await.unwrap_err(),
        bucket.begin(&destination()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Auth, "{error:?}");
        assert_eq!(error.verdict(), RetryVerdict::Never, "{error:?}");
        assert!(error.to_string().contains("aws.access.key.id"), "{error}");
    }
}

#[derive(Debug)]
struct Nowhere;

impl ProvideCredentials for Nowhere {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("not set")))
    }
}
