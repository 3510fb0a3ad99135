//! Finds linked plugins by the names Kafka Connect accepts, and makes connectors by typetag.

use super::{ConfigMap, OptionError, error_message};
use crate::plugin::{
    Connector, ConnectorPlugin, ConverterPlugin, PredicatePlugin, TransformPlugin,
    connector_plugins, converter_plugins, predicate_plugins, transform_plugins,
};
use crate::{Error, Result};

/// The linked connector called `name`: full class name, simple class name, that without `Connector`, or an alias.
///
/// # Errors
/// A configuration error that names the classes there are.
pub fn find_connector_plugin(name: &str) -> Result<&'static ConnectorPlugin> {
    let plugins = connector_plugins();
    let found: Vec<_> = plugins
        .iter()
        .filter(|plugin| is_named(plugin.class, plugin.aliases, "Connector", name))
        .collect();
    match found.as_slice() {
        [plugin] => Ok(plugin),
        [] => {
            let known: Vec<_> = plugins.iter().map(|plugin| plugin.class).collect();
            Err(Error::config(format!(
                "Failed to find any class that implements Connector and which name matches {name}, available connectors are: {}",
                known.join(", ")
            )))
        }
        several => {
            let classes: Vec<_> = several.iter().map(|plugin| plugin.class).collect();
            Err(Error::config(format!(
                "More than one connector matches alias {name}. Please use full package and class name instead. Classes found: {}",
                classes.join(", ")
            )))
        }
    }
}

/// The linked converter called `name`: full class name, simple class name, or that without `Converter`.
pub fn find_converter_plugin(name: &str) -> Option<&'static ConverterPlugin> {
    converter_plugins()
        .into_iter()
        .find(|plugin| is_named(plugin.class, &[], "Converter", name))
}

/// The linked transform called `name`: full class name, or simple class name.
pub fn find_transform_plugin(name: &str) -> Option<&'static TransformPlugin> {
    transform_plugins()
        .into_iter()
        .find(|plugin| is_named(plugin.class, &[], "Transformation", name))
}

/// The linked predicate called `name`: full class name, or simple class name.
pub fn find_predicate_plugin(name: &str) -> Option<&'static PredicatePlugin> {
    predicate_plugins()
        .into_iter()
        .find(|plugin| is_named(plugin.class, &[], "Predicate", name))
}

fn is_named(class: &str, aliases: &[&str], suffix: &str, name: &str) -> bool {
    let simple = class.rsplit('.').next().unwrap_or(class);
    name == class
        || name == simple
        || Some(name) == simple.strip_suffix(suffix)
        || aliases.contains(&name)
}

/// Reads a connector's configuration into its checked form, by `connector.class`. Framework options are not looked at.
///
/// # Errors
/// A configuration error that lists every wrong key; an unknown class names the classes there are.
pub fn connector_from_map(config: &ConfigMap) -> Result<Box<dyn Connector>> {
    let Some(class) = config.get("connector.class") else {
        return Err(Error::config("Connector config contains no connector type"));
    };
    let plugin = find_connector_plugin(class)?;
    let errors = plugin_errors(plugin, config);
    if !errors.is_empty() {
        return Err(Error::config(error_message(&errors)));
    }
    let connector = typed(plugin, config)?;
    let errors = connector.check();
    if errors.is_empty() {
        Ok(connector)
    } else {
        Err(Error::config(error_message(&errors)))
    }
}

pub(super) fn plugin_errors(plugin: &ConnectorPlugin, config: &ConfigMap) -> Vec<OptionError> {
    let checked = (plugin.definition)().check(config);
    checked
        .into_iter()
        .flat_map(|option| {
            let name = option.definition.name;
            option
                .errors
                .into_iter()
                .map(move |message| OptionError::new(name, message))
        })
        .collect()
}

/// Lets typetag choose the connector's own struct by its full class name.
pub(super) fn typed(plugin: &ConnectorPlugin, config: &ConfigMap) -> Result<Box<dyn Connector>> {
    let mut values: serde_json::Map<_, _> = config
        .iter()
        .map(|(key, value)| (key.clone(), serde_json::Value::from(value.as_str())))
        .collect();
    values.insert("connector.class".to_owned(), plugin.class.into());
    serde_json::from_value(serde_json::Value::Object(values))
        .map_err(|cause| Error::config(cause.to_string()))
}
