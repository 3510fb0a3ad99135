//! `sluice connector`: Kafka Connect's REST calls for people and scripts.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::deployment::{self, exit_code, has_failed, tasks, text, traces, wait_until_settled};
use super::dry_run::{self, DryRunArgs};
use super::output::{Table, print_text};
use super::ready_config::ReadyConfig;
use super::rest_client::{RestClient, WorkerUrl, connector_path};

/// Works with any Kafka Connect worker.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice connector deploy connector-configs/s3-sink-sales.json\n  sluice connector dry-run connector-configs/s3-sink-sales.json\n  sluice connector status\n  sluice connector restart s3-sink-sales --include-tasks --only-failed"
)]
pub(super) struct ConnectorArgs {
    #[command(flatten)]
    worker: WorkerUrl,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Names and states of all connectors
    List,
    /// Create or update a connector from a file and wait until it runs
    Deploy {
        /// JSON ({"name", "config"} or a flat object) or .properties
        file: PathBuf,
        /// Another name than the file's
        name: Option<String>,
        /// Seconds to wait until it runs
        #[arg(long, default_value_t = 30)]
        timeout: u64,
    },
    /// The state of a connector and its tasks, or of all; exit code 1 if something FAILED
    Status {
        /// The connector
        name: Option<String>,
    },
    /// What a config would do with real records; changes nothing; exit code 1 if the task would be FAILED
    DryRun(DryRunArgs),
    /// The configuration of a connector
    Config {
        /// The connector
        name: String,
    },
    /// Move no records until resumed
    Pause {
        /// The connector
        name: String,
    },
    /// Go on after a pause or stop
    Resume {
        /// The connector
        name: String,
    },
    /// End all tasks until resumed
    Stop {
        /// The connector
        name: String,
    },
    /// Restart a connector
    Restart {
        /// The connector
        name: String,
        /// Its tasks too
        #[arg(long)]
        include_tasks: bool,
        /// Only what has FAILED
        #[arg(long)]
        only_failed: bool,
    },
    /// Remove a connector; its offsets stay
    Delete {
        /// The connector
        name: String,
    },
    /// The traces of what has failed: all that a worker tells over REST
    Logs {
        /// The connector
        name: String,
    },
}

pub(super) async fn run(args: ConnectorArgs) -> Result<ExitCode> {
    let client = RestClient::new(&args.worker.url)?;
    let put = |name: String, rest: &'static str| async move {
        RestClient::new(&args.worker.url)?
            .call(Method::PUT, &connector_path(&name, rest), None)
            .await?;
        Ok(ExitCode::SUCCESS)
    };
    match args.action {
        Action::List | Action::Status { name: None } => list(&client, args.json).await,
        Action::Status { name: Some(name) } => status(&client, &name, args.json).await,
        Action::Deploy {
            file,
            name,
            timeout,
        } => deploy(&client, &file, name, Duration::from_secs(timeout)).await,
        Action::DryRun(dry_run) => dry_run::run(&client, dry_run, args.json).await,
        Action::Config { name } => {
            print_json(&client.get(&connector_path(&name, "/config")).await?);
            Ok(ExitCode::SUCCESS)
        }
        Action::Pause { name } => put(name, "/pause").await,
        Action::Resume { name } => put(name, "/resume").await,
        Action::Stop { name } => put(name, "/stop").await,
        Action::Restart {
            name,
            include_tasks,
            only_failed,
        } => {
            let query = format!("/restart?includeTasks={include_tasks}&onlyFailed={only_failed}");
            client
                .call(Method::POST, &connector_path(&name, &query), None)
                .await?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Delete { name } => {
            client
                .call(Method::DELETE, &connector_path(&name, ""), None)
                .await?;
            Ok(ExitCode::SUCCESS)
        }
        Action::Logs { name } => logs(&client, &name).await,
    }
}

pub(super) fn print_json(value: &Value) {
    print_text(&format!("{value:#}\n"));
}

async fn list(client: &RestClient, as_json: bool) -> Result<ExitCode> {
    let all = client.get("/connectors?expand=status").await?;
    let statuses: Vec<&Value> = all
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, entry)| entry.get("status"))
        .collect();
    let failed = statuses.iter().any(|status| has_failed(status));
    if as_json {
        print_json(&json!(statuses));
        return Ok(exit_code(failed));
    }
    let mut table = Table::new(&["NAME", "TYPE", "STATE", "TASKS", "WORKER"]);
    for status in statuses {
        let running = tasks(status)
            .iter()
            .filter(|task| text(task, "/state") == "RUNNING")
            .count();
        table.row(vec![
            text(status, "/name").to_owned(),
            text(status, "/type").to_owned(),
            text(status, "/connector/state").to_owned(),
            format!("{running}/{} running", tasks(status).len()),
            text(status, "/connector/worker_id").to_owned(),
        ]);
    }
    table.print();
    Ok(exit_code(failed))
}

async fn status(client: &RestClient, name: &str, as_json: bool) -> Result<ExitCode> {
    let status = client.get(&connector_path(name, "/status")).await?;
    if as_json {
        print_json(&status);
        return Ok(exit_code(has_failed(&status)));
    }
    let mut table = Table::new(&["PART", "STATE", "WORKER"]);
    let row = |part: String, value: &Value| {
        vec![
            part,
            text(value, "/state").to_owned(),
            text(value, "/worker_id").to_owned(),
        ]
    };
    table.row(row(
        "connector".to_owned(),
        status.get("connector").unwrap_or(&Value::Null),
    ));
    for task in tasks(&status) {
        table.row(row(
            format!("task {}", task.get("id").unwrap_or(&Value::Null)),
            task,
        ));
    }
    table.print();
    print_text(&traces(&status));
    Ok(exit_code(has_failed(&status)))
}

async fn logs(client: &RestClient, name: &str) -> Result<ExitCode> {
    let status = client.get(&connector_path(name, "/status")).await?;
    let traces = traces(&status);
    if traces.is_empty() {
        print_text("nothing has failed\n");
    } else {
        print_text(traces.trim_start());
    }
    Ok(exit_code(has_failed(&status)))
}

async fn deploy(
    client: &RestClient,
    file: &std::path::Path,
    name: Option<String>,
    timeout: Duration,
) -> Result<ExitCode> {
    let mut connector = ReadyConfig::read(file)?;
    if let Some(name) = name {
        connector = connector.named(name);
    }
    let name = connector.name.as_str();
    let done = deployment::put(client, &connector).await?;
    let status = wait_until_settled(client, name, timeout).await?;
    print_text(&format!(
        "{name}: {done}, {}\n",
        text(&status, "/connector/state")
    ));
    if has_failed(&status) {
        bail!("{name} does not run:{}", traces(&status));
    }
    Ok(ExitCode::SUCCESS)
}
