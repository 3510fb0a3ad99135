//! Payloads read by their schema.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::data::{Decimal, Schema, Struct, Type, Value, logical};
use connect_core::{Error, Result};
use serde_json::Value as Json;

/// Reads `json` as `schema` says.
pub(super) fn read(schema: &Arc<Schema>, json: Json, replace_null: bool) -> Result<Value> {
    if json.is_null() {
        return read_null(schema, replace_null);
    }
    match schema.name.as_deref() {
        Some(logical::DECIMAL) => read_decimal(schema, &json),
        Some(logical::DATE) => Ok(Value::Date(integer(&json, schema)?)),
        Some(logical::TIME) => Ok(Value::Time(integer(&json, schema)?)),
        Some(logical::TIMESTAMP) => Ok(Value::Timestamp(integer(&json, schema)?)),
        _ => read_plain(schema, json, replace_null),
    }
}

fn read_null(schema: &Arc<Schema>, replace_null: bool) -> Result<Value> {
    match &schema.default {
        Some(default) if replace_null || !schema.optional => Ok(default.clone()),
        _ if schema.optional => Ok(Value::Null),
        _ => Err(Error::data("Invalid null value for required field")),
    }
}

fn read_plain(schema: &Arc<Schema>, json: Json, replace_null: bool) -> Result<Value> {
    Ok(match (&schema.kind, json) {
        (Type::Boolean, Json::Bool(value)) => Value::Boolean(value),
        (Type::Int8, json) => Value::Int8(integer(&json, schema)?),
        (Type::Int16, json) => Value::Int16(integer(&json, schema)?),
        (Type::Int32, json) => Value::Int32(integer(&json, schema)?),
        (Type::Int64, json) => Value::Int64(integer(&json, schema)?),
        #[expect(
            clippy::cast_possible_truncation,
            reason = "float is 32 bits wide by its schema"
        )]
        (Type::Float32, json) => Value::Float32(float(&json, schema)? as f32),
        (Type::Float64, json) => Value::Float64(float(&json, schema)?),
        (Type::String, Json::String(text)) => Value::string(text),
        (Type::Bytes, Json::String(text)) => Value::Bytes(base64(&text)?),
        (Type::Array(items), Json::Array(values)) => Value::Array(
            values
                .into_iter()
                .map(|value| read(items, value, replace_null))
                .collect::<Result<_>>()?,
        ),
        (Type::Map(keys, values), json) => read_map(keys, values, json, replace_null)?,
        (Type::Struct(fields), Json::Object(mut object)) => {
            let values = fields
                .iter()
                .map(|field| {
                    let json = object.remove(&*field.name).unwrap_or(Json::Null);
                    read(&field.schema, json, replace_null).map_err(|cause| {
                        Error::data(format!("field \"{}\"", field.name)).source(cause)
                    })
                })
                .collect::<Result<_>>()?;
            Value::Struct(Struct {
                schema: schema.clone(),
                values,
            })
        }
        (_, json) => return Err(mismatch(schema, &json)),
    })
}

fn read_map(
    keys: &Arc<Schema>,
    values: &Arc<Schema>,
    json: Json,
    replace_null: bool,
) -> Result<Value> {
    let entry = |key: Json, value: Json| -> Result<(Value, Value)> {
        Ok((
            read(keys, key, replace_null)?,
            read(values, value, replace_null)?,
        ))
    };
    let entries: Result<Vec<_>> = match json {
        Json::Object(object) if keys.kind == Type::String => object
            .into_iter()
            .map(|(key, value)| entry(Json::String(key), value))
            .collect(),
        Json::Array(pairs) => pairs
            .into_iter()
            .map(|pair| match pair {
                Json::Array(pair) => match <[Json; 2]>::try_from(pair) {
                    Ok([key, value]) => entry(key, value),
                    Err(_) => Err(Error::data("a map entry must be a pair of key and value")),
                },
                _ => Err(Error::data("a map entry must be a pair of key and value")),
            })
            .collect(),
        _ => {
            return Err(Error::data(
                "Maps with string fields should be encoded as JSON objects, others as arrays of pairs",
            ));
        }
    };
    entries.map(Value::Map)
}

fn read_decimal(schema: &Arc<Schema>, json: &Json) -> Result<Value> {
    let scale = schema
        .parameters
        .get("scale")
        .and_then(|scale| scale.parse().ok());
    let Some(scale) = scale else {
        return Err(Error::data(
            "Invalid Decimal schema: scale parameter not found.",
        ));
    };
    match json {
        Json::String(text) => Ok(Value::Decimal(Decimal {
            unscaled: base64(text)?,
            scale,
        })),
        _ => Err(Error::data("only decimals in base64 are supported")),
    }
}

fn base64(text: &str) -> Result<Bytes> {
    STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(|cause| Error::data("Invalid bytes field").source(cause))
}

fn integer<T: TryFrom<i64>>(json: &Json, schema: &Arc<Schema>) -> Result<T> {
    json.as_i64()
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| mismatch(schema, json))
}

fn float(json: &Json, schema: &Arc<Schema>) -> Result<f64> {
    match json {
        Json::String(text) if matches!(text.as_str(), "NaN" | "Infinity" | "-Infinity") => {
            text.parse().map_err(|_| mismatch(schema, json))
        }
        _ => json.as_f64().ok_or_else(|| mismatch(schema, json)),
    }
}

fn mismatch(schema: &Arc<Schema>, json: &Json) -> Error {
    let found = match json {
        Json::Null => "null",
        Json::Bool(_) => "a boolean",
        Json::Number(_) => "a number",
        Json::String(_) => "a string",
        Json::Array(_) => "an array",
        Json::Object(_) => "an object",
    };
    Error::data(format!(
        "Invalid type for {:?}: {found} that does not fit",
        short(&schema.kind)
    ))
}

fn short(kind: &Type) -> String {
    let text = format!("{kind:?}");
    text.split('(').next().unwrap_or_default().to_uppercase()
}
