//! Defaults: values as Avro writes them in the JSON of a schema. Bytes are text, a character a byte.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::data::{Decimal, Struct, Value};
use connect_core::{Error, Result};
use serde_json::{Map, Value as Json};

use super::invalid;
use super::plan::{Layout, Plan};

/// Reads a default.
pub(super) fn from_json(plan: &Plan, json: &Json) -> Result<Value> {
    let wrong = || invalid(format!("the default {json} is not of its type"));
    let integer = || json.as_i64().ok_or_else(wrong);
    let small = || integer().and_then(|number| i32::try_from(number).map_err(|_| wrong()));
    Ok(match &plan.layout {
        _ if json.is_null() => Value::Null,
        Layout::Boolean => Value::Boolean(json.as_bool().ok_or_else(wrong)?),
        Layout::Int8 => Value::Int8(small()?.try_into().map_err(|_| wrong())?),
        Layout::Int16 => Value::Int16(small()?.try_into().map_err(|_| wrong())?),
        Layout::Int32 => Value::Int32(small()?),
        Layout::Date => Value::Date(small()?),
        Layout::Time => Value::Time(small()?),
        Layout::Int64 => Value::Int64(integer()?),
        Layout::Timestamp => Value::Timestamp(integer()?),
        #[expect(clippy::cast_possible_truncation, reason = "float is 32 bits wide")]
        Layout::Float => Value::Float32(json.as_f64().ok_or_else(wrong)? as f32),
        Layout::Double => Value::Float64(json.as_f64().ok_or_else(wrong)?),
        Layout::String | Layout::Enum(_) => Value::string(json.as_str().ok_or_else(wrong)?),
        Layout::Bytes | Layout::Fixed(_) => Value::Bytes(bytes(json).ok_or_else(wrong)?.into()),
        Layout::Decimal(scale, _) => Value::Decimal(Decimal {
            unscaled: bytes(json).ok_or_else(wrong)?.into(),
            scale: *scale,
        }),
        Layout::Array(items) => Value::Array(all(json.as_array().ok_or_else(wrong)?, items)?),
        Layout::Map(values) => {
            let entries = json.as_object().ok_or_else(wrong)?.iter();
            let entry = |(key, value): (&String, &Json)| {
                Ok((Value::string(key.as_str()), from_json(values, value)?))
            };
            Value::Map(entries.map(entry).collect::<Result<_>>()?)
        }
        Layout::Pairs(keys, values) => {
            let pairs = json.as_array().ok_or_else(wrong)?.iter();
            let part = |pair: &Json, key: &str, plan| {
                from_json(plan, pair.get(key).unwrap_or(&Json::Null))
            };
            let pair = |pair: &Json| Ok((part(pair, "key", keys)?, part(pair, "value", values)?));
            Value::Map(pairs.map(pair).collect::<Result<_>>()?)
        }
        Layout::Record(fields) => record(plan, fields, json.as_object().ok_or_else(wrong)?)?,
        Layout::Union(branches) => first_branch(plan, branches, json)?,
    })
}

fn all(items: &[Json], plan: &Plan) -> Result<Vec<Value>> {
    items.iter().map(|item| from_json(plan, item)).collect()
}

fn record(plan: &Plan, fields: &[Plan], json: &Map<String, Json>) -> Result<Value> {
    let connect_core::data::Type::Struct(declared) = &plan.schema.kind else {
        return Err(Error::internal("a record whose schema is no struct"));
    };
    let values = declared
        .iter()
        .zip(fields)
        .map(|(field, plan)| match json.get(&*field.name) {
            Some(value) => from_json(plan, value),
            None => Ok(field.schema.default.clone().unwrap_or(Value::Null)),
        });
    Ok(Value::Struct(Struct {
        values: values.collect::<Result<_>>()?,
        schema: plan.schema.clone(),
    }))
}

/// A union's default is of its first type.
fn first_branch(plan: &Plan, branches: &[Option<Plan>], json: &Json) -> Result<Value> {
    let Some(Some(first)) = branches.first() else {
        return Err(invalid("a union that begins with null has another default"));
    };
    let fields = branches.iter().flatten().count();
    let mut values = vec![Value::Null; fields];
    if let Some(value) = values.first_mut() {
        *value = from_json(first, json)?;
    }
    let schema = plan.schema.clone();
    Ok(Value::Struct(Struct { schema, values }))
}

fn bytes(json: &Json) -> Option<Vec<u8>> {
    let characters = json.as_str()?.chars();
    characters
        .map(|character| u8::try_from(u32::from(character)).ok())
        .collect()
}

/// Reads the property in which Connect keeps a default: there bytes are in base64.
pub(super) fn from_property(plan: &Plan, json: &Json) -> Result<Value> {
    let bytes = || {
        let decoded = json.as_str().and_then(|text| STANDARD.decode(text).ok());
        decoded
            .map(Bytes::from)
            .ok_or_else(|| invalid("a default of bytes that are not in base64"))
    };
    Ok(match &plan.layout {
        Layout::Bytes | Layout::Fixed(_) => Value::Bytes(bytes()?),
        Layout::Decimal(scale, _) => Value::Decimal(Decimal {
            unscaled: bytes()?,
            scale: *scale,
        }),
        _ => from_json(plan, json)?,
    })
}

/// Writes the property in which Connect keeps a default.
pub(super) fn to_property(value: &Value) -> Result<Json> {
    match value {
        Value::Bytes(bytes) => Ok(STANDARD.encode(bytes).into()),
        Value::Decimal(decimal) => Ok(STANDARD.encode(&decimal.unscaled).into()),
        other => to_json(other),
    }
}

/// Writes a default.
pub(super) fn to_json(value: &Value) -> Result<Json> {
    let text = |bytes: &[u8]| {
        Json::from(
            bytes
                .iter()
                .map(|byte| char::from(*byte))
                .collect::<String>(),
        )
    };
    Ok(match value {
        Value::Null => Json::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Int8(number) => (*number).into(),
        Value::Int16(number) => (*number).into(),
        Value::Int32(number) | Value::Date(number) | Value::Time(number) => (*number).into(),
        Value::Int64(number) | Value::Timestamp(number) => (*number).into(),
        Value::Float32(number) => (*number).into(),
        Value::Float64(number) => (*number).into(),
        Value::String(value) => (**value).into(),
        Value::Bytes(bytes) => text(bytes),
        Value::Decimal(decimal) => text(&decimal.unscaled),
        Value::Array(items) => items
            .iter()
            .map(to_json)
            .collect::<Result<Vec<_>>>()?
            .into(),
        Value::Map(entries) => map_to_json(entries)?,
        Value::Struct(fields) => {
            let connect_core::data::Type::Struct(declared) = &fields.schema.kind else {
                return Err(Error::internal("a struct whose schema is not one"));
            };
            let fields = declared.iter().zip(&fields.values);
            let fields = fields.map(|(field, value)| Ok((field.name.to_string(), to_json(value)?)));
            Json::Object(fields.collect::<Result<_>>()?)
        }
        Value::Number(_) => return Err(Error::data("a default that no type of Avro holds")),
    })
}

fn map_to_json(entries: &[(Value, Value)]) -> Result<Json> {
    let is_text = entries.iter().all(|(key, _)| key.as_str().is_some());
    if is_text {
        let entry = |(key, value): &(Value, Value)| {
            Ok((key.as_str().unwrap_or_default().to_owned(), to_json(value)?))
        };
        return Ok(Json::Object(
            entries.iter().map(entry).collect::<Result<_>>()?,
        ));
    }
    let pair = |(key, value): &(Value, Value)| {
        let mut pair = Map::new();
        pair.insert("key".to_owned(), to_json(key)?);
        pair.insert("value".to_owned(), to_json(value)?);
        Ok(Json::Object(pair))
    };
    Ok(Json::Array(
        entries.iter().map(pair).collect::<Result<_>>()?,
    ))
}
