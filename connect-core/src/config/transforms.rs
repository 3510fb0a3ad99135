//! `transforms` and `predicates`: the chain a connector's records pass, read, checked and shown as Kafka Connect does.
//!
//! Called by validation and by the runtime. A predicate that nobody defines is an error of the task, not of the
//! configuration, as in Kafka Connect.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;

use super::infos::config_info;
use super::{
    CheckedOption, ConfigDef, ConfigMap, Default, Importance, OptionDef, OptionError, OptionType,
    OptionValue, Width, find_connector_plugin, find_converter_plugin, find_predicate_plugin,
    find_transform_plugin,
};
use crate::plugin::{Predicate, PredicatePlugin, Transform, TransformPlugin};

/// When a transform is applied.
#[derive(Clone)]
pub struct Condition {
    /// Its name in `predicates`.
    pub name: String,
    /// Its class.
    pub class: &'static str,
    /// The version of its class.
    pub version: &'static str,
    /// The predicate.
    pub predicate: Arc<dyn Predicate>,
    /// True if the transform is applied where the predicate does not hold.
    pub negate: bool,
}

/// A transform of the chain.
pub struct ChainLink {
    /// Its name in `transforms`.
    pub name: String,
    /// Its class.
    pub class: &'static str,
    /// The version of its class.
    pub version: &'static str,
    /// The transform.
    pub transform: Box<dyn Transform>,
    /// When it is applied; always if there is none.
    pub condition: Option<Condition>,
}

/// The transforms of a connector, in order.
///
/// # Errors
/// Every wrong key.
pub fn transform_chain(config: &ConfigMap) -> Result<Vec<ChainLink>, Vec<OptionError>> {
    let mut chain = Vec::new();
    let mut errors = Vec::new();
    for name in names(config, Kind::Transform.list()) {
        match link(config, &name) {
            Ok(link) => chain.push(link),
            Err(wrong) => errors.extend(wrong),
        }
    }
    if errors.is_empty() {
        Ok(chain)
    } else {
        Err(errors)
    }
}

fn link(config: &ConfigMap, name: &str) -> Result<ChainLink, Vec<OptionError>> {
    let prefix = Kind::Transform.prefix(name);
    let Found::Transform(plugin) = found(Kind::Transform, config, &prefix)? else {
        return Err(Vec::new());
    };
    let options = below(config, &prefix);
    let errors = single_errors(&prefix, &link_definition(&plugin.into()), config);
    if !errors.is_empty() {
        return Err(errors);
    }
    let transform = (plugin.make)(&options).map_err(|errors| moved(errors, &prefix))?;
    let condition = match options.get("predicate") {
        Some(predicate) => {
            let negate = options.get("negate");
            let negate = negate.is_some_and(|negate| negate.trim().eq_ignore_ascii_case("true"));
            Some(condition(config, predicate.trim(), negate)?)
        }
        None => None,
    };
    Ok(ChainLink {
        name: name.to_owned(),
        class: plugin.class,
        version: plugin.version,
        transform,
        condition,
    })
}

fn condition(config: &ConfigMap, name: &str, negate: bool) -> Result<Condition, Vec<OptionError>> {
    let prefix = Kind::Predicate.prefix(name);
    let defined = names(config, Kind::Predicate.list());
    if !defined.iter().any(|known| known == name) {
        let key = format!("{prefix}type");
        let message = format!("Unknown configuration '{key}'");
        return Err(vec![OptionError::new(key, message)]);
    }
    let Found::Predicate(plugin) = found(Kind::Predicate, config, &prefix)? else {
        return Err(Vec::new());
    };
    let made = (plugin.make)(&below(config, &prefix));
    Ok(Condition {
        name: name.to_owned(),
        class: plugin.class,
        version: plugin.version,
        predicate: made.map_err(|errors| moved(errors, &prefix))?,
        negate,
    })
}

/// What validation shows of the chain.
#[derive(Debug)]
pub(super) struct ChainInfos {
    /// An entry per option of each transform and predicate.
    pub(super) configs: Vec<Value>,
    /// A group per transform and predicate.
    pub(super) groups: Vec<String>,
}

pub(super) fn chain_infos(config: &ConfigMap) -> ChainInfos {
    let mut infos = ChainInfos {
        configs: Vec::new(),
        groups: Vec::new(),
    };
    for kind in [Kind::Transform, Kind::Predicate] {
        for name in names(config, kind.list()) {
            infos.groups.push(kind.group(&name));
            infos.configs.extend(member_infos(kind, config, &name));
        }
    }
    infos
}

/// The options of one transform or predicate: class and version first, then by need, importance and name.
fn member_infos(kind: Kind, config: &ConfigMap, name: &str) -> Vec<Value> {
    let prefix = kind.prefix(name);
    let mut type_option = CheckedOption {
        definition: OptionDef::of::<String>("type", "")
            .kind(OptionType::Class)
            .importance(Importance::High)
            .width(Width::Long),
        value: match config.get(&format!("{prefix}type")) {
            Some(class) => OptionValue::Text(class.clone()),
            None => OptionValue::Null,
        },
        errors: Vec::new(),
    };
    let mut options;
    match found(kind, config, &prefix) {
        Ok(plugin) => {
            options = link_definition(&plugin).check_below(&prefix, config);
            take_cross_errors(
                &plugin,
                config,
                &prefix,
                (&mut type_option.errors, &mut options),
            );
        }
        Err(errors) => {
            let mut definition = ConfigDef::default();
            definition.push(version_option());
            options = definition.check_below(&prefix, config);
            let class = config.get(&format!("{prefix}type"));
            if class.is_some_and(|class| !is_known(class.trim())) {
                type_option.value = OptionValue::Null; // a class that is not there
            }
            let errors = errors.into_iter();
            type_option.errors.extend(errors.map(|error| error.message));
        }
    }
    std::iter::once(type_option)
        .chain(options)
        .enumerate()
        .map(|(order, checked)| shown(kind, name, order, &checked))
        .collect()
}

/// Errors that need several options: what Kafka Connect finds only once the task starts.
fn take_cross_errors(
    plugin: &Found,
    config: &ConfigMap,
    prefix: &str,
    (of_type, options): (&mut Vec<String>, &mut Vec<CheckedOption>),
) {
    let key = |name: &str| format!("{prefix}{name}");
    if matches!(plugin, Found::Transform(_))
        && config.contains_key(&key("negate"))
        && !config.contains_key(&key("predicate"))
    {
        of_type.push(format!(
            "Config '{}' was provided but there is no config '{}' defining a predicate to be negated.",
            key("negate"),
            key("predicate")
        ));
    }
    if options.iter().any(|option| !option.errors.is_empty()) {
        return;
    }
    for error in plugin.make_errors(&below(config, prefix)) {
        match options
            .iter_mut()
            .find(|option| option.definition.name == error.key)
        {
            Some(option) => option.errors.push(error.message),
            None => of_type.push(error.message),
        }
    }
}

/// As [`config_info`] shows it, under the whole key and in the member's group.
fn shown(kind: Kind, name: &str, order: usize, checked: &CheckedOption) -> Value {
    let mut definition = ConfigDef::default();
    definition.push(checked.definition.clone());
    let mut info = config_info(&definition, checked);
    let key = format!("{}{}", kind.prefix(name), checked.definition.name);
    let mut set = |pointer: &str, value: Value| {
        if let Some(place) = info.pointer_mut(pointer) {
            *place = value;
        }
    };
    set("/definition/name", key.clone().into());
    set("/value/name", key.into());
    set("/definition/group", kind.group(name).into());
    set("/definition/order_in_group", order.into());
    let (interface, what) = (kind.interface(), kind.interface().to_lowercase());
    let texts = match checked.definition.name {
        "type" => (
            format!("{interface} type for {name}"),
            format!("Class for the '{name}' {what}."),
        ),
        "plugin.version" => (
            format!("{interface} version for {name}"),
            format!("Version of the '{name}' {what}."),
        ),
        _ => return info,
    };
    set("/definition/display_name", texts.0.into());
    set("/definition/documentation", texts.1.into());
    info
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Transform,
    Predicate,
}

impl Kind {
    fn list(self) -> &'static str {
        match self {
            Self::Transform => "transforms",
            Self::Predicate => "predicates",
        }
    }

    fn interface(self) -> &'static str {
        match self {
            Self::Transform => "Transformation",
            Self::Predicate => "Predicate",
        }
    }

    fn prefix(self, name: &str) -> String {
        format!("{}.{name}.", self.list())
    }

    fn group(self, name: &str) -> String {
        match self {
            Self::Transform => format!("Transforms: {name}"),
            Self::Predicate => format!("Predicates: {name}"),
        }
    }
}

/// A plugin of either kind.
#[derive(Clone, Copy)]
enum Found {
    Transform(&'static TransformPlugin),
    Predicate(&'static PredicatePlugin),
}

impl From<&'static TransformPlugin> for Found {
    fn from(plugin: &'static TransformPlugin) -> Self {
        Self::Transform(plugin)
    }
}

impl Found {
    fn definition(&self) -> ConfigDef {
        match self {
            Self::Transform(plugin) => (plugin.definition)(),
            Self::Predicate(plugin) => (plugin.definition)(),
        }
    }

    fn version(&self) -> &'static str {
        match self {
            Self::Transform(plugin) => plugin.version,
            Self::Predicate(plugin) => plugin.version,
        }
    }

    fn make_errors(&self, options: &ConfigMap) -> Vec<OptionError> {
        match self {
            Self::Transform(plugin) => (plugin.make)(options).err(),
            Self::Predicate(plugin) => (plugin.make)(options).err(),
        }
        .unwrap_or_default()
    }
}

/// The linked plugin that `type` names.
fn found(kind: Kind, config: &ConfigMap, prefix: &str) -> Result<Found, Vec<OptionError>> {
    let key = format!("{prefix}type");
    let Some(class) = config.get(&key).map(|class| class.trim()) else {
        let text = format!("Missing required configuration \"{key}\" which has no default value.");
        return Err(vec![OptionError::new(key, text)]);
    };
    let wanted = match kind {
        Kind::Transform => find_transform_plugin(class).map(Found::Transform),
        Kind::Predicate => find_predicate_plugin(class).map(Found::Predicate),
    };
    wanted.ok_or_else(|| {
        let interface = kind.interface();
        vec![if is_known(class) {
            let text = format!("Class class {class} does not implement the {interface} interface");
            OptionError::new(key, text)
        } else {
            OptionError::invalid(&key, class, &format!("Class {class} could not be found."))
        }]
    })
}

/// The option that asks for a version of a plugin.
fn version_option() -> OptionDef {
    OptionDef::of::<Option<String>>("plugin.version", "")
        .importance(Importance::High)
        .width(Width::Long)
        .unsupported("plugins have the version of the worker")
}

/// Whether there is a plugin of that name, whatever its kind.
fn is_known(class: &str) -> bool {
    find_transform_plugin(class).is_some()
        || find_predicate_plugin(class).is_some()
        || find_converter_plugin(class).is_some()
        || find_connector_plugin(class).is_ok()
}

/// The plugin's options with those that every transform has.
fn link_definition(plugin: &Found) -> ConfigDef {
    let mut options: Vec<OptionDef> = plugin.definition().options().to_vec();
    if matches!(plugin, Found::Transform(_)) {
        options.push(OptionDef::of::<Option<String>>(
            "predicate",
            "The name in `predicates` of what decides whether this transform is applied.",
        ));
        options.push(
            OptionDef::of::<bool>("negate", "Whether the predicate must not hold instead.")
                .default_text("false"),
        );
    }
    options.sort_by_key(|option| {
        let required = option.default == Default::Required;
        (!required, option.importance as u8, option.name)
    });
    let mut definition = ConfigDef::default();
    definition.push(version_option().default_text(plugin.version()));
    options
        .into_iter()
        .for_each(|option| definition.push(option));
    definition
}

fn single_errors(prefix: &str, definition: &ConfigDef, config: &ConfigMap) -> Vec<OptionError> {
    let checked = definition.check_below(prefix, config).into_iter();
    checked
        .flat_map(|option| {
            let key = format!("{prefix}{}", option.definition.name);
            let errors = option.errors.into_iter();
            errors.map(move |message| OptionError::new(key.clone(), message))
        })
        .collect()
}

fn moved(errors: Vec<OptionError>, prefix: &str) -> Vec<OptionError> {
    errors
        .into_iter()
        .map(|error| error.below(prefix))
        .collect()
}

/// The names of a list; a name given twice counts once.
fn names(config: &ConfigMap, list: &str) -> Vec<String> {
    let text = config.get(list).map_or("", String::as_str);
    let Ok(OptionValue::List(names)) = OptionValue::parse(OptionType::List, text) else {
        return Vec::new();
    };
    let mut known = BTreeSet::new();
    let is_new = |name: &String| known.insert(name.clone());
    names.into_iter().filter(is_new).collect()
}

/// The options under `prefix`, without it.
pub(super) fn below(config: &ConfigMap, prefix: &str) -> ConfigMap {
    let of_prefix = |(key, value): (&String, &String)| {
        let name = key.strip_prefix(prefix)?;
        Some((name.to_owned(), value.clone()))
    };
    config.iter().filter_map(of_prefix).collect()
}
