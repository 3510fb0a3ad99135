//! Names and contents of objects, beside those that Confluent's connector on Kafka Connect 4.3.1 was seen to write.
//!
//! `observed.json` holds records and objects. Contents are compared line by line as JSON: the original orders keys in its
//! own way.

use std::collections::BTreeMap;
use std::io::Read;

use serde::Deserialize;
use serde_json::Value;

use crate::harness::{LogRecord, World};

#[derive(Deserialize)]
struct Observed {
    base: BTreeMap<String, String>,
    cases: BTreeMap<String, Case>,
}

#[derive(Deserialize)]
struct Case {
    config: BTreeMap<String, String>,
    records: Vec<(i32, Value, Value, Option<i64>)>,
    objects: BTreeMap<String, String>,
}

fn observed() -> Observed {
    serde_json::from_str(include_str!("observed.json")).unwrap()
}

/// Text, or bytes given as `{"latin1": …}`.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(object) => Some(latin1(object.get("latin1").and_then(Value::as_str)?)),
        _ => None,
    }
}

fn latin1(text: &str) -> Vec<u8> {
    text.chars()
        .map(|character| u8::try_from(u32::from(character)).unwrap())
        .collect()
}

async fn written(base: &BTreeMap<String, String>, case: &Case) -> BTreeMap<String, Vec<u8>> {
    let mut world = World::new().await;
    for (partition, _, value, timestamp) in &case.records {
        let record = LogRecord {
            value: bytes_of(value),
            timestamp: timestamp.unwrap_or(1_710_052_200_000),
        };
        world.partitions.entry(*partition).or_default().push(record);
    }
    let mut config = world.config(&[]);
    config.extend(base.clone());
    config.extend(case.config.clone());
    let mut task = world.task(&config).await;
    task.run_to_end(&world).await.unwrap();
    world.objects()
}

/// Content as text: unpacked, and bytes beyond ASCII as the observation has them.
fn readable(key: &str, content: &[u8]) -> String {
    let mut plain = Vec::new();
    if key.ends_with(".gz") {
        let mut decoder = flate2::read::GzDecoder::new(content);
        decoder.read_to_end(&mut plain).unwrap();
    } else {
        plain.extend_from_slice(content);
    }
    if key.ends_with(".bin") {
        return plain.iter().map(|byte| char::from(*byte)).collect();
    }
    String::from_utf8(plain).unwrap()
}

fn as_json(content: &str) -> Vec<Value> {
    content
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn objects_are_named_and_filled_as_the_original_does() {
    let observed = observed();
    assert!(observed.cases.len() >= 16, "observations are missing");
    for (name, case) in &observed.cases {
        let written = written(&observed.base, case).await;
        let expected: BTreeMap<_, _> = case
            .objects
            .iter()
            .map(|(key, content)| (key.replace("TOPIC", crate::harness::TOPIC), content))
            .collect();
        let keys: Vec<_> = written.keys().collect();
        assert_eq!(keys, expected.keys().collect::<Vec<_>>(), "case {name}");
        for (key, content) in expected {
            let ours = readable(key.as_str(), written.get(&key).unwrap());
            if key.ends_with(".bin") {
                assert_eq!(&ours, content, "case {name}, {key}");
            } else {
                assert_eq!(as_json(&ours), as_json(content), "case {name}, {key}");
            }
        }
    }
}

/// Where the original changes what was produced: keys in another order, integers cut to 64 bits, -0.0 without its sign.
#[tokio::test]
async fn numbers_and_text_keep_their_spelling() {
    let lines = [
        r#"{ "a" : 1.0, "b":1e3, "e":123456789012345678901234567890, "d":-0.0, "h":1E-7, "i":[1, 2 ,3] }"#,
        r#"{"u":"\u00e9\ud83d\ude00é/\/\"\n\t\u0001<>&'"}"#,
        "{\n  \"pretty\" : 1.50\n}",
    ];
    let mut world = World::new().await;
    let records = lines.iter().map(|line| LogRecord::text(*line, 0)).collect();
    world.partitions.insert(0, records);
    let mut task = world.task(&world.config(&[])).await;
    task.run_to_end(&world).await.unwrap();
    let text = String::from_utf8(world.objects().into_values().next().unwrap()).unwrap();
    // A record is one line, so only what spans several is written closer.
    let expected = [lines[0], lines[1], r#"{"pretty":1.50}"#, ""];
    assert_eq!(text, expected.join("\n"));
}
