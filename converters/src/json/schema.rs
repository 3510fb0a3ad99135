//! Schemas as JSON: key order when written is type, parts, optional, name, version, doc, parameters, default, field.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use connect_core::data::{Field, Schema, Type, json};
use connect_core::{Error, Result};
use serde_json::{Map, Value as Json};

use super::value::{MapForm, Reader};

/// Schemas already parsed, by their JSON: equal schemas share one allocation.
#[derive(Debug)]
pub(super) struct SchemaCache {
    capacity: usize,
    schemas: Mutex<HashMap<String, Arc<Schema>>>,
}

impl SchemaCache {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            schemas: Mutex::default(),
        }
    }

    pub(super) fn parse(&self, json: &Json) -> Result<Arc<Schema>> {
        let text = json.to_string();
        let mut schemas = self.schemas.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(schema) = schemas.get(&text) {
            return Ok(schema.clone());
        }
        let schema = Arc::new(parse(json)?);
        if schemas.len() >= self.capacity {
            schemas.clear();
        }
        if self.capacity > 0 {
            schemas.insert(text, schema.clone());
        }
        Ok(schema)
    }
}

pub(super) fn parse(json: &Json) -> Result<Schema> {
    let Json::Object(node) = json else {
        return Err(Error::data("Schema must contain 'type' field"));
    };
    let mut schema = Schema::new(parse_type(node)?);
    schema.optional = node
        .get("optional")
        .and_then(Json::as_bool)
        .unwrap_or(false);
    schema.name = text(node, "name").map(Into::into);
    schema.version = node
        .get("version")
        .and_then(Json::as_i64)
        .and_then(|version| i32::try_from(version).ok());
    schema.doc = text(node, "doc").map(Into::into);
    if let Some(Json::Object(parameters)) = node.get("parameters") {
        for (key, parameter) in parameters {
            let Json::String(parameter) = parameter else {
                return Err(Error::data("Schema parameters must have string values."));
            };
            schema.parameters.insert(key.clone(), parameter.clone());
        }
    }
    if let Some(default) = node.get("default").filter(|default| !default.is_null()) {
        schema.default = Some(
            Reader {
                replace_null: false,
                maps: MapForm::Tuples,
                own: |_, _, _| None,
            }
            .read(&Arc::new(schema.clone()), default.clone())?,
        );
    }
    Ok(schema)
}

fn text<'a>(node: &'a Map<String, Json>, key: &str) -> Option<&'a str> {
    node.get(key).and_then(Json::as_str)
}

fn parse_type(node: &Map<String, Json>) -> Result<Type> {
    let part = |key: &str, without: &str| match node.get(key) {
        Some(part) => parse(part).map(Arc::new),
        None => Err(Error::data(without)),
    };
    let Some(name) = text(node, "type") else {
        return Err(Error::data("Schema must contain 'type' field"));
    };
    Ok(match name {
        "boolean" => Type::Boolean,
        "int8" => Type::Int8,
        "int16" => Type::Int16,
        "int32" => Type::Int32,
        "int64" => Type::Int64,
        "float" => Type::Float32,
        "double" => Type::Float64,
        "bytes" => Type::Bytes,
        "string" => Type::String,
        "array" => Type::Array(part(
            "items",
            "Array schema did not specify the element type",
        )?),
        "map" => Type::Map(
            part("keys", "Map schema did not specify the key type")?,
            part("values", "Map schema did not specify the value type")?,
        ),
        "struct" => Type::Struct(parse_fields(node)?),
        other => return Err(Error::data(format!("Unknown schema type: {other}"))),
    })
}

fn parse_fields(node: &Map<String, Json>) -> Result<Vec<Field>> {
    let Some(Json::Array(fields)) = node.get("fields") else {
        return Err(Error::data(
            "Struct schema's \"fields\" argument is not an array.",
        ));
    };
    fields
        .iter()
        .map(|field| {
            let name = field.get("field").and_then(Json::as_str);
            let name = name
                .ok_or_else(|| Error::data("Struct schema's field name not specified properly"))?;
            Ok(Field {
                name: name.into(),
                schema: Arc::new(parse(field)?),
            })
        })
        .collect()
}

/// Appends a schema as JSON, `null` if there is none.
pub(super) fn write(schema: Option<&Schema>, out: &mut Vec<u8>) -> Result<()> {
    let json = match schema {
        None => Json::Null,
        Some(schema) => Json::Object(to_json(schema)?),
    };
    serde_json::to_writer(out, &json)
        .map_err(|cause| Error::internal("writing a schema").source(cause))
}

fn to_json(schema: &Schema) -> Result<Map<String, Json>> {
    let mut node = Map::new();
    node.insert("type".to_owned(), type_name(&schema.kind).into());
    match &schema.kind {
        Type::Array(items) => {
            node.insert("items".to_owned(), Json::Object(to_json(items)?));
        }
        Type::Map(keys, values) => {
            node.insert("keys".to_owned(), Json::Object(to_json(keys)?));
            node.insert("values".to_owned(), Json::Object(to_json(values)?));
        }
        Type::Struct(fields) => {
            let fields: Result<Vec<_>> = fields.iter().map(field_to_json).collect();
            node.insert("fields".to_owned(), Json::Array(fields?));
        }
        _ => {}
    }
    node.insert("optional".to_owned(), schema.optional.into());
    if let Some(name) = &schema.name {
        node.insert("name".to_owned(), (&**name).into());
    }
    if let Some(version) = schema.version {
        node.insert("version".to_owned(), version.into());
    }
    if let Some(doc) = &schema.doc {
        node.insert("doc".to_owned(), (&**doc).into());
    }
    if !schema.parameters.is_empty() {
        let parameters = schema
            .parameters
            .iter()
            .map(|(key, text)| (key.clone(), Json::from(text.as_str())));
        node.insert("parameters".to_owned(), Json::Object(parameters.collect()));
    }
    if let Some(default) = &schema.default {
        let mut text = Vec::new();
        json::write_value(default, &mut text)?;
        let default = serde_json::from_slice(&text);
        node.insert(
            "default".to_owned(),
            default.map_err(|cause| Error::internal("a default that is not JSON").source(cause))?,
        );
    }
    Ok(node)
}

fn field_to_json(field: &Field) -> Result<Json> {
    let mut node = to_json(&field.schema)?;
    node.insert("field".to_owned(), (&*field.name).into());
    Ok(Json::Object(node))
}

fn type_name(kind: &Type) -> &'static str {
    match kind {
        Type::Int8 => "int8",
        Type::Int16 => "int16",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Float32 => "float",
        Type::Float64 => "double",
        Type::Boolean => "boolean",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Array(_) => "array",
        Type::Map(..) => "map",
        Type::Struct(_) => "struct",
    }
}
