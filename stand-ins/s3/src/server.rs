//! The server: s3s on HTTP/1, faults in front.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use connect_core::{Error, Result};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::faults::{Fault, Faults};

/// How to start a server.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// Where buckets are folders.
    pub folder: PathBuf,
    /// Buckets to make.
    pub buckets: Vec<String>,
    /// Where to listen; port 0 for a free one.
    pub address: SocketAddr,
    /// The only access key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
}

impl S3Options {
    /// A server on `folder` at a free port, with one bucket and the key `test`, `test-secret`.
    pub fn local(folder: impl Into<PathBuf>, bucket: &str) -> Self {
        Self {
            folder: folder.into(),
            buckets: vec![bucket.to_owned()],
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            access_key: "test".to_owned(),
            secret_key: "test-secret".to_owned(),
        }
    }
}

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct S3StandIn {
    address: SocketAddr,
    folder: PathBuf,
    faults: Arc<Faults>,
    _running: DropGuard,
}

impl S3StandIn {
    /// Starts a server.
    ///
    /// # Errors
    /// The folder cannot be made or the port is taken.
    pub async fn start(options: S3Options) -> Result<Self> {
        for bucket in &options.buckets {
            let folder = options.folder.join(bucket);
            tokio::fs::create_dir_all(&folder).await.map_err(|cause| {
                Error::config("the folder cannot be made")
                    .operation("S3 stand-in")
                    .target(folder.display().to_string())
                    .source(cause)
            })?;
        }
        let files = FileSystem::new(&options.folder)
            .map_err(|cause| Error::config(format!("S3 stand-in: {cause:?}")))?;
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(
            &options.access_key,
            options.secret_key.as_str(),
        ));
        let listener = TcpListener::bind(options.address).await.map_err(|cause| {
            Error::config("cannot listen")
                .operation("S3 stand-in at")
                .target(options.address.to_string())
                .source(cause)
        })?;
        let address = listener
            .local_addr()
            .map_err(|cause| Error::external("no local address").source(cause))?;
        let faults = Arc::new(Faults::new(1));
        let stop = CancellationToken::new();
        let service = Faulty {
            service: builder.build(),
            faults: faults.clone(),
        };
        tokio::spawn(accept(listener, service, stop.clone()));
        Ok(Self {
            address,
            folder: options.folder,
            faults,
            _running: stop.drop_guard(),
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://host:port`, for `store.url`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where buckets are folders.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// What goes wrong.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }
}

async fn accept(listener: TcpListener, service: Faulty, stop: CancellationToken) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, service.clone(), stop.clone()));
            }
            Err(error) => tracing::warn!(%error, "accepting a connection failed"),
        }
    }
}

async fn serve(stream: TcpStream, service: Faulty, stop: CancellationToken) {
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // A cut connection is an error here, and meant to be.
        _closed = connection => {}
        () = stop.cancelled() => {}
    }
}

#[derive(Clone)]
struct Faulty {
    service: S3Service,
    faults: Arc<Faults>,
}

type Answer = Response<s3s::Body>;

impl Service<Request<Incoming>> for Faulty {
    type Response = Answer;
    type Error = std::io::Error;
    type Future = std::pin::Pin<Box<dyn Future<Output = std::io::Result<Answer>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if self.faults.refuses_conditions() && request.headers().contains_key("if-none-match") {
            return Box::pin(async { Ok(not_implemented()) });
        }
        let fault = self.faults.next();
        let service = self.service.clone();
        Box::pin(async move {
            match fault {
                Fault::CutBefore => Err(cut()),
                Fault::SlowDown => Ok(slow_down()),
                Fault::None => answer(&service, request).await,
                Fault::CutAfter => {
                    answer(&service, request).await?;
                    Err(cut())
                }
            }
        })
    }
}

async fn answer(service: &S3Service, request: Request<Incoming>) -> std::io::Result<Answer> {
    service
        .call(request.map(s3s::Body::from))
        .await
        .map_err(|error| std::io::Error::other(format!("{error:?}")))
}

fn cut() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::ConnectionReset, "cut on request")
}

fn slow_down() -> Answer {
    let status = hyper::StatusCode::SERVICE_UNAVAILABLE;
    refusal(status, "SlowDown", "Please reduce your request rate.")
}

fn not_implemented() -> Answer {
    let message = "A header you provided implies functionality that is not implemented.";
    refusal(
        hyper::StatusCode::NOT_IMPLEMENTED,
        "NotImplemented",
        message,
    )
}

fn refusal(status: hyper::StatusCode, code: &str, message: &str) -> Answer {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(s3s::Body::from(body));
    *response.status_mut() = status;
    response
}
