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

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde_json::Value;

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
