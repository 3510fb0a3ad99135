//! Rows in a file's bytes: where one ends, and what it holds. Pure; the same bytes are always the same rows.
//!
//! Called by the reader of a file with all bytes it has from a row's beginning on.

use connect_core::Result;
use connect_core::data::{Datum, RawJson};

use crate::csv::CsvRows;

/// What the bytes begin with.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) content: Content,
    /// Bytes of it, line break included.
    pub(crate) bytes: usize,
}

/// What a frame holds.
#[derive(Debug)]
pub(crate) enum Content {
    /// A row.
    Row(Datum),
    /// Blank lines.
    Nothing,
    /// A row that cannot be read, with the reason.
    Broken(String),
}

/// How the rows of one file are read.
#[derive(Debug)]
pub(crate) enum Rows {
    Csv(Box<CsvRows>),
    JsonLines,
}

impl Rows {
    /// The first row of `bytes`; `None` if they end before it does.
    pub(crate) fn next(&mut self, bytes: &[u8]) -> Result<Option<Frame>> {
        match self {
            Self::Csv(rows) => rows.next(bytes),
            Self::JsonLines => Ok(json_line(bytes)),
        }
    }
}

fn json_line(bytes: &[u8]) -> Option<Frame> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = bytes.get(..end)?.trim_ascii();
    let content = if line.is_empty() {
        Content::Nothing
    } else {
        // The row has its own copy: it must not keep the buffer.
        match RawJson::validate(bytes::Bytes::copy_from_slice(line)) {
            Ok(json) => Content::Row(Datum::json(json)),
            Err(error) => Content::Broken(reason(&error)),
        }
    };
    Some(Frame {
        content,
        bytes: end + 1,
    })
}

/// An error with its cause, on one line.
fn reason(error: &connect_core::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{}: {cause}", error.message()),
        None => error.message().to_owned(),
    }
}
