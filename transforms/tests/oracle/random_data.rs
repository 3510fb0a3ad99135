//! Random data in the oracle's notation, with a schema and without.

use fastrand::Rng;
use serde_json::{Map, Value, json};

pub(crate) const NAMES: [&str; 5] = ["a", "b", "c", "d.e", "x"];

/// A struct with its schema, a map, or any value without one.
pub(crate) fn datum(random: &mut Rng) -> Value {
    match random.u8(..3) {
        0 => json!({"plain": map(random, 0)}),
        1 => json!({"plain": plain(random, 0)}),
        _ => {
            let (schema, payload) = structure(random, 0);
            json!({"schema": schema, "payload": payload})
        }
    }
}

/// A value without a schema.
fn plain(random: &mut Rng, depth: usize) -> Value {
    match random.u8(..if depth < 3 { 10 } else { 6 }) {
        0 => Value::Null,
        1 => json!(random.bool()),
        2 => json!(random.i32(-1000..1000)),
        3 => json!(f64::from(random.i32(-1000..1000)) / 4.0),
        4 => json!(
            random
                .choice(["", "7", "1.5", "true", "2023-11-14 22:13", "ü"])
                .unwrap()
        ),
        5 => json!(random.i64(0..2_000_000_000_000)),
        6 => (0..random.usize(..3))
            .map(|_| plain(random, depth + 1))
            .collect(),
        _ => map(random, depth + 1),
    }
}

fn map(random: &mut Rng, depth: usize) -> Value {
    let entries = (0..random.usize(..5)).map(|_| {
        let name = *random.choice(&NAMES).unwrap();
        (name.to_owned(), plain(random, depth + 1))
    });
    Value::Object(entries.collect::<Map<_, _>>())
}

/// A struct with its schema.
fn structure(random: &mut Rng, depth: usize) -> (Value, Value) {
    let (mut fields, mut values) = (Vec::new(), Map::new());
    let mut all = NAMES.to_vec();
    random.shuffle(&mut all);
    for name in all.into_iter().take(random.usize(..5)) {
        let (mut schema, value) = typed(random, depth + 1);
        schema["field"] = json!(name);
        fields.push(schema);
        values.insert(name.to_owned(), value);
    }
    (
        json!({"type": "struct", "fields": fields}),
        Value::Object(values),
    )
}

/// A value with its schema, which may be optional.
fn typed(random: &mut Rng, depth: usize) -> (Value, Value) {
    let logical = |kind: &str, name: &str| json!({"type": kind, "name": format!("org.apache.kafka.connect.data.{name}"), "version": 1});
    let (mut schema, value) = match random.u8(..if depth < 3 { 16 } else { 12 }) {
        0 => (json!({"type": "int8"}), json!(random.i8(..))),
        1 => (json!({"type": "int16"}), json!(random.i16(..))),
        2 => (json!({"type": "int32", "doc": "d"}), json!(random.i32(..))),
        3 => (
            json!({"type": "int64"}),
            json!(random.i64(-10_000_000_000..10_000_000_000)),
        ),
        4 => (
            json!({"type": "float"}),
            json!(f64::from(random.i16(..)) / 4.0),
        ),
        5 => (
            json!({"type": "double"}),
            json!(f64::from(random.i16(..)) / 4.0),
        ),
        6 => (json!({"type": "boolean"}), json!(random.bool())),
        7 => (
            json!({"type": "string"}),
            json!(
                random
                    .choice(["", "7", "true", "2023-11-14 22:13"])
                    .unwrap()
            ),
        ),
        8 => (json!({"type": "bytes"}), json!("AQI=")),
        9 => (logical("int32", "Date"), json!(random.i32(-20_000..40_000))),
        10 => (logical("int32", "Time"), json!(random.i32(0..86_400_000))),
        11 => (
            logical("int64", "Timestamp"),
            json!(random.i64(-1_000_000_000_000..2_000_000_000_000)),
        ),
        12 => (
            json!({"type": "array", "items": {"type": "int32"}}),
            json!([random.i32(..)]),
        ),
        13 => (
            json!({"type": "map", "keys": {"type": "string"}, "values": {"type": "int32"}}),
            json!({"k": random.i32(..)}),
        ),
        _ => structure(random, depth),
    };
    let is_optional = random.bool();
    schema["optional"] = json!(is_optional);
    match is_optional && random.u8(..3) == 0 {
        true => (schema, Value::Null),
        false => (schema, value),
    }
}
