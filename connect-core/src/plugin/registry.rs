//! The plugins linked into this binary: each registers itself with `inventory::submit!`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ConnectorType, Converter, ConverterRole, HeaderConverter};
use crate::config::{ConfigDef, OptionError};

/// A linked connector.
pub struct ConnectorPlugin {
    /// The full class name: the Java class it replaces; also its typetag name.
    pub class: &'static str,
    /// Other names that mean the same, beside the simple class name and the simple name without its suffix.
    pub aliases: &'static [&'static str],
    /// Source or sink.
    pub kind: ConnectorType,
    /// Version shown by `/connector-plugins`.
    pub version: &'static str,
    /// The declared options.
    pub definition: fn() -> ConfigDef,
}

inventory::collect!(ConnectorPlugin);

/// Makes a converter from its options, given without their prefix.
pub type MakeConverter =
    fn(&BTreeMap<String, String>, ConverterRole) -> Result<Arc<dyn Converter>, Vec<OptionError>>;

/// Makes a header converter from its options, given without their prefix.
pub type MakeHeaderConverter =
    fn(&BTreeMap<String, String>) -> Result<Arc<dyn HeaderConverter>, Vec<OptionError>>;

/// A linked converter.
pub struct ConverterPlugin {
    /// The full class name: the Java class it replaces.
    pub class: &'static str,
    /// Version shown by `/connector-plugins`.
    pub version: &'static str,
    /// The declared options.
    pub definition: fn() -> ConfigDef,
    /// Makes one for keys or values; `None` if it converts headers only.
    pub make: Option<MakeConverter>,
    /// Makes one for headers; `None` if it converts keys and values only.
    pub make_header: Option<MakeHeaderConverter>,
}

inventory::collect!(ConverterPlugin);

/// Every linked connector, by class name.
pub fn connector_plugins() -> Vec<&'static ConnectorPlugin> {
    let mut plugins: Vec<_> = inventory::iter::<ConnectorPlugin>.into_iter().collect();
    plugins.sort_by_key(|plugin| plugin.class);
    plugins
}

/// Every linked converter, by class name.
pub fn converter_plugins() -> Vec<&'static ConverterPlugin> {
    let mut plugins: Vec<_> = inventory::iter::<ConverterPlugin>.into_iter().collect();
    plugins.sort_by_key(|plugin| plugin.class);
    plugins
}
