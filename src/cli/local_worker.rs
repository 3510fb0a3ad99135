//! A worker with its REST API inside this process, for the demos.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::deployment;
use super::logging;
use super::ready_config::ReadyConfig;
use super::rest_client::RestClient;
use crate::kafka::Log;
use crate::rest::RestServer;
use crate::runtime::{Worker, WorkerIdentity, WorkerSettings};

/// A running worker.
pub(super) struct LocalWorker {
    worker: Worker,
    client: RestClient,
    port: u16,
    stop: CancellationToken,
}

/// Where REST of a worker of this process listens; port 0 for a free one.
pub(super) async fn bind(port: u16) -> Result<RestServer> {
    let listener = format!("http://127.0.0.1:{port}");
    let settings = WorkerSettings::read(&[("listeners".to_owned(), listener)].into())?;
    RestServer::bind(&settings)
        .await
        .with_context(|| format!("port {port} is taken: choose another with --port"))
}

impl LocalWorker {
    /// Starts a worker with these properties behind `server`.
    pub(super) async fn start(
        server: RestServer,
        properties: &BTreeMap<String, String>,
    ) -> Result<Self> {
        let port = server.address().port();
        let settings = WorkerSettings::read(properties)?;
        let worker_id = format!("127.0.0.1:{port}");
        let identity = WorkerIdentity {
            url: format!("http://{worker_id}/"),
            worker_id,
            levels: logging::levels(),
        };
        let worker = Worker::start(settings, identity).await?;
        let (_, herder) = watch::channel(Some(worker.herder()));
        let stop = CancellationToken::new();
        tokio::spawn(server.serve(herder, logging::levels(), stop.clone()));
        Ok(Self {
            client: RestClient::new(&format!("http://127.0.0.1:{port}"))?,
            worker,
            port,
            stop,
        })
    }

    /// Its REST API.
    pub(super) fn client(&self) -> &RestClient {
        &self.client
    }

    /// The port of its REST API.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its log.
    pub(super) fn log(&self) -> Arc<dyn Log> {
        self.worker.log()
    }

    /// Creates or updates a connector.
    pub(super) async fn put(&self, connector: &ReadyConfig) -> Result<()> {
        deployment::put(&self.client, connector).await?;
        Ok(())
    }

    /// Ends in good order.
    pub(super) async fn shutdown(self) {
        self.worker.shutdown().await;
        self.stop.cancel();
    }
}
