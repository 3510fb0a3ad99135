//! How fast `sluice produce` fills a topic of a real Kafka.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Args;
use sluice_services::{Kafka, KafkaOptions};

use crate::median;
use crate::process::usage;

/// How often CPU time and memory are read while it runs.
const LOOK: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many events a run writes
    #[arg(long, default_value_t = 2_000_000)]
    events: u32,
    /// How many runs
    #[arg(long, default_value_t = 3)]
    repeat: u32,
    /// In transactions
    #[arg(long)]
    exactly_once: bool,
}

pub(crate) async fn run(sluice: &Path, options: &Options) -> Result<()> {
    let kafka = Kafka::start(&KafkaOptions::default())?;
    let mut rates = Vec::new();
    let mut cpu = Vec::new();
    let mut peak = 0;
    for number in 0..options.repeat {
        let mut command = Command::new(sluice);
        command
            .args(["produce", "orders", "--burst", "--brokers"])
            .args([&kafka.bootstrap(), "--topic", &format!("orders-{number}")])
            .args(["--events", &options.events.to_string()])
            .args(options.exactly_once.then_some("--exactly-once"))
            .stdout(Stdio::null());
        let begun = Instant::now();
        let mut producer = command.spawn().context("starting sluice")?;
        let mut last = None;
        let ended = loop {
            if let Some(ended) = producer.try_wait()? {
                break ended;
            }
            // Nothing is to be read of one that has ended and was not waited for.
            last = usage(producer.id()).ok().or(last);
            tokio::time::sleep(LOOK).await;
        };
        let took = begun.elapsed();
        ensure!(ended.success(), "sluice produce: {ended}");
        let used = last.context("it ended before it was looked at")?;
        rates.push(f64::from(options.events) / took.as_secs_f64());
        cpu.push(used.cpu.as_secs_f64() * 1e6 / f64::from(options.events));
        peak = peak.max(used.peak_resident);
    }
    println!(
        "produce{}, {} orders to one broker: {:.0} thousand events/s, {:.2} CPU s per million events (medians of {}); peak RSS {} MB",
        if options.exactly_once {
            " in transactions"
        } else {
            ""
        },
        options.events,
        median(&rates).context("at least one run")? / 1000.0,
        median(&cpu).context("at least one run")?,
        options.repeat,
        peak / 1_000_000,
    );
    Ok(())
}
