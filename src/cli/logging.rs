//! Logs: to standard error, as text or JSON, at the level asked for; levels can be changed while the process runs.

use std::sync::{Arc, OnceLock};

use clap::ValueEnum;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt, reload};

use super::output::takes_colours;
use crate::runtime::LogLevels;

/// Set by the start of logging.
static LEVELS: OnceLock<Arc<LogLevels>> = OnceLock::new();

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// A JSON object a line
    Json,
}

/// Starts logging. `LOG_LEVEL` (DEBUG, INFO, WARNING, ERROR) or `RUST_LOG` set the level; `default` counts without them.
pub(super) fn start(format: LogFormat, default: &str) {
    let level = std::env::var("RUST_LOG")
        .or_else(|_| std::env::var("LOG_LEVEL"))
        .ok();
    let level = level.map(|level| {
        if level.eq_ignore_ascii_case("warning") {
            "warn".to_owned()
        } else {
            level
        }
    });
    let directives = level
        .unwrap_or_else(|| default.to_owned())
        .to_ascii_lowercase();
    let (filter, handle) = reload::Layer::new(EnvFilter::new(&directives));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(takes_colours(&std::io::stderr()));
    let lines = match format {
        LogFormat::Text => lines.with_target(false).boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    let apply = move |directives: &str| {
        // The subscriber lives as long as the process.
        let _always_there = handle.reload(EnvFilter::new(directives));
    };
    let _started_once = LEVELS.set(Arc::new(LogLevels::new(&directives, Box::new(apply))));
}

/// The levels of this process, which has one log.
pub(super) fn levels() -> Arc<LogLevels> {
    let not_started = || Arc::new(LogLevels::new("off", Box::new(|_| {})));
    LEVELS.get_or_init(not_started).clone()
}
