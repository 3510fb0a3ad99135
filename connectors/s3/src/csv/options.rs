//! The options of CSV objects: all of them ours.

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::option_names;

/// How structs and maps inside a record are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nested {
    /// As JSON in one cell.
    Json,
    /// As columns `outer.inner`.
    Columns,
}

option_names!(Nested { "json" => Json, "columns" => Columns });

/// What happens to fields that the header does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewFields {
    /// The header gets them; where it is written already, the next object's does.
    Widen,
    /// One column holds them as JSON.
    Rest,
    /// They are left out.
    Ignore,
    /// The record is refused.
    Fail,
}

option_names!(NewFields { "widen" => Widen, "rest" => Rest, "ignore" => Ignore, "fail" => Fail });

/// What ends a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LineEnd {
    /// Carriage return and line feed, as RFC 4180 has it.
    CrLf,
    /// Line feed.
    Lf,
}

option_names!(LineEnd { "crlf" => CrLf, "lf" => Lf });

/// Options of CSV objects.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "CSV")]
pub(crate) struct CsvOptions {
    /// The first columns, in this order, in every object. If empty, columns are the fields of the schema, or those of the object's first record in its order.
    #[option(name = "csv.columns", default = "", importance = Medium)]
    pub(crate) columns: Vec<String>,
    /// What happens to a field that is not among the columns. `widen`: it becomes a column; if the header is written already (`csv.header.wait.bytes`), the object ends and another begins with the wider header. `rest`: all such fields become JSON in the column `csv.rest.column`. `ignore`: it is left out. `fail`: the record is refused.
    #[option(name = "csv.new.fields", default = "widen", importance = Medium)]
    pub(crate) new_fields: NewFields,
    /// The column for `csv.new.fields=rest`; the last one unless `csv.columns` has it elsewhere.
    #[option(name = "csv.rest.column", default = "_rest", importance = Low, validator = Validator::NonEmpty)]
    pub(crate) rest_column: String,
    /// How a struct or map in a field is written: `json` in one cell, or as `columns` named `outer.inner`. Lists are always JSON.
    #[option(name = "csv.nested", default = "json", importance = Medium)]
    pub(crate) nested: Nested,
    /// Bytes of rows that an object keeps before it writes its header, for fields that come later. 0: the header is the first record's.
    #[option(name = "csv.header.wait.bytes", default = "1048576", importance = Low, kind = Int, validator = Validator::Between(0, 16_777_216))]
    pub(crate) header_wait: usize,
    /// What ends a row: `crlf`, as RFC 4180 has it, or `lf`.
    #[option(name = "csv.line.end", default = "crlf", importance = Low)]
    pub(crate) line_end: LineEnd,
    /// Whether text that a spreadsheet would run as a formula (it begins with `=`, `+`, `-`, `@`, a tab or a line break) gets a `'` in front. Changes data: for files that people open, not programs.
    #[option(name = "csv.formula.guard", default = "false", importance = Low)]
    pub(crate) formula_guard: bool,
}

impl CsvOptions {
    /// Rules that need several options at once.
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        for (index, column) in self.columns.iter().enumerate() {
            let again = self.columns.iter().take(index).any(|other| other == column);
            if again || column.is_empty() {
                let reason = "every column needs a name of its own";
                errors.push(OptionError::invalid(
                    "csv.columns",
                    &self.columns.join(","),
                    reason,
                ));
            }
        }
        errors
    }

    pub(crate) fn line_end(&self) -> &'static [u8] {
        match self.line_end {
            LineEnd::CrLf => b"\r\n",
            LineEnd::Lf => b"\n",
        }
    }
}
