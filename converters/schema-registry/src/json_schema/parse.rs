//! The Connect schema of a JSON Schema.

use std::sync::Arc;

use connect_core::data::{Field, Schema, Type, logical};
use connect_core::{Error, Result};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value as Json};
use sluice_converters::payload::{MapForm, Reader};

use super::{ENUM, JsonSchemaOptions, ONE_OF, read_one_of};
use crate::format::MOST_LEVELS;
use crate::registry::Resolved;

/// A schema has at most this many places: one that refers to itself has no end.
const MOST_PLACES: usize = 100_000;

/// Reads a schema of the registry.
pub(super) fn parse(schema: &Resolved, options: &JsonSchemaOptions) -> Result<Schema> {
    let root = document(&schema.text)?;
    let imports = schema.imports.iter();
    let imports = imports.map(|(name, text)| Ok((name.clone(), document(text)?)));
    let mut parser = Parser {
        documents: imports.collect::<Result<Vec<_>>>()?,
        options,
        places: 0,
        levels: 0,
    };
    // Moved out while the parser is borrowed: the root is just another document.
    parser.documents.push((String::new(), root.clone()));
    let documents = std::mem::take(&mut parser.documents);
    parser.place(
        &documents,
        At {
            document: "",
            json: &root,
        },
    )
}

fn document(text: &str) -> Result<Json> {
    serde_json::from_str(text).map_err(|cause| invalid("it is not JSON").source(cause))
}

fn invalid(what: impl std::fmt::Display) -> Error {
    Error::data(format!(
        "not a JSON Schema that Connect has a counterpart of: {what}"
    ))
}

type Documents = [(String, Json)];

/// A place in a document.
#[derive(Clone, Copy)]
struct At<'a> {
    document: &'a str,
    json: &'a Json,
}

struct Parser<'o> {
    documents: Vec<(String, Json)>,
    options: &'o JsonSchemaOptions,
    places: usize,
    levels: usize,
}

impl Parser<'_> {
    fn place(&mut self, documents: &Documents, at: At<'_>) -> Result<Schema> {
        self.places += 1;
        self.levels += 1;
        if self.places > MOST_PLACES || self.levels > MOST_LEVELS {
            return Err(invalid("it refers to itself, or is too large"));
        }
        let schema = self.schema(documents, at);
        self.levels -= 1;
        schema
    }

    fn schema(&mut self, documents: &Documents, at: At<'_>) -> Result<Schema> {
        let Json::Object(node) = at.json else {
            return Err(invalid("a schema is not an object"));
        };
        if let Some(reference) = node.get("$ref").and_then(Json::as_str) {
            let target = resolve(documents, at.document, reference)?;
            return self.place(documents, target);
        }
        let inside = |json| At { json, ..at };
        for key in ["oneOf", "anyOf"] {
            if let Some(Json::Array(several)) = node.get(key) {
                let schema = self.one_of(documents, several.iter().map(inside).collect())?;
                return finish(schema, node);
            }
        }
        if let Some(Json::Array(parts)) = node.get("allOf") {
            return self.all_of(documents, node, parts.iter().map(inside).collect());
        }
        let schema = match node.get("type") {
            Some(Json::String(kind)) => self.of_type(documents, at, node, kind)?,
            Some(Json::Array(kinds)) => self.of_types(documents, at, node, kinds)?,
            _ if node.contains_key("properties") => self.object(documents, at, node)?,
            _ if node.contains_key("enum") => enumeration(node),
            _ => match node.get("const") {
                Some(Json::String(_)) => Schema::new(Type::String),
                Some(Json::Bool(_)) => Schema::new(Type::Boolean),
                Some(Json::Number(number)) if number.is_i64() => Schema::new(Type::Int64),
                Some(Json::Number(_)) => Schema::new(Type::Float64),
                _ => return Err(invalid("it says no type")),
            },
        };
        finish(schema, node)
    }

    fn of_type(
        &mut self,
        documents: &Documents,
        at: At<'_>,
        node: &Map<String, Json>,
        kind: &str,
    ) -> Result<Schema> {
        let text = |key: &str| node.get(key).and_then(Json::as_str);
        let is_decimal = text("title") == Some(logical::DECIMAL);
        Ok(match (kind, text("connect.type")) {
            ("array", Some("map")) => self.pairs(documents, at, node)?,
            ("array", _) => {
                let items = node
                    .get("items")
                    .ok_or_else(|| invalid("an array without items"))?;
                let items = self.place(documents, At { json: items, ..at })?;
                Schema::new(Type::Array(Arc::new(items)))
            }
            ("object", _) => self.object(documents, at, node)?,
            ("string" | "number", Some("bytes")) => Schema::new(Type::Bytes),
            _ if is_decimal => Schema::new(Type::Bytes),
            ("string", _) if node.contains_key("enum") => enumeration(node),
            ("string", _) => Schema::new(Type::String),
            ("boolean", _) => Schema::new(Type::Boolean),
            ("integer" | "number", Some("int8")) => Schema::new(Type::Int8),
            ("integer" | "number", Some("int16")) => Schema::new(Type::Int16),
            ("integer" | "number", Some("int32")) => Schema::new(Type::Int32),
            ("integer", _) | ("number", Some("int64")) => Schema::new(Type::Int64),
            ("number", Some("float32")) => Schema::new(Type::Float32),
            ("number", _) => Schema::new(Type::Float64),
            ("null", _) => Schema::new(Type::String).optional(),
            (other, _) => return Err(invalid(format!("the type {other}"))),
        })
    }

    /// Several types: null makes the other optional.
    fn of_types(
        &mut self,
        documents: &Documents,
        at: At<'_>,
        node: &Map<String, Json>,
        kinds: &[Json],
    ) -> Result<Schema> {
        let names = kinds.iter().filter_map(Json::as_str);
        let others: Vec<_> = names.filter(|kind| *kind != "null").collect();
        let optional = others.len() < kinds.len();
        let mut schemas = Vec::new();
        for kind in &others {
            schemas.push(self.of_type(documents, at, node, kind)?);
        }
        Ok(union(schemas, optional))
    }

    fn one_of(&mut self, documents: &Documents, several: Vec<At<'_>>) -> Result<Schema> {
        let mut optional = false;
        let mut schemas = Vec::new();
        for at in several {
            if at.json.get("type").is_some_and(|kind| kind == "null") {
                optional = true;
            } else {
                schemas.push(self.place(documents, at)?);
            }
        }
        Ok(union(schemas, optional))
    }

    /// Objects put together; of one part, that part.
    fn all_of(
        &mut self,
        documents: &Documents,
        node: &Map<String, Json>,
        parts: Vec<At<'_>>,
    ) -> Result<Schema> {
        let mut schemas = Vec::new();
        for at in parts {
            schemas.push(self.place(documents, at)?);
        }
        if let Some(schema) = schemas.pop().filter(|_| schemas.is_empty()) {
            return finish(schema, node);
        }
        Err(invalid("allOf of several parts"))
    }

    fn object(
        &mut self,
        documents: &Documents,
        at: At<'_>,
        node: &Map<String, Json>,
    ) -> Result<Schema> {
        let properties = node.get("properties").and_then(Json::as_object);
        let values = node
            .get("additionalProperties")
            .filter(|values| values.is_object());
        if let (None, Some(values)) = (properties, values) {
            let values = self.place(documents, At { json: values, ..at })?;
            let keys = Arc::new(Schema::new(Type::String));
            return Ok(Schema::new(Type::Map(keys, Arc::new(values))));
        }
        let required: Vec<&str> = node
            .get("required")
            .and_then(Json::as_array)
            .map(|names| names.iter().filter_map(Json::as_str).collect())
            .unwrap_or_default();
        let mut fields = Vec::new();
        for (place, (name, property)) in properties.into_iter().flatten().enumerate() {
            let mut schema = self.place(
                documents,
                At {
                    json: property,
                    ..at
                },
            )?;
            if self.options.optional_for_nonrequired && !required.contains(&name.as_str()) {
                schema.optional = true;
            }
            let index = property.get("connect.index").and_then(Json::as_u64);
            let field = Field {
                name: name.as_str().into(),
                schema: Arc::new(schema),
            };
            fields.push((index.unwrap_or(place as u64), field));
        }
        fields.sort_by_key(|(index, _)| *index);
        let fields = fields.into_iter().map(|(_, field)| field).collect();
        Ok(Schema::new(Type::Struct(fields)))
    }

    fn pairs(
        &mut self,
        documents: &Documents,
        at: At<'_>,
        node: &Map<String, Json>,
    ) -> Result<Schema> {
        let part = |key: &str| node.get("items")?.get("properties")?.get(key);
        let (Some(keys), Some(values)) = (part("key"), part("value")) else {
            return Err(invalid("a map without key and value"));
        };
        let keys = self.place(documents, At { json: keys, ..at })?;
        let values = self.place(documents, At { json: values, ..at })?;
        Ok(Schema::new(Type::Map(Arc::new(keys), Arc::new(values))))
    }
}

/// What `reference` points to: `#/definitions/Item`, `item.json`, `item.json#/definitions/Item`.
fn resolve<'a>(documents: &'a Documents, from: &'a str, reference: &str) -> Result<At<'a>> {
    let (name, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let name = if name.is_empty() { from } else { name };
    let is_named = |document: &&(String, Json)| {
        let (own, json) = document;
        own == name
            || json
                .get("$id")
                .is_some_and(|id| id == name && !name.is_empty())
    };
    let found = documents.iter().find(is_named);
    let missing = || invalid(format!("nothing is called {reference}"));
    let (document, json) = found.ok_or_else(missing)?;
    let pointer = percent_decode_str(pointer).decode_utf8_lossy();
    let json = json.pointer(&pointer).ok_or_else(missing)?;
    Ok(At { document, json })
}

/// One of several types.
fn union(mut schemas: Vec<Schema>, optional: bool) -> Schema {
    if schemas.len() == 1
        && let Some(mut schema) = schemas.pop()
    {
        schema.optional |= optional;
        return schema;
    }
    let field = |(number, mut schema): (usize, Schema)| {
        schema.optional = true;
        Field {
            name: format!("{ONE_OF}.field.{number}").into(),
            schema: Arc::new(schema),
        }
    };
    let fields = schemas.into_iter().enumerate().map(field).collect();
    let mut schema = Schema::new(Type::Struct(fields)).named(ONE_OF);
    schema.optional = optional;
    schema
}

fn enumeration(node: &Map<String, Json>) -> Schema {
    let mut schema = Schema::new(Type::String);
    schema.parameters.insert(ENUM.to_owned(), String::new());
    let symbols = node
        .get("enum")
        .and_then(Json::as_array)
        .into_iter()
        .flatten();
    for symbol in symbols.filter_map(Json::as_str) {
        schema
            .parameters
            .insert(format!("{ENUM}.{symbol}"), symbol.to_owned());
    }
    schema
}

/// Adds what Connect has said about the schema, and titles and descriptions of others.
fn finish(mut schema: Schema, node: &Map<String, Json>) -> Result<Schema> {
    let text = |key: &str| node.get(key).and_then(Json::as_str);
    if let Some(title) = text("title") {
        schema.name = Some(title.into());
    }
    if let Some(description) = text("description").or_else(|| text("connect.doc")) {
        schema.doc = Some(description.into());
    }
    if let Some(version) = node.get("connect.version").and_then(Json::as_i64) {
        schema.version = i32::try_from(version).ok();
    }
    if let Some(Json::Object(parameters)) = node.get("connect.parameters") {
        for (key, value) in parameters {
            if let Some(value) = value.as_str() {
                schema.parameters.insert(key.clone(), value.to_owned());
            }
        }
    }
    if let Some(default) = node.get("default").filter(|default| !default.is_null()) {
        let reader = Reader {
            replace_null: false,
            maps: MapForm::Objects,
            own: read_one_of,
        };
        schema.default = Some(reader.read(&Arc::new(schema.clone()), default.clone())?);
    }
    Ok(schema)
}
