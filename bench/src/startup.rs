//! How soon a worker answers, and what it holds while it has nothing to do.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;

use crate::median;
use crate::worker::Worker;

/// How long a worker idles before its memory is read.
const IDLE: Duration = Duration::from_secs(5);

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many starts
    #[arg(long, default_value_t = 10)]
    repeat: u32,
}

pub(crate) async fn run(sluice: &Path, options: &Options) -> Result<()> {
    let mut starts = Vec::new();
    let mut idle = 0;
    for number in 1..=options.repeat {
        let folder = tempfile::tempdir()?;
        let begun = Instant::now();
        let worker = Worker::start(sluice, folder.path(), None).await?;
        starts.push(begun.elapsed());
        if number == options.repeat {
            tokio::time::sleep(IDLE).await;
            idle = worker.usage()?.resident;
        }
    }
    let middle = median(&starts).context("at least one start")?;
    let slowest = starts.iter().max().copied().unwrap_or_default();
    println!(
        "startup, embedded log: first answer after {middle:.0?} (median of {}, slowest {slowest:.0?}); idle RSS {} MB",
        starts.len(),
        idle / 1_000_000
    );
    Ok(())
}
