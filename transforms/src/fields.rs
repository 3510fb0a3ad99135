//! What transforms share: reading structs and maps, as Kafka's own transforms do, and in their words.

use std::collections::BTreeSet;
use std::sync::Arc;

use connect_core::config::{ConnectorConfig, OptionError};
use connect_core::data::{Datum, Field, Schema, Struct, Type, Value, java};
use connect_core::{Error, Result};

/// Entries of a map without a schema.
pub(crate) type Entries = Vec<(Value, Value)>;

/// The option that most transforms have.
#[derive(Debug, Clone, Copy, ConnectorConfig)]
pub(crate) struct NullOption {
    /// Whether a null in a field with a default is read as the default.
    #[option(name = "replace.null.with.default", default = "true", importance = Medium)]
    pub(crate) replace: bool,
}

impl NullOption {
    /// The value of a field as Kafka reads it.
    pub(crate) fn read(self, schema: &Schema, value: Value) -> Value {
        match (&value, &schema.default) {
            (Value::Null, Some(default)) if self.replace => default.clone(),
            _ => value,
        }
    }

    /// The values of a struct, each as Kafka reads it.
    pub(crate) fn read_all(self, fields: &[Field], values: Vec<Value>) -> Vec<Value> {
        let read = |(field, value): (&Field, Value)| self.read(&field.schema, value);
        fields.iter().zip(values).map(read).collect()
    }
}

/// Checks a list of names, in Kafka's words: none twice, none empty.
pub(crate) fn check_names(key: &str, names: &[String]) -> Result<(), Vec<OptionError>> {
    let distinct: BTreeSet<_> = names.iter().collect();
    let wrong = if distinct.len() < names.len() {
        "duplicated"
    } else if distinct.iter().any(|name| name.is_empty()) {
        "empty"
    } else {
        return Ok(());
    };
    let text = format!("Configuration '{key}' values must not be {wrong}.");
    Err(vec![OptionError::new(key, text)])
}

/// The entries of a map without a schema.
pub(crate) fn entries(value: Value, purpose: &str) -> Result<Entries> {
    match value {
        Value::Map(entries) => Ok(entries),
        other => Err(Error::data(format!(
            "Only Map objects supported in absence of schema for [{purpose}], found: {}",
            java::class_name(&other)
        ))),
    }
}

/// The values of a struct, one per field of its schema.
pub(crate) fn values(value: Value, purpose: &str) -> Result<Vec<Value>> {
    match value {
        Value::Struct(fields) => Ok(fields.values),
        other => Err(not_a_struct(&other, purpose)),
    }
}

/// The error for what should be a struct.
pub(crate) fn not_a_struct(value: &Value, purpose: &str) -> Error {
    let class = java::class_name(value);
    Error::data(format!(
        "Only Struct objects supported for [{purpose}], found: {class}"
    ))
}

/// The fields of a struct's schema; none of any other.
pub(crate) fn fields_of(schema: &Schema) -> &[Field] {
    match &schema.kind {
        Type::Struct(fields) => fields,
        _ => &[],
    }
}

/// A schema of `kind` with name, version, documentation and parameters of another: required, without default.
pub(crate) fn like(schema: &Schema, kind: Type) -> Schema {
    Schema {
        optional: false,
        default: None,
        kind,
        ..schema.clone()
    }
}

/// A field.
pub(crate) fn field(name: &Arc<str>, schema: &Arc<Schema>) -> Field {
    Field {
        name: name.clone(),
        schema: schema.clone(),
    }
}

/// A struct schema's fields, if no two have one name.
pub(crate) fn unique(fields: Vec<Field>) -> Result<Vec<Field>> {
    for (index, field) in fields.iter().enumerate() {
        if fields
            .iter()
            .take(index)
            .any(|known| known.name == field.name)
        {
            let text = "Cannot create field because of field name duplication";
            return Err(Error::data(format!("{text} {}", field.name)));
        }
    }
    Ok(fields)
}

/// A struct with its schema.
pub(crate) fn structure(schema: &Arc<Schema>, values: Vec<Value>) -> Datum {
    let value = Value::Struct(Struct {
        schema: schema.clone(),
        values,
    });
    Datum::with_schema(schema.clone(), value)
}

/// The entry called `name`.
pub(crate) fn get<'a>(entries: &'a Entries, name: &str) -> Option<&'a Value> {
    let found = entries.iter().find(|(key, _)| key.as_str() == Some(name));
    found.map(|(_, value)| value)
}

/// Sets the entry called `name`.
pub(crate) fn put(entries: &mut Entries, name: &Arc<str>, value: Value) {
    match entries
        .iter_mut()
        .find(|(key, _)| key.as_str() == Some(name))
    {
        Some((_, known)) => *known = value,
        None => entries.push((Value::String(name.clone()), value)),
    }
}

/// A schema as Java prints it: its name, if it has one, and its type.
pub(crate) fn schema_text(schema: &Schema) -> String {
    let kind = schema.kind.name();
    match &schema.name {
        Some(name) => format!("Schema{{{name}:{kind}}}"),
        None => format!("Schema{{{kind}}}"),
    }
}
