//! Random data given to every class that looks into it.

use connect_core::config::ConfigMap;
use fastrand::Rng;

use crate::cases::{Case, record};
use crate::random_data::{NAMES, datum};

const TYPES: [&str; 8] = [
    "int8", "int16", "int32", "int64", "float32", "float64", "boolean", "string",
];
const TIMES: [&str; 5] = ["string", "unix", "Date", "Time", "Timestamp"];

/// So many records.
pub(crate) fn structures(random: &mut Rng, count: usize) -> Vec<Case> {
    (0..count).map(|_| case(random)).collect()
}

fn case(random: &mut Rng) -> Case {
    let datum = datum(random);
    let (class, options) = class(random);
    let config: ConfigMap = options
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    let (class, part) = match (class, random.bool()) {
        ("ValueToKey", _) => (class.to_owned(), "value"),
        (class, true) => (format!("{class}$Key"), "key"),
        (class, false) => (format!("{class}$Value"), "value"),
    };
    Case {
        class,
        config,
        data: datum.to_string(),
        record: record(part, &datum, None),
    }
}

fn name(random: &mut Rng) -> &'static str {
    random.choice(NAMES).unwrap()
}

/// Names, each once, with what is made of each.
fn names(random: &mut Rng, each: impl Fn(&str, &mut Rng) -> String) -> String {
    let mut all = NAMES.to_vec();
    random.shuffle(&mut all);
    all.truncate(random.usize(1..4));
    let all: Vec<_> = all.into_iter().map(|name| each(name, random)).collect();
    all.join(",")
}

fn class(random: &mut Rng) -> (&'static str, Vec<(&'static str, String)>) {
    let same = |name: &str, _: &mut Rng| name.to_owned();
    match random.u8(..10) {
        0 => (
            "Flatten",
            vec![(
                "delimiter",
                random.choice([".", "_", ""]).unwrap().to_owned(),
            )],
        ),
        1 => ("ReplaceField", vec![("exclude", names(random, same))]),
        2 => (
            "ReplaceField",
            vec![
                ("include", names(random, same)),
                ("renames", "a:z,b:y".to_owned()),
            ],
        ),
        3 => ("MaskField", vec![("fields", names(random, same))]),
        4 => (
            "ExtractField",
            vec![
                ("field", format!("{}.{}", name(random), name(random))),
                ("field.syntax.version", "V2".to_owned()),
            ],
        ),
        5 => ("HoistField", vec![("field", name(random).to_owned())]),
        6 => ("ValueToKey", vec![("fields", names(random, same))]),
        7 => (
            "InsertField",
            vec![
                ("topic.field", name(random).to_owned()),
                ("timestamp.field", "at!".to_owned()),
            ],
        ),
        8 => (
            "Cast",
            vec![(
                "spec",
                names(random, |name, random| {
                    format!("{name}:{}", random.choice(TYPES).unwrap())
                }),
            )],
        ),
        _ => (
            "TimestampConverter",
            vec![
                ("field", name(random).to_owned()),
                ("target.type", random.choice(TIMES).unwrap().to_owned()),
                ("format", "yyyy-MM-dd HH:mm".to_owned()),
            ],
        ),
    }
}
