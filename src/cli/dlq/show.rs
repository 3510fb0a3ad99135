//! `sluice dlq show`

use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::ledger::Ledger;
use super::letter::{Letter, Place, readable};
use super::queue::Queue;
use crate::cli::output::print_text;
use crate::kafka::Log;
use crate::runtime::ERROR_HEADERS;

pub(super) async fn show(log: &dyn Log, topic: &str, places: &[Place]) -> Result<ExitCode> {
    let [place] = places else {
        bail!("which dead letter? PARTITION:OFFSET, as `sluice dlq list` shows it");
    };
    let mut queue = Queue::existing(log, topic).await?;
    let record = queue.at(*place).await?;
    queue.close().await?;
    let record = record.with_context(|| format!("{topic} has no record at {place}"))?;
    let ledger = Ledger::read(log, topic).await?;
    let letter = Letter::new(record);
    print_text(&text(&letter, ledger.has(&letter)));
    Ok(ExitCode::SUCCESS)
}

fn text(letter: &Letter, is_redriven: bool) -> String {
    // Whoever made the record may have put commands for the terminal into what the error cites.
    let is_command = |character: char| character.is_control() && !"\n\r\t".contains(character);
    let said = |name: &str| {
        letter
            .said(name)
            .unwrap_or_default()
            .replace(is_command, " ")
    };
    let part = |bytes: Option<&[u8]>| bytes.map_or_else(|| "(null)".to_owned(), readable);
    let lines = [
        ("letter", letter.place().to_string()),
        ("made", letter.when()),
        ("from", letter.origin()),
        (
            "connector",
            format!("{} task {}", said("connector.name"), said("task.id")),
        ),
        ("stage", said("stage")),
        ("class", said("class.name")),
        ("exception", said("exception.class.name")),
        (
            "redriven",
            if is_redriven { "yes" } else { "no" }.to_owned(),
        ),
        ("times", letter.times().to_string()),
    ];
    let mut text: String = lines
        .iter()
        .map(|(name, value)| format!("{name:<11}{value}\n"))
        .collect();
    text.push_str("\nheaders\n");
    for (key, value) in &letter.record.headers {
        if !key.starts_with(ERROR_HEADERS) {
            text.push_str(&format!("  {key}: {}\n", part(value.as_deref())));
        }
    }
    for (name, bytes) in [("key", &letter.record.key), ("value", &letter.record.value)] {
        text.push_str(&format!("\n{name}\n{}\n", part(bytes.as_deref())));
    }
    text.push_str(&format!(
        "\nerror\n{}\n",
        said("exception.stacktrace").trim_end()
    ));
    text
}
