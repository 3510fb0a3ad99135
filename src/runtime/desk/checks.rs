//! What a configuration must satisfy before it is deployed.

use std::collections::BTreeMap;

use connect_core::config::{
    ConfigMap, config_infos, error_messages, find_connector_plugin, framework_definition,
    invalid_message, unknown_keys,
};
use connect_core::plugin::{ConnectorPlugin, ConnectorType};
use tracing::warn;

use super::{Answer, Desk, internal};
use crate::runtime::client_overrides;
use crate::runtime::herder::HerderError;
use crate::runtime::plugin_catalog::no_connector_type;

/// A configuration that suits its plugin.
pub(in crate::runtime) struct Checked {
    pub(in crate::runtime) plugin: &'static ConnectorPlugin,
    /// As it was given.
    pub(in crate::runtime) config: ConfigMap,
    /// Placeholders looked up.
    pub(in crate::runtime) resolved: ConfigMap,
}

impl Desk {
    /// Checks a configuration with the values of its placeholders; warns of keys that nobody knows. `None` values came as
    /// JSON null.
    pub(in crate::runtime) fn checked(
        &self,
        name: &str,
        given: BTreeMap<String, Option<String>>,
    ) -> Answer<Checked> {
        let _stage = self
            .stages
            .enter(format!("validating the configuration of connector {name}"));
        let config: ConfigMap = given
            .iter()
            .filter_map(|(key, value)| Some((key.clone(), value.clone()?)))
            .collect();
        let resolved = self.environment.providers.resolve(&config);
        let resolved = resolved.map_err(|error| internal(&error))?;
        let Some(class) = resolved.config.get("connector.class") else {
            return Err(no_connector_type(&given));
        };
        let plugin = find_connector_plugin(class)
            .map_err(|error| HerderError::BadRequest(error.message().to_owned()))?;
        let mut nullable = given;
        for (key, value) in &resolved.config {
            nullable.insert(key.clone(), Some(value.clone()));
        }
        let settings = &self.environment.settings;
        let mut infos = config_infos(plugin, &nullable, settings.abilities());
        let policy = settings.override_policy();
        client_overrides::add_to(&mut infos, plugin.kind, &nullable, &policy);
        let errors = error_messages(&infos);
        if !errors.is_empty() {
            let message = resolved.redaction.apply(invalid_message(&errors));
            return Err(HerderError::BadRequest(message));
        }
        self.check_group(name, plugin, &resolved.config)?;
        check_unknown(name, plugin, &config)?;
        Ok(Checked {
            plugin,
            config,
            resolved: resolved.config,
        })
    }

    /// A sink in the group of the worker's cluster would disturb it.
    fn check_group(&self, name: &str, plugin: &ConnectorPlugin, config: &ConfigMap) -> Answer<()> {
        let Some(cluster) = &self.environment.settings.cluster else {
            return Ok(());
        };
        let group = self.group_of(name, config);
        if plugin.kind == ConnectorType::Sink && group == cluster.group_id {
            return Err(HerderError::BadRequest(invalid_message(&[format!(
                "Consumer group {group} conflicts with Connect worker group {group}"
            )])));
        }
        Ok(())
    }
}

fn check_unknown(name: &str, plugin: &ConnectorPlugin, config: &ConfigMap) -> Answer<()> {
    let (framework, own) = (framework_definition(plugin.kind), (plugin.definition)());
    let unknown = unknown_keys(config, &[&framework, &own]);
    let described: Vec<_> = unknown
        .iter()
        .filter(|unknown| unknown.key != "config.strict")
        .map(|unknown| match unknown.nearest {
            Some(nearest) => format!("{} is not known: was {nearest} meant?", unknown.key),
            None => format!("{} is not known", unknown.key),
        })
        .collect();
    let strict = config
        .get("config.strict")
        .is_some_and(|strict| strict.eq_ignore_ascii_case("true"));
    if strict && !described.is_empty() {
        return Err(HerderError::BadRequest(invalid_message(&described)));
    }
    for text in described {
        warn!(connector = name, "{text}");
    }
    Ok(())
}
