//! Configuration: definitions as in Kafka Connect's `ConfigDef`, parsing of string maps with every error listed by key.
//!
//! One declaration per option, in a struct with `#[derive(ConnectorConfig)]`, gives the definition, the parser, the
//! default and the reference page. Wire form (strings) and checked form (the struct) never mix.

mod check;
mod def;
mod exactly_once;
mod framework;
mod infos;
pub mod reference;
mod registry;
mod transforms;
mod unknown;
mod validator;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de};

pub use connect_macros::ConnectorConfig;

pub use check::{CheckedOption, OptionReader};
pub use def::{
    ConfigDef, Default, Importance, OptionDef, OptionError, OptionType, Width, wrong_options,
};
pub use exactly_once::WorkerAbilities;
pub use framework::{
    CommonOptions, ConfigReload, ErrorTolerance, SinkOptions, SourceOptions, framework_definition,
    plugin_version_errors, sink_topic_errors,
};
pub use infos::{
    add_infos, config_infos, config_key_infos, converter_definition, error_message, error_messages,
    infos_of_given, invalid_message, plain_info,
};
pub use registry::{
    connector_from_map, find_connector_plugin, find_converter_plugin, find_predicate_plugin,
    find_transform_plugin,
};
pub use transforms::{ChainLink, Condition, transform_chain};
pub use unknown::{UnknownKey, nearest, unknown_keys};
pub use validator::Validator;
pub use value::{OptionValue, ValueOf};

/// A connector's configuration as it came: strings by key.
pub type ConfigMap = BTreeMap<String, String>;

/// A set of options read from a string map; derived with `#[derive(ConnectorConfig)]`.
pub trait ConnectorConfig: Sized {
    /// The declared options, in order.
    fn definition() -> ConfigDef;

    /// Takes the options from checked values; `None` if one is wrong: the reader keeps the errors.
    fn read(reader: &mut OptionReader) -> Option<Self>;

    /// Reads the options. Unknown keys are left alone: whoever knows all the definitions that apply reports them.
    ///
    /// # Errors
    /// Every wrong key, not only the first.
    fn from_map(config: &ConfigMap) -> Result<Self, Vec<OptionError>> {
        let mut reader = OptionReader::new(&Self::definition(), config);
        let options = Self::read(&mut reader);
        let errors = reader.into_errors();
        match options {
            Some(options) if errors.is_empty() => Ok(options),
            _ => Err(errors),
        }
    }
}

/// Reads options from a string map that serde hands over; what the derive's `Deserialize` does.
///
/// # Errors
/// The first wrong key: callers check the map before, and so have the whole list.
pub fn deserialize<'de, T: ConnectorConfig, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let config = ConfigMap::deserialize(deserializer)?;
    T::from_map(&config).map_err(|errors| {
        let text: Vec<_> = errors.iter().map(ToString::to_string).collect();
        de::Error::custom(text.join("; "))
    })
}
