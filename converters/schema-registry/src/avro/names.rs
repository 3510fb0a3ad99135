//! Names of Avro's types: where each is defined, and its full name.

use std::collections::HashMap;

use connect_core::Result;
use serde_json::{Map, Value as Json};

use super::invalid;

/// The keys of Avro's own types.
pub(super) const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];

/// Definitions by full name, with the namespace that holds inside.
pub(super) type Names<'a> = HashMap<String, (&'a Map<String, Json>, String)>;

/// The full name of a definition and the namespace that holds inside it.
pub(super) fn full_name(definition: &Map<String, Json>, around: &str) -> Result<(String, String)> {
    let name = definition.get("name").and_then(Json::as_str);
    let name = name.ok_or_else(|| invalid("a record, enum or fixed without a name"))?;
    if let Some((namespace, _)) = name.rsplit_once('.') {
        return Ok((name.to_owned(), namespace.to_owned()));
    }
    let own = definition.get("namespace").and_then(Json::as_str);
    let namespace = own.unwrap_or(around);
    Ok((qualified(name, namespace), namespace.to_owned()))
}

/// A name as it is meant inside `namespace`.
pub(super) fn qualified(name: &str, namespace: &str) -> String {
    if name.contains('.') || namespace.is_empty() {
        name.to_owned()
    } else {
        format!("{namespace}.{name}")
    }
}

/// Adds every definition inside `json`. The parser has limited how deep it can be.
pub(super) fn collect<'a>(json: &'a Json, around: &str, names: &mut Names<'a>) -> Result<()> {
    match json {
        Json::Array(branches) => {
            for branch in branches {
                collect(branch, around, names)?;
            }
        }
        Json::Object(definition) => collect_definition(definition, around, names)?,
        _ => {}
    }
    Ok(())
}

fn collect_definition<'a>(
    definition: &'a Map<String, Json>,
    around: &str,
    names: &mut Names<'a>,
) -> Result<()> {
    let mut inside = around.to_owned();
    match definition.get("type") {
        Some(Json::String(kind))
            if ["record", "error", "enum", "fixed"].contains(&kind.as_str()) =>
        {
            let (name, namespace) = full_name(definition, around)?;
            inside.clone_from(&namespace);
            names.insert(name, (definition, namespace));
        }
        Some(nested) => collect(nested, around, names)?,
        None => {}
    }
    for key in ["items", "values"] {
        if let Some(part) = definition.get(key) {
            collect(part, &inside, names)?;
        }
    }
    for field in definition
        .get("fields")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        if let Some(kind) = field.get("type") {
            collect(kind, &inside, names)?;
        }
    }
    Ok(())
}
