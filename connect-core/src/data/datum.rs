//! A key or value of a record: lazy, so that what nobody looks into is never taken apart.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::{Schema, Value};

/// Valid JSON, still as bytes; becomes a tree when first asked for.
///
/// Whoever builds one has checked that the bytes are one well-formed JSON value in UTF-8.
#[derive(Debug)]
pub struct RawJson {
    bytes: Bytes,
    // In a box, so that a record nobody looks into stays small.
    tree: OnceLock<Box<Value>>,
}

/// The copy is taken apart anew when asked: sharing the tree would cost an allocation for every record.
impl Clone for RawJson {
    fn clone(&self) -> Self {
        Self {
            bytes: self.bytes.clone(),
            tree: OnceLock::new(),
        }
    }
}

/// A key or value with its schema, if it has one.
#[derive(Debug, Clone)]
pub struct Datum {
    schema: Option<Arc<Schema>>,
    content: Content,
}

#[derive(Debug, Clone)]
enum Content {
    Json(RawJson),
    Tree(Value),
}

impl RawJson {
    /// Checks that `bytes` are one well-formed JSON value.
    ///
    /// # Errors
    /// A data error that says where the JSON stops being JSON.
    pub fn validate(bytes: Bytes) -> crate::Result<Self> {
        super::json::validate(&bytes)?;
        Ok(Self {
            bytes,
            tree: OnceLock::new(),
        })
    }

    /// The bytes, as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    fn tree(&self) -> &Value {
        self.tree.get_or_init(|| {
            // What was checked can be parsed; were it not so, the text would be kept as it is spelled.
            let tree = super::json::parse(&self.bytes)
                .unwrap_or_else(|_| Value::string(String::from_utf8_lossy(&self.bytes)));
            Box::new(tree)
        })
    }
}

impl Datum {
    /// No value and no schema: a tombstone, an absent key.
    pub fn null() -> Self {
        Self::schemaless(Value::Null)
    }

    /// JSON without a schema, kept as bytes.
    pub fn json(json: RawJson) -> Self {
        Self {
            schema: None,
            content: Content::Json(json),
        }
    }

    /// A value without a schema.
    pub fn schemaless(value: Value) -> Self {
        Self {
            schema: None,
            content: Content::Tree(value),
        }
    }

    /// A value with its schema.
    pub fn with_schema(schema: Arc<Schema>, value: Value) -> Self {
        Self {
            schema: Some(schema),
            content: Content::Tree(value),
        }
    }

    /// The schema, if there is one.
    pub fn schema(&self) -> Option<&Arc<Schema>> {
        self.schema.as_ref()
    }

    /// The JSON bytes, if the value is still JSON as it came. May contain white space and line breaks.
    pub fn raw_json(&self) -> Option<&Bytes> {
        match &self.content {
            Content::Json(json) => Some(json.bytes()),
            Content::Tree(_) => None,
        }
    }

    /// The value as a tree; taken apart now if nobody has before.
    pub fn value(&self) -> &Value {
        match &self.content {
            Content::Json(json) => json.tree(),
            Content::Tree(value) => value,
        }
    }

    /// Schema and value, taken out; the value is taken apart now if nobody has before.
    pub fn into_parts(self) -> (Option<Arc<Schema>>, Value) {
        let value = match self.content {
            Content::Tree(value) => value,
            Content::Json(json) => {
                json.tree();
                json.tree.into_inner().map_or(Value::Null, |tree| *tree)
            }
        };
        (self.schema, value)
    }

    /// A value with its schema, if it has one.
    pub fn of(schema: Option<Arc<Schema>>, value: Value) -> Self {
        Self {
            schema,
            content: Content::Tree(value),
        }
    }

    /// True if there is no value. Does not take JSON apart.
    pub fn is_null(&self) -> bool {
        match &self.content {
            Content::Json(json) => json.bytes().trim_ascii() == b"null",
            Content::Tree(value) => value.is_null(),
        }
    }
}
