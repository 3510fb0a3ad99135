//! Which plugins a task is made of, as Kafka Connect's metrics tell it.

use std::collections::BTreeMap;

/// A plugin by its class.
#[derive(Debug, Clone, Copy)]
pub(in crate::runtime) struct UsedPlugin {
    pub(in crate::runtime) class: &'static str,
    pub(in crate::runtime) version: &'static str,
}

impl UsedPlugin {
    pub(in crate::runtime) fn new(class: &'static str, version: &'static str) -> Self {
        Self { class, version }
    }
}

/// What a task's records pass, beside its connector.
#[derive(Debug)]
pub(in crate::runtime) struct TaskPlugins {
    pub(in crate::runtime) key_converter: UsedPlugin,
    pub(in crate::runtime) value_converter: UsedPlugin,
    pub(in crate::runtime) header_converter: UsedPlugin,
    /// By their names in the connector's configuration.
    pub(in crate::runtime) transforms: BTreeMap<String, UsedPlugin>,
    pub(in crate::runtime) predicates: BTreeMap<String, UsedPlugin>,
}
