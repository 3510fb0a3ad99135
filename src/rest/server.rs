//! The listeners: addresses from `listeners` and `admin.listeners`, bound before the worker starts, served until told to stop.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::{Router, middleware};
use connect_core::clock::SystemClock;
use connect_core::config::wrong_options;
use connect_core::{Error, Result};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::Layer;
use tower_http::normalize_path::{NormalizePath, NormalizePathLayer};

use super::basic_auth::{self, BasicAuth};
use super::connections;
use super::cors::{self, Cors};
use super::gate::Gate;
use super::response_headers::{self, ResponseHeaders};
use super::routes::Surface;
use super::tls::{self, TlsListener};
use super::{Api, router};
use crate::runtime::distributed::fellow::FellowClient;
use crate::runtime::{Herder, LogLevels, Stages, TlsOptions, WorkerSettings};

/// A bound listener.
struct Bound {
    listener: TcpListener,
    address: SocketAddr,
    /// `None`: plain HTTP.
    tls: Option<Arc<ServerConfig>>,
    surfaces: &'static [Surface],
}

/// The bound REST listeners.
pub struct RestServer {
    listeners: Vec<Bound>,
    cors: Option<Cors>,
    headers: ResponseHeaders,
    auth: Option<BasicAuth>,
    timeout: Duration,
    /// The scheme of the listener that others reach this worker by.
    advertised: Option<String>,
    fellows: Option<FellowClient>,
    /// What the worker does before there is a herder.
    starting: &'static str,
}

impl RestServer {
    /// Binds `listeners` and `admin.listeners`: `http://host:port` or `https://host:port`, without a host all addresses, with
    /// port 0 a free one.
    ///
    /// # Errors
    /// A configuration error that names the key and what to do: a port is taken, a form is wrong, a certificate is missing.
    pub async fn bind(settings: &WorkerSettings) -> Result<Self> {
        let options = &settings.rest;
        let mut tls = LazyTls {
            settings,
            config: None,
        };
        let surfaces: &[Surface] = match &options.admin_listeners {
            None => &[Surface::Main, Surface::Admin],
            Some(_) => &[Surface::Main],
        };
        let mut listeners = Vec::new();
        for listener in &settings.config.listeners {
            listeners.push(bind_one("listeners", listener, surfaces, &mut tls).await?);
        }
        for listener in options.admin_listeners.iter().flatten() {
            listeners
                .push(bind_one("admin.listeners", listener, &[Surface::Admin], &mut tls).await?);
        }
        if settings.config.listeners.is_empty() {
            return Err(Error::config("listeners is empty: set http://:8083"));
        }
        Ok(Self {
            listeners,
            cors: Cors::of(options)?,
            headers: ResponseHeaders::parse(&options.response_headers)?,
            auth: BasicAuth::of(options)?,
            timeout: options.request_timeout,
            advertised: options.advertised_listener.clone(),
            fellows: match settings.is_in_cluster() {
                true => Some(FellowClient::new(settings)?),
                false => None,
            },
            starting: match settings.is_in_cluster() {
                true => "initializing and reading to the end of internal topics",
                false => "opening its log and its stores",
            },
        })
    }

    /// The address that others reach this worker by.
    pub fn address(&self) -> SocketAddr {
        let found = self.advertised();
        found.map_or(SocketAddr::from(([0, 0, 0, 0], 0)), |bound| bound.address)
    }

    /// `http` or `https`: what others must speak there.
    pub fn scheme(&self) -> &'static str {
        let is_tls = self.advertised().is_some_and(|bound| bound.tls.is_some());
        if is_tls { "https" } else { "http" }
    }

    fn advertised(&self) -> Option<&Bound> {
        let wanted = |bound: &&Bound| {
            let scheme = if bound.tls.is_some() { "https" } else { "http" };
            let advertised = self.advertised.as_deref();
            advertised.is_none_or(|advertised| advertised.eq_ignore_ascii_case(scheme))
        };
        let listeners = &self.listeners;
        listeners.iter().find(wanted).or(listeners.first())
    }

    /// Answers requests until `stop`; requests under way are answered then. Before there is a herder, all but the worker's
    /// health waits for it.
    ///
    /// # Errors
    /// What a listener says.
    pub async fn serve(
        self,
        herder: watch::Receiver<Option<Arc<dyn Herder>>>,
        levels: Arc<LogLevels>,
        stop: CancellationToken,
    ) -> Result<()> {
        let stages = Stages::new(Arc::new(SystemClock));
        let _until_there_is_a_herder = stages.enter(self.starting.to_owned());
        let mut serving = JoinSet::new();
        for bound in self.listeners {
            let front = Front {
                levels: levels.clone(),
                fellows: self.fellows.clone(),
                cors: self.cors.clone(),
                headers: self.headers.clone(),
                auth: self.auth.clone(),
                timeout: self.timeout,
                surfaces: bound.surfaces,
                scheme: if bound.tls.is_some() { "https" } else { "http" },
            };
            let behind = move |herder| front.app(herder);
            let gate = Gate::new(herder.clone(), behind, stages.clone(), self.timeout);
            let service = NormalizePathLayer::trim_trailing_slash().layer(gate.app());
            serving.spawn(serve_one(bound, service, stop.clone()));
        }
        while let Some(ended) = serving.join_next().await {
            ended.map_err(|cause| Error::external("REST has ended").source(cause))?;
        }
        Ok(())
    }
}

/// What stands between a listener and the herder.
struct Front {
    levels: Arc<LogLevels>,
    fellows: Option<FellowClient>,
    cors: Option<Cors>,
    headers: ResponseHeaders,
    auth: Option<BasicAuth>,
    timeout: Duration,
    surfaces: &'static [Surface],
    scheme: &'static str,
}

impl Front {
    fn app(&self, herder: Arc<dyn Herder>) -> Router {
        let api = Api {
            herder,
            levels: self.levels.clone(),
            fellows: self.fellows.clone(),
        };
        let mut app = router(api, self.surfaces, self.scheme, self.timeout);
        if let Some(auth) = self.auth.clone() {
            app = app.layer(middleware::from_fn_with_state(auth, basic_auth::check));
        }
        // Listeners for administrators alone are not for pages.
        if self.surfaces.contains(&Surface::Main) {
            let headers = self.headers.clone();
            let headers = middleware::from_fn_with_state(headers, response_headers::apply);
            app = app.layer(headers);
            if let Some(cors) = self.cors.clone() {
                app = app.layer(middleware::from_fn_with_state(cors, cors::apply));
            }
        }
        app
    }
}

async fn serve_one(bound: Bound, service: NormalizePath<Router>, stop: CancellationToken) {
    match bound.tls {
        None => connections::answer_all(bound.listener, service, stop).await,
        Some(tls) => {
            let listener = TlsListener::new(bound.listener, bound.address, tls);
            connections::answer_all(listener, service, stop).await;
        }
    }
}

/// TLS is looked at once the first listener wants it.
struct LazyTls<'a> {
    settings: &'a WorkerSettings,
    config: Option<Arc<ServerConfig>>,
}

impl LazyTls<'_> {
    fn get(&mut self) -> Result<Arc<ServerConfig>> {
        if let Some(config) = &self.config {
            return Ok(config.clone());
        }
        let options = TlsOptions::of(&self.settings.properties)
            .map_err(|errors| wrong_options(&errors).operation("listeners"))?;
        let config = tls::server_config(&options)?;
        self.config = Some(config.clone());
        Ok(config)
    }
}

async fn bind_one(
    key: &str,
    listener: &str,
    surfaces: &'static [Surface],
    tls: &mut LazyTls<'_>,
) -> Result<Bound> {
    let wrong = |reason: &str| {
        Error::config(format!(
            "Invalid value {listener} for configuration {key}: {reason}"
        ))
    };
    let form = "must be http://host:port or https://host:port";
    let (tls, address) = match listener.split_once("://") {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("http") => (None, address),
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("https") => {
            (Some(tls.get()?), address)
        }
        _ => return Err(wrong(form)),
    };
    let (host, port) = address
        .trim_end_matches('/')
        .rsplit_once(':')
        .ok_or_else(|| wrong(form))?;
    let port: u16 = port
        .parse()
        .map_err(|_| wrong("the port must be a number up to 65535"))?;
    let host = if host.is_empty() { "0.0.0.0" } else { host };
    let bound = TcpListener::bind((host.trim_matches(['[', ']']), port)).await;
    let listener = bound.map_err(|cause| {
        Error::config(format!("cannot listen on {host}:{port}: is another worker running there? Set {key} to another port, e.g. http://:8084"))
            .source(cause)
    })?;
    let address = listener
        .local_addr()
        .map_err(|cause| Error::external("no local address").source(cause))?;
    Ok(Bound {
        listener,
        address,
        tls,
        surfaces,
    })
}
