//! JSON text to values and back: what lazy values and JSON outputs share.

use super::Value;
use crate::{Error, Result};

/// Checks that `bytes` are one well-formed JSON value in UTF-8.
///
/// # Errors
/// A data error that says where the JSON stops being JSON.
pub fn validate(bytes: &[u8]) -> Result<()> {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes)
        .map(|_| ())
        .map_err(|cause| Error::data("not valid JSON").source(cause))
}

/// Parses one JSON value.
///
/// # Errors
/// A data error that says where the JSON stops being JSON.
pub fn parse(_bytes: &[u8]) -> Result<Value> {
    Err(Error::internal("not built yet"))
}
