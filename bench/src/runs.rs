//! A sink measured again and again: the same topic, a new worker for each run.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::median;
use crate::worker::Worker;

/// The connector's name.
const NAME: &str = "bench";
/// The longest a run may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// What one run took.
pub(crate) struct Run {
    /// From the deployment to the last record.
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// Bytes.
    pub(crate) peak_resident: u64,
}

impl Run {
    /// Deploys a connector and waits until `is_done`.
    pub(crate) async fn of(
        worker: &Worker,
        config: &Value,
        is_done: impl Fn() -> Result<bool>,
    ) -> Result<Self> {
        let begun = Instant::now();
        let before = worker.usage()?;
        worker.deploy(NAME, config).await?;
        while !is_done()? {
            if begun.elapsed() > DEADLINE {
                bail!("not done: {}", worker.status(NAME).await?);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let wall = begun.elapsed();
        let after = worker.usage()?;
        Ok(Self {
            wall,
            cpu: after.cpu.saturating_sub(before.cpu),
            peak_resident: after.peak_resident,
        })
    }
}

/// What is measured.
pub(crate) struct Subject {
    pub(crate) name: &'static str,
    /// What the sink writes of each record.
    pub(crate) unit: &'static str,
    /// How many of them in each run.
    pub(crate) count: u64,
}

impl Subject {
    /// Makes so many runs, by their number, and prints each and the medians.
    pub(crate) async fn measure(
        &self,
        repeat: u32,
        mut run: impl AsyncFnMut(u32) -> Result<Run>,
    ) -> Result<()> {
        #[expect(clippy::cast_precision_loss, reason = "a count of records")]
        let millions = self.count as f64 / 1e6;
        let unit = self.unit;
        let (mut cpu, mut rates, mut peak) = (Vec::new(), Vec::new(), 0);
        for number in 1..=repeat {
            let run = run(number).await?;
            let (wall, used) = (run.wall.as_secs_f64(), run.cpu.as_secs_f64() / millions);
            let (rate, resident) = (millions * 1e3 / wall, run.peak_resident / 1_000_000);
            println!(
                "run {number}: {wall:.1} s, {rate:.0} thousand {unit}/s, {used:.2} CPU s per million, peak RSS {resident} MB"
            );
            cpu.push(used);
            rates.push(rate);
            peak = peak.max(resident);
        }
        println!(
            "{}: {:.0} thousand {unit}/s, {:.2} CPU s per million {unit} (medians of {repeat}), peak RSS {peak} MB",
            self.name,
            median(&rates).context("at least one run")?,
            median(&cpu).context("at least one run")?,
        );
        Ok(())
    }
}
