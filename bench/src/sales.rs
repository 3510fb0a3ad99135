//! A topic full of sales events on a real Kafka.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use connect_core::clock::{Clock, SystemClock};
use sluice_connector_datagen::events::EventKind;
use sluice_services::Kafka;

pub(crate) const TOPIC: &str = "sales_events";

/// Makes the topic with the same number of events in each partition, written by kcat; returns the end of each.
pub(crate) fn fill(kafka: &Kafka, records: u64, partitions: u32) -> Result<Vec<u64>> {
    kafka.create_topic(TOPIC, partitions, &[])?;
    let each = records / u64::from(partitions.max(1));
    let folder = tempfile::tempdir()?;
    let lines = folder.path().join("events");
    for partition in 0..partitions {
        write_events(&lines, u64::from(partition) * each, each)?;
        let status = Command::new("kcat")
            .args(["-P", "-b", &kafka.bootstrap(), "-t", TOPIC, "-l"])
            .args(["-p", &partition.to_string()])
            .arg(&lines)
            .status()
            .context("kcat")?;
        ensure!(status.success(), "kcat ended with {status}");
    }
    end_offsets(kafka)
}

fn write_events(path: &Path, first: u64, count: u64) -> Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut event = Vec::new();
    for index in first..first + count {
        event.clear();
        EventKind::Sales.write(1, index, SystemClock.now(), &mut event);
        event.push(b'\n');
        file.write_all(&event)?;
    }
    file.flush()?;
    Ok(())
}

fn end_offsets(kafka: &Kafka) -> Result<Vec<u64>> {
    let output = kafka.tool(
        "org.apache.kafka.tools.GetOffsetShell",
        &["--bootstrap-server", &kafka.bootstrap(), "--topic", TOPIC],
    )?;
    let text = String::from_utf8(output.stdout)?;
    let ends: Vec<u64> = text
        .lines()
        .filter_map(|line| line.rsplit(':').next()?.parse().ok())
        .collect();
    ensure!(!ends.is_empty(), "no offsets: {text}");
    Ok(ends)
}
