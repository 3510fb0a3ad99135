//! The rows of one object, and when its header is written.
//!
//! With `csv.new.fields=widen` rows wait for their header until there are `csv.header.wait.bytes` of them or the object
//! ends: a field that comes meanwhile becomes a column, and rows before it get empty cells at their ends. With the other
//! rules the first record makes the columns. What waits is decided by the records alone, so the same records make the
//! same bytes, however they come in batches.

use std::sync::Arc;

use connect_core::Result;
use connect_core::data::SinkRecord;

use super::cell::write_text;
use super::options::{CsvOptions, NewFields};
use super::row::{Columns, Row, RowFiller, Unknown, VALUE};

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Added {
    /// It is a row of the object.
    Yes,
    /// It has fields that the object's header does not have: it belongs into another object.
    HeaderTooNarrow,
}

/// The rows of one object.
#[derive(Debug)]
pub(crate) struct Sheet {
    options: Arc<CsvOptions>,
    columns: Columns,
    /// Scratch.
    row: Row,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Rows that wait for the header.
    Waiting(Held),
    /// The header is written.
    Written,
}

/// Rows without line ends.
#[derive(Debug, Default)]
struct Held {
    bytes: Vec<u8>,
    /// Where each row ends, and how many cells it has.
    rows: Vec<(usize, usize)>,
}

impl Sheet {
    pub(crate) fn new(options: Arc<CsvOptions>) -> Self {
        let mut columns = Columns::default();
        for name in &options.columns {
            columns.add(name);
        }
        if columns.len() > 0 && options.new_fields == NewFields::Rest {
            columns.add(&options.rest_column);
        }
        Self::of(options, columns)
    }

    /// The sheet that takes what this one cannot: it has the same columns, and may get more.
    pub(crate) fn wider(&self) -> Self {
        Self::of(self.options.clone(), self.columns.clone())
    }

    fn of(options: Arc<CsvOptions>, columns: Columns) -> Self {
        Self {
            options,
            columns,
            row: Row::default(),
            state: State::Waiting(Held::default()),
        }
    }

    /// Bytes that wait.
    pub(crate) fn held(&self) -> usize {
        match &self.state {
            State::Waiting(held) => {
                held.bytes.len() + held.rows.len() * size_of::<(usize, usize)>()
            }
            State::Written => 0,
        }
    }

    /// Adds a row; appends what is ready to `out`. After an error the sheet is as before.
    pub(crate) fn add(&mut self, record: &SinkRecord, out: &mut Vec<u8>) -> Result<Added> {
        let before = self.columns.len();
        let unknown = self.rule();
        let mut filler = RowFiller::new(&self.options, &mut self.columns, unknown, &mut self.row);
        if let Err(error) = filler.fill(&record.value) {
            self.columns.truncate(before);
            return Err(error);
        }
        if self.row.is_too_narrow() {
            return Ok(Added::HeaderTooNarrow);
        }
        match &mut self.state {
            State::Waiting(held) => {
                self.row.write(&mut held.bytes);
                held.rows.push((held.bytes.len(), self.columns.len()));
                if self.is_time_for_header() {
                    self.write_header(out);
                }
            }
            State::Written => {
                let start = out.len();
                self.row.write(out);
                end_row(out, start, self.columns.len(), self.columns.len());
                out.extend_from_slice(self.options.line_end());
            }
        }
        Ok(Added::Yes)
    }

    /// No row comes any more: appends what waits.
    pub(crate) fn finish(&mut self, out: &mut Vec<u8>) {
        if matches!(self.state, State::Waiting(_)) {
            self.write_header(out);
        }
    }

    fn rule(&self) -> Unknown {
        let State::Waiting(held) = &self.state else {
            return Unknown::of(self.options.new_fields);
        };
        let makes_columns = held.rows.is_empty() && self.options.columns.is_empty();
        if makes_columns || self.options.new_fields == NewFields::Widen {
            return Unknown::Add;
        }
        Unknown::of(self.options.new_fields)
    }

    fn is_time_for_header(&self) -> bool {
        self.options.new_fields != NewFields::Widen || self.held() >= self.options.header_wait
    }

    fn write_header(&mut self, out: &mut Vec<u8>) {
        let State::Waiting(held) = std::mem::replace(&mut self.state, State::Written) else {
            return;
        };
        if self.options.new_fields == NewFields::Rest {
            self.columns.add(&self.options.rest_column);
        }
        if self.columns.len() == 0 {
            self.columns.add(VALUE);
        }
        let count = self.columns.len();
        out.reserve(held.bytes.len() + held.rows.len() * (count + 2) + 64);
        for (index, name) in self.columns.names().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            write_text(name, self.options.formula_guard, out);
        }
        out.extend_from_slice(self.options.line_end());
        let mut start = 0;
        for (end, cells) in held.rows {
            let row_start = out.len();
            out.extend_from_slice(held.bytes.get(start..end).unwrap_or_default());
            end_row(out, row_start, cells, count);
            out.extend_from_slice(self.options.line_end());
            start = end;
        }
    }
}

/// Empty cells up to `count`; the row must not be an empty line, which readers pass by.
fn end_row(out: &mut Vec<u8>, start: usize, cells: usize, count: usize) {
    let missing = count - cells.max(1).min(count);
    out.extend(std::iter::repeat_n(b',', missing));
    if out.len() == start {
        out.extend_from_slice(b"\"\"");
    }
}
