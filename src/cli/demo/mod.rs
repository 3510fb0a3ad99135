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
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::logging::{self, LogFormat};
use super::output::print_text;
use super::rest_client::{RestClient, connector_path};
use crate::kafka::Log;
use crate::rest::RestServer;
use crate::runtime::{Worker, WorkerSettings};
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
    worker: Worker,
    client: RestClient,
    target: Target,
    folder: PathBuf,
    port: u16,
    stop: CancellationToken,
}

impl Demo {
    async fn start(args: &DemoArgs) -> Result<Self> {
        let server = RestServer::bind(&format!("http://127.0.0.1:{}", args.port))
            .await
            .with_context(|| format!("port {} is taken: choose another with --port", args.port))?;
        let port = server.address().port();
        let (target, data) = target_and_data(args).await?;
        let properties = [
            ("data.dir", data.display().to_string()),
            ("offset.flush.interval.ms", "1000".to_owned()),
        ];
        let properties = properties.map(|(key, value)| (key.to_owned(), value));
        let settings = WorkerSettings::read(&properties.into())?;
        let worker = Worker::start(settings, format!("127.0.0.1:{port}")).await?;
        let stop = CancellationToken::new();
        tokio::spawn(server.serve(worker.herder(), stop.clone()));
        let demo = Self {
            client: RestClient::new(&format!("http://127.0.0.1:{port}"))?,
            folder: args.dir.clone(),
            worker,
            target,
            port,
            stop,
        };
        demo.deploy().await?;
        Ok(demo)
    }

    async fn deploy(&self) -> Result<()> {
        self.put(self.target.sink(), &self.target.address()).await?;
        self.put(SOURCE, &[]).await?;
        for name in [self.target.sink_name(), "sales-source"] {
            self.client
                .call(Method::PUT, &connector_path(name, "/resume"), None)
                .await?;
        }
        print_text(&format!(
            "generator → topic {TOPIC} → {}\nREST on http://127.0.0.1:{}; Ctrl-C to stop\n\n",
            self.target.place(),
            self.port
        ));
        Ok(())
    }

    async fn put(&self, ready: &str, changes: &[(&str, String)]) -> Result<()> {
        let ready: Value = serde_json::from_str(ready).context("a ready config is JSON")?;
        let name = ready
            .get("name")
            .and_then(Value::as_str)
            .context("a ready config has a name")?;
        let mut config = ready.get("config").cloned().unwrap_or_else(|| json!({}));
        if let Some(config) = config.as_object_mut() {
            config.insert("name".to_owned(), json!(name));
            config.extend(
                changes
                    .iter()
                    .map(|(key, value)| ((*key).to_owned(), json!(value))),
            );
        }
        self.client
            .call(Method::PUT, &connector_path(name, "/config"), Some(&config))
            .await?;
        Ok(())
    }

    fn log(&self) -> Arc<dyn Log> {
        self.worker.log()
    }

    /// Shows what arrives as it appears, and a line of rates each second.
    async fn watch(&self, until: Option<Instant>) -> Result<()> {
        let mut seen: BTreeSet<String> = self.target.arrived().await?.things.into_iter().collect();
        let mut before = count::events_in_log(&*self.log(), TOPIC).await?;
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
            let events = count::events_in_log(&*self.log(), TOPIC).await?;
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
        self.client
            .call(Method::PUT, &connector_path("sales-source", "/stop"), None)
            .await?;
        let counts = self.arrived().await?;
        print_text(&counts.table(&self.target));
        print_text(&self.next_steps());
        self.worker.shutdown().await;
        self.stop.cancel();
        Ok(if counts.agree() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
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
        let (folder, port) = (self.folder.display(), self.port);
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
