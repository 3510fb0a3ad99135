//! Values in Avro's binary encoding.

use connect_core::data::{Schema, Struct, Type, Value};
use connect_core::{Error, Result};
use num_bigint::BigInt;

use super::plan::{Layout, Null, Plan};

/// Appends the one value of a record.
pub(super) fn write_whole(plan: &Plan, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    match (&plan.layout, value) {
        // As Confluent's serializers write them.
        (Layout::Bytes, Value::Bytes(bytes)) if plan.null == Null::Never => {
            out.extend_from_slice(bytes);
            Ok(())
        }
        _ => write(plan, value, out),
    }
}

fn write(plan: &Plan, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    let value = match (value, &plan.schema.default) {
        (Value::Null, Some(default)) => default,
        _ => value,
    };
    match (plan.null, value.is_null()) {
        (Null::First, true) => {
            write_long(0, out);
            return Ok(());
        }
        (Null::Second, true) => {
            write_long(1, out);
            return Ok(());
        }
        (Null::First, false) => write_long(1, out),
        (Null::Second | Null::Alone, false) => write_long(0, out),
        (Null::Never, _) | (Null::Alone, true) => {}
    }
    match (&plan.layout, value) {
        (Layout::Boolean, Value::Boolean(value)) => out.push(u8::from(*value)),
        (Layout::Float, Value::Float32(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Layout::Double, Value::Float32(number)) => {
            out.extend_from_slice(&f64::from(*number).to_le_bytes());
        }
        (Layout::Double, Value::Float64(number)) => out.extend_from_slice(&number.to_le_bytes()),
        (Layout::Bytes, Value::Bytes(bytes)) => write_bytes(bytes, out),
        (Layout::String, Value::String(text)) => write_bytes(text.as_bytes(), out),
        (Layout::Enum(symbols), Value::String(text)) => {
            let symbol = symbols.iter().position(|symbol| symbol == text);
            let symbol =
                symbol.ok_or_else(|| Error::data(format!("the enum has no symbol {text}")))?;
            write_long(i64::try_from(symbol).unwrap_or_default(), out);
        }
        (Layout::Fixed(size), Value::Bytes(bytes)) if bytes.len() == *size => {
            out.extend_from_slice(bytes);
        }
        (Layout::Decimal(scale, fixed), Value::Decimal(decimal)) if decimal.scale == *scale => {
            write_decimal(&decimal.unscaled, *fixed, out)?;
        }
        (Layout::Array(items), Value::Array(values)) => {
            write_blocks(values, out, |value, out| write(items, value, out))?;
        }
        (Layout::Map(_) | Layout::Pairs(..), Value::Map(entries)) => {
            write_map(&plan.layout, entries, out)?;
        }
        (Layout::Record(plans), Value::Struct(fields)) => write_record(plan, plans, fields, out)?,
        (Layout::Union(branches), value) => write_union(plan, branches, value, out)?,
        (layout, value) => match integer(layout, value) {
            Some(number) => write_long(number, out),
            None => return Err(misfit(&plan.schema, value)),
        },
    }
    Ok(())
}

/// Entries of a map, or records of key and value.
fn write_map(layout: &Layout, entries: &[(Value, Value)], out: &mut Vec<u8>) -> Result<()> {
    write_blocks(entries, out, |(key, value), out| match layout {
        Layout::Pairs(keys, values) => {
            write(keys, key, out)?;
            write(values, value, out)
        }
        Layout::Map(values) => {
            let key = key.as_str();
            let key = key.ok_or_else(|| Error::data("a map's key that is not text"))?;
            write_bytes(key.as_bytes(), out);
            write(values, value, out)
        }
        _ => Err(Error::internal("a map that is laid out as something else")),
    })
}

/// An integer that the type can hold, though the value may be of a narrower one.
fn integer(layout: &Layout, value: &Value) -> Option<i64> {
    let number = match (layout, value) {
        (Layout::Date, Value::Date(number)) | (Layout::Time, Value::Time(number)) => {
            return Some((*number).into());
        }
        (Layout::Timestamp, Value::Timestamp(number)) => return Some(*number),
        (_, Value::Int8(number)) => i64::from(*number),
        (_, Value::Int16(number)) => i64::from(*number),
        (_, Value::Int32(number)) => i64::from(*number),
        (_, Value::Int64(number)) => *number,
        _ => return None,
    };
    let fits = match layout {
        Layout::Int8 => i8::try_from(number).is_ok(),
        Layout::Int16 => i16::try_from(number).is_ok(),
        Layout::Int32 => i32::try_from(number).is_ok(),
        Layout::Int64 => true,
        _ => false,
    };
    fits.then_some(number)
}

/// Fields are found by name: the struct may be of another schema than the one it is written with.
fn write_record(plan: &Plan, plans: &[Plan], fields: &Struct, out: &mut Vec<u8>) -> Result<()> {
    let (Type::Struct(declared), Type::Struct(own)) = (&plan.schema.kind, &fields.schema.kind)
    else {
        return Err(Error::internal("a struct whose schema is not one"));
    };
    for (index, (field, plan)) in declared.iter().zip(plans).enumerate() {
        let same_place = own.get(index).filter(|other| other.name == field.name);
        let value = match same_place {
            Some(_) => fields.values.get(index),
            None => fields.get(&field.name),
        };
        write(plan, value.unwrap_or(&Value::Null), out)
            .map_err(|cause| Error::data(format!("field {}: {}", field.name, cause.message())))?;
    }
    Ok(())
}

/// The branch whose field is set.
fn write_union(
    plan: &Plan,
    branches: &[Option<Plan>],
    value: &Value,
    out: &mut Vec<u8>,
) -> Result<()> {
    let Value::Struct(fields) = value else {
        let null = branches
            .iter()
            .position(Option::is_none)
            .filter(|_| value.is_null());
        let null = null.ok_or_else(|| misfit(&plan.schema, value))?;
        write_long(i64::try_from(null).unwrap_or_default(), out);
        return Ok(());
    };
    let Type::Struct(declared) = &plan.schema.kind else {
        return Err(Error::internal("a union whose schema is no struct"));
    };
    let mut names = declared.iter().map(|field| &field.name);
    for (index, branch) in branches.iter().enumerate() {
        let Some(branch) = branch else {
            continue;
        };
        let value = names.next().and_then(|name| fields.get(name));
        if let Some(value) = value.filter(|value| !value.is_null()) {
            write_long(i64::try_from(index).unwrap_or_default(), out);
            return write(branch, value, out);
        }
    }
    Err(Error::data("none of the fields of a union is set"))
}

fn misfit(schema: &Schema, value: &Value) -> Error {
    let expected = format!("{:?}", schema.kind);
    let expected = expected.split('(').next().unwrap_or_default();
    if value.is_null() {
        return Error::data("Invalid value: null used for required field");
    }
    Error::data(format!(
        "a value that is not of type {expected}, or does not fit it"
    ))
}

fn write_decimal(unscaled: &[u8], fixed: Option<usize>, out: &mut Vec<u8>) -> Result<()> {
    let Some(size) = fixed else {
        write_bytes(unscaled, out);
        return Ok(());
    };
    let shortest = BigInt::from_signed_bytes_be(unscaled).to_signed_bytes_be();
    let Some(missing) = size.checked_sub(shortest.len()) else {
        return Err(Error::data(format!(
            "a decimal that does not fit into {size} bytes"
        )));
    };
    let is_negative = shortest.first().is_some_and(|byte| byte & 0x80 != 0);
    out.extend(std::iter::repeat_n(
        if is_negative { 0xff } else { 0 },
        missing,
    ));
    out.extend_from_slice(&shortest);
    Ok(())
}

/// All elements in one block.
fn write_blocks<T>(
    elements: &[T],
    out: &mut Vec<u8>,
    mut write: impl FnMut(&T, &mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    if !elements.is_empty() {
        write_long(i64::try_from(elements.len()).unwrap_or(i64::MAX), out);
        for element in elements {
            write(element, out)?;
        }
    }
    write_long(0, out);
    Ok(())
}

fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_long(i64::try_from(bytes.len()).unwrap_or(i64::MAX), out);
    out.extend_from_slice(bytes);
}

/// A zigzag number.
fn write_long(number: i64, out: &mut Vec<u8>) {
    let mut rest = ((number << 1) ^ (number >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}
