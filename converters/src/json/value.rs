//! Payloads read by their schema.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::data::{Decimal, Schema, Struct, Type, Value, logical, numbers};
use connect_core::{Error, Result};
use serde_json::Value as Json;

/// Reads the values of a schema that have a form of their own; `None` for others.
type ReadOwn = fn(&Reader, &Arc<Schema>, &Json) -> Option<Result<Value>>;

/// How maps are told that JSON's objects cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapForm {
    /// A list of `[key, value]`, of maps whose keys are no text: as Kafka's converter writes them.
    Tuples,
    /// A list of `{"key": …, "value": …}`, of maps whose keys are no text or may be null: as Confluent's writes them.
    Objects,
}

impl MapForm {
    /// True if a map with such keys is an object.
    pub(super) fn is_object(self, keys: &Schema) -> bool {
        keys.kind == Type::String && (self == Self::Tuples || !keys.optional)
    }
}

/// How payloads are read.
#[derive(Debug, Clone, Copy)]
pub struct Reader {
    /// Whether a null is read as its schema's default.
    pub replace_null: bool,
    /// How maps are told whose keys are no text.
    pub maps: MapForm,
    /// Sees each value first.
    pub own: ReadOwn,
}

impl Reader {
    /// Reads `json` as `schema` says.
    ///
    /// # Errors
    /// A data error if the value does not fit its schema.
    pub fn read(&self, schema: &Arc<Schema>, json: Json) -> Result<Value> {
        if let Some(own) = (self.own)(self, schema, &json) {
            return own;
        }
        read(self, schema, json)
    }
}

fn read(reader: &Reader, schema: &Arc<Schema>, json: Json) -> Result<Value> {
    if json.is_null() {
        return read_null(schema, reader.replace_null);
    }
    match schema.name.as_deref() {
        Some(logical::DECIMAL) => read_decimal(schema, &json),
        Some(logical::DATE) => Ok(Value::Date(integer(&json, schema)?)),
        Some(logical::TIME) => Ok(Value::Time(integer(&json, schema)?)),
        Some(logical::TIMESTAMP) => Ok(Value::Timestamp(integer(&json, schema)?)),
        _ => read_plain(reader, schema, json),
    }
}

fn read_null(schema: &Arc<Schema>, replace_null: bool) -> Result<Value> {
    match &schema.default {
        Some(default) if replace_null => Ok(default.clone()),
        _ if schema.optional => Ok(Value::Null),
        _ => Err(Error::data(format!(
            "Invalid null value for required {} field",
            schema.kind.name()
        ))),
    }
}

fn read_plain(reader: &Reader, schema: &Arc<Schema>, json: Json) -> Result<Value> {
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
                .map(|value| reader.read(items, value))
                .collect::<Result<_>>()?,
        ),
        (Type::Map(keys, values), json) => read_map(reader, keys, values, json)?,
        (Type::Struct(fields), Json::Object(mut object)) => {
            let values = fields
                .iter()
                .map(|field| {
                    let json = object.remove(&*field.name).unwrap_or(Json::Null);
                    reader.read(&field.schema, json).map_err(|cause| {
                        Error::data(format!("{}: in field {}", cause.message(), field.name))
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
    reader: &Reader,
    keys: &Arc<Schema>,
    values: &Arc<Schema>,
    json: Json,
) -> Result<Value> {
    let found = kind_of(&json);
    let entry = |key: Json, value: Json| -> Result<(Value, Value)> {
        Ok((reader.read(keys, key)?, reader.read(values, value)?))
    };
    let is_object = reader.maps.is_object(keys);
    let entries: Result<Vec<_>> = match json {
        Json::Object(object) if is_object => object
            .into_iter()
            .map(|(key, value)| entry(Json::String(key), value))
            .collect(),
        Json::Array(pairs) if !is_object => pairs
            .into_iter()
            .map(|pair| pair_of(reader.maps, pair).and_then(|[key, value]| entry(key, value)))
            .collect(),
        _ if is_object => Err(Error::data(format!(
            "Maps with string fields should be encoded as JSON objects, but found {found}"
        ))),
        _ => Err(Error::data(format!(
            "Maps with non-string fields should be encoded as JSON array of tuples, but found {found}"
        ))),
    };
    entries.map(Value::Map)
}

fn pair_of(maps: MapForm, json: Json) -> Result<[Json; 2]> {
    let found = kind_of(&json);
    let pair = match (maps, json) {
        (MapForm::Tuples, Json::Array(pair)) => pair,
        (MapForm::Tuples, _) => {
            return Err(Error::data(format!(
                "Found invalid map entry instead of array tuple: {found}"
            )));
        }
        (MapForm::Objects, Json::Object(mut pair)) if pair.len() == 2 => {
            let part = |name| pair.remove(name).unwrap_or(Json::Null);
            ["key", "value"].map(part).into()
        }
        (MapForm::Objects, Json::Object(pair)) => pair.into_iter().map(|(_, part)| part).collect(),
        (MapForm::Objects, _) => {
            return Err(Error::data(format!(
                "Found invalid map entry instead of object: {found}"
            )));
        }
    };
    <[Json; 2]>::try_from(pair).map_err(|pair| {
        let length = pair.len();
        Error::data(format!(
            "Found invalid map entry, expected length 2 but found :{length}"
        ))
    })
}

fn read_decimal(schema: &Arc<Schema>, json: &Json) -> Result<Value> {
    let scale = schema
        .parameters
        .get("scale")
        .and_then(|scale| scale.parse().ok());
    let Some(scale) = scale else {
        return Err(Error::data("Invalid bytes for Decimal field")
            .source(Error::data("the schema has no scale that is a number")));
    };
    match json {
        Json::String(text) => Ok(Value::Decimal(Decimal {
            unscaled: base64(text)?,
            scale,
        })),
        Json::Number(number) => numbers::decimal_from_text(number.as_str(), scale)
            .map(Value::Decimal)
            .ok_or_else(|| Error::data("a decimal with more digits than its scale")),
        other => Err(Error::data(format!(
            "Invalid type for Decimal, underlying representation should be numeric or bytes but was {}",
            kind_of(other)
        ))),
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
    let found = kind_of(json);
    let logical = match schema.name.as_deref() {
        Some(logical::DATE) => Some(("Date", "integer")),
        Some(logical::TIME) => Some(("Time", "integer")),
        Some(logical::TIMESTAMP) => Some(("Timestamp", "integral")),
        _ => None,
    };
    Error::data(match (logical, &schema.kind) {
        (Some((name, expected)), _) => format!(
            "Invalid type for {name}, underlying representation should be {expected} but was {found}"
        ),
        (None, Type::Struct(_)) => {
            format!("Structs should be encoded as JSON objects, but found {found}")
        }
        (None, kind) => format!(
            "Invalid type for {}: {found} that does not fit",
            kind.name()
        ),
    })
}

/// What a JSON value is, in Kafka's errors.
fn kind_of(json: &Json) -> &'static str {
    match json {
        Json::Null => "NULL",
        Json::Bool(_) => "BOOLEAN",
        Json::Number(_) => "NUMBER",
        Json::String(_) => "STRING",
        Json::Array(_) => "ARRAY",
        Json::Object(_) => "OBJECT",
    }
}
