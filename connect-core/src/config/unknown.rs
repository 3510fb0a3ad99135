//! Keys that no definition knows: kept, as Kafka Connect keeps them, and pointed out with the nearest known one.

use super::{ConfigDef, ConfigMap};

/// A key that nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// The key.
    pub key: String,
    /// The known key that may have been meant.
    pub nearest: Option<&'static str>,
}

/// Prefixes below which keys belong to somebody else.
const PASSED_ON: &[&str] = &[
    "transforms.",
    "predicates.",
    "key.converter.",
    "value.converter.",
    "header.converter.",
    "producer.override.",
    "consumer.override.",
    "admin.override.",
    "topic.creation.",
];

/// The keys of `config` that none of `definitions` knows.
pub fn unknown_keys(config: &ConfigMap, definitions: &[&ConfigDef]) -> Vec<UnknownKey> {
    let known: Vec<&'static str> = definitions
        .iter()
        .flat_map(|definition| definition.options())
        .map(|option| option.name)
        .collect();
    config
        .keys()
        .filter(|key| !known.contains(&key.as_str()))
        .filter(|key| !PASSED_ON.iter().any(|prefix| key.starts_with(prefix)))
        .map(|key| UnknownKey {
            key: key.clone(),
            nearest: nearest(key, &known),
        })
        .collect()
}

/// The known key with the fewest edits, if few enough to be a slip.
pub fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    let allowed = (key.chars().count() / 4).max(2);
    known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(key, candidate), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
