//! `sluice demo`: the whole way in one process: generator → embedded log → sink → S3's or Snowflake's stand-in.
//!
//! Connectors are deployed over REST from ready configs, as a user would; what arrived is counted in the target.

mod count;
mod s3;
mod target;

use std::collections::BTreeSet;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use reqwest::Method;

use super::deployment::exit_code;
use super::local_worker::{self, LocalWorker};
use super::log_topics;
use super::logging::{self, LogFormat};
use super::output::print_text;
use super::ready_config::ReadyConfig;
use super::rest_client::connector_path;
use crate::kafka::Log;
use count::Counts;
use target::Target;

const TOPIC: &str = "sales_events";
const SOURCE: &str = include_str!("../../../connector-configs/demo-sales-source.json");
/// How long the last events may take from the log to the target.
const ARRIVAL_DEADLINE: Duration = Duration::from_secs(20);

/// Log and S3 server run inside this process and keep their files below --dir; a second run goes on where the first ended.
/// With --snowflake a stand-in for Snowflake takes the place of S3; it keeps its tables in memory, so each run begins anew.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice demo\n  sluice demo --for 20 --port 8084\n  sluice demo --snowflake --for 20"
)]
pub(super) struct DemoArgs {
    /// Seconds to run; until Ctrl-C if not given
    #[arg(long = "for", value_name = "SECONDS")]
    seconds: Option<u64>,
    /// To a stand-in for Snowflake instead of S3
    #[arg(long)]
    snowflake: bool,
    /// The port of the REST API
    #[arg(long, default_value_t = 8083)]
    port: u16,
    /// Where everything is kept
    #[arg(long, default_value = "./sluice-demo")]
    dir: PathBuf,
}

pub(super) async fn run(args: DemoArgs) -> Result<ExitCode> {
    logging::start(LogFormat::Text, "warn");
    let demo = Demo::start(&args).await?;
    let until = args
        .seconds
        .map(|seconds| Instant::now() + Duration::from_secs(seconds));
    tokio::select! {
        outcome = demo.watch(until) => outcome?,
        _ = tokio::signal::ctrl_c() => print_text("\n"),
    }
    demo.finish().await
}

struct Demo {
    worker: LocalWorker,
    target: Target,
    folder: PathBuf,
}

impl Demo {
    async fn start(args: &DemoArgs) -> Result<Self> {
        let server = local_worker::bind(args.port).await?;
        let (target, data) = target_and_data(args).await?;
        let properties = [
            ("data.dir", data.display().to_string()),
            ("offset.flush.interval.ms", "1000".to_owned()),
        ];
        let properties = properties.map(|(key, value)| (key.to_owned(), value));
        let demo = Self {
            worker: LocalWorker::start(server, &properties.into()).await?,
            folder: args.dir.clone(),
            target,
        };
        demo.deploy().await?;
        Ok(demo)
    }

    async fn deploy(&self) -> Result<()> {
        let mut sink = ReadyConfig::parse("the sink", self.target.sink())?;
        for (key, value) in self.target.address() {
            sink = sink.with(key, value);
        }
        let source = ReadyConfig::parse("the source", SOURCE)?;
        for connector in [&sink, &source] {
            self.worker.put(connector).await?;
            self.call(&connector.name, "/resume").await?;
        }
        print_text(&format!(
            "generator → topic {TOPIC} → {}\nREST on http://127.0.0.1:{}; Ctrl-C to stop\n\n",
            self.target.place(),
            self.worker.port()
        ));
        Ok(())
    }

    async fn call(&self, connector: &str, what: &str) -> Result<()> {
        let path = connector_path(connector, what);
        self.worker.client().call(Method::PUT, &path, None).await?;
        Ok(())
    }

    fn log(&self) -> Arc<dyn Log> {
        self.worker.log()
    }

    /// Shows what arrives as it appears, and a line of rates each second.
    async fn watch(&self, until: Option<Instant>) -> Result<()> {
        let mut seen: BTreeSet<String> = self.target.arrived().await?.things.into_iter().collect();
        let mut before = log_topics::records(&*self.log(), TOPIC).await?;
        let terminal = std::io::stdout().is_terminal();
        while until.is_none_or(|until| Instant::now() < until) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let arrived = self.target.arrived().await?;
            for thing in arrived.things {
                if !seen.contains(&thing) {
                    let clear = if terminal { "\r\u{1b}[K" } else { "" };
                    print_text(&format!("{clear}{thing}\n"));
                    seen.insert(thing);
                }
            }
            let events = log_topics::records(&*self.log(), TOPIC).await?;
            let line = format!(
                "{} events/s, {events} events, {} arrived",
                events - before,
                arrived.events
            );
            before = events;
            print_text(&if terminal {
                format!("\r\u{1b}[K{line}")
            } else {
                format!("{line}\n")
            });
        }
        print_text("\n");
        Ok(())
    }

    /// Ends the generator, lets what is on its way arrive, counts and says what to try next.
    async fn finish(self) -> Result<ExitCode> {
        print_text("stopping the generator; the last events are on their way\n");
        self.call("sales-source", "/stop").await?;
        let counts = self.arrived().await?;
        print_text(&counts.table(&self.target));
        print_text(&self.next_steps());
        self.worker.shutdown().await;
        Ok(exit_code(!counts.agree()))
    }

    async fn arrived(&self) -> Result<Counts> {
        let deadline = Instant::now() + ARRIVAL_DEADLINE;
        loop {
            let counts = Counts::take(&*self.log(), TOPIC, &self.target).await?;
            if counts.agree() || Instant::now() > deadline {
                return Ok(counts);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn next_steps(&self) -> String {
        let (folder, port) = (self.folder.display(), self.worker.port());
        let sink = self.target.sink_name();
        let look = self.target.look();
        let look = look.map_or_else(String::new, |look| format!("  {look}\n"));
        let kind = if look.is_empty() { " --snowflake" } else { "" };
        format!(
            "\nTry next:\n{look}  sluice demo{kind} --dir {folder} --port {port} &\n  \
             curl -s localhost:{port}/connectors?expand=status\n  curl -s -X PUT localhost:{port}/connectors/{sink}/pause\n  \
             curl -s -X PUT localhost:{port}/connectors/{sink}/resume\n  curl -s localhost:{port}/connector-plugins\n"
        )
    }
}

/// The target, and the folder of the worker's data. A target that forgets gets a worker that begins anew.
async fn target_and_data(args: &DemoArgs) -> Result<(Target, PathBuf)> {
    if !args.snowflake {
        return Ok((Target::s3(&args.dir).await?, args.dir.join("worker")));
    }
    let data = args.dir.join("snowflake-worker");
    match std::fs::remove_dir_all(&data) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| {
                let folder = data.display();
                format!("{folder} cannot be used: choose another folder with --dir")
            })
        }
        _ => Ok((Target::snowflake().await?, data)),
    }
}
