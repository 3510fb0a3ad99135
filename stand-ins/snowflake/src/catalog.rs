//! What is stored: tables with their rows and load history, stages with their files.
//!
//! A table lives until it is dropped; one made anew under the same name is another one, with another history.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::error::{Refusal, Result};
use crate::types::SqlType;
use crate::value::Value;

/// A row's number in its table: never used twice.
pub(crate) type RowId = u64;

/// A row's values, in the order of the columns; a row older than a column is shorter.
pub(crate) type Row = Arc<[Value]>;

#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    pub(crate) kind: SqlType,
    pub(crate) required: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct Table {
    /// Tells this table from another of the same name.
    pub(crate) identity: u64,
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: BTreeMap<RowId, Row>,
    /// Files that were loaded: path in the stage, with the digest of what was loaded.
    pub(crate) loaded: BTreeSet<(String, String)>,
}

impl Table {
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The same of a column that must be there.
    pub(crate) fn known_position(&self, name: &str) -> Result<usize> {
        self.position(name).ok_or_else(|| Refusal::identifier(name))
    }

    /// The columns that values go to, in order: all if none are named.
    pub(crate) fn targets(&self, columns: &[String]) -> Result<Vec<usize>> {
        if columns.is_empty() {
            return Ok((0..self.columns.len()).collect());
        }
        let names = columns.iter();
        names.map(|name| self.known_position(name)).collect()
    }
}

/// A file in a stage.
#[derive(Debug, Clone)]
pub(crate) struct StagedFile {
    pub(crate) content: Bytes,
    /// Hexadecimal, of the content.
    pub(crate) digest: String,
    pub(crate) modified: jiff::Timestamp,
}

#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) files: BTreeMap<String, StagedFile>,
}

/// One schema of one database: all that this server has.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) tables: BTreeMap<String, Table>,
    pub(crate) stages: BTreeMap<String, Stage>,
    next: u64,
}

impl Catalog {
    /// A number that was never given out.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
