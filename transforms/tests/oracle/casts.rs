//! Random numbers and texts, cast to every type.

use connect_core::config::ConfigMap;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::cases::Case;

const TARGETS: [&str; 8] = [
    "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string",
];
const SIGNS: [char; 16] = [
    '0', '1', '5', '9', '-', '+', '.', 'e', 'E', 'f', 'd', 'L', ' ', '_', 'N', 'x',
];

/// So many casts.
pub(crate) fn casts(random: &mut Rng, count: usize) -> Vec<Case> {
    let case = |_| {
        let value = value(random);
        let target = random.choice(TARGETS).unwrap();
        Case {
            class: "Cast$Value".to_owned(),
            config: ConfigMap::from([("spec".to_owned(), target.to_owned())]),
            data: value.to_string(),
            record: json!({
                "topic": "t", "partition": 0, "offset": 0, "timestamp": 0,
                "key": null, "value": {"plain": value}, "headers": [],
            }),
        }
    };
    (0..count).map(case).collect()
}

fn value(random: &mut Rng) -> Value {
    match random.u8(..8) {
        0 => json!({"$int8": random.i8(..)}),
        1 => json!({"$int16": random.i16(..)}),
        2 => json!({"$int32": random.i32(..) >> random.u32(..32)}),
        3 => json!(random.i64(..) >> random.u32(..64)),
        // A float is read from few digits, so that both read the same one.
        4 => json!({"$float32": fraction(random, 1_000_000, 30)}),
        5 => fraction(random, 1_000_000_000_000, 200),
        _ => json!(text(random)),
    }
}

fn fraction(random: &mut Rng, limit: i64, exponents: i32) -> Value {
    let mantissa = random.i64(-limit..limit);
    let exponent = match random.bool() {
        true => random.i32(-10..10),
        false => random.i32(-exponents..exponents),
    };
    serde_json::from_str(&format!("{mantissa}e{exponent}")).unwrap()
}

/// A number's text, one sign of it perhaps changed.
fn text(random: &mut Rng) -> String {
    let text = match random.u8(..4) {
        0 => (random.i64(..) >> random.u32(..64)).to_string(),
        1 => (random.i32(..) >> random.u32(..32)).to_string(),
        2 => random.i8(..).to_string(),
        _ => fraction(random, 1_000_000, 40).to_string(),
    };
    let mut signs: Vec<_> = text.chars().collect();
    let index = random.usize(..signs.len());
    match random.u8(..4) {
        0 => signs.insert(index, *random.choice(&SIGNS).unwrap()),
        1 => signs[index] = *random.choice(&SIGNS).unwrap(),
        _ => {}
    }
    signs.into_iter().collect()
}

/// True if both texts are one float: Java before 19 may write more digits than it takes to tell it.
pub(crate) fn are_one_float(case: &Case, ours: &Value, kafkas: &Value) -> bool {
    let (Some(ours), Some(kafkas)) = (ours.as_str(), kafkas.as_str()) else {
        return false;
    };
    if case.data.contains("float32") {
        ours.parse::<f32>()
            .is_ok_and(|ours| kafkas.parse() == Ok(ours))
    } else {
        ours.parse::<f64>()
            .is_ok_and(|ours| kafkas.parse() == Ok(ours))
    }
}
