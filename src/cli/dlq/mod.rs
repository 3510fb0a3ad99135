//! `sluice dlq`: a dead letter queue is looked through, and sent again once the cause is fixed.
//!
//! Holds always: a dead letter and the note that it was sent again are written in one transaction, so that no letter is sent
//! twice, however often and wherever a run is interrupted.

mod filter;
mod home;
mod ledger;
mod letter;
mod list;
mod queue;
mod redrive;
mod sending;
mod show;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use filter::Filter;
use home::HomeArgs;
use redrive::RedriveArgs;

/// The queue is named by its connector, or with --topic.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice dlq list s3-sink-sales\n  sluice dlq show s3-sink-sales 0:17\n  sluice dlq redrive s3-sink-sales --all --dry-run\n  sluice dlq redrive --topic sales-dead --bootstrap-servers kafka:9092 --stage TRANSFORMATION"
)]
pub(super) struct DlqArgs {
    #[command(flatten)]
    home: HomeArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// The dead letters, oldest first, and how many of each kind there are
    List(ListArgs),
    /// Everything about one dead letter
    Show {
        /// The connector, unless --topic names its queue; then the letter: PARTITION:OFFSET
        #[arg(required = true, num_args = 1..=2, value_name = "[CONNECTOR] PARTITION:OFFSET")]
        names: Vec<String>,
    },
    /// Send dead letters back to the topic they came from, each once
    Redrive(RedriveArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    /// The connector, unless --topic names its queue
    connector: Option<String>,
    #[command(flatten)]
    filter: Filter,
    /// Show at most this many; all are counted
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: DlqArgs) -> Result<ExitCode> {
    let names = match &args.action {
        Action::List(list) => list.connector.iter().cloned().collect(),
        Action::Show { names } => names.clone(),
        Action::Redrive(redrive) => redrive.names.clone(),
    };
    let (topic, places) = args.home.queue(&names).await?;
    let log = args.home.log().await?;
    match &args.action {
        Action::List(list) => list::list(&*log, &topic, list).await,
        Action::Show { .. } => show::show(&*log, &topic, &places).await,
        Action::Redrive(options) => redrive::redrive(&*log, &topic, &places, options).await,
    }
}
