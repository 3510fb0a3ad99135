//! From records to columns: which value of a record goes to which column, worked out once per shape of record.
//!
//! Holds always: the columns of the key come first, and no column is named twice.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use connect_core::data::{Schema, SinkRecord, Type, Value};
use connect_core::{Error, Result};

use crate::cell::{Cell, RowRecord, raw_json};
use crate::config::{KeyMode, PostgresSinkConfig};
use crate::encode::{FieldTraits, kind};
use crate::identifier::Identifier;
use crate::raw_fields::{self, Place, RawField};
use crate::side::{NamedField, Side};

/// Layouts remembered; topics whose records differ in more ways work them out again.
const MAX_LAYOUTS: usize = 128;
/// Columns of `pk.mode=kafka` without `pk.fields`.
const KAFKA_COLUMNS: [&str; 3] = ["__connect_topic", "__connect_partition", "__connect_offset"];

/// Where a column's value stands in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Topic,
    Partition,
    Offset,
    /// The number of a record among those of one offset.
    Piece,
    /// The whole key.
    Key,
    KeyField(usize),
    ValueField(usize),
}

/// A value that goes to a column.
#[derive(Debug)]
pub(crate) struct LayoutField {
    source: Source,
    /// The column's name.
    pub(crate) name: Identifier,
    /// True if it is part of the primary key.
    pub(crate) is_key: bool,
    /// The field's schema, if it has one.
    pub(crate) schema: Option<Arc<Schema>>,
    /// How its values are read.
    pub(crate) traits: FieldTraits,
}

/// What columns the records of one shape have.
#[derive(Debug)]
pub(crate) struct Layout {
    key: Side,
    value: Side,
    /// The columns, those of the key first.
    pub(crate) fields: Vec<LayoutField>,
    replace_null: bool,
}

impl Layout {
    /// True if the records delete rows.
    pub(crate) fn deletes(&self) -> bool {
        self.value == Side::Null
    }

    /// The value of a field in a record of this layout.
    pub(crate) fn cell<'a>(&'a self, field: &'a LayoutField, row: RowRecord<'a>) -> Cell<'a> {
        let record = row.record;
        let value = match (field.source, row.raw) {
            (Source::Topic, _) => return Cell::of(Value::String(record.origin.topic.clone())),
            (Source::Partition, _) => return Cell::of(Value::Int32(record.origin.partition)),
            (Source::Offset, _) => return Cell::of(Value::Int64(record.offset.value())),
            (Source::Piece, _) => return Cell::of(Value::Int32(row.piece)),
            (Source::Key, _) => record.key.value(),
            (Source::KeyField(index), _) => nth(record.key.value(), index),
            (Source::ValueField(index), None) => nth(record.value.value(), index),
            (Source::ValueField(index), Some(raw)) => return Cell::raw(record, raw.get(index)),
        };
        let default = field
            .schema
            .as_ref()
            .and_then(|schema| schema.default.as_ref());
        Cell::Value(match (value, default) {
            (Value::Null, Some(default)) if self.replace_null => Cow::Borrowed(default),
            _ => Cow::Borrowed(value),
        })
    }

    fn fits(&self, record: &SinkRecord, raw: Option<&[RawField]>) -> bool {
        let value_fits = match (raw, &self.value) {
            (Some(fields), Side::Map(names)) => {
                let json = raw_json(record);
                let is_name = |name: &Arc<str>, field: &RawField| {
                    raw_fields::slice(json, &field.name) == name.as_bytes()
                };
                names.len() == fields.len()
                    && names
                        .iter()
                        .zip(fields)
                        .all(|(name, field)| is_name(name, field))
            }
            (Some(_), _) => false,
            (None, value) => value.fits(&record.value),
        };
        value_fits && self.key.fits(&record.key)
    }
}

fn nth(value: &Value, index: usize) -> &Value {
    let found = match value {
        Value::Struct(fields) => fields.values.get(index),
        Value::Map(entries) => entries.get(index).map(|(_, value)| value),
        _ => None,
    };
    found.unwrap_or(&Value::Null)
}

/// Finds the layout of every record.
#[derive(Debug)]
pub(crate) struct Mapper {
    config: Arc<PostgresSinkConfig>,
    connector: Arc<str>,
    layouts: Vec<Arc<Layout>>,
    /// The fields of the last record, if it is read as JSON.
    fields: Vec<RawField>,
    is_raw: bool,
}

impl Mapper {
    pub(crate) fn new(config: Arc<PostgresSinkConfig>, connector: Arc<str>) -> Self {
        Self {
            config,
            connector,
            layouts: Vec::new(),
            fields: Vec::new(),
            is_raw: false,
        }
    }

    /// The layout of a record; afterwards [`Mapper::raw`] tells where its fields stand.
    ///
    /// # Errors
    /// A data error, without the record's position, if the record cannot become a row.
    pub(crate) fn layout(&mut self, record: &SinkRecord) -> Result<Arc<Layout>> {
        let mut fields = std::mem::take(&mut self.fields);
        self.is_raw = raw_fields::find(raw_json(record), &mut fields).is_some();
        let raw = self.is_raw.then_some(fields.as_slice());
        let found = self
            .layouts
            .iter()
            .position(|layout| layout.fits(record, raw));
        let layout = match found {
            Some(found) => {
                // The last one stands in front: most records are like the one before.
                self.layouts.swap(0, found);
                self.layouts.first().cloned()
            }
            None => None,
        };
        let layout = match layout {
            Some(layout) => layout,
            None => self.new_layout(record, raw)?,
        };
        self.fields = fields;
        Ok(layout)
    }

    /// Where the fields of the record stand whose layout was found last; `None` if it is read as a tree.
    pub(crate) fn raw(&self) -> Option<impl Iterator<Item = Place>> {
        self.is_raw
            .then(|| self.fields.iter().map(|field| field.value.clone()))
    }

    fn new_layout(&mut self, record: &SinkRecord, raw: Option<&[RawField]>) -> Result<Arc<Layout>> {
        let value = match raw.map(|fields| Side::of_raw(raw_json(record), fields)) {
            Some(Some(side)) => side,
            _ => {
                self.is_raw = false;
                Side::of(&record.value)
            }
        };
        let layout = Arc::new(self.work_out(record, value)?);
        if self.layouts.len() >= MAX_LAYOUTS {
            self.layouts.clear();
        }
        self.layouts.push(layout.clone());
        Ok(layout)
    }

    fn work_out(&self, record: &SinkRecord, value: Side) -> Result<Layout> {
        let key = match self.config.data.key_mode {
            KeyMode::RecordKey => Side::of(&record.key),
            _ => Side::Unused,
        };
        let deletes = value == Side::Null;
        if deletes && !self.config.writes.delete_enabled {
            return Err(self.not_a_row(record, &value));
        }
        let Some(value_fields) = value.fields().or_else(|| deletes.then(Vec::new)) else {
            return Err(self.not_a_row(record, &value));
        };
        let mut fields = self.key_fields(&key, &value_fields, record)?;
        let keys: BTreeSet<_> = fields.iter().map(|field| field.name.clone()).collect();
        let whitelist = &self.config.data.whitelist;
        for (index, (name, schema)) in value_fields.into_iter().enumerate() {
            let field = self.field(&name, schema, Source::ValueField(index), false);
            let wanted = whitelist.is_empty() || whitelist.iter().any(|listed| **listed == *name);
            if wanted && !keys.contains(&field.name) {
                fields.push(field);
            }
        }
        unique_names(&fields)?;
        let replace_null = self.config.data.replace_null;
        Ok(Layout {
            key,
            value,
            fields,
            replace_null,
        })
    }

    fn field(
        &self,
        name: &str,
        schema: Option<Arc<Schema>>,
        source: Source,
        is_key: bool,
    ) -> LayoutField {
        let data = &self.config.data;
        let listed = data.timestamp_fields.iter().any(|listed| listed == name);
        let is_integer = schema
            .as_ref()
            .is_none_or(|schema| schema.kind == Type::Int64);
        LayoutField {
            source,
            name: self.config.column(name),
            is_key,
            traits: FieldTraits {
                moments: (listed && is_integer).then_some(data.timestamp_precision),
                has_schema: schema.is_some(),
            },
            schema,
        }
    }

    fn key_fields(
        &self,
        key: &Side,
        value_fields: &[NamedField],
        record: &SinkRecord,
    ) -> Result<Vec<LayoutField>> {
        match self.config.data.key_mode {
            KeyMode::None => Ok(Vec::new()),
            KeyMode::Kafka => Ok(self.kafka_fields()),
            KeyMode::RecordValue => self.chosen(value_fields, Source::ValueField, "value"),
            KeyMode::RecordKey => match (key, key.fields()) {
                (_, Some(fields)) => self.chosen(&fields, Source::KeyField, "key"),
                (Side::Scalar(schema), None) => self.whole_key(schema.clone()),
                _ => Err(self.no_key(record)),
            },
        }
    }

    fn kafka_fields(&self) -> Vec<LayoutField> {
        let schema = |kind| Some(Arc::new(Schema::new(kind)));
        let sources = [
            (Source::Topic, schema(Type::String)),
            (Source::Partition, schema(Type::Int32)),
            (Source::Offset, schema(Type::Int64)),
            (Source::Piece, schema(Type::Int32)),
        ];
        let given = &self.config.data.key_fields;
        let names: Vec<&str> = if given.is_empty() {
            KAFKA_COLUMNS.to_vec()
        } else {
            given.iter().map(String::as_str).collect()
        };
        names
            .into_iter()
            .zip(sources)
            .map(|(name, (source, schema))| self.field(name, schema, source, true))
            .collect()
    }

    fn whole_key(&self, schema: Option<Arc<Schema>>) -> Result<Vec<LayoutField>> {
        match self.config.data.key_fields.as_slice() {
            [name] => Ok(vec![self.field(name, schema, Source::Key, true)]),
            names => Err(Error::config(format!(
                "Need exactly one PK column defined since the key schema for records is a primitive type, defined columns are: [{}]",
                names.join(", ")
            ))),
        }
    }

    /// The fields that `pk.fields` names; all of them if it is empty.
    fn chosen(
        &self,
        fields: &[NamedField],
        source: fn(usize) -> Source,
        part: &str,
    ) -> Result<Vec<LayoutField>> {
        let listed = &self.config.data.key_fields;
        let all: Vec<String> = fields.iter().map(|(name, _)| name.to_string()).collect();
        let names = if listed.is_empty() { &all } else { listed };
        let find = |name: &String| {
            let index = fields.iter().position(|(field, _)| **field == **name);
            let (index, (_, schema)) = index
                .and_then(|index| Some((index, fields.get(index)?)))
                .ok_or_else(|| Error::data(format!(
                    "PK mode is record_{part} with configured PK fields [{}], but the record's {part} does not contain field: {name}",
                    listed.join(", ")
                )))?;
            Ok(self.field(name, schema.clone(), source(index), true))
        };
        names.iter().map(find).collect()
    }

    fn not_a_row(&self, record: &SinkRecord, value: &Side) -> Error {
        let requires = match value {
            Side::Null => "a non-null Struct value and non-null Struct schema, or a JSON object",
            _ => "a Struct value, or a JSON object without a schema",
        };
        self.refused(
            record,
            requires,
            &format!("{} value", kind(record.value.value())),
        )
    }

    fn no_key(&self, record: &SinkRecord) -> Error {
        self.refused(
            record,
            "a non-null key",
            &format!("{} key", kind(record.key.value())),
        )
    }

    fn refused(&self, record: &SinkRecord, requires: &str, found: &str) -> Error {
        let mode = match self.config.data.key_mode {
            KeyMode::None => "none",
            KeyMode::Kafka => "kafka",
            KeyMode::RecordKey => "record_key",
            KeyMode::RecordValue => "record_value",
        };
        let timestamp = record.timestamp.timestamp();
        let timestamp = timestamp.map_or("null".to_owned(), |time| time.as_millis().to_string());
        Error::data(format!(
            "Sink connector '{}' is configured with 'delete.enabled={}' and 'pk.mode={mode}' and therefore requires records with {requires}, but found record at (topic='{}',partition={},offset={},timestamp={timestamp}) with {found}",
            self.connector,
            self.config.writes.delete_enabled,
            record.origin.topic,
            record.origin.partition,
            record.offset,
        ))
    }
}

fn unique_names(fields: &[LayoutField]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for field in fields {
        if !seen.insert(&field.name) {
            let name = field.name.as_str();
            return Err(Error::data(format!("two fields become the column {name}")));
        }
    }
    Ok(())
}
