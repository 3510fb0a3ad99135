//! Converters between the log's bytes and Connect data.

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
