//! The listener: an address from `listeners`, bound before the worker starts, served until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::ServiceExt;
use axum::extract::Request;
use connect_core::{Error, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::normalize_path::NormalizePathLayer;

use super::router;
use crate::runtime::Herder;

/// A bound REST listener.
#[derive(Debug)]
pub struct RestServer {
    listener: TcpListener,
    address: SocketAddr,
}

impl RestServer {
    /// Binds the address of a `listeners` entry: `http://host:port`, without a host all addresses, with port 0 a free one.
    ///
    /// # Errors
    /// A configuration error that names the address and what to do: the port is taken, the form is wrong.
    pub async fn bind(listener: &str) -> Result<Self> {
        let wrong = |reason: &str| {
            Error::config(format!(
                "Invalid value {listener} for configuration listeners: {reason}"
            ))
        };
        let address = match listener.split_once("://") {
            Some((scheme, address)) if scheme.eq_ignore_ascii_case("http") => address,
            Some((scheme, _)) if scheme.eq_ignore_ascii_case("https") => {
                return Err(wrong("https is not supported yet: put a proxy in front"));
            }
            _ => return Err(wrong("must be http://host:port")),
        };
        let (host, port) = address
            .trim_end_matches('/')
            .rsplit_once(':')
            .ok_or_else(|| wrong("must be http://host:port"))?;
        let port: u16 = port
            .parse()
            .map_err(|_| wrong("the port must be a number up to 65535"))?;
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        let bound = TcpListener::bind((host.trim_matches(['[', ']']), port)).await;
        let listener = bound.map_err(|cause| {
            Error::config(format!("cannot listen on {host}:{port}: is another worker running there? Set listeners to another port, e.g. http://:8084"))
                .source(cause)
        })?;
        let address = listener
            .local_addr()
            .map_err(|cause| Error::external("no local address").source(cause))?;
        Ok(Self { listener, address })
    }

    /// The bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests until `stop`; requests under way are answered.
    ///
    /// # Errors
    /// What the listener says.
    pub async fn serve(self, herder: Arc<dyn Herder>, stop: CancellationToken) -> Result<()> {
        let service = NormalizePathLayer::trim_trailing_slash().layer(router(herder));
        let service = ServiceExt::<Request>::into_make_service(service);
        axum::serve(self.listener, service)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await
            .map_err(|cause| Error::external("REST has ended").source(cause))
    }
}
