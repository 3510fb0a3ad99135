//! A string map against a definition: every value, every error.

use std::collections::BTreeMap;

use super::def::Default;
use super::{ConfigDef, ConfigMap, OptionDef, OptionError, OptionType, OptionValue, ValueOf};

/// An option with what a map gave for it.
#[derive(Debug, Clone)]
pub struct CheckedOption {
    /// The option.
    pub definition: OptionDef,
    /// The value; null if it could not be parsed.
    pub value: OptionValue,
    /// What is wrong with it, in Kafka's words.
    pub errors: Vec<String>,
}

impl ConfigDef {
    /// Checks `config` against every option, in order.
    pub fn check(&self, config: &ConfigMap) -> Vec<CheckedOption> {
        self.options()
            .iter()
            .map(|option| check_option(option, config.get(option.name).map(String::as_str)))
            .collect()
    }
}

/// Parses and validates; like Kafka, a value that cannot be parsed becomes null and is then still validated.
fn check_option(option: &OptionDef, given: Option<&str>) -> CheckedOption {
    let mut errors = Vec::new();
    let value = match (given, option.default) {
        (Some(text), _) => OptionValue::parse(option.kind, text).unwrap_or_else(|reason| {
            errors.push(invalid(
                option,
                &OptionValue::Text(text.to_owned()),
                &reason,
            ));
            OptionValue::Null
        }),
        (None, Default::Required) => {
            let name = option.name;
            errors.push(format!(
                "Missing required configuration \"{name}\" which has no default value."
            ));
            OptionValue::Null
        }
        (None, _) => option.default_value(),
    };
    let validate = match option.default {
        Default::Required => given.is_some(),
        Default::Null => !value.is_null(),
        Default::Text(_) => true,
    };
    if validate && let Err(reason) = option.validator.check(&value) {
        errors.push(invalid(option, &value, &reason));
    }
    if let Some(why) = option.unsupported
        && given.is_some()
        && value != option.default_value()
    {
        errors.push(invalid(
            option,
            &value,
            &format!("not supported yet: {why}"),
        ));
    }
    CheckedOption {
        definition: option.clone(),
        value,
        errors,
    }
}

fn invalid(option: &OptionDef, value: &OptionValue, reason: &str) -> String {
    let shown = match (option.kind, value.shown()) {
        (_, None) => "null".to_owned(),
        (OptionType::Password, Some(_)) => "[hidden]".to_owned(),
        (_, Some(text)) => text,
    };
    OptionError::invalid(option.name, &shown, reason).message
}

/// Hands checked values to the fields of a struct, collecting errors.
#[derive(Debug)]
pub struct OptionReader {
    values: BTreeMap<&'static str, OptionValue>,
    errors: Vec<OptionError>,
}

impl OptionReader {
    /// Checks `config` against `definition`.
    pub fn new(definition: &ConfigDef, config: &ConfigMap) -> Self {
        let mut values = BTreeMap::new();
        let mut errors = Vec::new();
        for checked in definition.check(config) {
            let name = checked.definition.name;
            if checked.errors.is_empty() {
                values.insert(name, checked.value);
            }
            errors.extend(
                checked
                    .errors
                    .into_iter()
                    .map(|message| OptionError::new(name, message)),
            );
        }
        Self { values, errors }
    }

    /// The value of the option `name`; `None` after an error, which is kept.
    pub fn take<T: ValueOf>(&mut self, name: &'static str) -> Option<T> {
        let value = self.values.remove(name)?;
        let shown = match T::KIND {
            OptionType::Password => "[hidden]".to_owned(),
            _ => value.shown().unwrap_or_else(|| "null".to_owned()),
        };
        T::from_value(value)
            .map_err(|reason| {
                self.errors
                    .push(OptionError::invalid(name, &shown, &reason));
            })
            .ok()
    }

    /// All errors so far.
    pub fn into_errors(self) -> Vec<OptionError> {
        self.errors
    }
}
