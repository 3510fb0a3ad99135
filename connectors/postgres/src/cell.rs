//! One field of one record: taken apart, or still JSON.

use std::borrow::Cow;

use connect_core::data::{SinkRecord, Value, json};

use crate::raw_fields::{self, Place};

/// A record as its layout reads it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RowRecord<'a> {
    pub(crate) record: &'a SinkRecord,
    /// Its number among the records of its offset.
    pub(crate) piece: i32,
    /// Where the values of its fields stand in its JSON; `None` if it is read as a tree.
    pub(crate) raw: Option<&'a [Place]>,
}

/// A field's value: taken apart, or still JSON.
#[derive(Debug)]
pub(crate) enum Cell<'a> {
    Value(Cow<'a, Value>),
    Json(&'a [u8]),
}

impl<'a> Cell<'a> {
    /// A value that is made here.
    pub(crate) fn of(value: Value) -> Self {
        Self::Value(Cow::Owned(value))
    }

    /// What stands at a place of the record's JSON.
    pub(crate) fn raw(record: &'a SinkRecord, place: Option<&Place>) -> Self {
        match place {
            Some(place) => Self::Json(raw_fields::slice(raw_json(record), place)),
            None => Self::of(Value::Null),
        }
    }

    /// True if there is no value.
    pub(crate) fn is_null(&self) -> bool {
        match self {
            Self::Value(value) => value.is_null(),
            Self::Json(json) => *json == b"null",
        }
    }

    /// The value, taken apart.
    pub(crate) fn value(&self) -> Cow<'_, Value> {
        match self {
            Self::Value(value) => Cow::Borrowed(value),
            // A lone surrogate escape is the only thing that can be wrong here: it is kept as it is spelled.
            Self::Json(json) => Cow::Owned(
                json::parse(json).unwrap_or_else(|_| Value::string(String::from_utf8_lossy(json))),
            ),
        }
    }
}

/// The record's value, if it still is JSON as it came; else nothing.
pub(crate) fn raw_json(record: &SinkRecord) -> &[u8] {
    record.value.raw_json().map_or(&[], |json| &**json)
}
