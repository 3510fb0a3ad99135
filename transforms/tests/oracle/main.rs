//! Every transform and predicate beside Kafka's own: the same records, configurations and definitions, the same results.
//!
//! Kafka's classes run in a JVM (Oracle.java), on the jars that the services fetch. What is meant to differ is listed in
//! differences.rs with its reason; a listed difference that is none any more is an error too.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "in a test a panic is the report"
)]

mod cases;
mod casts;
mod dates;
mod differences;
mod java;
mod notation;
mod ours;
mod random_data;
mod structures;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use connect_core::config::config_key_infos;
use connect_core::plugin::{predicate_plugins, transform_plugins};
use serde_json::{Value, json};
use sluice_converters as _;
use sluice_transforms as _;

use cases::Case;

/// Case, ours, Kafka's.
type Compared = (Case, Value, Value);

fn compared(cases: Vec<Case>) -> Vec<Compared> {
    let requests: Vec<_> = cases.iter().map(Case::request).collect();
    let kafkas = java::answers(&requests, "").unwrap();
    let both = |(case, kafkas): (Case, Value)| {
        let ours = ours::answer(&case);
        (case, ours, kafkas)
    };
    cases.into_iter().zip(kafkas).map(both).collect()
}

/// A part of a result that is not the same.
struct Found<'a> {
    way: String,
    ours: &'a Value,
    kafkas: &'a Value,
}

/// The parts of two results that are not the same, with the way to each.
fn found<'a>(way: &str, ours: &'a Value, kafkas: &'a Value) -> Vec<Found<'a>> {
    match (ours, kafkas) {
        (ours, kafkas) if ours == kafkas => Vec::new(),
        (Value::Object(our_parts), Value::Object(their_parts))
            if both_fail_or_none(ours, kafkas) =>
        {
            let names: BTreeSet<_> = our_parts.keys().chain(their_parts.keys()).collect();
            let below = |name: &&String| {
                let name = name.as_str();
                found(&format!("{way}/{name}"), &ours[name], &kafkas[name])
            };
            names.iter().flat_map(below).collect()
        }
        _ => {
            let way = way.to_owned();
            vec![Found { way, ours, kafkas }]
        }
    }
}

fn both_fail_or_none(ours: &Value, kafkas: &Value) -> bool {
    ours.get("error").is_some() == kafkas.get("error").is_some()
}

#[test]
fn records_come_out_as_kafka_makes_them() {
    let compared = compared(cases::all());
    assert!(compared.len() >= 150, "{} cases", compared.len());
    let mut report = String::new();
    let mut used = BTreeSet::new();
    for (case, ours, kafkas) in &compared {
        for Found { way, ours, kafkas } in found("", ours, kafkas) {
            if let Some(entry) = differences::listed(case, &way, ours, kafkas) {
                used.insert(entry);
            } else {
                let name = case.name();
                writeln!(report, "{name}\n  {way}: ours {ours}, kafka's {kafkas}").unwrap();
            }
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
    assert!(report.is_empty(), "of {} cases:\n{report}", compared.len());
}

#[test]
fn random_dates_are_written_and_read_as_java_does() {
    let mut random = fastrand::Rng::with_seed(23);
    let written = compared(dates::writing(&mut random, 3000));
    let mut report = String::new();
    write_report(&written, &mut report);
    let read = compared(dates::reading(&mut random, &written));
    assert!(read.len() > 1000, "{} texts", read.len());
    write_report(&read, &mut report);
    assert!(report.is_empty(), "{report}");
}

#[test]
fn random_numbers_and_texts_are_cast_as_java_does() {
    let mut random = fastrand::Rng::with_seed(7);
    let cast = compared(casts::casts(&mut random, 5000));
    let mut report = String::new();
    write_report(&cast, &mut report);
    assert!(report.is_empty(), "{report}");
}

#[test]
fn random_structures_come_out_as_kafka_makes_them() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut compared = compared(structures::structures(&mut random, 4000));
    // Of several faults one or the other may be said.
    compared.retain(|(_, ours, kafkas)| ours["error"].is_null() || kafkas["error"].is_null());
    assert!(compared.len() > 2000, "{} succeed", compared.len());
    let mut report = String::new();
    write_report(&compared, &mut report);
    assert!(report.is_empty(), "{report}");
}

fn write_report(compared: &[Compared], report: &mut String) {
    for (case, ours, kafkas) in compared {
        for Found { way, ours, kafkas } in found("", ours, kafkas) {
            let is_listed = differences::listed(case, &way, ours, kafkas).is_some();
            if is_listed || casts::are_one_float(case, ours, kafkas) {
                continue;
            }
            let name = case.name();
            writeln!(report, "{name}\n  {way}: ours {ours}, kafka's {kafkas}").unwrap();
        }
    }
}

#[test]
fn wrong_options_are_found_as_kafka_finds_them() {
    let mut cases = cases::all();
    cases.retain(|case| !cases::WITHOUT_OPTIONS.contains(&case.class.as_str()));
    cases.sort_by_key(Case::request_for_errors);
    cases.dedup_by_key(|case| case.request_for_errors());
    let requests: Vec<Value> = cases
        .iter()
        .map(|case| serde_json::from_str(&case.request_for_errors()).unwrap())
        .collect();
    let kafkas = java::answers(&requests, "").unwrap();
    let mut report = String::new();
    for (case, kafkas) in cases.iter().zip(kafkas) {
        let ours = ours::errors(case);
        for Found { way, ours, kafkas } in found("", &ours, &kafkas) {
            if differences::in_validation(ours, kafkas) {
                continue;
            }
            let (class, config) = (&case.class, json!(case.config));
            writeln!(
                report,
                "{class} {config}\n  {way}: ours {ours}, kafka's {kafkas}"
            )
            .unwrap();
        }
    }
    assert!(
        report.is_empty(),
        "of {} configurations:\n{report}",
        cases.len()
    );
}

#[test]
fn every_class_of_kafka_is_there_with_its_options() {
    let transforms = transform_plugins();
    let transforms = transforms
        .iter()
        .map(|plugin| (plugin.class, plugin.definition));
    let predicates = predicate_plugins();
    let predicates = predicates
        .iter()
        .map(|plugin| (plugin.class, plugin.definition));
    let ours: Vec<_> = transforms
        .chain(predicates)
        .filter_map(|(class, definition)| Some((class.strip_prefix(ours::PACKAGE)?, definition)))
        .collect();
    let mut requests = vec![json!({"classes": true})];
    let definition = |(class, _): &(&str, _)| json!({"class": class, "definition": true});
    requests.extend(ours.iter().map(definition));
    let mut kafkas = java::answers(&requests, "").unwrap().into_iter();
    let classes: Vec<_> = ours.iter().map(|(class, _)| *class).collect();
    assert_eq!(json!(classes), kafkas.next().unwrap());
    for ((class, definition), kafkas) in ours.iter().zip(kafkas) {
        let mut ours = config_key_infos(&definition());
        for option in &mut ours {
            let option = option.as_object_mut().unwrap();
            option.shift_remove("documentation");
            option.shift_remove("dependents");
        }
        assert_eq!(Value::from(ours), kafkas, "{class}");
    }
}
