//! What a source asks for about exactly-once delivery, and whether worker and connector can do it; in Kafka Connect's words.

use super::registry::{plugin_errors, typed};
use super::{ConfigMap, OptionError};
use crate::plugin::{Connector, ConnectorPlugin, ExactlyOnceSupport};

const SUPPORT: &str = "exactly.once.support";
const BOUNDARY: &str = "transaction.boundary";

/// What a worker can do, as far as configurations of connectors may insist on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WorkerAbilities {
    /// Sources deliver exactly once.
    pub exactly_once: bool,
}

/// What a source insists on and does not get.
pub(super) fn exactly_once_errors(
    plugin: &ConnectorPlugin,
    config: &ConfigMap,
    worker: WorkerAbilities,
) -> Vec<OptionError> {
    let asked = |key: &str, value: &str| {
        let given = config.get(key).map(|given| given.trim());
        given.is_some_and(|given| given.eq_ignore_ascii_case(value))
    };
    let (required, by_connector) = (asked(SUPPORT, "required"), asked(BOUNDARY, "connector"));
    if !required && !by_connector {
        return Vec::new();
    }
    let connector = made(plugin, config);
    let mut errors = Vec::new();
    if required && !worker.exactly_once {
        let text = "This worker does not have exactly-once source support enabled.";
        errors.push(OptionError::new(SUPPORT, text));
    }
    if required && let Some(text) = unsupported(&connector) {
        errors.push(OptionError::new(SUPPORT, text));
    }
    let defines = connector.is_ok_and(|connector| connector.defines_transactions());
    if by_connector && !defines {
        let text = "The connector does not support connector-defined transaction boundaries with the given configuration. Please reconfigure it to use a different transaction boundary definition.";
        errors.push(OptionError::new(BOUNDARY, text));
    }
    errors
}

/// The connector, or the first thing that is wrong with its configuration.
fn made(plugin: &ConnectorPlugin, config: &ConfigMap) -> Result<Box<dyn Connector>, String> {
    match plugin_errors(plugin, config).into_iter().next() {
        Some(wrong) => Err(wrong.message),
        None => typed(plugin, config).map_err(|error| error.message().to_owned()),
    }
}

/// Why the connector does not deliver exactly once; `None` if it does.
fn unsupported(connector: &Result<Box<dyn Connector>, String>) -> Option<String> {
    let connector = match connector {
        Ok(connector) => connector,
        Err(wrong) => {
            return Some(format!(
                "An unexpected error occurred during validation: {wrong}"
            ));
        }
    };
    let text = match connector.exactly_once_support() {
        Some(ExactlyOnceSupport::Supported) => return None,
        Some(ExactlyOnceSupport::Unsupported) => {
            "The connector does not support exactly-once semantics with the provided configuration."
        }
        None => {
            "The connector does not implement the API required for preflight validation of exactly-once source support. Please consult the documentation for the connector to determine whether it supports exactly-once semantics, and then consider reconfiguring the connector to use the value \"requested\" for this property (which will disable this preflight check and allow the connector to be created)."
        }
    };
    Some(text.to_owned())
}
