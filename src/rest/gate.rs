//! The time before the worker has started: its health is told at once, all else is answered once there is a herder to ask.
//!
//! One a listener, in front of everything. An open gate passes requests on and does nothing else.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use tokio::sync::watch;
use tower::ServiceExt as _;

use super::error::RestError;
use super::root;
use crate::runtime::{Herder, Stages};

/// Who answers, once the worker has started.
pub(super) type Awaited = watch::Receiver<Option<Arc<dyn Herder>>>;

/// What a gate stands before.
type Behind = Arc<dyn Fn(Arc<dyn Herder>) -> Router + Send + Sync>;

#[derive(Clone)]
pub(super) struct Gate {
    herder: Awaited,
    /// Makes what answers.
    behind: Behind,
    opened: Arc<OnceLock<Router>>,
    /// What the worker does until then.
    stages: Stages,
    /// How long a request waits.
    timeout: Duration,
}

impl Gate {
    pub(super) fn new(
        herder: Awaited,
        behind: impl Fn(Arc<dyn Herder>) -> Router + Send + Sync + 'static,
        stages: Stages,
        timeout: Duration,
    ) -> Self {
        Self {
            herder,
            behind: Arc::new(behind),
            opened: Arc::default(),
            stages,
            timeout,
        }
    }

    /// The listener's app.
    pub(super) fn app(self) -> Router {
        Router::new().fallback_service(any(pass).with_state(self))
    }

    /// What answers; `None` if it is not there in time.
    async fn opened(&self) -> Option<Router> {
        if let Some(app) = self.opened.get() {
            return Some(app.clone());
        }
        let mut herder = self.herder.clone();
        let there = herder.wait_for(Option::is_some);
        let herder = tokio::time::timeout(self.timeout, there).await.ok()?.ok()?;
        let herder = herder.clone()?;
        let app = self.opened.get_or_init(|| (self.behind)(herder));
        Some(app.clone())
    }
}

async fn pass(State(gate): State<Gate>, request: Request) -> Response {
    let is_open = gate.herder.borrow().is_some();
    if !is_open && request.uri().path() == "/health" {
        return root::starting(&gate.stages.text());
    }
    match gate.opened().await {
        Some(app) => app.oneshot(request).await.into_response(),
        None => {
            let text = format!("Request timed out. {}", gate.stages.text());
            RestError::internal(text.trim()).into_response()
        }
    }
}
