//! Converters between the log's bytes and Connect data.

use async_trait::async_trait;
use bytes::Bytes;

use crate::Result;
use crate::data::{Datum, RawHeaders};

/// What a converter is used for: its options begin with `key.converter.`, `value.converter.` or `header.converter.`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConverterRole {
    /// Record keys.
    Key,
    /// Record values.
    Value,
    /// Header values.
    Header,
}

/// Converts record keys or values. Stateless apart from caches; shared between tasks.
pub trait Converter: Send + Sync {
    /// From the log's bytes (`None`: null).
    ///
    /// # Errors
    /// A data error if the bytes are not of this format.
    fn to_connect(&self, topic: &str, headers: &RawHeaders, bytes: Option<&Bytes>)
    -> Result<Datum>;

    /// To the log's bytes (`None`: null).
    ///
    /// # Errors
    /// A data error if the value cannot be written in this format.
    fn to_bytes(&self, topic: &str, datum: &Datum) -> Result<Option<Bytes>>;

    /// What must be fetched from outside before a record can be converted; `None` if nothing ever.
    fn schema_lookup(&self) -> Option<&dyn SchemaLookup> {
        None
    }
}

/// The schemas that a converter gets from a registry. Converting never waits: it finds what was fetched for the same record
/// just before.
#[async_trait]
pub trait SchemaLookup: Send + Sync {
    /// True if [`Converter::to_connect`] needs nothing more for these bytes.
    fn can_read(&self, topic: &str, bytes: &Bytes) -> bool;

    /// Fetches what is needed to read these bytes.
    ///
    /// # Errors
    /// The registry cannot be asked. That it does not know the schema is said by [`Converter::to_connect`]: this is the
    /// record's fault.
    async fn fetch_for_reading(&self, topic: &str, bytes: &Bytes) -> Result<()>;

    /// True if [`Converter::to_bytes`] needs nothing more for this value.
    fn can_write(&self, topic: &str, datum: &Datum) -> bool;

    /// Registers or fetches what is needed to write this value.
    ///
    /// # Errors
    /// The registry cannot be asked. That it refuses the schema is said by [`Converter::to_bytes`].
    async fn fetch_for_writing(&self, topic: &str, datum: &Datum) -> Result<()>;

    /// As [`SchemaLookup::fetch_for_writing`], but registers nothing: for dry runs. What would be registered, for people;
    /// `None` if there is nothing to register and the value can be converted.
    ///
    /// # Errors
    /// The registry cannot be asked.
    async fn find_for_writing(&self, topic: &str, datum: &Datum) -> Result<Option<String>>;
}

/// Converts header values.
pub trait HeaderConverter: Send + Sync {
    /// From the log's bytes (`None`: null).
    ///
    /// # Errors
    /// A data error if the bytes are not of this format.
    fn to_connect(&self, topic: &str, key: &str, bytes: Option<&Bytes>) -> Result<Datum>;

    /// To the log's bytes (`None`: null).
    ///
    /// # Errors
    /// A data error if the value cannot be written in this format.
    fn to_bytes(&self, topic: &str, key: &str, datum: &Datum) -> Result<Option<Bytes>>;
}
