//! The beginning of a file: byte order mark and header row, and with them how its rows are read.

use std::path::Path;
use std::sync::Arc;

use connect_core::{Error, Result};
use tracing::warn;

use crate::bytes::{End, OpenBytes};
use crate::config::{FileSourceConfig, Format};
use crate::csv::{Columns, CsvRows, Splitter, blank};
use crate::row::Rows;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Where a file's first row is, and how its rows are read.
pub(crate) struct Header {
    /// Bytes before the first row.
    pub(crate) bytes: usize,
    /// Line breaks in them.
    pub(crate) lines: u64,
    pub(crate) rows: Rows,
    /// Columns with a type in `csv.types` that the file does not have.
    unknown_columns: Vec<String>,
}

impl Header {
    /// A slip in `csv.types` would otherwise go unnoticed.
    pub(crate) fn warn_of_unknown_columns(&self, path: &Path) {
        if !self.unknown_columns.is_empty() {
            let columns = self.unknown_columns.join(", ");
            warn!(file = %path.display(), columns, "columns of csv.types that the file does not have");
        }
    }

    /// Reads the header of the file whose beginning `bytes` stands at, and leaves it there. `None` if it is not whole yet.
    pub(crate) fn read(
        config: &FileSourceConfig,
        bytes: &mut OpenBytes,
        path: &Path,
    ) -> Result<Option<Self>> {
        let mark = bytes.beginning(path)?.starts_with(BYTE_ORDER_MARK);
        let mark = if mark { BYTE_ORDER_MARK.len() } else { 0 };
        match config.files.format {
            Format::JsonLines => Ok(Some(Self {
                bytes: mark,
                lines: 0,
                rows: Rows::JsonLines,
                unknown_columns: Vec::new(),
            })),
            Format::Csv if !config.csv.header => {
                let beginning = bytes.rest().get(..mark).unwrap_or_default();
                Self::of_columns(config, &config.csv.columns, beginning, path).map(Some)
            }
            Format::Csv => Self::row(config, bytes, mark, path),
        }
    }

    /// The header that `beginning` is, of a file with these columns.
    fn of_columns(
        config: &FileSourceConfig,
        names: &[String],
        beginning: &[u8],
        path: &Path,
    ) -> Result<Self> {
        let columns = Columns::new(names, &config.csv).map_err(|reason| broken(path, &reason))?;
        let rows = CsvRows::new(&config.csv, Arc::new(columns))?;
        let typed = config.csv.typed_columns();
        let unknown = typed.filter(|typed| !names.iter().any(|name| name == typed));
        Ok(Self {
            bytes: beginning.len(),
            lines: line_breaks(beginning),
            rows: Rows::Csv(Box::new(rows)),
            unknown_columns: unknown.map(str::to_owned).collect(),
        })
    }

    fn row(
        config: &FileSourceConfig,
        bytes: &mut OpenBytes,
        mark: usize,
        path: &Path,
    ) -> Result<Option<Self>> {
        let mut splitter = Splitter::new(&config.csv)?;
        loop {
            let rest = bytes.rest().get(mark..).unwrap_or_default();
            let breaks = blank(rest).unwrap_or(0);
            if let Some(length) = splitter.split(rest.get(breaks..).unwrap_or_default()) {
                let beginning = bytes
                    .rest()
                    .get(..mark + breaks + length)
                    .unwrap_or_default();
                let names =
                    names(&splitter).map_err(|cause| broken(path, "not UTF-8").source(cause))?;
                let given = &config.csv.columns;
                let names = if given.is_empty() { &names } else { given };
                return Self::of_columns(config, names, beginning, path).map(Some);
            }
            if rest.len() > config.files.line_max {
                return Err(broken(path, "longer than line.max.bytes"));
            }
            if bytes.end() != End::NotYet {
                return Ok(None);
            }
            bytes.fill(path)?;
        }
    }
}

fn names(splitter: &Splitter) -> Result<Vec<String>, std::str::Utf8Error> {
    let names = splitter.values();
    names
        .map(|name| name.map(|name| name.trim().to_owned()))
        .collect()
}

fn broken(path: &Path, reason: &str) -> Error {
    Error::data(format!("the header row cannot be read: {reason}"))
        .operation("file")
        .target(path.display().to_string())
}

/// How many line breaks there are in `bytes`.
pub(crate) fn line_breaks(bytes: &[u8]) -> u64 {
    let breaks = bytes.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(breaks).unwrap_or(u64::MAX)
}
