//! Rows of one table, encoded for COPY and grouped by what happens to them.
//!
//! Holds always: groups are written in order, and within a group the last of several rows with one key wins, so a row
//! may join an earlier group only if its key appears in no later one.

use std::collections::HashMap;

use bytes::{Buf, Bytes};
use connect_core::data::SinkRecord;
use connect_core::{Error, Result};

use crate::cell::RowRecord;
use crate::column::ColumnType;
use crate::config::{InsertMode, KeyMode, PostgresSinkConfig};
use crate::encode;
use crate::layout::Layout;
use crate::rows::{TableRows, at};
use crate::statement::Merge;
use crate::table::{Column, Table};
use crate::temporal::Zone;

/// What the binary form of COPY begins with: signature, flags, no extension.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const TRAILER: &[u8; 2] = b"\xff\xff";

/// How a group of rows gets into the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Way {
    /// COPY into the table itself.
    Append,
    /// COPY into a staging table, then one statement.
    Stage(Merge),
}

/// Rows with the same columns that go the same way.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) way: Way,
    /// The columns, by their place in the table, in ascending order.
    pub(crate) columns: Vec<usize>,
    /// Those of the key.
    pub(crate) keys: Vec<usize>,
    /// The rows in COPY's binary form, complete.
    pub(crate) data: Bytes,
    /// How many they are.
    pub(crate) rows: u64,
}

impl Group {
    /// The fields of each row, as COPY is given them; of staged rows without the number that comes last.
    pub(crate) fn fields(&self) -> Result<Vec<Vec<Option<Bytes>>>> {
        let broken = || Error::internal("rows that were encoded here cannot be read");
        let mut data = self.data.slice(HEADER.len().min(self.data.len())..);
        let mut rows = Vec::new();
        while let Ok(count @ 0..) = data.try_get_i16() {
            let mut fields = Vec::new();
            for _ in 0..count {
                let length = data.try_get_i32().map_err(|_| broken())?;
                let field = usize::try_from(length).ok();
                if field.is_some_and(|length| length > data.len()) {
                    return Err(broken());
                }
                fields.push(field.map(|length| data.split_to(length)));
            }
            fields.truncate(self.columns.len());
            rows.push(fields);
        }
        Ok(rows)
    }
}

/// A group that is still being filled.
#[derive(Debug)]
struct Filling {
    way: Way,
    columns: Vec<usize>,
    keys: Vec<usize>,
    data: Vec<u8>,
    rows: i32,
}

/// A layout's fields at their columns.
#[derive(Debug)]
struct Binding {
    /// Place in the table, place in the layout; by the first, ascending.
    columns: Vec<(usize, usize)>,
    way: Way,
}

/// What encoding needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Encoding<'a> {
    pub(crate) config: &'a PostgresSinkConfig,
    pub(crate) zone: &'a Zone,
    /// Rows that are there already are left out: the second try of `pk.mode=kafka` after a conflict.
    pub(crate) skip_existing: bool,
}

/// Encodes the rows of a table.
///
/// # Errors
/// A data error that names table, column and record of the first value that does not fit.
pub(crate) fn encode(
    rows: &TableRows,
    records: &[SinkRecord],
    table: &Table,
    encoding: Encoding<'_>,
) -> Result<Vec<Group>> {
    let bindings: Vec<_> = rows
        .layouts
        .iter()
        .map(|layout| encoding.bind(layout, table))
        .collect();
    let mut grouping = Grouping {
        groups: Vec::new(),
        touched: encoding.order_matters(&bindings).then(HashMap::new),
    };
    for row in &rows.rows {
        let (Some(record), Some(layout), Some(binding)) = (
            rows.record(row, records),
            rows.layouts.get(row.layout),
            bindings.get(row.layout),
        ) else {
            return Err(Error::internal("a row without its record"));
        };
        if binding.columns.is_empty() {
            let text = format!(
                "no field of it is a column of table {}",
                table.name.quoted()
            );
            return Err(at(record.record, Error::data(text)));
        }
        let source = RowSource {
            record,
            layout,
            binding,
            table,
            encoding,
        };
        grouping.add(&source)?;
    }
    Ok(grouping.groups.into_iter().map(Filling::finish).collect())
}

impl Encoding<'_> {
    fn bind(&self, layout: &Layout, table: &Table) -> Binding {
        let mut columns: Vec<_> = layout
            .fields
            .iter()
            .enumerate()
            .filter_map(|(place, field)| Some((table.column(&field.name)?, place)))
            .collect();
        if layout.deletes() {
            columns
                .retain(|(_, place)| layout.fields.get(*place).is_some_and(|field| field.is_key));
        }
        columns.sort_unstable();
        let is_cast = |place: &usize| table.columns.get(*place).is_some_and(Column::is_cast);
        let has_casts = columns.iter().any(|(place, _)| is_cast(place));
        let mode = self.config.writes.insert_mode;
        let appends = mode == InsertMode::Insert && table.takes_copy && !has_casts;
        let way = match mode {
            _ if layout.deletes() => Way::Stage(Merge::Delete),
            InsertMode::Insert if self.skip_existing => Way::Stage(Merge::InsertNew),
            _ if appends => Way::Append,
            mode => Way::Stage(mode.into()),
        };
        Binding { columns, way }
    }

    /// True if rows may touch the same key in different ways.
    fn order_matters(&self, bindings: &[Binding]) -> bool {
        let deletes = |binding: &Binding| binding.way == Way::Stage(Merge::Delete);
        let keyed =
            self.config.writes.insert_mode != InsertMode::Insert || bindings.iter().any(deletes);
        keyed && self.config.data.key_mode != KeyMode::None && bindings.len() > 1
    }
}

/// A row with all that its encoding needs.
struct RowSource<'a> {
    record: RowRecord<'a>,
    layout: &'a Layout,
    binding: &'a Binding,
    table: &'a Table,
    encoding: Encoding<'a>,
}

impl RowSource<'_> {
    /// Appends the field of the layout at `place` for the column at `column`.
    fn write(&self, column: usize, place: usize, out: &mut Vec<u8>) -> Result<()> {
        let (Some(column), Some(field)) = (
            self.table.columns.get(column),
            self.layout.fields.get(place),
        ) else {
            return Err(Error::internal("a field without its column"));
        };
        let cell = self.layout.cell(field, self.record);
        let refused = if field.is_key && cell.is_null() {
            Err("null cannot be part of a key".to_owned())
        } else {
            encode::cell(&cell, &column.kind, field.traits, self.encoding.zone, out)
        };
        refused.map_err(|reason| {
            let (table, column) = (self.table.name.quoted(), column.name.quoted());
            let text = format!("table {table}, column {column}: {reason}");
            at(self.record.record, Error::data(text))
        })
    }

    /// The bytes that tell the row's key from others. Where Postgres may find different bytes equal, they are left out:
    /// all such keys then count as one.
    fn key(&self) -> Result<Vec<u8>> {
        let mut key = Vec::new();
        for (column, place) in &self.binding.columns {
            let is_key = self
                .layout
                .fields
                .get(*place)
                .is_some_and(|field| field.is_key);
            if is_key
                && self
                    .table
                    .columns
                    .get(*column)
                    .is_some_and(is_told_by_bytes)
            {
                self.write(*column, *place, &mut key)?;
            }
        }
        Ok(key)
    }

    fn keys(&self) -> Vec<usize> {
        let is_key = |place: &usize| {
            self.layout
                .fields
                .get(*place)
                .is_some_and(|field| field.is_key)
        };
        let columns = self.binding.columns.iter();
        columns
            .filter(|(_, place)| is_key(place))
            .map(|(column, _)| *column)
            .collect()
    }
}

/// True if values of the type are equal only if their bytes are.
fn is_told_by_bytes(column: &Column) -> bool {
    let is_padded = column.declared.starts_with("character(") || column.declared == "bpchar";
    !is_padded
        && !matches!(
            column.kind,
            ColumnType::Numeric
                | ColumnType::Real
                | ColumnType::Double
                | ColumnType::Json
                | ColumnType::Jsonb
                | ColumnType::Array(..)
                | ColumnType::Cast
        )
}

struct Grouping {
    groups: Vec<Filling>,
    /// The last group that touched a key, where order matters.
    touched: Option<HashMap<Vec<u8>, usize>>,
}

impl Grouping {
    fn add(&mut self, source: &RowSource<'_>) -> Result<()> {
        let key = match &self.touched {
            Some(_) => source.key()?,
            None => Vec::new(),
        };
        let index = self.group_for(source, &key);
        if let Some(touched) = &mut self.touched {
            touched.insert(key, index);
        }
        match self.groups.get_mut(index) {
            Some(group) => group.add(source),
            None => Err(Error::internal("a row without its group")),
        }
    }

    fn group_for(&mut self, source: &RowSource<'_>, key: &[u8]) -> usize {
        let binding = source.binding;
        let columns = || binding.columns.iter().map(|(column, _)| *column);
        let last = self.groups.iter().rposition(|group| {
            group.way == binding.way && group.columns.iter().copied().eq(columns())
        });
        let touched = self.touched.as_ref().and_then(|touched| touched.get(key));
        match (last, touched) {
            (Some(last), Some(touched)) if *touched > last => {}
            (Some(last), _) => return last,
            (None, _) => {}
        }
        self.groups.push(Filling {
            way: binding.way,
            columns: columns().collect(),
            keys: source.keys(),
            data: HEADER.to_vec(),
            rows: 0,
        });
        self.groups.len() - 1
    }
}

impl Filling {
    fn finish(mut self) -> Group {
        self.data.extend_from_slice(TRAILER);
        Group {
            way: self.way,
            columns: self.columns,
            keys: self.keys,
            data: self.data.into(),
            rows: u64::try_from(self.rows).unwrap_or(0),
        }
    }

    fn add(&mut self, source: &RowSource<'_>) -> Result<()> {
        let columns = &source.binding.columns;
        let staged = self.way != Way::Append;
        let count = i16::try_from(columns.len() + usize::from(staged))
            .map_err(|_| at(source.record.record, Error::data("too many columns")))?;
        self.data.extend_from_slice(&count.to_be_bytes());
        for (column, place) in columns {
            source.write(*column, *place, &mut self.data)?;
        }
        if staged {
            self.data.extend_from_slice(&4_i32.to_be_bytes());
            self.data.extend_from_slice(&self.rows.to_be_bytes());
        }
        self.rows += 1;
        Ok(())
    }
}
