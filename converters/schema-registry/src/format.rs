//! What a format says: how its schemas are read and made, and how values look in it.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{Datum, Schema};
use connect_core::{Error, Result};

use crate::registry::Resolved;

/// Types that stand in one another may be this many: what reads, writes and drops them goes down by recursion, and types that
/// refer to each other by name can be far deeper than the text that holds them.
pub(crate) const MOST_LEVELS: usize = 100;

/// A schema to be registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Derived {
    /// Its text.
    pub(crate) text: String,
    /// The full name of the record it describes, if it has one.
    pub(crate) record: Option<String>,
}

/// A format of schemas and values.
pub(crate) trait Format: Send + Sync + 'static {
    /// The registry's name for it.
    const NAME: &'static str;
    /// Whether a null of an optional schema is written; else it is a tombstone.
    const WRITES_NULL: bool = false;
    /// A schema of the registry, ready to read and write values.
    type Schema: Send + Sync;

    /// Reads a schema of the registry.
    fn parse(&self, schema: &Resolved) -> Result<Self::Schema>;

    /// The schema that describes data of a Connect schema.
    fn derive(&self, schema: &Schema) -> Result<Derived>;

    /// Reads a value.
    fn read(&self, schema: &Self::Schema, payload: Bytes) -> Result<Datum>;

    /// Appends a value that is not null.
    fn write(
        &self,
        schema: &Self::Schema,
        own: &Arc<Schema>,
        datum: &Datum,
        out: &mut Vec<u8>,
    ) -> Result<()>;
}

/// A name that a format can hold, whose words are letters, digits and underscores.
pub(crate) fn checked_name<'a>(name: &'a str, format: &str) -> Result<&'a str> {
    let starts_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    let is_word = |character: char| character.is_ascii_alphanumeric() || character == '_';
    if starts_well && name.chars().all(is_word) {
        return Ok(name);
    }
    Err(Error::data(format!(
        "{name} is not a name in {format}: letters, digits and underscores only; a transform can rename it"
    )))
}
