//! Kafka Connect's REST API on a [`Herder`]: shapes, statuses and messages are those of Kafka Connect 4.3.1.
//!
//! One file a resource, and one table of all calls ([`routes`]). What is asked is parsed here; what is answered is the
//! herder's.

mod basic_auth;
mod body;
mod checks;
mod connections;
mod connectors;
mod cors;
mod dry_run;
mod error;
mod forward;
mod gate;
mod internal;
mod loggers;
mod metrics;
mod offsets;
mod openapi;
mod plugins;
mod query;
mod response_headers;
mod root;
mod routes;
mod server;
mod tasks;
mod tls;
mod topics;

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRef, Request};
use axum::http::header::HOST;
use axum::middleware::{self, Next};
use axum::response::Response;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::runtime::distributed::fellow::FellowClient;
use crate::runtime::{Herder, LogLevels};
use checks::Patience;
use error::RestError;
use routes::Surface;
pub use server::RestServer;

/// What handlers are given.
#[derive(Clone)]
struct Api {
    herder: Arc<dyn Herder>,
    levels: Arc<LogLevels>,
    /// The other workers; `None` for a worker alone.
    fellows: Option<FellowClient>,
}

impl FromRef<Api> for Arc<dyn Herder> {
    fn from_ref(api: &Api) -> Self {
        api.herder.clone()
    }
}

impl FromRef<Api> for Arc<LogLevels> {
    fn from_ref(api: &Api) -> Self {
        api.levels.clone()
    }
}

/// What most handlers take.
type Shared = axum::extract::State<Arc<dyn Herder>>;

/// What is not encoded in a path: the characters a segment may hold.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// The address a client has called: `http://host:port`, or nothing if it did not say.
#[derive(Debug, Clone)]
struct Base(String);

impl Base {
    fn url_of(&self, path: &str, name: &str) -> String {
        format!("{}{path}{}", self.0, utf8_percent_encode(name, SEGMENT))
    }
}

/// Tells handlers the address a client has called.
async fn with_base(
    axum::extract::State(scheme): axum::extract::State<&'static str>,
    mut request: Request,
    next: Next,
) -> Response {
    let host = request.headers().get(HOST);
    let host = host.and_then(|host| host.to_str().ok());
    let base = host.map_or_else(String::new, |host| format!("{scheme}://{host}"));
    request.extensions_mut().insert(Base(base));
    next.run(request).await
}

/// The routes of some surfaces, for listeners of a scheme.
fn router(
    api: Api,
    surfaces: &[Surface],
    scheme: &'static str,
    timeout: std::time::Duration,
) -> Router {
    let patience = Patience {
        herder: api.herder.clone(),
        timeout,
    };
    let fellows = api.fellows.clone();
    routes::all()
        .into_iter()
        .filter(|route| surfaces.contains(&route.surface))
        .fold(Router::new(), |router, route| {
            router.route(route.path, route.on)
        })
        .layer(middleware::from_fn_with_state(fellows, forward::apply))
        .fallback(|| async { RestError::not_found("HTTP 404 Not Found") })
        .method_not_allowed_fallback(checks::other_method)
        .layer(middleware::from_fn_with_state(scheme, with_base))
        .layer(middleware::from_fn_with_state(patience, checks::in_time))
        .with_state(api)
}
