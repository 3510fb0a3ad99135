//! The connections of a listener: each is answered by itself until the client, its silence or the worker's end ends it.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};
use tracing::debug;

/// How long a client may take for the head of a request, counted from its connection or the answer before: as long as Kafka
/// Connect's server waits. Who has gone without a word, or never finishes, keeps nothing open.
const HEAD: Duration = Duration::from_secs(30);

/// Answers until `stop`; requests under way are answered then.
pub(super) async fn answer_all<L, S>(mut listener: L, service: S, stop: CancellationToken)
where
    L: Listener,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, _peer) = listener.accept() => {
                connections.spawn(answer(stream, service.clone(), HEAD, stop.clone()));
            }
            Some(_ended) = connections.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn answer<I, S>(stream: I, service: S, head: Duration, stop: CancellationToken)
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let service = service.map_request(|request: hyper::Request<Incoming>| request.map(Body::new));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(%error, "a connection has ended early");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use axum::Router;
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// What a client that sends `pieces` is answered, until nothing more comes.
    async fn answered(pieces: &[&str], head: Duration) -> String {
        let (mut client, server) = tokio::io::duplex(1024);
        let app = Router::new().route("/", get(|| async { "here" }));
        let stop = CancellationToken::new();
        let answering = tokio::spawn(answer(server, app.into_service(), head, stop));
        for piece in pieces {
            client.write_all(piece.as_bytes()).await.unwrap();
        }
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        answering.await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_client_that_falls_silent_is_left() {
        let head = Duration::from_millis(300);
        let begin = Instant::now();
        for silent in ["", "GET / HTTP/1.1\r\nHost"] {
            assert_eq!(answered(&[silent], head).await, "", "{silent}");
        }
        let kept = answered(&["GET / HTTP/1.1\r\nHost: a\r\n\r\n"], head).await;
        assert!(kept.ends_with("here"), "{kept}");
        assert!(begin.elapsed() >= 3 * head);
    }
}
