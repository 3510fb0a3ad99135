//! The `sluice` command: what each subcommand takes, does and prints.

mod connector;
#[cfg(feature = "demo")]
mod demo;
mod deployment;
mod dlq;
mod dry_run;
mod environment;
mod health;
#[cfg(feature = "demo")]
mod local_s3;
#[cfg(feature = "demo")]
mod local_worker;
#[cfg(feature = "demo")]
mod log_topics;
mod logging;
mod metrics_page;
mod output;
mod pipeline;
mod plugins;
mod produce;
mod ready_config;
mod rest_client;
mod signals;
mod worker;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// A Kafka Connect worker in one small static binary.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, about, max_term_width = 110)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a worker
    Worker(worker::WorkerArgs),
    /// Ask a worker whether it is ready
    Health(health::HealthArgs),
    /// List, deploy and operate the connectors of a running worker
    Connector(connector::ConnectorArgs),
    /// Look through a dead letter queue, and send it again once the cause is fixed
    Dlq(dlq::DlqArgs),
    /// Whole pipelines by name: start, look, stop, or see one work
    Pipeline(pipeline::PipelineArgs),
    /// Write generated events to Kafka
    Produce(produce::ProduceArgs),
    /// Show the plugins in this binary and their options
    Plugins(plugins::PluginsArgs),
    /// See it work: generator, embedded log and S3 sink in this process
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
}

/// How long the end waits for work that cannot be called off.
const LAST_WAIT: std::time::Duration = std::time::Duration::from_secs(1);

/// Runs the command; the exit code is 0 for success, 1 for failure, 2 for wrong usage.
pub fn run(cli: Cli) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(cause) => {
            eprintln!("sluice: cannot start threads: {cause}");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Worker(args) => worker::run(args).await,
            Command::Health(args) => health::run(args).await,
            Command::Connector(args) => connector::run(args).await,
            Command::Dlq(args) => dlq::run(args).await,
            Command::Pipeline(args) => pipeline::run(args).await,
            Command::Produce(args) => produce::run(args).await,
            Command::Plugins(args) => plugins::run(&args),
            #[cfg(feature = "demo")]
            Command::Demo(args) => demo::run(args).await,
        }
    });
    // A thread that waits for a file, such as a named pipe that nobody reads, does not hold up the end.
    runtime.shutdown_timeout(LAST_WAIT);
    outcome.unwrap_or_else(|error| {
        eprintln!("sluice: {}", chain(&error));
        ExitCode::FAILURE
    })
}

/// The error and its causes in one line.
fn chain(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        let text = cause.to_string();
        if parts.last().is_none_or(|last| !last.contains(&text)) {
            parts.push(text);
        }
    }
    parts.join(": ")
}
