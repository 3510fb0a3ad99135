//! Values from Protobuf's messages.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{Datum, Decimal, Schema, Struct, Value, numbers};
use connect_core::{Error, Result};
use prost_reflect::{DynamicMessage, MapKey, Value as Proto};

use super::plan::{Element, Message, Part, Place, Shape, wrapped_in};
use super::{ProtobufOptions, moments};

/// Reads a record.
pub(super) fn read(message: &Message, payload: Bytes, options: &ProtobufOptions) -> Result<Datum> {
    let decoded = DynamicMessage::decode(message.descriptor.clone(), payload);
    let decoded = decoded.map_err(|cause| {
        Error::data(format!(
            "the bytes are no {}",
            message.descriptor.full_name()
        ))
        .source(cause)
    })?;
    let is_wrapper = wrapped_in(&message.descriptor).is_some();
    if let ([Part::Field(place)], true) = (
        message.parts.as_slice(),
        is_wrapper && options.wrapper_for_raw_primitives,
    ) {
        let mut schema = Schema::clone(&place.schema);
        schema.optional = true;
        schema.parameters.clear();
        return Ok(Datum::with_schema(
            Arc::new(schema),
            field(&decoded, place)?,
        ));
    }
    Ok(Datum::with_schema(
        message.schema.clone(),
        structure(&decoded, message, &message.schema)?,
    ))
}

fn structure(decoded: &DynamicMessage, message: &Message, schema: &Arc<Schema>) -> Result<Value> {
    let values = message.parts.iter().map(|part| match part {
        Part::Field(place) => field(decoded, place),
        Part::OneOf(schema, members) => one_of(decoded, schema, members),
    });
    Ok(Value::Struct(Struct {
        values: values.collect::<Result<_>>()?,
        schema: schema.clone(),
    }))
}

fn one_of(decoded: &DynamicMessage, schema: &Arc<Schema>, members: &[Place]) -> Result<Value> {
    let values = members.iter().map(|place| field(decoded, place));
    let values: Vec<_> = values.collect::<Result<_>>()?;
    if values.iter().all(Value::is_null) {
        return Ok(Value::Null);
    }
    let schema = schema.clone();
    Ok(Value::Struct(Struct { schema, values }))
}

/// A field that is not there is null if it can be told from its default, else the default.
fn field(decoded: &DynamicMessage, place: &Place) -> Result<Value> {
    if place.field.supports_presence() && !decoded.has_field(&place.field) {
        return Ok(Value::Null);
    }
    let found = decoded.get_field(&place.field);
    let read = match (&place.shape, &*found) {
        (Shape::One(element), value) => one(element, &place.schema, value),
        (Shape::List(element), Proto::List(values)) => {
            let schema = items(&place.schema);
            let values = values.iter().map(|value| one(element, &schema, value));
            values.collect::<Result<_>>().map(Value::Array)
        }
        (Shape::Map(key, value), Proto::Map(entries)) => map(place, key, value, entries),
        _ => Err(unexpected()),
    };
    read.map_err(|cause| Error::data(format!("field {}: {}", place.field.name(), cause.message())))
}

fn items(schema: &Arc<Schema>) -> Arc<Schema> {
    match &schema.kind {
        connect_core::data::Type::Array(items) => items.clone(),
        connect_core::data::Type::Map(_, values) => values.clone(),
        _ => schema.clone(),
    }
}

/// Entries by their keys: the decoder has lost their order, and the same bytes must always be read the same.
fn map(
    place: &Place,
    key: &Element,
    value: &Element,
    entries: &std::collections::HashMap<MapKey, Proto>,
) -> Result<Value> {
    let schema = items(&place.schema);
    let mut sorted: Vec<_> = entries.iter().collect();
    sorted.sort_by_key(|(key, _)| *key);
    let entry = |(found, held): (&MapKey, &Proto)| {
        let found = Proto::from(found.clone());
        Ok((one(key, &schema, &found)?, one(value, &schema, held)?))
    };
    sorted
        .into_iter()
        .map(entry)
        .collect::<Result<_>>()
        .map(Value::Map)
}

fn one(element: &Element, schema: &Arc<Schema>, value: &Proto) -> Result<Value> {
    Ok(match (element, value) {
        (Element::Bool, Proto::Bool(value)) => Value::Boolean(*value),
        (Element::Int8, Proto::I32(number)) => Value::Int8(narrow(*number)?),
        (Element::Int16, Proto::I32(number)) => Value::Int16(narrow(*number)?),
        (Element::Int32, Proto::I32(number)) => Value::Int32(*number),
        (Element::Int64, Proto::I64(number)) => Value::Int64(*number),
        (Element::Int64, Proto::U32(number)) => Value::Int64((*number).into()),
        (Element::Int64, Proto::U64(number)) => Value::Int64(number.cast_signed()),
        (Element::Float, Proto::F32(number)) => Value::Float32(*number),
        (Element::Double, Proto::F64(number)) => Value::Float64(*number),
        (Element::String, Proto::String(text)) => Value::string(text.as_str()),
        (Element::Bytes, Proto::Bytes(bytes)) => Value::Bytes(bytes.clone()),
        (Element::Enum(kind), Proto::EnumNumber(number)) => match kind.get_value(*number) {
            Some(value) => Value::string(value.name()),
            None => Value::string(number.to_string()),
        },
        (Element::Message(message), Proto::Message(decoded)) => {
            structure(decoded, message, schema)?
        }
        (Element::Wrapper(element, inner), Proto::Message(decoded)) => {
            one(element, schema, &decoded.get_field(inner))?
        }
        (Element::Decimal(scale), Proto::Message(decoded)) => {
            Value::Decimal(decimal(decoded, *scale)?)
        }
        (Element::Date, Proto::Message(decoded)) => {
            let part = |number| integer(decoded, number);
            Value::Date(moments::days(part(1)?, part(2)?, part(3)?)?)
        }
        (Element::Time, Proto::Message(decoded)) => {
            let part = |number| integer(decoded, number);
            let parts = [part(1)?, part(2)?, part(3)?, part(4)?];
            Value::Time(moments::millis_of_day(parts)?)
        }
        (Element::Timestamp, Proto::Message(decoded)) => {
            let seconds = decoded
                .get_field_by_number(1)
                .and_then(|seconds| seconds.as_i64());
            let seconds = seconds.ok_or_else(unexpected)?;
            Value::Timestamp(moments::millis(seconds, integer(decoded, 2)?)?)
        }
        _ => return Err(unexpected()),
    })
}

fn unexpected() -> Error {
    Error::internal("a field that is not of its type")
}

fn narrow<T: TryFrom<i32>>(number: i32) -> Result<T> {
    T::try_from(number).map_err(|_| Error::data(format!("{number} does not fit its Connect type")))
}

fn integer(message: &DynamicMessage, number: u32) -> Result<i32> {
    let value = message.get_field_by_number(number);
    value
        .and_then(|value| value.as_i32())
        .ok_or_else(unexpected)
}

/// With the scale of the schema, which the value's own may differ from.
fn decimal(message: &DynamicMessage, scale: i32) -> Result<Decimal> {
    let unscaled = message.get_field_by_number(1);
    let unscaled = unscaled.and_then(|value| value.as_bytes().cloned());
    let exact = Decimal {
        unscaled: unscaled.ok_or_else(unexpected)?,
        scale: integer(message, 3)?,
    };
    if exact.scale.abs_diff(scale) > numbers::MAX_SCALE_CHANGE {
        return Err(Error::data(
            "a decimal whose scale is far from that of its schema",
        ));
    }
    numbers::decimal_from_exact(&exact, scale).ok_or_else(|| {
        Error::data(format!(
            "a decimal with more digits after the point than its schema's {scale}"
        ))
    })
}
