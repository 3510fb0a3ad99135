//! Values written in a schema: `options` and defaults.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connect_core::data::{Decimal, Schema, Struct, Value, numbers};
use serde_json::Value as Json;

use super::plan::{Plan, Shape};

/// The value that `json` says.
///
/// # Errors
/// Why it is none of this type, for people.
pub(super) fn literal(shape: &Shape, schema: &Arc<Schema>, json: &Json) -> Result<Value, String> {
    let wrong = || format!("{json} is no value of this type");
    let value = match (shape, json) {
        (Shape::Boolean(_), Json::Bool(value)) => Some(Value::Boolean(*value)),
        (Shape::Integer(kind, _), Json::Number(number)) => {
            let number = number.as_i64().map(i128::from);
            let number = number.filter(|number| kind.type_range().contains(number));
            number.map(|number| kind.value(number))
        }
        (Shape::Real(kind, _), Json::Number(number)) => {
            number.as_f64().map(|number| kind.value(number))
        }
        (Shape::Decimal(decimals), Json::Number(_) | Json::String(_)) => {
            let text = json
                .as_str()
                .map_or_else(|| json.to_string(), str::to_owned);
            numbers::decimal_from_text(&text, decimals.scale).map(Value::Decimal)
        }
        (Shape::Text(_), Json::String(text)) => Some(Value::string(text.as_str())),
        (Shape::Enum(symbols), Json::String(text)) => {
            let symbol = symbols.iter().find(|symbol| &***symbol == text);
            symbol.map(|symbol| Value::String(symbol.clone()))
        }
        (Shape::Bytes(_), Json::String(text)) => STANDARD
            .decode(text)
            .ok()
            .map(|bytes| Value::Bytes(bytes.into())),
        (Shape::Fixed(size), Json::String(text)) => latin1(text)
            .filter(|bytes| bytes.len() == *size)
            .map(Value::Bytes),
        (Shape::Array(_, item), Json::Array(items)) => {
            let items = items.iter().map(|json| of_plan(item, json));
            Some(Value::Array(items.collect::<Result<_, _>>()?))
        }
        (Shape::Map(_, _, plan), Json::Object(entries)) => {
            let entry = |(key, json): (&String, &Json)| {
                Ok::<_, String>((Value::string(key.as_str()), of_plan(plan, json)?))
            };
            Some(Value::Map(
                entries.iter().map(entry).collect::<Result<_, _>>()?,
            ))
        }
        (Shape::Record(fields), Json::Object(_)) => Some(record(fields, schema, json)?),
        (Shape::Nullable(_) | Shape::Union(_), Json::Null) => Some(Value::Null),
        (Shape::Nullable(inner), json) => Some(of_plan(inner, json)?),
        (Shape::Union(branches), json) => union(branches, schema, json),
        _ => None,
    };
    value.ok_or_else(wrong)
}

/// The value that `json` says as a field's default: there Avro writes bytes, and with them decimals, as characters.
///
/// # Errors
/// Why it is none of this type, for people.
pub(super) fn default_value(
    shape: &Shape,
    schema: &Arc<Schema>,
    json: &Json,
) -> Result<Value, String> {
    let bytes = json.as_str().and_then(latin1);
    match (shape, bytes) {
        (Shape::Bytes(_), Some(bytes)) => Ok(Value::Bytes(bytes)),
        (Shape::Decimal(decimals), Some(unscaled)) => Ok(Value::Decimal(Decimal {
            unscaled,
            scale: decimals.scale,
        })),
        (Shape::Nullable(inner), _) => default_value(&inner.shape, &inner.schema, json),
        _ => literal(shape, schema, json),
    }
}

fn of_plan(plan: &Plan, json: &Json) -> Result<Value, String> {
    literal(&plan.shape, &plan.schema, json)
}

/// Fields that are not said have their default.
fn record(fields: &[Plan], schema: &Arc<Schema>, json: &Json) -> Result<Value, String> {
    let connect_core::data::Type::Struct(declared) = &schema.kind else {
        return Err("a record whose schema is no struct".to_owned());
    };
    let value = |(plan, field): (&Plan, &connect_core::data::Field)| match json.get(&*field.name) {
        Some(json) => of_plan(plan, json).map_err(|error| format!("{}: {error}", field.name)),
        None => match &plan.schema.default {
            Some(default) => Ok(default.clone()),
            None if plan.schema.optional => Ok(Value::Null),
            None => Err(format!("{}: missing in {json}", field.name)),
        },
    };
    Ok(Value::Struct(Struct {
        schema: schema.clone(),
        values: fields
            .iter()
            .zip(declared)
            .map(value)
            .collect::<Result<_, _>>()?,
    }))
}

/// The first branch that it is a value of.
fn union(branches: &[Option<Plan>], schema: &Arc<Schema>, json: &Json) -> Option<Value> {
    let mut values = vec![Value::Null; branches.iter().flatten().count()];
    let mut places = branches.iter().flatten().zip(&mut values);
    let (value, place) =
        places.find_map(|(plan, place)| Some((of_plan(plan, json).ok()?, place)))?;
    *place = value;
    Some(Value::Struct(Struct {
        schema: schema.clone(),
        values,
    }))
}

/// Bytes written as the characters of the same numbers.
fn latin1(text: &str) -> Option<Bytes> {
    let bytes: Option<Vec<u8>> = text
        .chars()
        .map(|one| u8::try_from(u32::from(one)).ok())
        .collect();
    bytes.map(Bytes::from)
}
