//! Random date patterns, written and read.

use connect_core::config::ConfigMap;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::Compared;
use crate::cases::Case;

const WRITTEN: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
const READ: &str = "GyMLDdEaHkKhmsSzZX";
const OTHER: [char; 12] = ['0', '1', '2', '7', '9', ' ', '-', ':', '/', 'a', 'M', 'Z'];
const BETWEEN: [&str; 8] = ["", "-", " ", ":", ".", "'T'", "/", ", "];

/// Moments to write: most in our days, some long ago or far ahead.
pub(crate) fn writing(random: &mut Rng, count: usize) -> Vec<Case> {
    let case = |_| {
        let years = if random.u8(..4) == 0 { 5_000 } else { 80 };
        let limit = years * 365 * 86_400_000_i64;
        let pattern = pattern(random, WRITTEN);
        case(
            "string",
            &pattern,
            &json!({"$date": random.i64(-limit..limit)}),
        )
    };
    (0..count).map(case).collect()
}

/// Texts to read: what Kafka has written, every other one with a sign changed.
pub(crate) fn reading(random: &mut Rng, written: &[Compared]) -> Vec<Case> {
    let case = |(index, (case, _, answer)): (usize, &Compared)| {
        let pattern = case.config.get("format")?;
        let is_readable = pattern
            .chars()
            .all(|letter| READ.contains(letter) || !WRITTEN.contains(letter));
        let text = answer.pointer("/value/value/string")?.as_str()?;
        let text = match index % 2 {
            0 => text.to_owned(),
            _ => changed(random, text),
        };
        is_readable.then(|| self::case("Timestamp", pattern, &text.into()))
    };
    written.iter().enumerate().filter_map(case).collect()
}

fn pattern(random: &mut Rng, letters: &str) -> String {
    let letters: Vec<_> = letters.chars().collect();
    let mut pattern = String::new();
    for _ in 0..random.usize(1..7) {
        let letter = *random.choice(&letters).unwrap();
        let longest = if letter == 'X' { 3 } else { 5 };
        let count = random.usize(1..=longest);
        pattern.extend(std::iter::repeat_n(letter, count));
        pattern.push_str(random.choice(BETWEEN).unwrap());
    }
    // Four are none.
    pattern.replace("XXXX", "X")
}

/// One sign left out, doubled, or another.
fn changed(random: &mut Rng, text: &str) -> String {
    let mut signs: Vec<_> = text.chars().collect();
    if signs.is_empty() {
        return String::new();
    }
    let index = random.usize(..signs.len());
    match random.u8(..3) {
        0 => {
            signs.remove(index);
        }
        1 => signs.insert(index, signs[index]),
        _ => signs[index] = random.choice(OTHER).unwrap(),
    }
    signs.into_iter().collect()
}

fn case(target: &str, pattern: &str, value: &Value) -> Case {
    let options = [("target.type", target), ("format", pattern)];
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Case {
        class: "TimestampConverter$Value".to_owned(),
        config: ConfigMap::from(options.map(owned)),
        data: value.to_string(),
        record: json!({
            "topic": "t", "partition": 0, "offset": 0, "timestamp": 0,
            "key": null, "value": {"plain": value}, "headers": [],
        }),
    }
}
