//! Values in Protobuf's encoding: fields in the order of the struct, so that the same value is always the same bytes.

use connect_core::data::{Struct, Type, Value};
use connect_core::{Error, Result};
use prost_reflect::{FieldDescriptor, Kind};

use super::moments;
use super::plan::{Element, Message, Part, Place, Shape};

const VARINT: u64 = 0;
const EIGHT_BYTES: u64 = 1;
const LENGTH: u64 = 2;
const FOUR_BYTES: u64 = 5;

/// Appends a record.
pub(super) fn write(message: &Message, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match value {
        Value::Struct(fields) => write_fields(message, fields, out),
        _ => Err(Error::data(
            "only structs can be written as Protobuf messages",
        )),
    }
}

fn write_fields(message: &Message, fields: &Struct, out: &mut Vec<u8>) -> Result<()> {
    let Type::Struct(declared) = &message.schema.kind else {
        return Err(Error::internal("a message whose schema is no struct"));
    };
    for (part, field) in message.parts.iter().zip(declared) {
        let given = fields.get(&field.name).unwrap_or(&Value::Null);
        match part {
            Part::Field(place) => write_place(place, given, out)?,
            Part::OneOf(_, members) => {
                for place in members {
                    let member = given.get(place.field.name()).unwrap_or(&Value::Null);
                    write_place(place, member, out)?;
                }
            }
        }
    }
    Ok(())
}

/// A field that is null is left out; so is one that is its default and could not be told from it.
fn write_place(place: &Place, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let field = &place.field;
    let written = match (&place.shape, value) {
        (_, Value::Null) => Ok(()),
        (Shape::One(element), value) => {
            let mut bytes = Vec::new();
            write_one(element, field, value, &mut bytes).map(|()| {
                if field.supports_presence() || !is_default(value) {
                    put(field, &bytes, out);
                }
            })
        }
        (Shape::List(element), Value::Array(values)) => write_list(element, field, values, out),
        (Shape::Map(key, held), Value::Map(entries)) => write_map((key, held), field, entries, out),
        (_, value) => Err(misfit(value)),
    };
    written.map_err(|cause| Error::data(format!("field {}: {}", field.name(), cause.message())))
}

fn is_default(value: &Value) -> bool {
    match value {
        Value::Boolean(value) => !value,
        Value::Int8(number) => *number == 0,
        Value::Int16(number) => *number == 0,
        Value::Int32(number) => *number == 0,
        Value::Int64(number) => *number == 0,
        Value::Float32(number) => number.to_bits() == 0,
        Value::Float64(number) => number.to_bits() == 0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        _ => false,
    }
}

fn write_list(
    element: &Element,
    field: &FieldDescriptor,
    values: &[Value],
    out: &mut Vec<u8>,
) -> Result<()> {
    let mut packed = Vec::new();
    for value in values {
        let mut bytes = Vec::new();
        write_one(element, field, value, &mut bytes)?;
        if field.is_packed() {
            packed.extend_from_slice(&bytes);
        } else {
            put(field, &bytes, out);
        }
    }
    if !packed.is_empty() {
        tag(field.number(), LENGTH, out);
        put_bytes(&packed, out);
    }
    Ok(())
}

/// Each entry is a message of key and value.
fn write_map(
    (key, held): (&Element, &Element),
    field: &FieldDescriptor,
    entries: &[(Value, Value)],
    out: &mut Vec<u8>,
) -> Result<()> {
    let kind = field.kind();
    let entry = kind
        .as_message()
        .ok_or_else(|| Error::internal("a map without entries"))?;
    let (keys, values) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    for (name, value) in entries {
        let (mut bytes, mut message) = (Vec::new(), Vec::new());
        write_one(key, &keys, name, &mut bytes)?;
        put(&keys, &bytes, &mut message);
        bytes.clear();
        write_one(held, &values, value, &mut bytes)?;
        put(&values, &bytes, &mut message);
        tag(field.number(), LENGTH, out);
        put_bytes(&message, out);
    }
    Ok(())
}

/// Appends a field whose value is encoded already.
fn put(field: &FieldDescriptor, bytes: &[u8], out: &mut Vec<u8>) {
    match wire_type(&field.kind()) {
        LENGTH => {
            tag(field.number(), LENGTH, out);
            put_bytes(bytes, out);
        }
        wire_type => {
            tag(field.number(), wire_type, out);
            out.extend_from_slice(bytes);
        }
    }
}

fn wire_type(kind: &Kind) -> u64 {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => EIGHT_BYTES,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => FOUR_BYTES,
        Kind::String | Kind::Bytes | Kind::Message(_) => LENGTH,
        _ => VARINT,
    }
}

/// Appends a value without tag and length.
fn write_one(
    element: &Element,
    field: &FieldDescriptor,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    match (element, value) {
        (Element::Bool, Value::Boolean(value)) => out.push(u8::from(*value)),
        (Element::Float, Value::Float32(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Element::Double, Value::Float64(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Element::Double, Value::Float32(number)) => {
            out.extend_from_slice(&f64::from(*number).to_le_bytes());
        }
        (Element::String, Value::String(text)) => out.extend_from_slice(text.as_bytes()),
        (Element::Bytes, Value::Bytes(bytes)) => out.extend_from_slice(bytes),
        (Element::Enum(kind), Value::String(text)) => {
            let known = kind.get_value_by_name(text).map(|value| value.number());
            let number = known.or_else(|| text.parse().ok());
            let number =
                number.ok_or_else(|| Error::data(format!("the enum has no symbol {text}")))?;
            varint(i64::from(number).cast_unsigned(), out);
        }
        (Element::Message(message), Value::Struct(fields)) => write_fields(message, fields, out)?,
        (Element::Wrapper(element, inner), value) => {
            let mut bytes = Vec::new();
            write_one(element, inner, value, &mut bytes)?;
            if !is_default(value) {
                put(inner, &bytes, out);
            }
        }
        (Element::Decimal(_), Value::Decimal(decimal)) => {
            tag(1, LENGTH, out);
            put_bytes(&decimal.unscaled, out);
            put_integers([0, i64::from(decimal.scale)], 2, out);
        }
        (Element::Date, Value::Date(days)) => {
            put_integers(moments::date(*days)?.map(i64::from), 1, out);
        }
        (Element::Time, Value::Time(millis)) => {
            put_integers(moments::time_of_day(*millis).map(i64::from), 1, out);
        }
        (Element::Timestamp, Value::Timestamp(millis)) => {
            let (seconds, nanos) = moments::timestamp(*millis);
            put_integers([seconds, nanos], 1, out);
        }
        (element, value) => write_integer(element, field, value, out)?,
    }
    Ok(())
}

/// Fields of a message, from number `first` on; zeros are left out.
fn put_integers<const N: usize>(integers: [i64; N], first: u32, out: &mut Vec<u8>) {
    for (number, integer) in (first..).zip(integers) {
        if integer != 0 {
            tag(number, VARINT, out);
            varint(integer.cast_unsigned(), out);
        }
    }
}

fn write_integer(
    element: &Element,
    field: &FieldDescriptor,
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    let number = match value {
        Value::Int8(number) => i64::from(*number),
        Value::Int16(number) => i64::from(*number),
        Value::Int32(number) => i64::from(*number),
        Value::Int64(number) => *number,
        other => return Err(misfit(other)),
    };
    let fits = match element {
        Element::Int8 => i8::try_from(number).is_ok(),
        Element::Int16 => i16::try_from(number).is_ok(),
        Element::Int32 => i32::try_from(number).is_ok(),
        Element::Int64 => true,
        _ => return Err(misfit(value)),
    };
    let unsigned = u32::try_from(number);
    match field.kind() {
        _ if !fits => return Err(misfit(value)),
        Kind::Uint32 => varint(unsigned.map_err(|_| misfit(value))?.into(), out),
        Kind::Fixed32 => out.extend_from_slice(&unsigned.map_err(|_| misfit(value))?.to_le_bytes()),
        Kind::Sfixed32 => {
            let number = i32::try_from(number).map_err(|_| misfit(value))?;
            out.extend_from_slice(&number.to_le_bytes());
        }
        Kind::Fixed64 | Kind::Sfixed64 => out.extend_from_slice(&number.to_le_bytes()),
        Kind::Sint32 | Kind::Sint64 => {
            varint(((number << 1) ^ (number >> 63)).cast_unsigned(), out);
        }
        _ => varint(number.cast_unsigned(), out),
    }
    Ok(())
}

fn misfit(value: &Value) -> Error {
    if value.is_null() {
        return Error::data("a null in a list or map: Protobuf has none there");
    }
    Error::data("a value that is not of the field's type, or does not fit it")
}

fn tag(number: u32, wire_type: u64, out: &mut Vec<u8>) {
    varint(u64::from(number) << 3 | wire_type, out);
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// A number of seven bits a byte.
pub(super) fn varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}
