//! Logs: to standard error, as text or JSON, at the level asked for.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

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
    let filter = level
        .unwrap_or_else(|| default.to_owned())
        .to_ascii_lowercase();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match format {
        LogFormat::Text => subscriber.with_target(false).init(),
        LogFormat::Json => subscriber.json().init(),
    }
}
