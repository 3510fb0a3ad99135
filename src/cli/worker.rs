//! `sluice worker`

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::deployment;
use super::environment;
use super::logging::{self, LogFormat};
use super::ready_config::ReadyConfig;
use super::rest_client::RestClient;
use crate::rest::RestServer;
use crate::runtime::{Herder, HerderError, Worker, WorkerIdentity, WorkerSettings, properties};

/// Without `bootstrap.servers` the worker keeps its own log on disk, below `data.dir` (./sluice-data).
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice worker\n  sluice worker worker.properties connector-configs/s3-sink-sales.json\n  CONNECT_BOOTSTRAP_SERVERS=kafka:9092 sluice worker --set listeners=http://:8084"
)]
pub(super) struct WorkerArgs {
    /// Worker properties, as for connect-standalone
    properties: Option<PathBuf>,
    /// Connectors to deploy at start: JSON or .properties files
    connectors: Vec<PathBuf>,
    /// A worker property; wins over file and environment
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// The form of log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
}

pub(super) async fn run(args: WorkerArgs) -> Result<ExitCode> {
    let level = environment::log_level();
    logging::start(args.log_format, level.as_deref().unwrap_or("info"));
    let mut signals = Signals::listen()?;
    let stop = CancellationToken::new();
    let (worker, serving) = tokio::select! {
        started = start(&args, stop.clone()) => started?,
        () = signals.next() => {
            info!("stopped before the start was over");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let exit_code = tokio::select! {
        () = signals.next() => ExitCode::SUCCESS,
        failure = worker.lost() => {
            error!(error = failure.trace(), "the worker must not run any longer");
            ExitCode::FAILURE
        }
    };
    info!("stopping: tasks finish what they have begun; a second signal ends at once");
    tokio::select! {
        () = worker.shutdown() => {}
        () = signals.next() => {
            warn!("stopped at once");
            return Ok(ExitCode::FAILURE);
        }
    }
    stop.cancel();
    // Open connections of clients do not hold up the end.
    let _ended = tokio::time::timeout(std::time::Duration::from_secs(1), serving).await;
    Ok(exit_code)
}

/// The worker, and what serves its REST API: from the first moment, so that whoever asks is told that it starts.
async fn start(
    args: &WorkerArgs,
    stop: CancellationToken,
) -> Result<(Worker, JoinHandle<connect_core::Result<()>>)> {
    let settings = WorkerSettings::read(&all_properties(args)?)?;
    let connectors = args
        .connectors
        .iter()
        .map(|path| ReadyConfig::read(path))
        .collect::<Result<Vec<_>>>()?;
    let server = RestServer::bind(&settings).await?;
    let address = server.address();
    let worker_id = advertised(&settings, address);
    let identity = WorkerIdentity {
        url: format!("{}://{worker_id}/", server.scheme()),
        worker_id,
        levels: logging::levels(),
    };
    let (started, herder) = watch::channel(None);
    let serving = tokio::spawn(server.serve(herder, logging::levels(), stop));
    let worker = Worker::start(settings, identity).await?;
    started.send_replace(Some(worker.herder()));
    info!(%address, "REST is ready");
    for connector in connectors {
        deploy(&*worker.herder(), connector).await?;
    }
    Ok((worker, serving))
}

/// The signals that ask to stop. Listened to from the first moment: for the first process of a container the system does
/// nothing by itself.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// `host:port` as other workers and clients know this one.
pub(super) fn advertised(settings: &WorkerSettings, bound: std::net::SocketAddr) -> String {
    let host = settings
        .config
        .advertised_host
        .clone()
        .unwrap_or_else(|| match bound.ip() {
            address if address.is_unspecified() => {
                std::fs::read_to_string("/proc/sys/kernel/hostname")
                    .map_or_else(|_| "localhost".to_owned(), |name| name.trim().to_owned())
            }
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        });
    format!(
        "{host}:{}",
        settings.config.advertised_port.unwrap_or(bound.port())
    )
}

/// File, then environment, then flags.
fn all_properties(args: &WorkerArgs) -> Result<BTreeMap<String, String>> {
    let mut all = match &args.properties {
        Some(path) => {
            properties::read(path).with_context(|| format!("reading {}", path.display()))?
        }
        None => BTreeMap::new(),
    };
    all.extend(environment::properties()?);
    for pair in &args.set {
        let Some((key, value)) = pair.split_once('=') else {
            bail!("--set {pair}: must be KEY=VALUE");
        };
        all.insert(key.trim().to_owned(), value.to_owned());
    }
    Ok(all)
}

/// Creates or updates; nothing if the stored config is the same already. What is there stays in the state it is in.
async fn deploy(herder: &dyn Herder, connector: ReadyConfig) -> Result<()> {
    let name = connector.name.as_str();
    let known = herder.connector_info(name).await;
    if known
        .as_ref()
        .is_ok_and(|known| known.config == connector.config)
    {
        return Ok(());
    }
    let given = connector.config.clone().into_iter();
    let given = given.map(|(key, value)| (key, Some(value))).collect();
    let done = match connector.initial {
        Some(initial) if known.is_err() => herder.create(name, given, initial).await.map(drop),
        _ => herder.put_config(name, given).await.map(drop),
    };
    let deploying = || format!("deploying {name}");
    match done {
        Err(HerderError::Forward { url: Some(leader) }) => {
            let leader = RestClient::new(&leader)?;
            let put = deployment::put(&leader, &connector).await;
            put.map(drop).with_context(deploying)
        }
        outcome => outcome.with_context(deploying),
    }
}
