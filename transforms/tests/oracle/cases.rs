//! The cases: each file in cases/ names classes, configurations and the data of data.json they are applied to.
//!
//! A class with a key and a value form is run in both.

use connect_core::config::ConfigMap;
use serde_json::{Map, Value, json};

const DATA: &str = include_str!("data.json");

const FILES: [&str; 7] = [
    include_str!("cases/cast.json"),
    include_str!("cases/extract_field.json"),
    include_str!("cases/fields.json"),
    include_str!("cases/headers.json"),
    include_str!("cases/insert_field.json"),
    include_str!("cases/timestamp.json"),
    include_str!("cases/topics.json"),
];

/// The classes that have no form for keys and one for values.
const WITHOUT_PARTS: [&str; 6] = [
    "DropHeaders",
    "Filter",
    "InsertHeader",
    "RegexRouter",
    "TimestampRouter",
    "ValueToKey",
];

/// Classes without options.
pub(crate) const WITHOUT_OPTIONS: [&str; 2] = ["Filter", "predicates.RecordIsTombstone"];

/// One record and what it is given to.
#[derive(Debug)]
pub(crate) struct Case {
    /// The class, without its package.
    pub(crate) class: String,
    /// Its options.
    pub(crate) config: ConfigMap,
    /// The name of the data.
    pub(crate) data: String,
    /// The record, in the oracle's notation.
    pub(crate) record: Value,
}

impl Case {
    /// What the oracle is asked.
    pub(crate) fn request(&self) -> Value {
        json!({"class": self.class, "config": self.config, "record": self.record})
    }

    /// What the oracle is asked about the options alone, as text.
    pub(crate) fn request_for_errors(&self) -> String {
        json!({"class": self.class, "config": self.config, "validate": true}).to_string()
    }

    /// Class, options and data.
    pub(crate) fn name(&self) -> String {
        format!("{} {} of {}", self.class, json!(self.config), self.data)
    }
}

/// All cases.
pub(crate) fn all() -> Vec<Case> {
    let data: Map<String, Value> = serde_json::from_str(DATA).unwrap();
    FILES
        .iter()
        .flat_map(|file| serde_json::from_str::<Vec<Value>>(file).unwrap())
        .flat_map(|listed| expanded(&listed, &data))
        .collect()
}

fn expanded(listed: &Value, data: &Map<String, Value>) -> Vec<Case> {
    let class = listed["class"].as_str().unwrap();
    let config = serde_json::from_value::<ConfigMap>(listed["config"].clone()).unwrap();
    let has_parts = !WITHOUT_PARTS.contains(&class) && !class.starts_with("predicates.");
    let forms = if has_parts {
        vec![("$Key", "key"), ("$Value", "value")]
    } else {
        vec![("", "value")]
    };
    let mut cases = Vec::new();
    for (suffix, part) in forms {
        for name in listed["of"].as_array().unwrap() {
            let name = name.as_str().unwrap();
            let datum = data
                .get(name)
                .unwrap_or_else(|| panic!("no data called {name}"));
            cases.push(Case {
                class: format!("{class}{suffix}"),
                config: config.clone(),
                data: name.to_owned(),
                record: record(part, datum, listed.get("record")),
            });
        }
    }
    cases
}

/// A record of the log, with what the case says of it.
pub(crate) fn record(part: &str, datum: &Value, more: Option<&Value>) -> Value {
    let mut record = json!({
        "topic": "orders-7", "partition": 3, "offset": 7, "timestamp": 1_700_000_000_123_i64,
        "key": {"plain": "other"}, "value": {"plain": "other"},
        "headers": [
            {"key": "a", "value": {"plain": 1}},
            {"key": "b", "value": {"schema": {"type": "string", "optional": false}, "payload": "x"}},
            {"key": "a", "value": null},
        ],
    });
    record[part] = datum.clone();
    for (key, value) in more.and_then(Value::as_object).into_iter().flatten() {
        record[key] = value.clone();
    }
    record
}
