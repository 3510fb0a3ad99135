//! What a connector would do, said without doing it: for dry runs.
//!
//! Holds always: whoever makes these values has changed nothing outside. They are made by the code that plans the real
//! effects, so that they are what a run then does.

use bytes::Bytes;

use super::{Assignment, SinkTaskContext, SourceTask};
use crate::data::SinkRecord;

/// The records of a dry run of a sink.
#[derive(Debug)]
pub struct SinkPreview {
    /// What a task gets. Its runtime refuses to commit.
    pub context: SinkTaskContext,
    /// The partitions that a task would own, with what their group has committed.
    pub partitions: Vec<Assignment>,
    /// The records, in order within each partition.
    pub records: Vec<SinkRecord>,
}

/// Something that a sink would do to its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// A file or object would be written.
    File(FileEffect),
    /// A statement would be run.
    Statement(StatementEffect),
    /// Rows would be written.
    Rows(RowsEffect),
    /// Something that whoever reads the others should know.
    Note(String),
}

/// A file or object that would be written, or lines at the end of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEffect {
    /// What kind of thing it is: `object`, `staged file`, `lines`.
    pub kind: &'static str,
    /// Its key or path.
    pub path: String,
    /// The bytes that would be written, before compression.
    pub content: Bytes,
    /// How they are compressed; `None` if they are not.
    pub compression: Option<&'static str>,
    /// Bytes that would be written: fewer than those of `content` if they are compressed.
    pub size: u64,
    /// Records in it.
    pub records: u64,
    /// False if a run would still add records to it.
    pub is_complete: bool,
    /// Why it ends where it ends, or what it waits for.
    pub reason: String,
}

/// A statement that would be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementEffect {
    /// What it is about: a table, a stage.
    pub target: String,
    /// The statement.
    pub sql: String,
    /// Why it would be run.
    pub reason: String,
}

/// Rows that would be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowsEffect {
    /// The table.
    pub table: String,
    /// What happens to them there: `insert`, `upsert`, `update`, `delete`.
    pub action: &'static str,
    /// Columns with their types.
    pub columns: Vec<(String, String)>,
    /// Values as the target writes them as text; `None` is null.
    pub rows: Vec<Vec<Option<String>>>,
}

/// A source task that may be polled in a dry run: it changes nothing where it reads from, and nothing is acknowledged to it.
pub struct SourcePreview {
    /// The task.
    pub task: Box<dyn SourceTask>,
    /// What a poll does to others all the same, for people.
    pub note: Option<&'static str>,
}

impl std::fmt::Debug for SourcePreview {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("SourcePreview")
            .field("note", &self.note)
            .finish_non_exhaustive()
    }
}
