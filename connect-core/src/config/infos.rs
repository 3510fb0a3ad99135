//! Definitions and checks in the shapes of Kafka Connect's REST API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::check::check_given;
use super::exactly_once::exactly_once_errors;
use super::transforms::{below, chain_infos};
use super::{
    CheckedOption, ConfigDef, ConfigMap, Importance, OptionDef, OptionError, OptionType,
    OptionValue, WorkerAbilities, find_converter_plugin, find_predicate_plugin,
    find_transform_plugin, framework_definition, plugin_version_errors, sink_topic_errors,
};
use crate::plugin::{ConnectorPlugin, ConnectorType, ConverterPlugin};

/// `GET /connector-plugins/{plugin}/config` of one definition.
pub fn config_key_infos(definition: &ConfigDef) -> Vec<Value> {
    definition
        .options()
        .iter()
        .map(|option| key_info(definition, option))
        .collect()
}

fn key_info(definition: &ConfigDef, option: &OptionDef) -> Value {
    json!({
        "name": option.name,
        "type": option.kind.name(),
        "required": option.default == super::Default::Required,
        "default_value": option.default_shown(),
        "importance": option.importance.name(),
        "documentation": option.documentation,
        "group": option.group,
        "width": option.width.name(),
        "display_name": option.display.unwrap_or(option.name),
        "dependents": [],
        "order_in_group": definition.order_in_group(option.name),
    })
}

/// `PUT /connector-plugins/{plugin}/config/validate`: every option with its value and what is wrong with it.
///
/// `None` values came as JSON null.
pub fn config_infos(
    plugin: &ConnectorPlugin,
    config: &BTreeMap<String, Option<String>>,
    worker: WorkerAbilities,
) -> Value {
    let given: ConfigMap = config
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect();
    let framework = framework_definition(plugin.kind);
    let own = (plugin.definition)();
    let mut extra = cross_errors(plugin, &given, worker);
    extra.extend(null_errors(config));
    let mut listed = |definition: &ConfigDef, skip: Option<&ConfigDef>| {
        let mut infos = Vec::new();
        for mut checked in definition.check(&given) {
            let name = checked.definition.name;
            if skip.is_some_and(|skip| skip.option(name).is_some()) {
                continue;
            }
            if matches!(config.get(name), Some(None)) {
                give_null(&mut checked);
            }
            take_errors_of(name, &mut extra, &mut checked.errors);
            infos.push(config_info(definition, &checked));
        }
        infos
    };
    let of_framework = listed(&framework, Some(&own));
    let of_plugin = listed(&own, None);
    let chain = chain_infos(&given);
    let converters = converter_infos(&given);
    let mut configs = errors_of_unknown(&given, extra);
    configs.extend(of_framework);
    configs.extend(chain.configs);
    configs.extend(of_plugin);
    configs.extend(converters.configs);
    let mut groups: Vec<String> = groups(&[&framework]).into_iter().map(Into::into).collect();
    groups.extend(chain.groups);
    for group in self::groups(&[&own]).into_iter().map(str::to_owned) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    groups.extend(converters.groups);
    json!({
        "name": given.get("connector.class"),
        "error_count": count_errors(&configs),
        "groups": groups,
        "configs": configs,
    })
}

/// Options that were given as JSON null.
fn null_errors(config: &BTreeMap<String, Option<String>>) -> impl Iterator<Item = OptionError> {
    let null = config.iter().filter(|(_, value)| value.is_none());
    null.map(|(key, _)| {
        let reason = "Null value can not be supplied as the configuration value.";
        OptionError::new(key, reason)
    })
}

/// Errors that need several options at once.
fn cross_errors(
    plugin: &ConnectorPlugin,
    config: &ConfigMap,
    worker: WorkerAbilities,
) -> Vec<OptionError> {
    let mut errors = plugin_version_errors(plugin, config);
    errors.extend(match plugin.kind {
        ConnectorType::Sink => sink_topic_errors(config),
        ConnectorType::Source => exactly_once_errors(plugin, config, worker),
    });
    let single_errors = (plugin.definition)()
        .check(config)
        .iter()
        .any(|option| !option.errors.is_empty());
    if !single_errors && let Ok(connector) = super::registry::typed(plugin, config) {
        errors.extend(connector.check());
    }
    errors
}

/// The options of a converter. One of keys and values is told by an option which of them it converts, and its groups are
/// counted from 0.
pub fn converter_definition(plugin: &ConverterPlugin) -> ConfigDef {
    let mut definition = ConfigDef::default();
    if plugin.make.is_some() {
        let text = "What this converter is used for: keys, values or headers.";
        definition.push(OptionDef::of::<String>(CONVERTER_TYPE, text).importance(Importance::Low));
    }
    let own = (plugin.definition)();
    for option in own.options() {
        let option = option.clone();
        definition.push(match own.order_in_group(option.name) {
            order if order > 0 => option.order(order - 1),
            _ => option,
        });
    }
    definition
}

/// The option by which a converter is told what it converts.
const CONVERTER_TYPE: &str = "converter.type";

/// Options of the converters that a connector names itself, and the groups they are shown in.
struct ConverterInfos {
    configs: Vec<Value>,
    groups: Vec<String>,
}

fn converter_infos(config: &ConfigMap) -> ConverterInfos {
    let mut infos = ConverterInfos {
        configs: Vec::new(),
        groups: Vec::new(),
    };
    for kind in ["header", "key", "value"] {
        let named = config.get(&format!("{kind}.converter"));
        let Some(plugin) = named.and_then(|class| find_converter_plugin(class)) else {
            continue;
        };
        let definition = converter_definition(plugin);
        let prefix = format!("{kind}.converter.");
        let mut given = below(config, &prefix);
        given.insert(CONVERTER_TYPE.to_owned(), kind.to_owned());
        let checked = definition.check(&given);
        let shown = checked.iter();
        infos
            .configs
            .extend(shown.map(|checked| config_info_below(&prefix, &definition, checked)));
        let groups = groups(&[&definition]).into_iter().map(str::to_owned);
        infos.groups.extend(groups);
    }
    infos
}

/// An option that is given below `prefix`, under its whole key.
fn config_info_below(prefix: &str, definition: &ConfigDef, checked: &CheckedOption) -> Value {
    let mut info = config_info(definition, checked);
    for pointer in ["/definition/name", "/value/name"] {
        if let Some(place) = info.pointer_mut(pointer) {
            *place = format!("{prefix}{}", checked.definition.name).into();
        }
    }
    info
}

/// The options that `config` gives below `prefix`, of a definition or not, with what is wrong with each: `refused` says why an
/// option may not be given.
pub fn infos_of_given(
    prefix: &str,
    definition: &ConfigDef,
    config: &BTreeMap<String, Option<String>>,
    refused: impl Fn(&str) -> Option<String>,
) -> Vec<Value> {
    let given = config
        .iter()
        .filter_map(|(key, value)| Some((key, key.strip_prefix(prefix)?, value.as_deref())));
    given
        .filter(|(_, name, _)| !name.is_empty())
        .map(|(key, name, value)| {
            let refused = refused(name);
            let Some(option) = definition.option(name) else {
                return plain_info(key, value, refused.as_slice());
            };
            let mut checked = check_given(option, key, value);
            checked.errors.extend(refused);
            config_info_below(prefix, definition, &checked)
        })
        .collect()
}

/// Adds options without a group to a validation.
pub fn add_infos(infos: &mut Value, more: Vec<Value>) {
    if let Some(configs) = infos.get_mut("configs").and_then(Value::as_array_mut) {
        configs.extend(more);
        let count = count_errors(configs);
        if let Some(infos) = infos.as_object_mut() {
            infos.insert("error_count".to_owned(), count.into());
        }
    }
}

/// JSON null is a value: nothing stands in for it.
fn give_null(checked: &mut CheckedOption) {
    let option = &checked.definition;
    checked.value = OptionValue::Null;
    let reason = option.validator.check(&checked.value).err();
    let error = reason.map(|reason| OptionError::invalid(option.name, "null", &reason).message);
    checked.errors = error.into_iter().collect();
}

fn take_errors_of(name: &str, from: &mut Vec<OptionError>, to: &mut Vec<String>) {
    from.retain(|error| {
        let mine = error.key == name;
        if mine {
            to.push(error.message.clone());
        }
        !mine
    });
}

pub(super) fn config_info(definition: &ConfigDef, checked: &CheckedOption) -> Value {
    let option = &checked.definition;
    let shown = match (option.kind, checked.value.shown()) {
        (OptionType::Password, Some(_)) => Some("[hidden]".to_owned()),
        (OptionType::Class, Some(class)) => Some(full_name(class)),
        (_, shown) => shown,
    };
    json!({
        "definition": key_info(definition, option),
        "value": {
            "name": option.name,
            "value": shown,
            "recommended_values": [],
            "errors": checked.errors,
            "visible": true,
        },
    })
}

/// The full name of a class that may be an alias.
fn full_name(class: String) -> String {
    let converter = find_converter_plugin(&class).map(|plugin| plugin.class);
    let transform = || find_transform_plugin(&class).map(|plugin| plugin.class);
    let predicate = || find_predicate_plugin(&class).map(|plugin| plugin.class);
    let found = converter.or_else(transform).or_else(predicate);
    found.map_or(class, str::to_owned)
}

/// Errors on keys that no definition holds stand first, without a definition.
fn errors_of_unknown(config: &ConfigMap, errors: Vec<OptionError>) -> Vec<Value> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for error in errors {
        by_key.entry(error.key).or_default().push(error.message);
    }
    by_key
        .into_iter()
        .map(|(key, messages)| plain_info(&key, config.get(&key).map(String::as_str), &messages))
        .collect()
}

/// A key that no definition holds.
pub fn plain_info(key: &str, value: Option<&str>, errors: &[String]) -> Value {
    json!({
        "definition": null,
        "value": {
            "name": key,
            "value": value,
            "recommended_values": [],
            "errors": errors,
            "visible": true,
        },
    })
}

fn count_errors(configs: &[Value]) -> usize {
    configs
        .iter()
        .filter_map(|config| config.pointer("/value/errors")?.as_array())
        .map(Vec::len)
        .sum()
}

fn groups(definitions: &[&ConfigDef]) -> Vec<&'static str> {
    let mut groups = Vec::new();
    for option in definitions
        .iter()
        .flat_map(|definition| definition.options())
    {
        if let Some(group) = option.group
            && !groups.contains(&group)
        {
            groups.push(group);
        }
    }
    groups
}

/// All errors of a validation, in the order in which it lists them.
pub fn error_messages(infos: &Value) -> Vec<String> {
    let configs = infos.get("configs").and_then(Value::as_array);
    configs
        .into_iter()
        .flatten()
        .filter_map(|config| config.pointer("/value/errors")?.as_array())
        .flatten()
        .filter_map(|message| message.as_str().map(str::to_owned))
        .collect()
}

/// The message of a 400 answer to a create or put.
pub fn error_message(errors: &[OptionError]) -> String {
    let lines: Vec<_> = errors.iter().map(|error| error.message.as_str()).collect();
    invalid_message(&lines)
}

/// The message of a 400 answer to a create or put, from messages.
pub fn invalid_message(messages: &[impl AsRef<str>]) -> String {
    let mut text = format!(
        "Connector configuration is invalid and contains the following {} error(s):",
        messages.len()
    );
    for message in messages {
        text.push('\n');
        text.push_str(message.as_ref());
    }
    text.push_str("\nYou can also find the above list of errors at the endpoint `/connector-plugins/{connectorType}/config/validate`");
    text
}
