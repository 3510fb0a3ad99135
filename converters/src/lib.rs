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

use connect_core::data::{Type, Value};

/// Version shown by `/connector-plugins`.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A type's name in errors, as Kafka writes it.
fn type_name(kind: &Type) -> &'static str {
    match kind {
        Type::Int8 => "INT8",
        Type::Int16 => "INT16",
        Type::Int32 => "INT32",
        Type::Int64 => "INT64",
        Type::Float32 => "FLOAT32",
        Type::Float64 => "FLOAT64",
        Type::Boolean => "BOOLEAN",
        Type::String => "STRING",
        Type::Bytes => "BYTES",
        Type::Array(_) => "ARRAY",
        Type::Map(..) => "MAP",
        Type::Struct(_) => "STRUCT",
    }
}

/// A value's class in errors, as Java names it.
fn class_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Boolean(_) => "class java.lang.Boolean",
        Value::Int8(_) => "class java.lang.Byte",
        Value::Int16(_) => "class java.lang.Short",
        Value::Int32(_) => "class java.lang.Integer",
        Value::Int64(_) => "class java.lang.Long",
        Value::Float32(_) => "class java.lang.Float",
        Value::Float64(_) => "class java.lang.Double",
        Value::Number(_) => "class java.math.BigInteger",
        Value::String(_) => "class java.lang.String",
        Value::Bytes(_) => "class [B",
        Value::Decimal(_) => "class java.math.BigDecimal",
        Value::Date(_) | Value::Time(_) | Value::Timestamp(_) => "class java.util.Date",
        Value::Array(_) => "class java.util.ArrayList",
        Value::Map(_) => "class java.util.HashMap",
        Value::Struct(_) => "class org.apache.kafka.connect.data.Struct",
    }
}
