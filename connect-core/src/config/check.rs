//! A string map against a definition: every value, every error.

use std::collections::BTreeMap;

use super::def::Default;
use super::{
    ConfigDef, ConfigMap, OptionDef, OptionError, OptionType, OptionValue, Validator, ValueOf,
};

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
        self.check_below("", config)
    }

    /// Checks the values of `config` under `prefix` and the option's name; errors name the whole key.
    pub fn check_below(&self, prefix: &str, config: &ConfigMap) -> Vec<CheckedOption> {
        let check = |option: &OptionDef| {
            let key = format!("{prefix}{}", option.name);
            let given = config.get(&key).map(String::as_str);
            check_option(option, &key, given)
        };
        self.options().iter().map(check).collect()
    }
}

/// Checks a value that was given for `option` under `key`; null is one.
pub(super) fn check_given(option: &OptionDef, key: &str, given: Option<&str>) -> CheckedOption {
    match given {
        Some(_) => check_option(option, key, given),
        None => CheckedOption {
            definition: option.clone(),
            value: OptionValue::Null,
            errors: Vec::new(),
        },
    }
}

/// Parses and validates; like Kafka, a value that cannot be parsed becomes null and is then still validated.
fn check_option(option: &OptionDef, key: &str, given: Option<&str>) -> CheckedOption {
    let mut errors = Vec::new();
    let mut value = match (given, option.default) {
        (Some(text), _) => OptionValue::parse(option.kind, text).unwrap_or_else(|reason| {
            errors.push(invalid(
                option,
                key,
                &OptionValue::Text(text.to_owned()),
                &reason,
            ));
            OptionValue::Null
        }),
        (None, Default::Required) => {
            errors.push(format!(
                "Missing required configuration \"{key}\" which has no default value."
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
        // Kafka's validators know an option by its name alone, without the prefix it stands below.
        errors.push(match option.validator {
            Validator::NonEmptyList | Validator::UniqueList => {
                format!("Configuration '{}' {reason}", option.name)
            }
            _ => invalid(option, option.name, &value, &reason),
        });
    }
    if option.kind == OptionType::Class && !errors.is_empty() {
        value = OptionValue::Null; // a class that is not there
    }
    if let Some(why) = option.unsupported
        && errors.is_empty()
        && given.is_some()
        && value != option.default_value()
    {
        errors.push(invalid(
            option,
            key,
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

fn invalid(option: &OptionDef, key: &str, value: &OptionValue, reason: &str) -> String {
    let shown = match (option.kind, value.shown()) {
        (_, None) => "null".to_owned(),
        (OptionType::List, Some(items)) => format!("[{}]", items.replace(',', ", ")),
        (OptionType::Password, Some(_)) => "[hidden]".to_owned(),
        (_, Some(text)) => text,
    };
    OptionError::invalid(key, &shown, reason).message
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
