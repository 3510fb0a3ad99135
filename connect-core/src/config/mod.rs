//! Configuration: definitions as in Kafka Connect's `ConfigDef`, parsing of string maps with every error listed by key.
//!
//! One declaration per option, in a struct with `#[derive(ConnectorConfig)]`, gives the definition, the parser, the
//! default and the reference page. Wire form (strings) and checked form (the struct) never mix.

mod def;

pub use def::{ConfigDef, Importance, OptionDef, OptionError, OptionType, Width};

use std::collections::BTreeMap;

use crate::Result as CoreResult;

/// A connector's configuration as it came: strings by key.
pub type ConfigMap = BTreeMap<String, String>;

/// A set of options read from a string map; derived with `#[derive(ConnectorConfig)]`.
pub trait ConnectorConfig: Sized {
    /// The declared options, in order.
    fn definition() -> ConfigDef;

    /// Reads the options. Unknown keys are left alone: whoever knows all the definitions that apply reports them.
    ///
    /// # Errors
    /// Every wrong key, not only the first.
    fn from_map(config: &ConfigMap) -> std::result::Result<Self, Vec<OptionError>>;
}

/// Reads a connector's configuration into its checked form, by `connector.class` (full name, simple name or alias).
///
/// # Errors
/// A configuration error that lists every wrong key; an unknown class names the classes there are.
pub fn connector_from_map(_config: &ConfigMap) -> CoreResult<Box<dyn crate::plugin::Connector>> {
    Err(crate::Error::internal("not built yet"))
}
