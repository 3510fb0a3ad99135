//! Single message transforms and predicates: those of Apache Kafka, under their class names, and our own.
//!
//! A transform is a file; each registers itself, and the worker finds it by its class. Kafka's are those of 4.3.1:
//! tests/oracle runs its own classes beside ours.

mod calendar;
mod cast;
mod drop_headers;
mod explode;
mod extract_field;
mod fields;
mod filter;
mod flatten;
mod header_from;
mod hoist_field;
mod insert_field;
mod insert_header;
mod mask_field;
mod part;
mod pattern;
mod predicates;
mod regex_router;
mod replace_field;
mod replacement;
mod schemas;
mod set_schema_metadata;
mod simple_date;
#[cfg(test)]
mod testing;
mod timestamp_converter;
mod timestamp_router;
mod value_to_key;

use connect_core::data::numbers;

/// Version shown by `/connector-plugins`.
const VERSION: &str = env!("CARGO_PKG_VERSION");
