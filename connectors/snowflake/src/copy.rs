//! COPY INTO: the statement, and what its answer must say.

use connect_core::data::TopicPartition;

use crate::error::SnowflakeError;
use crate::naming::{TableName, quoted, text};
use crate::session::Rows;

/// Where a partition's files are, below the stage.
pub(crate) fn folder(partition: &TopicPartition) -> String {
    format!("{}/{}/", partition.topic, partition.partition)
}

/// One COPY statement.
#[derive(Debug)]
pub(crate) struct Copy<'a> {
    pub(crate) table: &'a TableName,
    /// Quoted.
    pub(crate) stage: &'a str,
    /// Column and expression over the staged document.
    pub(crate) projection: &'a [(String, String)],
    pub(crate) files: Vec<String>,
    pub(crate) force: bool,
}

impl Copy<'_> {
    pub(crate) fn sql(&self) -> String {
        let columns: Vec<_> = self
            .projection
            .iter()
            .map(|(column, _)| quoted(column))
            .collect();
        let expressions: Vec<_> = self
            .projection
            .iter()
            .map(|(_, expression)| expression.as_str())
            .collect();
        let files: Vec<_> = self.files.iter().map(|file| text(file)).collect();
        let force = if self.force { " FORCE = TRUE" } else { "" };
        format!(
            "COPY INTO {} ({}) FROM (SELECT {} FROM @{}/) FILES = ({}) \
             FILE_FORMAT = (TYPE = 'JSON' COMPRESSION = 'GZIP') ON_ERROR = ABORT_STATEMENT{force}",
            self.table.quoted(),
            columns.join(", "),
            expressions.join(", "),
            self.stage,
            files.join(", "),
        )
    }
}

/// How many rows were loaded; files that the table has loaded before are left out without a word.
///
/// # Errors
/// A file was refused: the transaction must not be committed.
pub(crate) fn loaded(answer: &Rows) -> Result<u64, SnowflakeError> {
    let mut loaded = 0;
    // Without files there is one row, which only has a status.
    let has_files = answer.get(0, "rows_loaded").is_some();
    for row in (0..answer.len()).filter(|_| has_files) {
        let number = |column: &str| {
            answer
                .get(row, column)
                .and_then(|text| text.parse::<u64>().ok())
        };
        let errors = number("errors_seen").unwrap_or(0);
        // A file that was loaded before may be named as skipped.
        let is_fine = matches!(answer.get(row, "status"), Some("LOADED" | "LOAD_SKIPPED"));
        if errors > 0 || !is_fine {
            let file = answer.get(row, "file").unwrap_or("a file");
            let reason = answer.get(row, "first_error").unwrap_or("no reason given");
            let text = format!("{file} was not loaded: {reason}");
            return Err(SnowflakeError::Known(connect_core::Error::data(text)));
        }
        loaded += number("rows_loaded").unwrap_or(0);
    }
    Ok(loaded)
}
