//! `sluice pipeline demo`: a pipeline from the first event to a table of what arrived, in one process.
//!
//! The sinks are the ready ones, deployed over REST to a worker inside this process. Events are made here, so that it
//! is known which there are and when each was acknowledged; what each stage holds is read back from it.

mod folder;
mod generator;
mod judgement;
mod latency;
mod ledger;
mod pace;
mod plan;
mod report;
mod run;
mod setup;
mod stage;
mod users;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::catalog;
use super::configs::Selection;
use crate::cli::logging::{self, LogFormat};
use crate::cli::output::print_text;
use crate::cli::signals::stop_at_signal;
use run::Demo;

/// Nothing is needed beforehand: log, S3 server and Snowflake's stand-in run inside the process. Only Postgres has to be
/// there for what goes to Postgres. Ctrl-C ends the events; what is on its way still arrives and is counted.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice pipeline demo dealer\n  sluice pipeline demo dealer --postgres postgres://postgres:postgres@localhost/warehouse\n  sluice pipeline demo dealer --bootstrap-servers localhost:9092 --stress"
)]
pub(super) struct DemoArgs {
    /// The pipeline; `sluice pipeline list` shows them
    name: String,
    /// Seconds in which events are made [default: 90]
    #[arg(long, value_name = "SECONDS")]
    duration: Option<u64>,
    /// Events a minute, all types together [default: dealer 72, api-postgres 120, others 600]
    #[arg(long, value_name = "EVENTS")]
    rate: Option<f64>,
    /// Seconds between two events of a type
    #[arg(long, value_name = "SECONDS", conflicts_with = "rate")]
    interval: Option<f64>,
    /// Events of each type, instead of a duration
    #[arg(long, value_name = "NUMBER")]
    events: Option<u64>,
    /// 1000 events of each type, one a second: --events 1000 --interval 1
    #[arg(long, conflicts_with_all = ["rate", "interval", "events"])]
    stress: bool,
    /// A Kafka instead of the log inside this process; how to log in is taken from CONNECT_SECURITY_PROTOCOL, CONNECT_SASL_… and CONNECT_SSL_…
    #[arg(long, value_name = "BROKERS")]
    bootstrap_servers: Option<String>,
    /// Where Postgres is: postgres://user:password@host:5432/database; a schema sluice_demo_… is made anew in it
    #[arg(
        long,
        value_name = "URL",
        env = "SLUICE_DEMO_POSTGRES",
        hide_env_values = true
    )]
    postgres: Option<String>,
    /// An option of a connector: s3-sink-automotive-csv.flush.size=50; may be repeated
    #[arg(long = "set", value_name = "CONNECTOR.KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    selection: Selection,
    /// Where files are kept, in a new folder for each run
    #[arg(long, default_value = "./sluice-demo")]
    dir: PathBuf,
    /// The port of the worker's REST API; 0 for a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Seconds the last events have to arrive [default: the longest wait of a batch, and 30]
    #[arg(long, value_name = "SECONDS")]
    drain: Option<u64>,
}

#[cfg(test)]
impl DemoArgs {
    /// Without any flags.
    fn of(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            duration: None,
            rate: None,
            interval: None,
            events: None,
            stress: false,
            bootstrap_servers: None,
            postgres: None,
            set: Vec::new(),
            selection: Selection::default(),
            dir: PathBuf::new(),
            port: 0,
            drain: None,
        }
    }
}

pub(super) async fn run(args: DemoArgs) -> Result<ExitCode> {
    let pipeline = catalog::named(&args.name)?;
    // What Kafka's client warns of is about itself, not about this run.
    logging::start(LogFormat::Text, "warn,krafka=error");
    let stop = stop_at_signal()?;
    let demo = tokio::select! {
        demo = Demo::start(pipeline, &args) => demo?,
        () = stop.cancelled() => {
            print_text("stopped before the first event\n");
            return Ok(ExitCode::FAILURE);
        }
    };
    demo.run(stop).await
}
