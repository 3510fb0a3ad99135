//! Definitions and checks in the shapes of Kafka Connect's REST API.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::transforms::chain_infos;
use super::{
    CheckedOption, ConfigDef, ConfigMap, OptionDef, OptionError, OptionType, framework_definition,
    plugin_version_errors, sink_topic_errors, unsupported_keys,
};
use crate::plugin::{ConnectorPlugin, ConnectorType};

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
pub fn config_infos(plugin: &ConnectorPlugin, config: &BTreeMap<String, Option<String>>) -> Value {
    let given: ConfigMap = config
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect();
    let framework = framework_definition(plugin.kind);
    let own = (plugin.definition)();
    let mut extra = cross_errors(plugin, &given);
    extra.extend(
        config
            .iter()
            .filter(|(_, value)| value.is_none())
            .map(|(key, _)| {
                let reason = "Null value can not be supplied as the configuration value.";
                OptionError::new(key, reason)
            }),
    );

    let mut listed = Vec::new();
    for definition in [&framework, &own] {
        for mut checked in definition.check(&given) {
            let name = checked.definition.name;
            let shadowed = std::ptr::eq(definition, &framework) && own.option(name).is_some();
            if shadowed {
                continue;
            }
            take_errors_of(name, &mut extra, &mut checked.errors);
            listed.push(config_info(definition, &checked));
        }
    }
    let chain = chain_infos(&given);
    let mut configs = errors_of_unknown(&given, extra);
    configs.extend(listed);
    configs.extend(chain.configs);
    let mut groups: Vec<String> = groups(&[&framework]).into_iter().map(Into::into).collect();
    groups.extend(chain.groups);
    let of_plugin = self::groups(&[&framework, &own]).into_iter();
    groups.extend(
        of_plugin
            .skip(self::groups(&[&framework]).len())
            .map(Into::into),
    );
    json!({
        "name": given.get("connector.class"),
        "error_count": count_errors(&configs),
        "groups": groups,
        "configs": configs,
    })
}

/// Errors that need several options at once.
fn cross_errors(plugin: &ConnectorPlugin, config: &ConfigMap) -> Vec<OptionError> {
    let mut errors = unsupported_keys(config);
    errors.extend(plugin_version_errors(plugin, config));
    if plugin.kind == ConnectorType::Sink {
        errors.extend(sink_topic_errors(config));
    }
    let single_errors = (plugin.definition)()
        .check(config)
        .iter()
        .any(|option| !option.errors.is_empty());
    if !single_errors && let Ok(connector) = super::registry::typed(plugin, config) {
        errors.extend(connector.check());
    }
    errors
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

/// Errors on keys that no definition holds stand first, without a definition.
fn errors_of_unknown(config: &ConfigMap, errors: Vec<OptionError>) -> Vec<Value> {
    let mut by_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for error in errors {
        by_key.entry(error.key).or_default().push(error.message);
    }
    by_key
        .into_iter()
        .map(|(key, messages)| {
            json!({
                "definition": null,
                "value": {
                    "name": key,
                    "value": config.get(&key),
                    "recommended_values": [],
                    "errors": messages,
                    "visible": true,
                },
            })
        })
        .collect()
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

/// All errors of a configuration, in the order in which validate lists them.
pub fn config_errors(
    plugin: &ConnectorPlugin,
    config: &BTreeMap<String, Option<String>>,
) -> Vec<String> {
    let infos = config_infos(plugin, config);
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
