//! Every converter beside Kafka's own: the same bytes read, the same values written, the same results.
//!
//! Kafka's classes run in a JVM: the program that runs the transforms runs them too. What is meant to differ is listed in
//! differences.rs with its reason; a listed difference that is none any more is an error too.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod cases;
mod differences;
#[path = "../../../transforms/tests/oracle/java.rs"]
mod java;
#[path = "../../../transforms/tests/oracle/notation.rs"]
mod notation;
mod ours;
#[path = "../../../transforms/tests/oracle/random_data.rs"]
mod random_data;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

#[test]
fn bytes_and_values_are_converted_as_kafka_converts_them() {
    let cases = cases::all();
    assert!(cases.len() >= 300, "{} cases", cases.len());
    let requests: Vec<_> = cases.iter().map(|case| case.request.clone()).collect();
    let kafkas = java::answers(&requests, "").unwrap();
    let mut report = String::new();
    let mut used = BTreeSet::new();
    for (case, kafkas) in cases.iter().zip(&kafkas) {
        let ours = ours::answer(&case.request);
        if same(&ours, kafkas) {
            continue;
        }
        if let Some(entry) = differences::listed(case, &ours, kafkas) {
            used.insert(entry);
        } else {
            writeln!(
                report,
                "{}\n  ours    {ours}\n  kafka's {kafkas}",
                case.name
            )
            .unwrap();
        }
    }
    for (entry, difference) in differences::LISTED.iter().enumerate() {
        if !used.contains(&entry) {
            let reason = difference.reason;
            writeln!(
                report,
                "listed difference {entry} is none any more: {reason}"
            )
            .unwrap();
        }
    }
    assert!(report.is_empty(), "of {} cases:\n{report}", cases.len());
}

/// Written, and what was written read again.
#[test]
fn random_data_is_converted_as_kafka_converts_it() {
    let mut random = fastrand::Rng::with_seed(5);
    let configs = [
        ("json.JsonConverter", json!({})),
        ("json.JsonConverter", json!({"schemas.enable": "false"})),
        ("json.JsonConverter", json!({"decimal.format": "NUMERIC"})),
        ("storage.StringConverter", json!({})),
    ];
    let request = |(converter, config): &(&str, Value)| json!({"converter": converter, "header": false, "config": config});
    let mut writes = Vec::new();
    for _ in 0..800 {
        let datum = random_data::datum(&mut random);
        for config in &configs {
            let mut write = request(config);
            write["datum"] = datum.clone();
            // Bytes in a text are the address of an array.
            if config.0 != "storage.StringConverter" || !datum.to_string().contains("\"bytes\"") {
                writes.push(write);
            }
        }
    }
    let written = java::answers(&writes, "").unwrap();
    let mut report = report(&writes, &written);
    let reads = writes.iter().zip(&written);
    let reads: Vec<_> = reads
        .filter(|(_, written)| written["bytes"].is_string())
        .map(|(write, written)| {
            let mut read = write.clone();
            read.as_object_mut().unwrap().remove("datum");
            read["bytes"] = written["bytes"].clone();
            read
        })
        .collect();
    assert!(reads.len() > 2000, "{} were written", reads.len());
    report.push_str(&self::report(&reads, &java::answers(&reads, "").unwrap()));
    assert!(report.is_empty(), "{report}");
}

fn report(requests: &[Value], kafkas: &[Value]) -> String {
    let mut report = String::new();
    for (request, kafkas) in requests.iter().zip(kafkas) {
        let ours = ours::answer(request);
        if !same(&ours, kafkas) && !is_same_json(&ours, kafkas) {
            writeln!(report, "{request}\n  ours    {ours}\n  kafka's {kafkas}").unwrap();
        }
    }
    report
}

/// True if both have written the same JSON: Java's maps have an order of their own.
fn is_same_json(ours: &Value, kafkas: &Value) -> bool {
    let json = |answer: &Value| -> Option<Value> {
        let bytes = STANDARD.decode(answer["bytes"].as_str()?).unwrap();
        serde_json::from_slice(&bytes).ok()
    };
    json(ours).is_some_and(|written| json(kafkas) == Some(written))
}

/// Of errors the leading words must be the same: what stands before the first colon.
fn same(ours: &Value, kafkas: &Value) -> bool {
    let leading = |answer: &Value| {
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        message.split(':').next().unwrap_or_default().to_owned()
    };
    match (ours.get("error"), kafkas.get("error")) {
        (Some(_), Some(_)) => leading(ours) == leading(kafkas),
        _ => ours == kafkas,
    }
}
