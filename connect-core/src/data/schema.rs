//! Connect schemas, as in `org.apache.kafka.connect.data.Schema`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Value;

/// Names of the logical types that come with Kafka Connect.
pub mod logical {
    /// A decimal: bytes with parameter `scale`.
    pub const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
    /// Days since the epoch: int32.
    pub const DATE: &str = "org.apache.kafka.connect.data.Date";
    /// Milliseconds of the day: int32.
    pub const TIME: &str = "org.apache.kafka.connect.data.Time";
    /// Milliseconds since the epoch: int64.
    pub const TIMESTAMP: &str = "org.apache.kafka.connect.data.Timestamp";
}

/// What kind of value a schema describes.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// 8-bit integer.
    Int8,
    /// 16-bit integer.
    Int16,
    /// 32-bit integer.
    Int32,
    /// 64-bit integer.
    Int64,
    /// 32-bit floating point.
    Float32,
    /// 64-bit floating point.
    Float64,
    /// True or false.
    Boolean,
    /// Text.
    String,
    /// Bytes.
    Bytes,
    /// A list whose elements have one schema.
    Array(Arc<Schema>),
    /// A map: schema of the keys, schema of the values.
    Map(Arc<Schema>, Arc<Schema>),
    /// Named fields.
    Struct(Vec<Field>),
}

impl Type {
    /// Kafka's name of the type: `INT8`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Float32 => "FLOAT32",
            Self::Float64 => "FLOAT64",
            Self::Boolean => "BOOLEAN",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
            Self::Array(_) => "ARRAY",
            Self::Map(..) => "MAP",
            Self::Struct(_) => "STRUCT",
        }
    }
}

/// A named field of a struct.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// The field's name.
    pub name: Arc<str>,
    /// The field's schema.
    pub schema: Arc<Schema>,
}

/// A type with everything Connect says about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// The type.
    pub kind: Type,
    /// True if null is allowed.
    pub optional: bool,
    /// The name: of a record type, or of a logical type.
    pub name: Option<Arc<str>>,
    /// The version.
    pub version: Option<i32>,
    /// Documentation.
    pub doc: Option<Arc<str>>,
    /// Parameters, e.g. `scale` of a decimal.
    pub parameters: BTreeMap<String, String>,
    /// The default value.
    pub default: Option<Value>,
}

impl Schema {
    /// A required schema of `kind`, without name or parameters.
    pub fn new(kind: Type) -> Self {
        Self {
            kind,
            optional: false,
            name: None,
            version: None,
            doc: None,
            parameters: BTreeMap::new(),
            default: None,
        }
    }

    /// The same schema, allowing null.
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The same schema with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The same schema with a version.
    #[must_use]
    pub fn version(mut self, version: i32) -> Self {
        self.version = Some(version);
        self
    }

    /// The field called `name`, if this is a struct that has it.
    pub fn field(&self, name: &str) -> Option<&Field> {
        match &self.kind {
            Type::Struct(fields) => fields.iter().find(|field| &*field.name == name),
            _ => None,
        }
    }
}
