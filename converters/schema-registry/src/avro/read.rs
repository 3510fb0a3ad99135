//! Values from Avro's binary encoding.
//!
//! Lengths are checked against what is left, and elements without bytes are counted, so that no few bytes can claim much memory.

use bytes::{Buf, Bytes};
use connect_core::data::{Decimal, Struct, Value};
use connect_core::{Error, Result};

use super::plan::{Layout, Null, Plan};

/// Elements of lists and maps that take no bytes may be this many in one value.
const MOST_EMPTY: usize = 10_000;

/// Reads the one value that `payload` holds.
pub(super) fn read(plan: &Plan, payload: Bytes) -> Result<Value> {
    // Bytes at the top are the payload itself, as Confluent's serializers write them.
    if matches!(plan.layout, Layout::Bytes) && plan.null == Null::Never {
        return Ok(Value::Bytes(payload));
    }
    let mut reader = Reader {
        rest: payload,
        empty: 0,
    };
    let value = reader.value(plan)?;
    if reader.rest.has_remaining() {
        return Err(Error::data(format!(
            "{} bytes are left after the value: it was written with another schema",
            reader.rest.remaining()
        )));
    }
    Ok(value)
}

struct Reader {
    rest: Bytes,
    /// Elements that took no bytes.
    empty: usize,
}

impl Reader {
    fn value(&mut self, plan: &Plan) -> Result<Value> {
        if plan.null != Null::Never {
            match (plan.null, self.long()?) {
                (Null::First, 0) | (Null::Second, 1) => return Ok(Value::Null),
                (Null::First, 1) | (Null::Second | Null::Alone, 0) => {}
                _ => return Err(cut("the branch of a union")),
            }
        }
        Ok(match &plan.layout {
            Layout::Boolean => Value::Boolean(self.boolean()?),
            Layout::Int8 => Value::Int8(self.int()?.try_into().map_err(|_| cut("an int8"))?),
            Layout::Int16 => Value::Int16(self.int()?.try_into().map_err(|_| cut("an int16"))?),
            Layout::Int32 => Value::Int32(self.int()?),
            Layout::Date => Value::Date(self.int()?),
            Layout::Time => Value::Time(self.int()?),
            Layout::Int64 => Value::Int64(self.long()?),
            Layout::Timestamp => Value::Timestamp(self.long()?),
            Layout::Float => {
                Value::Float32(self.rest.try_get_f32_le().map_err(|_| cut("a float"))?)
            }
            Layout::Double => {
                Value::Float64(self.rest.try_get_f64_le().map_err(|_| cut("a double"))?)
            }
            Layout::Bytes => Value::Bytes(self.bytes()?),
            Layout::String => {
                let bytes = self.bytes()?;
                let text = std::str::from_utf8(&bytes);
                Value::string(text.map_err(|cause| cut("text").source(cause))?)
            }
            Layout::Enum(symbols) => {
                let symbol = usize::try_from(self.int()?).ok();
                let symbol = symbol.and_then(|index| symbols.get(index));
                Value::String(symbol.ok_or_else(|| cut("the symbol of an enum"))?.clone())
            }
            Layout::Fixed(size) => Value::Bytes(self.take(*size)?),
            Layout::Decimal(scale, fixed) => Value::Decimal(Decimal {
                unscaled: match fixed {
                    Some(size) => self.take(*size)?,
                    None => self.bytes()?,
                },
                scale: *scale,
            }),
            Layout::Array(items) => Value::Array(self.blocks(|reader| reader.value(items))?),
            Layout::Map(values) => Value::Map(self.blocks(|reader| {
                let key = reader.bytes()?;
                let key = std::str::from_utf8(&key).map_err(|cause| cut("a key").source(cause))?;
                Ok((Value::string(key), reader.value(values)?))
            })?),
            Layout::Pairs(keys, values) => {
                Value::Map(self.blocks(|reader| Ok((reader.value(keys)?, reader.value(values)?)))?)
            }
            Layout::Record(fields) => {
                let values = fields.iter().map(|field| self.value(field));
                Value::Struct(Struct {
                    values: values.collect::<Result<_>>()?,
                    schema: plan.schema.clone(),
                })
            }
            Layout::Union(branches) => self.union(plan, branches)?,
        })
    }

    /// A struct in which only the field of the branch is set.
    fn union(&mut self, plan: &Plan, branches: &[Option<Plan>]) -> Result<Value> {
        let chosen = usize::try_from(self.long()?).ok();
        let chosen = chosen.filter(|index| *index < branches.len());
        let chosen = chosen.ok_or_else(|| cut("the branch of a union"))?;
        let Some(Some(branch)) = branches.get(chosen) else {
            return Ok(Value::Null);
        };
        let value = self.value(branch)?;
        let mut values = Vec::with_capacity(branches.len());
        for (index, branch) in branches.iter().enumerate() {
            if branch.is_some() {
                values.push(if index == chosen {
                    value.clone()
                } else {
                    Value::Null
                });
            }
        }
        let schema = plan.schema.clone();
        Ok(Value::Struct(Struct { schema, values }))
    }

    /// Elements in blocks: the number of elements, negative if the block's size in bytes follows; zero ends.
    fn blocks<T>(&mut self, mut element: impl FnMut(&mut Self) -> Result<T>) -> Result<Vec<T>> {
        let mut elements = Vec::new();
        loop {
            let mut count = self.long()?;
            if count == 0 {
                return Ok(elements);
            }
            if count < 0 {
                count = count.checked_neg().ok_or_else(|| cut("a block"))?;
                self.long()?;
            }
            for _ in 0..count {
                let before = self.rest.remaining();
                elements.push(element(self)?);
                self.empty += usize::from(self.rest.remaining() == before);
                if self.empty > MOST_EMPTY {
                    return Err(cut("a block"));
                }
            }
        }
    }

    fn boolean(&mut self) -> Result<bool> {
        match self.rest.try_get_u8() {
            Ok(0) => Ok(false),
            Ok(1) => Ok(true),
            _ => Err(cut("a boolean")),
        }
    }

    fn int(&mut self) -> Result<i32> {
        i32::try_from(self.long()?).map_err(|_| cut("an int"))
    }

    /// A zigzag number of at most ten bytes.
    fn long(&mut self) -> Result<i64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.rest.try_get_u8().map_err(|_| cut("a number"))?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed());
            }
        }
        Err(cut("a number"))
    }

    fn bytes(&mut self) -> Result<Bytes> {
        let length = usize::try_from(self.long()?).map_err(|_| cut("a length"))?;
        self.take(length)
    }

    fn take(&mut self, length: usize) -> Result<Bytes> {
        if length > self.rest.remaining() {
            return Err(cut("bytes"));
        }
        Ok(self.rest.split_to(length))
    }
}

fn cut(what: &str) -> Error {
    Error::data(format!(
        "the Avro data does not hold {what} where its schema has one"
    ))
}
