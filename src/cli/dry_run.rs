//! `sluice connector dry-run`: what a config would do, in a terminal.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use serde_json::json;

use super::connector::print_json;
use super::deployment::exit_code;
use super::output::{Table, print_text};
use super::ready_config::ReadyConfig;
use super::rest_client::{RestClient, connector_path};
use crate::runtime::{DryRunRecord, DryRunReport, Form, Outcome, Shown, ShownEffect, ShownRecord};

/// Lines of a content that are printed.
const MOST_LINES: usize = 10;
/// Characters of a line or cell that are printed.
const MOST_CHARACTERS: usize = 120;

#[derive(Debug, Args)]
pub(super) struct DryRunArgs {
    /// A connector by its name, or the file of a config that need not be deployed
    target: String,
    /// Records to read, 1 to 1000
    #[arg(long)]
    records: Option<String>,
    /// committed, earliest, latest-N, an offset, or offsets as in orders-0:100,orders-1:250
    #[arg(long)]
    from: Option<String>,
    /// A partition's number, or topic and number as in orders-0; may repeat
    #[arg(long)]
    partition: Vec<String>,
}

pub(super) async fn run(client: &RestClient, args: DryRunArgs, as_json: bool) -> Result<ExitCode> {
    let file = Path::new(&args.target);
    let config = match file.is_file() {
        true => Some(ReadyConfig::read(file)?),
        false => None,
    };
    let name = config.as_ref().map_or(&args.target, |config| &config.name);
    let path = connector_path(name, &format!("/dry-run{}", query(&args)));
    let body = config.as_ref().map(|config| json!(config.config));
    let answer = client.call(Method::POST, &path, body.as_ref()).await?;
    let has_failed = answer
        .get("failure")
        .is_some_and(|failure| !failure.is_null());
    if as_json {
        print_json(&answer);
        return Ok(exit_code(has_failed));
    }
    let report = serde_json::from_value(answer).context("the answer is no dry run's")?;
    print_text(&text_of(&report));
    Ok(exit_code(has_failed))
}

fn query(args: &DryRunArgs) -> String {
    let one = |name: &'static str, value: &Option<String>| value.clone().map(|value| (name, value));
    let partitions = args
        .partition
        .iter()
        .map(|value| ("partition", value.clone()));
    let given = one("records", &args.records)
        .into_iter()
        .chain(one("from", &args.from))
        .chain(partitions);
    let pairs: Vec<_> = given
        .map(|(name, value)| format!("{name}={}", utf8_percent_encode(&value, NON_ALPHANUMERIC)))
        .collect();
    match pairs.is_empty() {
        true => String::new(),
        false => format!("?{}", pairs.join("&")),
    }
}

/// The report as people read it.
fn text_of(report: &DryRunReport) -> String {
    let mut text = format!(
        "{}: {} ({})\n",
        report.name,
        summary(&report.records),
        report.ended
    );
    for position in report.positions.iter().filter(|read| read.to > read.from) {
        let (topic, partition) = (&position.topic, position.partition);
        let (from, to, end) = (position.from, position.to, position.end);
        line(
            &mut text,
            &format!("  {topic}-{partition}: read from {from} to {to}, ends at {end}"),
        );
    }
    for note in &report.notes {
        line(&mut text, &format!("note: {note}"));
    }
    let is_source = report.effects.is_empty() && report.positions.is_empty();
    for record in &report.records {
        if is_source || record.outcome != Outcome::Passed {
            text.push_str(&record_text(record));
        }
    }
    for effect in &report.effects {
        text.push_str(&effect_text(effect));
    }
    if let Some(failure) = &report.failure {
        text.push_str(&format!("\nthe task would be FAILED: {}\n", plain(failure)));
    }
    text.push_str("\nnothing was changed\n");
    text
}

/// `20 records: 18 passed, 2 dropped`
fn summary(records: &[DryRunRecord]) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for record in records {
        *counts.entry(words(record.outcome)).or_default() += 1;
    }
    let counted: Vec<_> = counts
        .into_iter()
        .map(|(outcome, count)| format!("{count} {outcome}"))
        .collect();
    match counted.is_empty() {
        true => "no records".to_owned(),
        false => format!("{} records: {}", records.len(), counted.join(", ")),
    }
}

fn words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Dropped => "dropped by a transform",
        Outcome::Skipped => "left out",
        Outcome::DeadLetter => "to the dead letter queue",
        Outcome::FailsTask => "failing the task",
        Outcome::Retried => "tried again and again",
        Outcome::NotReached => "not reached",
    }
}

fn record_text(record: &DryRunRecord) -> String {
    let place = match (&record.position, &record.source_offset) {
        (Some(at), _) => format!("{}-{} at offset {}", at.topic, at.partition, at.offset),
        (None, Some(offset)) => format!("source offset {}", json!(offset)),
        (None, None) => "record".to_owned(),
    };
    let mut text = String::new();
    line(&mut text, &format!("\n{place}: {}", words(record.outcome)));
    if let Some(error) = &record.error {
        line(&mut text, &format!("  {} of {}", error.stage, error.class));
        text.push_str(&indented(&error.trace));
    }
    for shown in record.input.iter().chain(&record.output) {
        text.push_str(&shown_record(shown));
    }
    text
}

fn shown_record(record: &ShownRecord) -> String {
    let mut text = String::new();
    line(&mut text, &format!("  topic   {}", record.topic));
    let (key, value) = match &record.stored {
        Some(stored) => (&stored.key, &stored.value),
        None => (&record.key, &record.value),
    };
    line(&mut text, &format!("  key     {}", content(key)));
    line(&mut text, &format!("  value   {}", content(value)));
    for header in &record.headers {
        line(
            &mut text,
            &format!("  header  {}: {}", header.key, content(&header.value)),
        );
    }
    text
}

fn effect_text(effect: &ShownEffect) -> String {
    let mut text = "\n".to_owned();
    match effect {
        ShownEffect::File {
            kind,
            path,
            records,
            size,
            compression,
            reason,
            content,
            ..
        } => {
            let compression = compression.as_deref().unwrap_or("not compressed");
            line(&mut text, &format!("{kind} {path}"));
            line(
                &mut text,
                &format!("  {records} records, {size} bytes, {compression}: {reason}"),
            );
            text.push_str(&indented_content(content));
        }
        ShownEffect::Statement {
            target,
            reason,
            sql,
        } => {
            line(&mut text, &format!("statement on {target}: {reason}"));
            text.push_str(&indented(sql));
        }
        ShownEffect::Rows {
            table,
            action,
            columns,
            rows,
            ..
        } => {
            line(
                &mut text,
                &format!("{} rows to {action} in {table}", rows.len()),
            );
            let head: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
            let mut shown = Table::new(&head);
            for row in rows {
                let cell = |cell: &Option<String>| cut(cell.as_deref().unwrap_or("NULL"));
                shown.row(row.iter().map(cell).collect());
            }
            text.push_str(&indented(&shown.to_text(false)));
        }
    }
    text
}

/// A content on one line.
fn content(shown: &Shown) -> String {
    let text = match shown.form {
        Form::Null => "null".to_owned(),
        Form::Text => cut(&shown.content),
        Form::Base64 => format!("(binary) {}", cut(&shown.content)),
    };
    match shown.truncated {
        true => format!("{text} ({} bytes in all)", shown.size),
        false => text,
    }
}

/// The first lines of a content.
fn indented_content(shown: &Shown) -> String {
    if shown.form != Form::Text {
        return indented(&content(shown));
    }
    let lines: Vec<_> = shown.content.lines().take(MOST_LINES + 1).collect();
    let beginning = lines.get(..lines.len().min(MOST_LINES)).unwrap_or_default();
    let mut text = indented(&beginning.join("\n"));
    if lines.len() > MOST_LINES || shown.truncated {
        text.push_str("  ...\n");
    }
    text
}

fn indented(text: &str) -> String {
    text.lines()
        .map(|line| format!("  {}\n", cut(line)))
        .collect()
}

/// Appends a line that gives the terminal no commands.
fn line(text: &mut String, said: &str) {
    let (begin, said) = match said.strip_prefix('\n') {
        Some(said) => ("\n", said),
        None => ("", said),
    };
    let _infallible = writeln!(text, "{begin}{}", plain(said));
}

/// Without what a terminal takes for commands.
fn plain(text: &str) -> String {
    let is_command = |character: char| character.is_control() && !"\n\t".contains(character);
    text.replace(is_command, " ")
}

/// One line that is not too long.
fn cut(text: &str) -> String {
    let one_line = text.replace(char::is_control, " ");
    match one_line.char_indices().nth(MOST_CHARACTERS) {
        Some((end, _)) => format!("{}...", one_line.get(..end).unwrap_or_default()),
        None => one_line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(effects: &serde_json::Value) -> DryRunReport {
        let shown = |text: &str| json!({ "form": "text", "content": text, "size": text.len(), "truncated": false });
        serde_json::from_value(json!({
            "name": "orders", "connector.class": "c.S3SinkConnector", "type": "sink", "ended": "the end of the topics",
            "positions": [{ "topic": "t", "partition": 0, "from": 5, "to": 7, "end": 7 }],
            "failure": null, "notes": ["a note\u{1b}[2J"],
            "records": [
                { "topic": "t", "partition": 0, "offset": 5, "timestamp": null, "outcome": "passed", "output": [] },
                { "topic": "t", "partition": 0, "offset": 6, "timestamp": null, "outcome": "skipped",
                  "error": { "stage": "VALUE_CONVERTER", "class": "c.Json", "trace": "no JSON" },
                  "input": { "topic": "t", "key": shown("k"), "value": shown("{"), "headers": [] }, "output": [] },
            ],
            "effects": effects,
        }))
        .unwrap()
    }

    #[test]
    fn a_report_is_read_from_top_to_bottom_and_gives_the_terminal_no_commands() {
        let lines: String = (0..12)
            .map(|number| format!("{{\"n\":{number}}}\n"))
            .collect();
        let file = json!({
            "effect": "file", "kind": "object", "path": "topics/t/t+0+5.json", "records": 12, "size": 99,
            "compression": "gzip", "complete": true, "reason": "flush.size is reached",
            "content": { "form": "text", "content": lines, "size": 99, "truncated": false },
        });
        let rows = json!({
            "effect": "rows", "table": "\"t\"", "action": "upsert", "truncated": false,
            "columns": [{ "name": "id", "type": "bigint" }, { "name": "note", "type": "text" }],
            "rows": [["1", null], ["2", "b\u{7}"]],
        });
        let text = text_of(&report(&json!([file, rows])));
        assert_eq!(
            text,
            "orders: 2 records: 1 left out, 1 passed (the end of the topics)\n  \
             t-0: read from 5 to 7, ends at 7\n\
             note: a note [2J\n\
             \n\
             t-0 at offset 6: left out\n  \
             VALUE_CONVERTER of c.Json\n  \
             no JSON\n  \
             topic   t\n  \
             key     k\n  \
             value   {\n\
             \n\
             object topics/t/t+0+5.json\n  \
             12 records, 99 bytes, gzip: flush.size is reached\n  \
             {\"n\":0}\n  {\"n\":1}\n  {\"n\":2}\n  {\"n\":3}\n  {\"n\":4}\n  {\"n\":5}\n  {\"n\":6}\n  {\"n\":7}\n  \
             {\"n\":8}\n  {\"n\":9}\n  ...\n\
             \n\
             2 rows to upsert in \"t\"\n  \
             id  note\n  \
             1   NULL\n  \
             2   b\n\
             \n\
             nothing was changed\n"
        );
    }
}
