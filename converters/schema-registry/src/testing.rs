//! Random schemas with values, for the tests of every format.

use std::sync::Arc;

use bytes::Bytes;
use connect_core::data::{Decimal, Field, Schema, Struct, Type, Value, logical};
use proptest::prelude::*;

/// A schema and a value of it.
pub(crate) type Pair = (Schema, Value);

fn leaf() -> impl Strategy<Value = Pair> {
    let of = |kind: Type, value: Value| (Schema::new(kind), value);
    let logical = |kind, name: &str, value| (Schema::new(kind).named(name).version(1), value);
    prop_oneof![
        any::<bool>().prop_map(move |value| of(Type::Boolean, Value::Boolean(value))),
        any::<i8>().prop_map(move |value| of(Type::Int8, Value::Int8(value))),
        any::<i16>().prop_map(move |value| of(Type::Int16, Value::Int16(value))),
        any::<i32>().prop_map(move |value| of(Type::Int32, Value::Int32(value))),
        any::<i64>().prop_map(move |value| of(Type::Int64, Value::Int64(value))),
        (-1e30_f32..1e30).prop_map(move |value| of(Type::Float32, Value::Float32(value))),
        (-1e300..1e300).prop_map(move |value| of(Type::Float64, Value::Float64(value))),
        "\\PC{0,12}".prop_map(move |value| of(Type::String, Value::string(value))),
        proptest::collection::vec(any::<u8>(), 0..12)
            .prop_map(move |value| of(Type::Bytes, Value::Bytes(Bytes::from(value)))),
        (-100_000..100_000).prop_map(move |days| logical(
            Type::Int32,
            logical::DATE,
            Value::Date(days)
        )),
        (0..86_400_000).prop_map(move |time| logical(
            Type::Int32,
            logical::TIME,
            Value::Time(time)
        )),
        (-62_000_000_000_000_i64..200_000_000_000_000).prop_map(move |time| logical(
            Type::Int64,
            logical::TIMESTAMP,
            Value::Timestamp(time)
        )),
        (any::<i64>(), 0..10).prop_map(|(unscaled, scale)| decimal(unscaled, scale)),
    ]
}

fn decimal(unscaled: i64, scale: i32) -> Pair {
    let mut schema = Schema::new(Type::Bytes).named(logical::DECIMAL).version(1);
    schema
        .parameters
        .insert("scale".to_owned(), scale.to_string());
    let unscaled = num_bigint::BigInt::from(unscaled)
        .to_signed_bytes_be()
        .into();
    (schema, Value::Decimal(Decimal { unscaled, scale }))
}

/// A pair that may be optional, with or without its value, with or without a default.
fn optional(pair: impl Strategy<Value = Pair>) -> impl Strategy<Value = Pair> {
    (pair, 0..6).prop_map(|((schema, value), choice)| match choice {
        0 => (schema.optional(), Value::Null),
        1 => (schema.optional(), value),
        2 | 3 if !matches!(value, Value::Struct(_) | Value::Array(_) | Value::Map(_)) => {
            let default = Some(value.clone());
            let optional = choice == 2;
            (
                Schema {
                    default,
                    optional,
                    ..schema
                },
                value,
            )
        }
        _ => (schema, value),
    })
}

fn structure(fields: Vec<Pair>, name: Option<&str>) -> Pair {
    let (mut declared, mut values) = (Vec::new(), Vec::new());
    for (index, (schema, value)) in fields.into_iter().enumerate() {
        declared.push(Field {
            name: format!("field_{index}").into(),
            schema: Arc::new(schema),
        });
        values.push(value);
    }
    let mut schema = Schema::new(Type::Struct(declared));
    schema.name = name.map(Into::into);
    let own = Arc::new(schema.clone());
    (
        schema,
        Value::Struct(Struct {
            schema: own,
            values,
        }),
    )
}

fn list((schema, value): Pair, count: usize) -> Pair {
    let kind = Type::Array(Arc::new(schema));
    (Schema::new(kind), Value::Array(vec![value; count]))
}

fn map(keys: Pair, values: Pair) -> Pair {
    let kind = Type::Map(Arc::new(keys.0), Arc::new(values.0));
    (Schema::new(kind), Value::Map(vec![(keys.1, values.1)]))
}

/// A struct of anything. Names of inner structs are left to the format.
pub(crate) fn record() -> impl Strategy<Value = Pair> {
    let key = prop_oneof![
        "[a-z]{1,4}".prop_map(|key| (Schema::new(Type::String), Value::string(key))),
        any::<i32>().prop_map(|key| (Schema::new(Type::Int32), Value::Int32(key))),
    ];
    let any_pair = leaf().prop_recursive(3, 24, 4, move |inner| {
        let key = key.clone();
        prop_oneof![
            (inner.clone(), 0..3_usize).prop_map(|(pair, count)| list(pair, count)),
            (key, inner.clone()).prop_map(|(keys, values)| map(keys, values)),
            proptest::collection::vec(optional(inner), 1..4)
                .prop_map(|fields| structure(fields, None)),
        ]
    });
    proptest::collection::vec(optional(any_pair), 1..6)
        .prop_map(|fields| structure(fields, Some("shop.Order")))
}

/// The value with every struct's schema as `schema` says: what a converter that reads it makes.
pub(crate) fn with_schema(value: Value, schema: &Arc<Schema>) -> Value {
    match (value, &schema.kind) {
        (Value::Struct(fields), Type::Struct(declared)) => Value::Struct(Struct {
            values: fields
                .values
                .into_iter()
                .zip(declared)
                .map(|(value, field)| with_schema(value, &field.schema))
                .collect(),
            schema: schema.clone(),
        }),
        (Value::Array(values), Type::Array(items)) => Value::Array(
            values
                .into_iter()
                .map(|value| with_schema(value, items))
                .collect(),
        ),
        (Value::Map(entries), Type::Map(keys, values)) => Value::Map(
            entries
                .into_iter()
                .map(|(key, value)| (with_schema(key, keys), with_schema(value, values)))
                .collect(),
        ),
        (value, _) => value,
    }
}
