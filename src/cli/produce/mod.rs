//! `sluice produce`: generated events to Kafka topics, at least once or in transactions.

mod delivery;
mod file;
mod producing;
mod report;
mod sender;
mod settings;
mod transaction;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};
pub(super) use sluice_connector_datagen::events::EventKind;
#[cfg(feature = "demo")]
pub(super) use sluice_connector_datagen::events::text_field;

use super::signals::stop_at_signal;
use delivery::Delivery;
use producing::Producing;
use report::Report;
use settings::{DealerArgs, Settings, StreamArgs};

/// Flags win over the file (--config), the file over the environment.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  sluice produce sales --count 100\n  sluice produce orders --events 100000 --burst --topic sales_events\n  sluice produce dealer --type all --interval 1\n  sluice produce transactions --continuous --duration 60 --exactly-once"
)]
pub(super) struct ProduceArgs {
    #[command(subcommand)]
    generator: Generator,
}

#[derive(Debug, Subcommand)]
enum Generator {
    /// Retail sales, 13 fields, ids as UUIDs
    Sales(StreamArgs),
    /// Retail orders, ids that count up
    Orders(StreamArgs),
    /// Payments with cards and accounts
    Transactions(StreamArgs),
    /// A car dealer's six systems: sales, payments, interactions, inventory, procurement, telemetry
    Dealer(DealerArgs),
}

pub(super) async fn run(args: ProduceArgs) -> Result<ExitCode> {
    let settings = match args.generator {
        Generator::Sales(args) => Settings::resolve(EventKind::Sales, args),
        Generator::Orders(args) => Settings::resolve(EventKind::Orders, args),
        Generator::Transactions(args) => Settings::resolve(EventKind::Transactions, args),
        Generator::Dealer(args) => Settings::resolve_dealer(args),
    }?;
    let stop = stop_at_signal()?;
    let report = Report::new(&settings);
    let connecting = Delivery::connect(&settings);
    let delivery = tokio::select! {
        delivery = connecting => delivery?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    report.connected(&settings.brokers);
    Producing::new(settings, delivery, report, stop)
        .run()
        .await?;
    Ok(ExitCode::SUCCESS)
}
