//! What plugins there are, what they take, and whether a configuration suits them.

use std::time::Duration;

use connect_core::config::{
    ConfigMap, OptionError, config_infos, config_key_infos, connector_from_map,
    converter_definition, find_connector_plugin, find_converter_plugin, find_predicate_plugin,
    find_transform_plugin, framework_definition,
};
use connect_core::plugin::{
    ConnectorPlugin, ConnectorType, connector_plugins, converter_plugins, predicate_plugins,
    transform_plugins,
};
use serde_json::Value;

use super::client_overrides;
use super::config_providers::Resolved;
use super::herder::{GivenConfig, HerderError};
use super::info::{ConfigInfos, PluginInfo};
use super::worker_config::WorkerSettings;

type Answer<T> = Result<T, HerderError>;

/// The option that asks for a version of a connector.
const PLUGIN_VERSION: &str = "connector.plugin.version";

/// How long a connector may look at the outside world for a validation.
const LONGEST_LOOK: Duration = Duration::from_secs(60);

/// Every plugin; only connectors if asked for them.
pub(super) fn plugins(connectors_only: bool) -> Vec<PluginInfo> {
    let info = |class: &str, kind: &str, version: &str| PluginInfo {
        class: class.to_owned(),
        kind: kind.to_owned(),
        version: Some(version.to_owned()),
    };
    let of_kind = |kind: ConnectorType, name: &'static str| {
        connector_plugins()
            .into_iter()
            .filter(move |plugin| plugin.kind == kind)
            .map(move |plugin| info(plugin.class, name, plugin.version))
    };
    let mut plugins: Vec<_> = of_kind(ConnectorType::Sink, "sink")
        .chain(of_kind(ConnectorType::Source, "source"))
        .collect();
    if !connectors_only {
        let transforms = transform_plugins().into_iter();
        plugins
            .extend(transforms.map(|plugin| info(plugin.class, "transformation", plugin.version)));
        let predicates = predicate_plugins().into_iter();
        plugins.extend(predicates.map(|plugin| info(plugin.class, "predicate", plugin.version)));
        let converters = converter_plugins();
        let made = converters.iter().filter(|plugin| plugin.make.is_some());
        plugins.extend(made.map(|plugin| info(plugin.class, "converter", plugin.version)));
        let made = converters
            .iter()
            .filter(|plugin| plugin.make_header.is_some());
        plugins.extend(made.map(|plugin| info(plugin.class, "header_converter", plugin.version)));
    }
    plugins
}

/// The options of a plugin, as `/connector-plugins/{plugin}/config` shows them.
pub(super) fn plugin_config(plugin: &str) -> Answer<serde_json::Value> {
    if let Some(converter) = find_converter_plugin(plugin) {
        return Ok(config_key_infos(&converter_definition(converter)).into());
    }
    let definition = find_transform_plugin(plugin)
        .map(|plugin| plugin.definition)
        .or_else(|| find_predicate_plugin(plugin).map(|plugin| plugin.definition));
    if let Some(definition) = definition {
        return Ok(config_key_infos(&definition()).into());
    }
    let found = find_connector_plugin(plugin)
        .map_err(|_| HerderError::NotFound(format!("Unknown plugin {plugin}.")))?;
    let own = (found.definition)();
    let mut infos = config_key_infos(&own);
    let framework = framework_definition(found.kind);
    let more = config_key_infos(&framework).into_iter();
    infos.extend(more.filter(|info| {
        info.get("name")
            .and_then(|name| name.as_str())
            .is_none_or(|name| own.option(name).is_none())
    }));
    for info in &mut infos {
        if info.get("name").is_some_and(|name| name == PLUGIN_VERSION)
            && let Some(default) = info.get_mut("default_value")
        {
            *default = found.version.into();
        }
    }
    Ok(infos.into())
}

/// Checks a configuration with the values of its placeholders, and shows the placeholders. If nothing is wrong in it the
/// connector looks whether it would work.
pub(super) async fn validate(
    plugin: &str,
    config: GivenConfig,
    settings: &WorkerSettings,
) -> Answer<ConfigInfos> {
    let raw: ConfigMap = config
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
        .collect();
    let resolved = settings
        .providers
        .resolve(&raw)
        .map_err(|error| HerderError::Internal(error.trace()))?;
    let Some(class) = resolved.config.get("connector.class") else {
        // With the status of 4.3.1, which does not take this for a bad request.
        return Err(HerderError::Internal(
            no_connector_type(&config).to_string(),
        ));
    };
    let found = find_connector_plugin(class);
    let asked = find_connector_plugin(plugin);
    let found = match (found, asked) {
        (Ok(found), Ok(asked)) if std::ptr::eq(found, asked) => found,
        // The same name twice, that of nothing.
        (Err(error), _) if class == plugin => {
            return Err(HerderError::Internal(error.message().to_owned()));
        }
        _ => {
            return Err(HerderError::BadRequest(format!(
                "Included connector type {class} does not match request type {plugin}"
            )));
        }
    };
    let mut nullable = config;
    for (key, value) in &resolved.config {
        nullable.insert(key.clone(), Some(value.clone()));
    }
    let mut infos = config_infos(found, &nullable, settings.abilities());
    let policy = settings.override_policy();
    client_overrides::add_to(&mut infos, found.kind, &nullable, &policy);
    if infos.get("error_count").and_then(Value::as_u64) == Some(0) {
        for error in looked_at(&resolved.config).await {
            add_error(&mut infos, &error);
        }
    }
    let shown = infos.get_mut("configs").and_then(Value::as_array_mut);
    for info in shown.into_iter().flatten() {
        show_defaults(info, found, &resolved.config, settings);
        if let Some(value) = info.get_mut("value") {
            hide(value, &raw, &resolved);
        }
    }
    Ok(infos)
}

/// The refusal of a configuration without `connector.class`. It names keys alone: values may be secrets.
pub(super) fn no_connector_type(config: &GivenConfig) -> HerderError {
    let keys: Vec<_> = config.keys().map(String::as_str).collect();
    HerderError::BadRequest(format!(
        "Connector config {{{}}} contains no connector type",
        keys.join(", ")
    ))
}

/// What stands for options that are not given, and what may be chosen: the worker's converters, the classes and versions
/// there are.
fn show_defaults(
    info: &mut Value,
    plugin: &ConnectorPlugin,
    given: &ConfigMap,
    settings: &WorkerSettings,
) {
    let name = info.pointer("/definition/name").and_then(Value::as_str);
    let name = name.unwrap_or_default().to_owned();
    let found = default_and_choice(&name, plugin, given, settings);
    let Some((default, choice)) = found else {
        // A version of nothing.
        if name.ends_with(".converter.plugin.version")
            && let Some(visible) = info.pointer_mut("/value/visible")
        {
            *visible = false.into();
        }
        return;
    };
    let errors = info.pointer("/value/errors").and_then(Value::as_array);
    let is_right = errors.is_none_or(Vec::is_empty);
    let not_given = info.pointer("/value/value").is_some_and(Value::is_null);
    let mut changes = vec![("/value/recommended_values", Value::from(choice))];
    if let Some(default) = default {
        changes.push(("/definition/default_value", default.clone().into()));
        if is_right && not_given {
            changes.push(("/value/value", default.into()));
        }
    }
    for (pointer, value) in changes {
        if let Some(place) = info.pointer_mut(pointer) {
            *place = value;
        }
    }
}

fn default_and_choice(
    name: &str,
    plugin: &ConnectorPlugin,
    given: &ConfigMap,
    settings: &WorkerSettings,
) -> Option<(Option<String>, Vec<&'static str>)> {
    let config = &settings.config;
    let of_worker = |name: &str| match name {
        "key.converter" => Some(&config.key_converter),
        "value.converter" => Some(&config.value_converter),
        "header.converter" => Some(&config.header_converter),
        _ => None,
    };
    let version = |version: &'static str| Some((Some(version.to_owned()), vec![version]));
    if name == PLUGIN_VERSION {
        return version(plugin.version);
    }
    if let Some(class) = of_worker(name) {
        let classes = converter_classes(name == "header.converter");
        return Some((Some(class.clone()), classes));
    }
    if let Some(of) = name.strip_suffix(".plugin.version") {
        let default = of_worker(of).cloned();
        let of_chain = given.get(&format!("{of}.type")).cloned();
        let class = given.get(of).cloned().or(default).or(of_chain)?;
        let transform = || find_transform_plugin(&class).map(|plugin| plugin.version);
        let predicate = || find_predicate_plugin(&class).map(|plugin| plugin.version);
        let converter = find_converter_plugin(&class).map(|plugin| plugin.version);
        return version(converter.or_else(transform).or_else(predicate)?);
    }
    let (list, rest) = name.split_once('.')?;
    rest.strip_suffix(".type")?;
    let classes = match list {
        "transforms" => transform_plugins()
            .iter()
            .map(|plugin| plugin.class)
            .collect(),
        "predicates" => predicate_plugins()
            .iter()
            .map(|plugin| plugin.class)
            .collect(),
        _ => return None,
    };
    Some((None, classes))
}

/// The classes of the linked converters of headers, or of keys and values.
fn converter_classes(of_headers: bool) -> Vec<&'static str> {
    let converters = converter_plugins().into_iter();
    let fits = converters.filter(|plugin| match of_headers {
        true => plugin.make_header.is_some(),
        false => plugin.make.is_some(),
    });
    fits.map(|plugin| plugin.class).collect()
}

/// What the connector finds wrong in the outside world.
async fn looked_at(config: &ConfigMap) -> Vec<OptionError> {
    let Ok(connector) = connector_from_map(config) else {
        return Vec::new();
    };
    let looked = tokio::time::timeout(LONGEST_LOOK, connector.validate());
    looked.await.unwrap_or_default()
}

/// Adds an error to the option it is about.
fn add_error(infos: &mut Value, error: &OptionError) {
    let configs = infos.get_mut("configs").and_then(Value::as_array_mut);
    let named = |info: &&mut Value| {
        let name = info.pointer("/value/name").and_then(Value::as_str);
        name == Some(error.key.as_str())
    };
    let found = configs.and_then(|configs| configs.iter_mut().find(named));
    if let Some(errors) = found
        .and_then(|info| info.pointer_mut("/value/errors"))
        .and_then(Value::as_array_mut)
    {
        errors.push(error.message.clone().into());
        let count = infos.get("error_count").and_then(Value::as_u64);
        if let Some(infos) = infos.as_object_mut() {
            infos.insert("error_count".to_owned(), (count.unwrap_or(0) + 1).into());
        }
    }
}

/// Puts placeholders back where a value or an error shows what they stand for.
fn hide(info: &mut Value, raw: &ConfigMap, resolved: &Resolved) {
    let key = info.get("name").and_then(Value::as_str).unwrap_or_default();
    let given = raw.get(key).zip(resolved.config.get(key));
    let changed = given.filter(|(raw, value)| raw != value);
    let changed = changed.map(|(raw, value)| (raw.clone(), value.clone()));
    if let Some(errors) = info.get_mut("errors").and_then(Value::as_array_mut) {
        for error in errors {
            let mut text = error.as_str().unwrap_or_default().to_owned();
            if let Some((raw, value)) = changed.as_ref().filter(|(_, value)| !value.is_empty()) {
                text = text.replace(value, raw);
            }
            *error = resolved.redaction.apply(text).into();
        }
    }
    if let (Some((raw, _)), Some(shown)) = (changed, info.get_mut("value"))
        && shown.is_string()
        && shown != "[hidden]"
    {
        *shown = raw.into();
    }
}

/// What Kafka Connect calls the tasks of a connector's class, which may be given by an alias: a Java worker that takes them over
/// looks for a class of this name.
pub(super) fn task_class(connector: &str) -> String {
    let plugin = find_connector_plugin(connector);
    let class = plugin.map_or(connector, |plugin| plugin.class);
    class.replace("Connector", "Task")
}
