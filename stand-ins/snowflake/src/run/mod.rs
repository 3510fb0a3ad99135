//! Running statements.
//!
//! A statement runs as a whole under the server's lock: it changes its transaction only if it succeeds.

mod copy;
mod ddl;
mod evaluate;
mod files;
mod merge;
mod query;
mod statement;

pub(crate) use statement::{Flow, run};

use crate::types::SqlType;
use crate::value::Value;

/// What a statement answers with.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<(String, SqlType)>,
    pub(crate) rows: Vec<Vec<Value>>,
    pub(crate) kind: StatementKind,
    /// Where to upload to, for PUT: the reply's `data` as it stands.
    pub(crate) upload: Option<serde_json::Value>,
}

/// Snowflake's numbers for kinds of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StatementKind {
    Select,
    Insert,
    Delete,
    Merge,
    Copy,
    Control,
    Ddl,
    Put,
}

impl StatementKind {
    /// The number on the wire.
    pub(crate) fn id(self) -> i64 {
        match self {
            Self::Select => 0x1000,
            Self::Insert => 0x3100,
            Self::Delete => 0x3300,
            Self::Merge => 0x3400,
            Self::Copy => 0x3600,
            Self::Control => 0x5400,
            Self::Ddl => 0x6000,
            Self::Put => 0x7101,
        }
    }
}

impl Answer {
    pub(crate) fn new(
        kind: StatementKind,
        columns: &[(&str, SqlType)],
        rows: Vec<Vec<Value>>,
    ) -> Self {
        let columns = columns
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), *kind))
            .collect();
        Self {
            columns,
            rows,
            kind,
            upload: None,
        }
    }

    /// Its rows as JSON spells them.
    pub(crate) fn wire_rows(&self) -> Vec<Vec<serde_json::Value>> {
        let row = |row: &Vec<Value>| row.iter().map(Value::wire).collect();
        self.rows.iter().map(row).collect()
    }

    /// `status`: a sentence.
    pub(crate) fn status(kind: StatementKind, text: &str) -> Self {
        Self::new(kind, &[("status", TEXT)], vec![vec![Value::text(text)]])
    }

    /// Counts of rows, each with its name.
    pub(crate) fn counts(kind: StatementKind, counts: &[(&str, usize)]) -> Self {
        let columns: Vec<_> = counts.iter().map(|(name, _)| (*name, INTEGER)).collect();
        let row = counts
            .iter()
            .map(|(_, count)| Value::integer(i64::try_from(*count).unwrap_or(i64::MAX)))
            .collect();
        Self::new(kind, &columns, vec![row])
    }
}

pub(crate) const TEXT: SqlType = SqlType::Text(16_777_216);
pub(crate) const INTEGER: SqlType = SqlType::Number {
    precision: 38,
    scale: 0,
};
