//! How the key or the value of a record is built.

use std::collections::BTreeSet;
use std::sync::Arc;

use connect_core::data::{Datum, Schema, Struct, Type, Value};

use crate::raw_fields::{self, RawField};

/// A field's name, with its schema if it has one.
pub(crate) type NamedField = (Arc<str>, Option<Arc<Schema>>);

/// How the key or the value of a record is built.
#[derive(Debug, PartialEq)]
pub(crate) enum Side {
    /// Not looked at.
    Unused,
    Null,
    Struct(Arc<Schema>),
    Map(Vec<Arc<str>>),
    Scalar(Option<Arc<Schema>>),
}

impl Side {
    pub(crate) fn of(datum: &Datum) -> Self {
        match datum.value() {
            Value::Null => Self::Null,
            Value::Struct(fields) => Self::Struct(fields.schema.clone()),
            Value::Map(entries) => {
                let names = entries.iter().map(|(key, _)| match key {
                    Value::String(name) => name.clone(),
                    other => crate::json_text::text_of(other).into(),
                });
                Self::Map(names.collect())
            }
            _ => Self::Scalar(datum.schema().cloned()),
        }
    }

    /// `None` if a name comes twice: of equal names the last wins, which the tree knows.
    pub(crate) fn of_raw(json: &[u8], fields: &[RawField]) -> Option<Self> {
        let mut seen = BTreeSet::new();
        let mut names = Vec::with_capacity(fields.len());
        for field in fields {
            let name = std::str::from_utf8(raw_fields::slice(json, &field.name)).ok()?;
            if !seen.insert(name) {
                return None;
            }
            names.push(name.into());
        }
        Some(Self::Map(names))
    }

    pub(crate) fn fits(&self, datum: &Datum) -> bool {
        match (self, datum.value()) {
            (Self::Unused, _) | (Self::Null, Value::Null) => true,
            (Self::Struct(schema), Value::Struct(Struct { schema: other, .. })) => {
                Arc::ptr_eq(schema, other) || schema == other
            }
            (Self::Map(names), Value::Map(entries)) => {
                names.len() == entries.len()
                    && names
                        .iter()
                        .zip(entries)
                        .all(|(name, (key, _))| key.as_str() == Some(&**name))
            }
            (Self::Scalar(_), Value::Null | Value::Struct(_) | Value::Map(_)) => false,
            (Self::Scalar(schema), _) => schema.as_ref() == datum.schema(),
            _ => false,
        }
    }

    /// Names and schemas of the fields; `None` if it has no fields.
    pub(crate) fn fields(&self) -> Option<Vec<NamedField>> {
        match self {
            Self::Struct(schema) => match &schema.kind {
                Type::Struct(fields) => Some(
                    fields
                        .iter()
                        .map(|field| (field.name.clone(), Some(field.schema.clone())))
                        .collect(),
                ),
                _ => None,
            },
            Self::Map(names) => Some(names.iter().map(|name| (name.clone(), None)).collect()),
            _ => None,
        }
    }
}
