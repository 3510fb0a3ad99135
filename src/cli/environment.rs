//! Worker properties from `CONNECT_*` variables, by the rules of the JVM images.

use std::collections::BTreeMap;
use std::ffi::OsString;

use anyhow::{Result, anyhow};

/// Variables with this prefix are worker properties.
const PREFIX: &str = "CONNECT_";

/// Variables of the JVM images that are not properties.
const NOT_PROPERTIES: &[&str] = &[
    "CONNECT_REST_URL",
    "CONNECT_LOG4J_ROOT_LOGLEVEL",
    "CONNECT_LOG4J_LOGGERS",
];

/// The properties in the environment.
///
/// # Errors
/// One is not text: it is named.
pub(super) fn properties() -> Result<BTreeMap<String, String>> {
    properties_among(std::env::vars_os())
}

/// What is not text and no property of ours is nobody's concern here.
fn properties_among(
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<BTreeMap<String, String>> {
    variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| !NOT_PROPERTIES.contains(&name.as_str()))
        .filter_map(|(name, value)| Some((property(name.strip_prefix(PREFIX)?), name, value)))
        .map(|(property, name, value)| {
            let value = value.into_string();
            let value = value.map_err(|_| anyhow!("the variable {name} is not UTF-8"))?;
            Ok((property, value))
        })
        .collect()
}

/// The level that `CONNECT_LOG4J_ROOT_LOGLEVEL` asks for.
pub(super) fn log_level() -> Option<String> {
    let level = std::env::var("CONNECT_LOG4J_ROOT_LOGLEVEL").ok()?;
    Some(match level.trim().to_ascii_lowercase().as_str() {
        "fatal" => "error".to_owned(),
        "all" => "trace".to_owned(),
        other => other.to_owned(),
    })
}

/// `KEY_CONVERTER` is `key.converter`; three underscores are a dash, two are an underscore, one alone at either end stays.
fn property(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let mut key = String::with_capacity(name.len());
    let mut rest = name.as_str();
    while let Some(at) = rest.find('_') {
        let (before, from) = rest.split_at(at);
        let after = from.trim_start_matches('_');
        key.push_str(before);
        let inside = !key.is_empty() && !after.is_empty();
        push_separator(&mut key, from.len() - after.len(), inside);
        rest = after;
    }
    key.push_str(rest);
    key
}

fn push_separator(key: &mut String, underscores: usize, inside: bool) {
    if underscores == 1 {
        key.push(if inside { '.' } else { '_' });
        return;
    }
    key.extend(std::iter::repeat_n('-', underscores / 3));
    if !underscores.is_multiple_of(3) {
        key.push('_');
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn names_become_properties_as_in_the_jvm_images() {
        for (name, key) in [
            ("BOOTSTRAP_SERVERS", "bootstrap.servers"),
            (
                "KEY_CONVERTER_SCHEMAS_ENABLE",
                "key.converter.schemas.enable",
            ),
            ("A__B_C", "a_b.c"),
            ("A___B_C", "a-b.c"),
            ("A____B", "a-_b"),
            ("A______B", "a--b"),
            ("_A_", "_a_"),
            ("A", "a"),
        ] {
            assert_eq!(property(name), key, "{name}");
        }
    }

    #[test]
    fn only_properties_are_taken() {
        let variables = [
            ("CONNECT_BOOTSTRAP_SERVERS", "kafka:9092"),
            ("CONNECT_REST_URL", "http://elsewhere:8083"),
            ("CONNECT_LOG4J_ROOT_LOGLEVEL", "DEBUG"),
            ("HOME", "/"),
        ]
        .map(|(name, value)| (name.into(), value.into()));
        let expected = [("bootstrap.servers".to_owned(), "kafka:9092".to_owned())];
        let properties = properties_among(variables.into_iter()).unwrap();
        assert_eq!(properties, expected.into());
    }

    #[test]
    fn what_is_not_text_matters_only_in_a_property() {
        let not_text = || OsString::from_vec(vec![b'a', 0xff]);
        let foreign = [("LS_COLORS".into(), not_text()), (not_text(), "x".into())];
        assert_eq!(
            properties_among(foreign.into_iter()).unwrap(),
            BTreeMap::new()
        );
        let own = [("CONNECT_GROUP_ID".into(), not_text())];
        let error = properties_among(own.into_iter()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the variable CONNECT_GROUP_ID is not UTF-8"
        );
    }
}
