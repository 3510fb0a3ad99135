//! Converters between the log's bytes and Connect data: JSON, String, ByteArray, and SimpleHeader for headers.
//!
//! Each registers itself under the name of the Java class it replaces.

mod byte_array;
mod json;
mod simple_header;
mod string;

pub use byte_array::ByteArrayConverter;
pub use json::JsonConverter;
pub use simple_header::SimpleHeaderConverter;
pub use string::StringConverter;

/// Version shown by `/connector-plugins`.
const VERSION: &str = env!("CARGO_PKG_VERSION");
