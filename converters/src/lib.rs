//! Converters between the log's bytes and Connect data: JSON, String, ByteArray, booleans and numbers, and SimpleHeader for headers.
//!
//! Each registers itself under the name of the Java class it replaces.

mod byte_array;
mod json;
mod numbers;
mod simple_header;
mod string;

pub use byte_array::ByteArrayConverter;
pub use json::JsonConverter;
/// Payloads in JSON, read and written by Connect schemas: for converters that keep the schema elsewhere.
pub mod payload {
    pub use crate::json::{DecimalFormat, MapForm, Reader, Writer};
}
pub use simple_header::SimpleHeaderConverter;
pub use string::StringConverter;

/// Version shown by `/connector-plugins`.
const VERSION: &str = env!("CARGO_PKG_VERSION");
