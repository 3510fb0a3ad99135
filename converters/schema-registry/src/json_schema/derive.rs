//! The JSON Schema of a Connect schema, spelled as Confluent's converter spells it.

use connect_core::data::{Field, Schema, Type, logical};
use connect_core::{Error, Result};
use serde_json::{Map, Value as Json, json};
use sluice_converters::payload::{DecimalFormat, MapForm, Writer};

use super::{ENUM, JsonSchemaOptions, branches, write_one_of};

/// The schema as the registry gets it.
pub(super) fn derive(schema: &Schema, options: &JsonSchemaOptions) -> Result<Json> {
    let own = match branches(schema) {
        Some(fields) => {
            let null = schema.optional.then(|| Ok(json!({"type": "null"})));
            let branches = fields.iter().map(|field| required(&field.schema, options));
            let branches: Result<Vec<_>> = null.into_iter().chain(branches).collect();
            return Ok(json!({ "oneOf": branches? }));
        }
        None => required(schema, options)?,
    };
    Ok(if schema.optional {
        json!({"oneOf": [{"type": "null"}, own]})
    } else {
        own
    })
}

/// The schema without null.
fn required(schema: &Schema, options: &JsonSchemaOptions) -> Result<Json> {
    let mut own = Map::new();
    let mut put = |key: &str, value: Json| {
        own.insert(key.to_owned(), value);
    };
    let (kind, connect_type) = types(schema);
    put("type", kind.into());
    if let Some(title) = &schema.name {
        put("title", (**title).into());
    }
    if let Some(description) = &schema.doc {
        put("description", (**description).into());
    }
    if let Some(default) = &schema.default {
        put("default", default_json(schema, default)?);
    }
    if let Some(version) = schema.version {
        put("connect.version", version.into());
    }
    if !schema.parameters.is_empty() {
        put("connect.parameters", json!(schema.parameters));
    }
    if let Some(connect_type) = connect_type {
        put("connect.type", connect_type.into());
    }
    let symbols = symbols(schema);
    if !symbols.is_empty() {
        put("enum", symbols.into());
    }
    match &schema.kind {
        Type::Array(items) => put("items", derive(items, options)?),
        Type::Map(keys, values) if is_name(keys) => {
            put("additionalProperties", derive(values, options)?);
        }
        Type::Map(keys, values) => {
            let (mut key, mut value) = (derive(keys, options)?, derive(values, options)?);
            index(&mut key, 0);
            index(&mut value, 1);
            put(
                "items",
                json!({"type": "object", "properties": {"key": key, "value": value}}),
            );
        }
        Type::Struct(fields) => properties(fields, options, &mut own)?,
        _ => {}
    }
    Ok(Json::Object(own))
}

/// JSON's type, and Connect's where that does not say it.
fn types(schema: &Schema) -> (&'static str, Option<&'static str>) {
    match &schema.kind {
        Type::Int8 => ("integer", Some("int8")),
        Type::Int16 => ("integer", Some("int16")),
        Type::Int32 => ("integer", Some("int32")),
        Type::Int64 => ("integer", Some("int64")),
        Type::Float32 => ("number", Some("float32")),
        Type::Float64 => ("number", Some("float64")),
        Type::Boolean => ("boolean", None),
        Type::String => ("string", None),
        Type::Bytes if schema.name.as_deref() == Some(logical::DECIMAL) => {
            ("number", Some("bytes"))
        }
        Type::Bytes => ("string", Some("bytes")),
        Type::Array(_) => ("array", None),
        Type::Map(keys, _) if is_name(keys) => ("object", Some("map")),
        Type::Map(..) => ("array", Some("map")),
        Type::Struct(_) => ("object", None),
    }
}

/// True if keys of a map can be names of properties.
fn is_name(keys: &Schema) -> bool {
    keys.kind == Type::String && !keys.optional
}

fn symbols(schema: &Schema) -> Vec<Json> {
    let prefix = format!("{ENUM}.");
    let symbols = schema
        .parameters
        .iter()
        .filter(|(key, _)| key.starts_with(&prefix));
    symbols.map(|(_, symbol)| symbol.as_str().into()).collect()
}

fn properties(
    fields: &[Field],
    options: &JsonSchemaOptions,
    own: &mut Map<String, Json>,
) -> Result<()> {
    let (mut properties, mut names) = (Map::new(), Vec::new());
    for (place, field) in fields.iter().enumerate() {
        let mut property = if options.optional_for_nonrequired && branches(&field.schema).is_none()
        {
            required(&field.schema, options)?
        } else {
            derive(&field.schema, options)?
        };
        index(&mut property, place);
        properties.insert(field.name.to_string(), property);
        if options.optional_for_nonrequired && !field.schema.optional {
            names.push(Json::from(&*field.name));
        }
    }
    own.insert("properties".to_owned(), Json::Object(properties));
    if !names.is_empty() {
        own.insert("required".to_owned(), names.into());
    }
    if !options.additional_properties {
        own.insert("additionalProperties".to_owned(), false.into());
    }
    Ok(())
}

/// Which field of its struct a property is: JSON's objects have no order.
fn index(property: &mut Json, place: usize) {
    if let Some(property) = property.as_object_mut() {
        property.insert("connect.index".to_owned(), place.into());
    }
}

fn default_json(schema: &Schema, default: &connect_core::data::Value) -> Result<Json> {
    let writer = Writer {
        decimals: DecimalFormat::Base64,
        replace_null: false,
        maps: MapForm::Objects,
        own: write_one_of,
    };
    let mut text = Vec::new();
    writer.write(Some(schema), default, &mut text)?;
    serde_json::from_slice(&text)
        .map_err(|cause| Error::internal("a default that is not JSON").source(cause))
}
