//! The beginning of a file: byte order mark and header row, and with them how its rows are read.

use std::path::Path;
use std::sync::Arc;

use connect_core::{Error, Result};

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
}

impl Header {
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
            })),
            Format::Csv if !config.csv.header => {
                let rows = csv_rows(config, &config.csv.columns, path)?;
                Ok(Some(Self {
                    bytes: mark,
                    lines: 0,
                    rows,
                }))
            }
            Format::Csv => Self::row(config, bytes, mark, path),
        }
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
                let end = mark + breaks + length;
                let lines = line_breaks(bytes.rest().get(..end).unwrap_or_default());
                let names = splitter
                    .values()
                    .map(|name| name.map(|name| name.trim().to_owned()));
                let names: Vec<String> = names
                    .collect::<Result<_, _>>()
                    .map_err(|cause| broken(path, "not UTF-8").source(cause))?;
                let given = &config.csv.columns;
                let names = if given.is_empty() { &names } else { given };
                let rows = csv_rows(config, names, path)?;
                return Ok(Some(Self {
                    bytes: end,
                    lines,
                    rows,
                }));
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

fn csv_rows(config: &FileSourceConfig, names: &[String], path: &Path) -> Result<Rows> {
    let columns = Columns::new(names, &config.csv).map_err(|reason| broken(path, &reason))?;
    let rows = CsvRows::new(&config.csv, Arc::new(columns))?;
    Ok(Rows::Csv(Box::new(rows)))
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
