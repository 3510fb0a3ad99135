//! What a dry run answers: the shapes that REST shows.

use connect_core::plugin::{ConnectorType, Effect, FileEffect, RowsEffect, StatementEffect};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::shown::{CONTENT, Display, Shown};

/// What a dry run found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DryRunReport {
    /// The connector's name.
    pub name: String,
    /// Its class.
    #[serde(rename = "connector.class")]
    pub class: String,
    /// Source or sink.
    #[serde(rename = "type")]
    pub kind: ConnectorType,
    /// Why reading ended.
    pub ended: String,
    /// Where a sink's records were read.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub positions: Vec<ReadPosition>,
    /// Why the task would be FAILED; `None` if it would not.
    pub failure: Option<String>,
    /// What whoever reads this should know.
    pub notes: Vec<String>,
    /// The records, with what becomes of each.
    pub records: Vec<DryRunRecord>,
    /// What a sink would do, in order.
    pub effects: Vec<ShownEffect>,
}

/// A partition that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPosition {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Where reading began.
    pub from: i64,
    /// The offset after the last record read.
    pub to: i64,
    /// The offset after the last record there is.
    pub end: i64,
}

/// What becomes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It comes through.
    Passed,
    /// A transform drops it.
    Dropped,
    /// It fails and is left out.
    Skipped,
    /// It fails, and goes to the dead letter queue.
    DeadLetter,
    /// The task fails on it.
    FailsTask,
    /// It would be tried again until that succeeds.
    Retried,
    /// The task has failed on another one before.
    NotReached,
}

/// A record, with what becomes of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DryRunRecord {
    /// Where a sink's record stands.
    #[serde(flatten, skip_serializing_if = "Option::is_none", default)]
    pub position: Option<RecordPlace>,
    /// What a source's record was read from.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_partition: Option<Map<String, Value>>,
    /// Where a source would go on after it; `None` if it cannot go on here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub source_offset: Option<Map<String, Value>>,
    /// Milliseconds since the epoch, if known.
    pub timestamp: Option<i64>,
    /// What becomes of it.
    pub outcome: Outcome,
    /// Why it fails.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub error: Option<RecordError>,
    /// It as it was read, if it fails.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub input: Option<ShownRecord>,
    /// What converters and transforms make of it.
    pub output: Vec<ShownRecord>,
}

/// Where a record stands in the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordPlace {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Why a record fails.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordError {
    /// The stage, by Kafka Connect's name.
    pub stage: String,
    /// The class of the plugin that refuses it.
    pub class: String,
    /// The message with its causes.
    pub trace: String,
}

/// A record for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownRecord {
    /// The topic it goes by.
    pub topic: String,
    /// The partition that a source chooses.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub partition: Option<i32>,
    /// The key.
    pub key: Shown,
    /// The value.
    pub value: Shown,
    /// Headers in order.
    pub headers: Vec<ShownHeader>,
    /// What the log would store of a source's record.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub stored: Option<Stored>,
}

/// A header for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownHeader {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: Shown,
}

/// The bytes that converters make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Of the key.
    pub key: Shown,
    /// Of the value.
    pub value: Shown,
}

/// Something that a sink would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "lowercase")]
pub enum ShownEffect {
    /// A file or object.
    File {
        /// `object`, `staged file`, `lines`.
        kind: String,
        /// Its key or path.
        path: String,
        /// Records in it.
        records: u64,
        /// Bytes that would be written.
        size: u64,
        /// How they are compressed.
        compression: Option<String>,
        /// False if a run would still add records.
        complete: bool,
        /// Why it ends where it ends, or what it waits for.
        reason: String,
        /// The content before compression.
        content: Shown,
    },
    /// A statement.
    Statement {
        /// What it is about.
        target: String,
        /// Why it would be run.
        reason: String,
        /// The statement.
        sql: String,
    },
    /// Rows.
    Rows {
        /// The table.
        table: String,
        /// `insert`, `upsert`, `update`, `delete`.
        action: String,
        /// Columns with their types.
        columns: Vec<ShownColumn>,
        /// Values, column by column; null is null.
        rows: Vec<Vec<Option<String>>>,
        /// True if values are cut.
        truncated: bool,
    },
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownColumn {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
}

/// Effects for people, and the notes among them.
pub(super) fn shown(
    effects: Vec<Effect>,
    display: &mut Display,
) -> (Vec<ShownEffect>, Vec<String>) {
    let (mut shown, mut notes) = (Vec::new(), Vec::new());
    for effect in effects {
        match effect {
            Effect::File(file) => shown.push(shown_file(file, display)),
            Effect::Statement(statement) => shown.push(shown_statement(statement, display)),
            Effect::Rows(rows) => shown.push(shown_rows(rows, display)),
            Effect::Note(note) => notes.push(display.said(note)),
        }
    }
    (shown, notes)
}

fn shown_file(file: FileEffect, display: &mut Display) -> ShownEffect {
    ShownEffect::File {
        kind: file.kind.to_owned(),
        path: display.said(file.path),
        records: file.records,
        size: file.size,
        compression: file.compression.map(str::to_owned),
        complete: file.is_complete,
        reason: display.said(file.reason),
        content: display.bytes(Some(&file.content), CONTENT),
    }
}

fn shown_statement(statement: StatementEffect, display: &Display) -> ShownEffect {
    ShownEffect::Statement {
        target: statement.target,
        reason: statement.reason,
        sql: display.said(statement.sql),
    }
}

fn shown_rows(effect: RowsEffect, display: &mut Display) -> ShownEffect {
    let mut truncated = false;
    let mut rows = Vec::with_capacity(effect.rows.len());
    for row in effect.rows {
        let cells = row.into_iter().map(|cell| {
            let (cell, is_cut) = display.cell(&cell?);
            truncated |= is_cut;
            Some(cell)
        });
        rows.push(cells.collect());
    }
    ShownEffect::Rows {
        table: effect.table,
        action: effect.action.to_owned(),
        columns: effect
            .columns
            .into_iter()
            .map(|(name, kind)| ShownColumn { name, kind })
            .collect(),
        rows,
        truncated,
    }
}
