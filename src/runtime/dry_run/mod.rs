//! Dry runs: what a config would do with real records, shown before it is deployed or changed.
//!
//! Holds always: nothing is changed anywhere. No group is joined, nothing committed, produced or stored, no topic, table,
//! object or schema made, no status or metric told. Records are bounded in number, bytes and time, and so are dry runs at
//! the same time; one ends with the future that runs it, which REST drops when its client leaves.
//!
//! Who calls: the herder.

mod reader;
mod report;
mod request;
mod shown;
mod sink;
mod source;

use std::sync::Arc;
use std::time::Duration;

use connect_core::ErrorKind;
use connect_core::config::ConfigMap;
use connect_core::plugin::{ConnectorPlugin, ConnectorType};
use tokio::sync::Semaphore;
use tokio::time::timeout;

pub use report::{DryRunRecord, DryRunReport, Outcome, ShownEffect, ShownRecord};
pub use request::DryRunRequest;
pub use shown::{Form, Shown};

use self::shown::Display;
use super::environment::Environment;
use super::herder::HerderError;

/// Dry runs at the same time.
const AT_A_TIME: usize = 2;
/// How long one may take in all.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a connector may take each time it is asked what it would do.
const CONNECTOR_DEADLINE: Duration = Duration::from_secs(20);

/// Keeps dry runs from crowding out the tasks.
#[derive(Debug, Clone)]
pub(super) struct DryRuns(Arc<Semaphore>);

impl Default for DryRuns {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_A_TIME)))
    }
}

/// What is to be run.
struct Plan {
    name: String,
    class: &'static str,
    kind: ConnectorType,
    /// The configuration, placeholders looked up.
    config: ConfigMap,
    request: DryRunRequest,
}

/// Runs a config that was checked. `config` is as it was given: with placeholders.
///
/// # Errors
/// [`HerderError::TooMany`] while others run; what keeps anything from being shown.
pub(super) async fn run(
    environment: &Environment,
    plugin: &'static ConnectorPlugin,
    name: &str,
    config: &ConfigMap,
    request: DryRunRequest,
) -> Result<DryRunReport, HerderError> {
    let Ok(_permit) = environment.dry_runs.0.try_acquire() else {
        return Err(HerderError::TooMany(format!(
            "{AT_A_TIME} dry runs are under way, which is as many as a worker runs at a time: try again"
        )));
    };
    let resolved = environment
        .providers
        .resolve(config)
        .map_err(|error| HerderError::Internal(error.trace()))?;
    let mut display = Display::new(resolved.redaction.and(&environment.settings.redaction));
    let plan = Plan {
        name: name.to_owned(),
        class: plugin.class,
        kind: plugin.kind,
        config: resolved.config,
        request,
    };
    let running = async {
        match plan.kind {
            ConnectorType::Sink => sink::run(environment, &plan, &mut display).await,
            ConnectorType::Source => source::run(environment, &plan, &mut display).await,
        }
    };
    let outcome = timeout(DEADLINE, running).await;
    match outcome {
        Ok(Ok(report)) => Ok(report),
        Ok(Err(error)) => Err(refused(&error, &display)),
        Err(_) => Err(HerderError::Internal(format!(
            "the dry run had no end after {DEADLINE:?}"
        ))),
    }
}

fn refused(error: &connect_core::Error, display: &Display) -> HerderError {
    match error.kind() {
        ErrorKind::Config => HerderError::BadRequest(display.said(error.to_string())),
        _ => HerderError::Internal(display.said(error.trace())),
    }
}
