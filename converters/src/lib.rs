//! Converters between the log's bytes and Connect data.
