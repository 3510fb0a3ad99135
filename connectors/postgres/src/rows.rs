//! Records sorted by table, and the columns their tables need.

use std::sync::Arc;

use connect_core::data::{SinkRecord, TopicPartition, Value};
use connect_core::{Error, Result};

use crate::cell::RowRecord;
use crate::column::NewType;
use crate::config::{KeyMode, PostgresSinkConfig};
use crate::identifier::TableName;
use crate::json_text::text_of;
use crate::layout::{Layout, LayoutField, Mapper};
use crate::raw_fields::Place;
use crate::table::{NewColumn, Table};
use crate::temporal::{Moment, Zone};

/// A record that becomes a row, or deletes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    /// Its place in the batch.
    pub(crate) record: usize,
    /// Its layout's place in [`TableRows::layouts`].
    pub(crate) layout: usize,
    /// Its number among the records of one offset: above 0 only where a transform has split one.
    pub(crate) piece: i32,
    /// Where its fields begin and end in [`TableRows::places`]; `None` if it is read as a tree.
    raw: Option<(usize, usize)>,
}

/// The rows of a batch that go to one table, in order.
#[derive(Debug)]
pub(crate) struct TableRows {
    pub(crate) name: TableName,
    pub(crate) layouts: Vec<Arc<Layout>>,
    pub(crate) rows: Vec<Row>,
    /// Where the fields of rows stand in their JSON, all rows together.
    places: Vec<Place>,
}

/// The error with the record it is about.
pub(crate) fn at(record: &SinkRecord, error: Error) -> Error {
    error.record(&record.origin, record.offset)
}

/// Sorts records by table. Those that `skip` names are left out.
///
/// # Errors
/// An error that names the first record that cannot become a row.
pub(crate) fn sort(
    records: &[SinkRecord],
    skip: impl Fn(&SinkRecord) -> bool,
    mapper: &mut Mapper,
    config: &PostgresSinkConfig,
) -> Result<Vec<TableRows>> {
    let mut tables: Vec<(Arc<str>, TableRows)> = Vec::new();
    let mut pieces = Pieces::default();
    for (index, record) in records.iter().enumerate() {
        let piece = pieces.number(record);
        if skip(record) {
            continue;
        }
        if piece > 0 && config.data.key_mode == KeyMode::Kafka && config.data.key_fields.len() < 4 {
            return Err(at(record, pieces_need_a_column()));
        }
        let layout = mapper.layout(record).map_err(|error| at(record, error))?;
        let table = match tables.iter().position(|(topic, _)| *topic == record.topic) {
            Some(table) => table,
            None => {
                let name = config
                    .table(&record.topic)
                    .map_err(|error| at(record, error))?;
                let rows = TableRows {
                    name,
                    layouts: Vec::new(),
                    rows: Vec::new(),
                    places: Vec::new(),
                };
                tables.push((record.topic.clone(), rows));
                tables.len() - 1
            }
        };
        if let Some((_, rows)) = tables.get_mut(table) {
            let layout = rows.layout(layout);
            let raw = mapper.raw().map(|places| rows.add_places(places));
            rows.rows.push(Row {
                record: index,
                layout,
                piece,
                raw,
            });
        }
    }
    Ok(merged(tables))
}

/// Without it pieces would be taken for replays, and lost.
fn pieces_need_a_column() -> Error {
    Error::config(
        "several records have this offset, so topic, partition and offset are no key: name a fourth column in pk.fields",
    )
}

/// Several topics may share a table: their rows are then one sequence, in the order of the batch.
fn merged(tables: Vec<(Arc<str>, TableRows)>) -> Vec<TableRows> {
    let mut merged: Vec<TableRows> = Vec::with_capacity(tables.len());
    for (_, rows) in tables {
        match merged.iter_mut().find(|other| other.name == rows.name) {
            None => merged.push(rows),
            Some(other) => {
                let before = other.places.len();
                other.places.extend(rows.places);
                for row in rows.rows {
                    if let Some(layout) = rows.layouts.get(row.layout) {
                        let layout = other.layout(layout.clone());
                        let raw = row.raw.map(|(start, end)| (start + before, end + before));
                        other.rows.push(Row { layout, raw, ..row });
                    }
                }
                other.rows.sort_by_key(|row| row.record);
            }
        }
    }
    merged
}

/// Counts the records of one offset.
#[derive(Debug, Default)]
struct Pieces<'a> {
    last: Option<(&'a TopicPartition, i64)>,
    count: i32,
}

impl<'a> Pieces<'a> {
    fn number(&mut self, record: &'a SinkRecord) -> i32 {
        let position = Some((&record.origin, record.offset.value()));
        self.count = if self.last == position {
            self.count + 1
        } else {
            0
        };
        self.last = position;
        self.count
    }
}

impl TableRows {
    /// A row's record, as its layout reads it.
    pub(crate) fn record<'a>(
        &'a self,
        row: &Row,
        records: &'a [SinkRecord],
    ) -> Option<RowRecord<'a>> {
        Some(RowRecord {
            record: records.get(row.record)?,
            piece: row.piece,
            raw: match row.raw {
                Some((start, end)) => Some(self.places.get(start..end)?),
                None => None,
            },
        })
    }

    fn add_places(&mut self, places: impl Iterator<Item = Place>) -> (usize, usize) {
        let start = self.places.len();
        self.places.extend(places);
        (start, self.places.len())
    }

    fn layout(&mut self, layout: Arc<Layout>) -> usize {
        let known = self
            .layouts
            .iter()
            .position(|known| Arc::ptr_eq(known, &layout));
        known.unwrap_or_else(|| {
            self.layouts.push(layout);
            self.layouts.len() - 1
        })
    }

    /// True if nothing is written, only deleted.
    pub(crate) fn only_deletes(&self) -> bool {
        self.layouts.iter().all(|layout| layout.deletes())
    }

    /// The columns that the rows have and `table` does not. A field that is null in every row and has no schema says
    /// nothing about its column: it is left out.
    pub(crate) fn missing_columns(
        &self,
        records: &[SinkRecord],
        table: Option<&Table>,
        zone: &Zone,
    ) -> Vec<NewColumn> {
        let mut missing: Vec<NewColumn> = Vec::new();
        for (number, layout) in self.layouts.iter().enumerate() {
            for field in &layout.fields {
                if table.is_some_and(|table| table.column(&field.name).is_some()) {
                    continue;
                }
                let Some(kind) = self.kind_of(number, layout, field, records) else {
                    continue;
                };
                match missing.iter_mut().find(|column| column.name == field.name) {
                    Some(column) => column.kind = column.kind.with(kind),
                    None => missing.push(new_column(field, kind, zone)),
                }
            }
        }
        for column in &mut missing {
            column.required &= self.always_required(column);
        }
        // The columns of the key stand in front.
        missing.sort_by_key(|column| !column.is_key);
        missing
    }

    fn kind_of(
        &self,
        number: usize,
        layout: &Layout,
        field: &LayoutField,
        records: &[SinkRecord],
    ) -> Option<NewType> {
        if field.traits.moments.is_some() {
            return Some(NewType::Scalar("TIMESTAMP"));
        }
        if let Some(schema) = &field.schema {
            return Some(NewType::of_schema(schema));
        }
        self.rows
            .iter()
            .filter(|row| row.layout == number)
            .filter_map(|row| {
                let cell = layout.cell(field, self.record(row, records)?);
                NewType::of_value(&cell.value())
            })
            .reduce(NewType::with)
    }

    /// True if every layout that writes rows has the column and requires it.
    fn always_required(&self, column: &NewColumn) -> bool {
        let writing = self.layouts.iter().filter(|layout| !layout.deletes());
        writing.into_iter().all(|layout| {
            layout
                .fields
                .iter()
                .any(|field| field.name == column.name && is_required(field))
        })
    }
}

fn is_required(field: &LayoutField) -> bool {
    field.schema.as_ref().is_some_and(|schema| !schema.optional)
}

fn new_column(field: &LayoutField, kind: NewType, zone: &Zone) -> NewColumn {
    let default = field
        .schema
        .as_ref()
        .and_then(|schema| schema.default.as_ref());
    NewColumn {
        name: field.name.clone(),
        kind,
        required: is_required(field),
        default: default.and_then(|default| literal(default, kind, zone)),
        is_key: field.is_key,
    }
}

/// A value as SQL. `None` for null and for arrays, whose defaults are left to the records.
fn literal(value: &Value, kind: NewType, zone: &Zone) -> Option<String> {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
    Some(match value {
        Value::Null => return None,
        Value::Boolean(true) => "TRUE".to_owned(),
        Value::Boolean(false) => "FALSE".to_owned(),
        Value::Float32(number) if !number.is_finite() => quoted(&number.to_string()),
        Value::Float64(number) if !number.is_finite() => quoted(&number.to_string()),
        Value::Bytes(bytes) => {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            quoted(&format!("\\x{hex}"))
        }
        Value::Timestamp(millis) => quoted(&zone.clock_text(Moment(millis.checked_mul(1000)?))?),
        Value::Array(_) | Value::Map(_) | Value::Struct(_) => match kind {
            NewType::Scalar("JSONB") => quoted(&text_of(value)),
            _ => return None,
        },
        Value::String(_) | Value::Date(_) | Value::Time(_) => quoted(&text_of(value)),
        number => text_of(number),
    })
}
