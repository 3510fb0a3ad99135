//! Two answers, compared: status, the headers that matter, body.
//!
//! Not compared, for all calls: what is different on any two workers (addresses, folders, versions, commits, times,
//! traces), prose of our own (documentation of options), the order of lists of names, and what Kafka Connect's answers show
//! of its insides: HTML pages of its HTTP server, texts of its JSON parser, classes of exceptions.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::http::Answer;
use super::script::Mode;
use super::side::Side;

/// Headers that are compared beside those of the answer itself.
const OTHERS: &[&str] = &[
    "access-control-allow-origin",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "x-set",
    "x-added",
];

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Status,
    Header,
    Message,
    Body,
}

/// An answer without what may differ.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Neutral {
    pub(super) status: u16,
    location: Option<String>,
    content_type: Option<String>,
    allow: Option<BTreeSet<String>>,
    /// About pages of other origins, and those that are configured.
    others: Vec<Option<String>>,
    pub(super) message: Option<String>,
    pub(super) body: Value,
}

impl Neutral {
    pub(super) fn of(answer: &Answer, side: &Side) -> Self {
        let header = |name: &str| answer.headers.get(name).map(|value| side.neutral(value));
        let text = side.neutral(&answer.body);
        let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text.clone()));
        let is_page = text.trim_start().starts_with('<');
        if text.is_empty() || is_page {
            body = Value::Null;
        }
        let is_error = body.get("error_code").is_some();
        let message = body
            .as_object_mut()
            .filter(|_| is_error)
            .and_then(|body| body.remove("message"))
            .map(|message| message.as_str().unwrap_or("null").to_owned());
        neutralise(&mut body);
        if answer.status == 201 {
            // Distributed workers do not know them yet; one alone tells them.
            body.as_object_mut().map(|info| info.remove("tasks"));
        }
        if answer.headers.contains_key("allow") {
            body = Value::Null; // the methods once more, in any order
        }
        Self {
            status: answer.status,
            location: header("location"),
            content_type: header("content-type"),
            allow: header("allow").map(|allow| {
                allow
                    .split(',')
                    .map(|method| method.trim().to_owned())
                    .collect()
            }),
            others: OTHERS
                .iter()
                .map(|name| header(name).map(|value| in_order(&value)))
                .collect(),
            message,
            body,
        }
    }

    /// What the answer says, in a few words.
    pub(super) fn summary(&self) -> String {
        let said = match (&self.message, &self.body) {
            (Some(message), _) => message.clone(),
            (None, Value::Null) => String::new(),
            (None, body) => body.to_string(),
        };
        let said = said.split('\n').next().unwrap_or_default();
        format!("{} {}", self.status, shortened(said, 90))
            .trim()
            .to_owned()
    }
}

/// The values of a list: Kafka Connect keeps some as a set.
fn in_order(list: &str) -> String {
    let mut values: Vec<_> = list.split(',').map(str::trim).collect();
    values.sort_unstable();
    values.join(",")
}

/// What either answer says, in a few words: where bodies are alike, where they differ.
pub(super) fn summaries(theirs: &Neutral, ours: &Neutral) -> (String, String) {
    let alike = theirs.status == ours.status && theirs.message.is_none();
    match places(&theirs.body, &ours.body).first() {
        Some(place) if alike => {
            let shown = |value: &str| shortened(&format!("{}: {value}", place.at), 90);
            (shown(&place.theirs), shown(&place.ours))
        }
        _ => (theirs.summary(), ours.summary()),
    }
}

/// The beginning of a text, and a sign that there is more.
pub(super) fn shortened(text: &str, length: usize) -> String {
    match text.char_indices().nth(length) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The fields that differ.
pub(super) fn differences(theirs: &Neutral, ours: &Neutral, mode: Mode) -> Vec<Field> {
    let mut fields = Vec::new();
    if theirs.status != ours.status {
        fields.push(Field::Status);
    }
    let is_page = |kind: &str| kind.starts_with("text/html");
    let kind = theirs.content_type.as_ref().filter(|kind| !is_page(kind));
    // An error of its HTTP layer comes without a type: with one is better.
    let same_kind = kind.is_none() || theirs.content_type == ours.content_type;
    // A refusal here names the methods there are, too.
    let same_allow = theirs.allow.is_none() || theirs.allow == ours.allow;
    // What its HTTP server refuses by itself has none of them.
    let of_server = theirs.status == 400 && theirs.others.iter().all(Option::is_none);
    let same_others = of_server || theirs.others == ours.others;
    let same = theirs.location == ours.location && same_others;
    if !same || !same_allow || !same_kind {
        fields.push(Field::Header);
    }
    if !same_message(theirs, ours) {
        fields.push(Field::Message);
    }
    let same_body = match mode {
        Mode::Exact => theirs.body == ours.body,
        Mode::Shape => same_shape(&theirs.body, &ours.body),
        Mode::Subset => holds_all(&theirs.body, &ours.body),
    };
    // A page of its HTTP server, or no body at all; the code says the status once more.
    let no_errors_body =
        theirs.body.is_null() && theirs.message.is_none() && ours.message.is_some();
    let both_refuse = theirs.status >= 400 && ours.status >= 400;
    if !same_body && !no_errors_body && !both_refuse {
        fields.push(Field::Body);
    }
    fields
}

fn same_message(theirs: &Neutral, ours: &Neutral) -> bool {
    match (&theirs.message, &ours.message) {
        // A page of the HTTP server, or no body at all.
        (None, Some(_)) => theirs.status >= 400,
        (None, None) => true,
        (Some(_), None) => false,
        (Some(theirs), Some(ours)) => {
            let theirs = without_exception(theirs);
            if theirs.starts_with("Cannot invoke \"") {
                return !ours.is_empty();
            }
            if let Some(leading) = parser_text(theirs) {
                return ours.starts_with(leading);
            }
            without_insides(theirs) == without_insides(ours)
        }
    }
}

/// A message without the classes of Java exceptions in front.
fn without_exception(mut message: &str) -> &str {
    while let Some((class, rest)) = message.split_once(": ")
        && class.starts_with("org.apache.kafka.")
        && class.ends_with("Exception")
    {
        message = rest;
    }
    message
}

/// The leading words of a text of the JSON parser: what comes after them quotes Java classes and its own tokens.
fn parser_text(message: &str) -> Option<&str> {
    let end = message.find(['`', '"', '(', '\''])?;
    let kinds = ["Unexpected", "Unrecognized token", "Invalid UTF-8"];
    let first = kinds.iter().find(|kind| message.starts_with(**kind));
    message.contains("[Source: ").then(|| match first {
        Some(kind) => *kind,
        None => message[..end].trim_end(),
    })
}

/// Lists of Java objects, and maps in an order that means nothing.
fn without_insides(message: &str) -> String {
    let message = message
        .split_once("available connectors are:")
        .map_or(message, |(before, _)| before);
    match (message.find('{'), message.rfind('}')) {
        (Some(start), Some(end)) if message.starts_with("Connector config {") && start < end => {
            format!("{}{}", &message[..start], &message[end + 1..])
        }
        _ => message.to_owned(),
    }
}

fn neutralise(value: &mut Value) {
    match value {
        Value::Object(fields) => neutralise_fields(fields),
        Value::Array(items) => {
            items.iter_mut().for_each(neutralise);
            if items.iter().all(Value::is_string) {
                items.sort_by_key(Value::to_string);
            }
        }
        _ => {}
    }
}

fn neutralise_fields(fields: &mut Map<String, Value>) {
    fields.remove("documentation");
    // What is told beyond Kafka Connect.
    fields.remove("sluice");
    // There are more converters and transforms here.
    if let Some(Value::Array(values)) = fields.get_mut("recommended_values") {
        let of_kafka = |value: &Value| {
            let class = value.as_str().unwrap_or_default();
            class == "VERSION" || class.starts_with("org.apache.kafka.connect.")
        };
        values.retain(of_kafka);
    }
    if let Some(Value::Array(offsets)) = fields.get_mut("offsets") {
        // One that was removed may be shown for a moment, without an offset.
        offsets.retain(|entry| !entry["offset"].is_null());
        offsets.sort_by_key(Value::to_string);
    }
    if let Some(Value::Array(configs)) = fields.get_mut("configs") {
        configs.sort_by_key(|config| config["value"]["name"].to_string());
    }
    for (key, value) in fields.iter_mut() {
        match key.as_str() {
            "version" | "commit" | "kafka_cluster_id" | "worker_id" | "trace" | "last_modified"
                if !value.is_null() =>
            {
                *value = Value::String(key.to_ascii_uppercase());
            }
            _ => neutralise(value),
        }
    }
}

/// A place where two bodies differ, with what either has there.
pub(super) struct Place {
    pub(super) at: String,
    pub(super) theirs: String,
    pub(super) ours: String,
}

/// Where two bodies differ.
pub(super) fn places(theirs: &Value, ours: &Value) -> Vec<Place> {
    let mut found = Vec::new();
    collect(theirs, ours, "", &mut found);
    found
}

fn collect(theirs: &Value, ours: &Value, at: &str, found: &mut Vec<Place>) {
    let mut place = |theirs: String, ours: String| {
        let at = at.to_owned();
        found.push(Place { at, theirs, ours });
    };
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            let keys: BTreeSet<_> = theirs.keys().chain(ours.keys()).collect();
            for key in keys {
                let value = |side: &Map<String, Value>| side.get(key).cloned().unwrap_or_default();
                collect(&value(theirs), &value(ours), &format!("{at}/{key}"), found);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                collect(theirs, ours, &format!("{at}/{index}"), found);
            }
        }
        (Value::Array(theirs), Value::Array(ours)) => {
            let (theirs, ours) = (names(theirs), names(ours));
            let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
                let only: Vec<_> = one.difference(other).cloned().collect();
                format!("{} entries, of them alone {only:?}", one.len())
            };
            place(only(&theirs, &ours), only(&ours, &theirs));
        }
        (theirs, ours) if theirs != ours => place(theirs.to_string(), ours.to_string()),
        _ => {}
    }
}

/// What entries of a list are called, in the lists that REST answers.
fn names(entries: &[Value]) -> BTreeSet<String> {
    let name = |entry: &Value| {
        let named = entry.pointer("/value/name").or(entry.get("name"));
        let named = named.and_then(Value::as_str).map(str::to_owned);
        named.unwrap_or_else(|| entry.to_string())
    };
    entries.iter().map(name).collect()
}

/// True if both hold the same kinds of values under the same keys; of lists, only the first entries are looked at.
fn same_shape(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Object(theirs), Value::Object(ours)) => {
            // A map by names of its own: loggers.
            let by_name = theirs.keys().any(|key| key == "root");
            if by_name {
                return ours.contains_key("root")
                    && theirs
                        .values()
                        .next()
                        .zip(ours.values().next())
                        .is_none_or(|(theirs, ours)| same_shape(theirs, ours));
            }
            theirs.len() == ours.len()
                && theirs
                    .iter()
                    .all(|(key, value)| ours.get(key).is_some_and(|ours| same_shape(value, ours)))
        }
        (Value::Array(theirs), Value::Array(ours)) => match (theirs.first(), ours.first()) {
            (Some(theirs), Some(ours)) => same_shape(theirs, ours),
            (theirs, ours) => theirs.is_some() == ours.is_some(),
        },
        (Value::Null, Value::String(_)) | (Value::String(_), Value::Null) => true,
        (theirs, ours) => std::mem::discriminant(theirs) == std::mem::discriminant(ours),
    }
}

fn holds_all(theirs: &Value, ours: &Value) -> bool {
    match (theirs, ours) {
        (Value::Array(theirs), Value::Array(ours)) => {
            theirs.iter().all(|entry| ours.contains(entry))
        }
        (theirs, ours) => theirs == ours,
    }
}
