//! `sluice pipeline`: whole pipelines by name, of the ready configs in this binary.

mod catalog;
mod configs;
#[cfg(feature = "demo")]
mod demo;
mod down;
mod status;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::rest_client::{RestClient, WorkerUrl};
use configs::{Changes, Connectors, Selection};
use down::Down;

/// Without a command: the pipelines there are.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice pipeline demo dealer\n  sluice pipeline up retail-s3 --set s3-sink-sales.store.url=http://localhost:9000\n  sluice pipeline status retail-s3\n  sluice pipeline down retail-s3"
)]
pub(super) struct PipelineArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The pipelines there are
    List,
    /// Deploy a pipeline's connectors to a worker and wait until all run; safe to repeat
    Up(UpArgs),
    /// The state of a pipeline's connectors and tasks; exit code 0 only if all are RUNNING
    Status(StatusArgs),
    /// End the sources, let the sinks write what is in the log, remove the connectors
    Down(DownArgs),
    /// See a pipeline work: worker, events and target in this process, and a table of what arrived
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
}

/// A pipeline on a worker.
#[derive(Debug, Args)]
struct WorkerPipeline {
    /// The pipeline; `sluice pipeline list` shows them
    name: String,
    #[command(flatten)]
    worker: WorkerUrl,
    #[command(flatten)]
    selection: Selection,
}

#[derive(Debug, Args)]
struct UpArgs {
    #[command(flatten)]
    pipeline: WorkerPipeline,
    #[command(flatten)]
    changes: Changes,
    /// Seconds to wait until a connector runs
    #[arg(long, default_value_t = 30)]
    timeout: u64,
}

#[derive(Debug, Args)]
struct StatusArgs {
    #[command(flatten)]
    pipeline: WorkerPipeline,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct DownArgs {
    #[command(flatten)]
    pipeline: WorkerPipeline,
    /// Pause the connectors instead of removing them
    #[arg(long)]
    keep: bool,
    /// Seconds the sinks have to write what is in the log
    #[arg(long, default_value_t = 90, value_name = "SECONDS")]
    drain: u64,
}

pub(super) async fn run(args: PipelineArgs) -> Result<ExitCode> {
    match args.action {
        None | Some(Action::List) => {
            catalog::list();
            Ok(ExitCode::SUCCESS)
        }
        Some(Action::Up(args)) => up(&args).await,
        Some(Action::Status(StatusArgs { pipeline, json })) => {
            let client = RestClient::new(&pipeline.worker.url)?;
            let known = catalog::named(&pipeline.name)?;
            status::status(&client, known, &pipeline.selection, json).await
        }
        Some(Action::Down(args)) => take_down(&args).await,
        #[cfg(feature = "demo")]
        Some(Action::Demo(args)) => demo::run(args).await,
    }
}

async fn up(args: &UpArgs) -> Result<ExitCode> {
    let WorkerPipeline {
        name,
        worker,
        selection,
    } = &args.pipeline;
    let connectors = Connectors::of(catalog::named(name)?, selection, &args.changes)?;
    let timeout = Duration::from_secs(args.timeout);
    up::up(&RestClient::new(&worker.url)?, &connectors, timeout).await
}

async fn take_down(args: &DownArgs) -> Result<ExitCode> {
    let WorkerPipeline {
        name,
        worker,
        selection,
    } = &args.pipeline;
    let client = RestClient::new(&worker.url)?;
    let statuses = status::statuses(&client, catalog::named(name)?, selection).await?;
    let down = Down {
        drain: Duration::from_secs(args.drain),
        keep: args.keep,
    };
    down.run(&client, &statuses).await
}
