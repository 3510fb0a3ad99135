//! The options that every connector has: those of Kafka Connect's runtime, not of the plugin.

use super::{ConfigDef, ConfigMap, ConnectorConfig, OptionError, OptionValue};
use crate::option_names;
use crate::plugin::{ConnectorPlugin, ConnectorType};

/// What happens to a record that cannot be converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorTolerance {
    /// The task fails.
    None,
    /// It is left out.
    All,
}

option_names!(ErrorTolerance { "none" => None, "all" => All });

/// What a change of a provided value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigReload {
    /// Nothing.
    None,
    /// Restarts the connector.
    Restart,
}

option_names!(ConfigReload { "none" => None, "restart" => Restart });

/// Options of sources and sinks.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Common")]
pub struct CommonOptions {
    /// The connector's name; unique in the worker.
    #[option(name = "name", importance = High, width = Medium, display = "Connector name", validator = Validator::Custom(connector_name))]
    pub name: String,
    /// The connector's class: its full name, its simple name, or that without `Connector`.
    #[option(name = "connector.class", importance = High, width = Long, display = "Connector class")]
    pub connector_class: String,
    /// The version of the connector: that of the one there is.
    #[option(name = "connector.plugin.version", importance = Medium, width = Medium, display = "Connector version")]
    pub plugin_version: Option<String>,
    /// The most tasks this connector may run.
    #[option(name = "tasks.max", default = "1", importance = High, width = Short, display = "Tasks max", validator = Validator::AtLeast(1))]
    pub tasks_max: u32,
    /// Whether a connector that makes more than `tasks.max` tasks fails. No connector here does.
    #[option(name = "tasks.max.enforce", default = "true", importance = Low, width = Short, display = "Enforce tasks max")]
    pub tasks_max_enforce: bool,
    /// Converter for record keys; the worker's if not given. Its options follow under `key.converter.`.
    #[option(name = "key.converter", importance = Low, width = Short, display = "Key converter class", kind = Class, validator = Validator::Custom(converter))]
    pub key_converter: Option<String>,
    /// The version of that converter: that of the one there is.
    #[option(name = "key.converter.plugin.version", importance = Low, width = Short, display = "Key converter version")]
    pub key_converter_version: Option<String>,
    /// Converter for record values; the worker's if not given. Its options follow under `value.converter.`.
    #[option(name = "value.converter", importance = Low, width = Short, display = "Value converter class", kind = Class, validator = Validator::Custom(converter))]
    pub value_converter: Option<String>,
    /// The version of that converter: that of the one there is.
    #[option(name = "value.converter.plugin.version", importance = Low, width = Short, display = "Value converter version")]
    pub value_converter_version: Option<String>,
    /// Converter for headers; the worker's if not given. Its options follow under `header.converter.`.
    #[option(name = "header.converter", importance = Low, width = Short, display = "Header converter class", kind = Class, validator = Validator::Custom(converter))]
    pub header_converter: Option<String>,
    /// The version of that converter: that of the one there is.
    #[option(name = "header.converter.plugin.version", importance = Low, width = Short, display = "Header converter version")]
    pub header_converter_version: Option<String>,
    /// Names of the transforms to apply, in order.
    #[option(name = "transforms", default = "", importance = Low, width = Long, display = "Transforms", group = "Transforms", validator = Validator::Custom(aliases))]
    pub transforms: Vec<String>,
    /// Names of the predicates that transforms may use.
    #[option(name = "predicates", default = "", importance = Low, width = Long, display = "Predicates", group = "Predicates", validator = Validator::Custom(aliases))]
    pub predicates: Vec<String>,
    /// What the worker does when a value from a config provider expires. No provider here lets one expire: values are looked
    /// up anew at each start.
    #[option(name = "config.action.reload", default = "restart", importance = Low, width = Medium, display = "Reload Action", validator = Validator::OneOf(&["none", "restart"]))]
    pub config_reload: ConfigReload,
    /// For how long, in milliseconds, what a record needs and cannot get now (its schema, while the registry is down) is tried
    /// again before the record counts as failed. 0 and -1: without end, since that is not the record's fault.
    #[option(name = "errors.retry.timeout", default = "0", importance = Medium, width = Medium, group = "Error Handling", display = "Retry Timeout for Errors")]
    pub retry_timeout: i64,
    /// The longest pause between two tries, in milliseconds; never more than 30 seconds.
    #[option(name = "errors.retry.delay.max.ms", default = "60000", importance = Medium, width = Medium, group = "Error Handling", display = "Maximum Delay Between Retries for Errors")]
    pub retry_delay_max: i64,
    /// What happens to a record that cannot be processed: `none` fails the task, `all` leaves it out.
    #[option(name = "errors.tolerance", default = "none", importance = Medium, width = Short, group = "Error Handling", display = "Error Tolerance", validator = Validator::OneOf(&["none", "all"]))]
    pub tolerance: ErrorTolerance,
    /// Whether errors of records are logged one by one.
    #[option(name = "errors.log.enable", default = "false", importance = Medium, width = Short, group = "Error Handling", display = "Log Errors")]
    pub log_errors: bool,
    /// Whether logged errors hold the record.
    #[option(name = "errors.log.include.messages", default = "false", importance = Medium, width = Short, group = "Error Handling", display = "Log Error Details")]
    pub log_messages: bool,
}

/// Options of sinks.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Common")]
pub struct SinkOptions {
    /// The topics to read, separated by commas. Either this or `topics.regex`.
    #[option(name = "topics", default = "", importance = High, width = Long, display = "Topics", validator = Validator::UniqueList)]
    pub topics: Vec<String>,
    /// A regular expression (Java syntax) that the whole name of a topic must match. Either this or `topics`.
    #[option(name = "topics.regex", default = "", importance = High, width = Long, display = "Topics regex")]
    pub topics_regex: String,
    /// The topic for records that could not be processed.
    #[option(name = "errors.deadletterqueue.topic.name", default = "", importance = Medium, width = Medium, group = "Error Handling", display = "Dead Letter Queue Topic Name")]
    pub dead_letter_topic: String,
    /// Replicas of the dead letter topic, where it is made.
    #[option(name = "errors.deadletterqueue.topic.replication.factor", default = "3", importance = Medium, width = Medium, group = "Error Handling", display = "Dead Letter Queue Topic Replication Factor")]
    pub dead_letter_replication: i16,
    /// Whether dead letters carry headers that say what happened.
    #[option(name = "errors.deadletterqueue.context.headers.enable", default = "false", importance = Medium, width = Medium, group = "Error Handling", display = "Enable Error Context Headers")]
    pub dead_letter_headers: bool,
}

/// Options of sources.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Common")]
pub struct SourceOptions {
    /// Groups of topics that are made with settings of their own: `topic.creation.<group>.include`, `.exclude`, `.partitions`,
    /// `.replication.factor` and settings of Kafka's topics. The group `default`, which must give numbers, takes the others.
    #[option(name = "topic.creation.groups", default = "", importance = Low, width = Long, group = "Topic Creation", display = "Topic Creation Groups", validator = Validator::Custom(aliases))]
    pub topic_creation_groups: Vec<String>,
    /// Whether the connector insists on exactly-once delivery: `required` is refused if the worker or the connector does not
    /// provide it.
    #[option(name = "exactly.once.support", default = "requested", importance = Medium, width = Short, group = "Exactly Once Support", display = "Exactly once support", validator = Validator::OneOfIgnoreCase(&["REQUIRED", "REQUESTED"]))]
    pub exactly_once: String,
    /// Where transactions end, if sources deliver exactly once: with each `poll`, every so often (`interval`), or where the
    /// `connector` says.
    #[option(name = "transaction.boundary", default = "poll", importance = Medium, width = Short, group = "Exactly Once Support", display = "Transaction Boundary", validator = Validator::OneOfIgnoreCase(&["INTERVAL", "POLL", "CONNECTOR"]))]
    pub transaction_boundary: String,
    /// Milliseconds between two transactions that end by `interval`; the worker's `offset.flush.interval.ms` if not given.
    #[option(name = "transaction.boundary.interval.ms", importance = Low, width = Short, group = "Exactly Once Support", display = "Transaction boundary interval", validator = Validator::AtLeast(0))]
    pub transaction_interval: Option<i64>,
    /// A compacted topic of the connector's own for its offsets, made if it is not there; where it has none for a source
    /// partition, that of the worker counts.
    #[option(name = "offsets.storage.topic", importance = Low, width = Long, validator = Validator::NonEmpty, group = "offsets.topic", display = "Offsets topic")]
    pub offsets_topic: Option<String>,
}

/// Numbers within a group that are not the option's position there: Kafka Connect counts through several groups.
const ORDER: &[(&str, i32)] = &[
    ("transforms", 12),
    ("predicates", 13),
    ("config.action.reload", 14),
    ("topics", 4),
    ("topics.regex", 4),
    ("exactly.once.support", 2),
    ("transaction.boundary", 3),
    ("transaction.boundary.interval.ms", 4),
];

/// The framework's options for a connector of this type, in Kafka Connect's order.
pub fn framework_definition(kind: ConnectorType) -> ConfigDef {
    let mut all = CommonOptions::definition();
    all.extend(match kind {
        ConnectorType::Sink => SinkOptions::definition(),
        ConnectorType::Source => SourceOptions::definition(),
    });
    let mut definition = ConfigDef::default();
    for option in all.options() {
        let order = ORDER.iter().find(|(name, _)| *name == option.name);
        definition.push(match order {
            Some((_, order)) => option.clone().order(*order),
            None => option.clone(),
        });
    }
    definition
}

/// A version that is asked for must be that of the plugin there is: an error on the class and on the version.
pub fn plugin_version_errors(plugin: &ConnectorPlugin, config: &ConfigMap) -> Vec<OptionError> {
    let Some(version) = config.get("connector.plugin.version") else {
        return Vec::new();
    };
    if version.trim() == plugin.version {
        return Vec::new();
    }
    let message = format!(
        "Plugin {} not found that matches the version range [{version},{version}], available versions: [{}]",
        plugin.class, plugin.version
    );
    ["connector.class", "connector.plugin.version"]
        .map(|key| OptionError::new(key, message.clone()))
        .into()
}

/// Kafka Connect's rules on `topics` and `topics.regex`: an error on each key.
pub fn sink_topic_errors(config: &ConfigMap) -> Vec<OptionError> {
    let given = |key: &str| {
        config
            .get(key)
            .is_some_and(|value| !value.trim().is_empty())
    };
    let reason = match (given("topics"), given("topics.regex")) {
        (true, true) => "topics and topics.regex are mutually exclusive options, but both are set.",
        (false, false) => "Must configure one of topics or topics.regex",
        _ => return dead_letter_errors(config),
    };
    ["topics", "topics.regex"]
        .map(|key| OptionError::new(key, reason))
        .into()
}

/// A sink must not read its own dead letters.
fn dead_letter_errors(config: &ConfigMap) -> Vec<OptionError> {
    let text = |key: &str| config.get(key).map_or("", |value| value.trim());
    let queue = text("errors.deadletterqueue.topic.name");
    if queue.is_empty() {
        return Vec::new();
    }
    let refused = |key: &str, how: &str, shown: &str| {
        let message = format!(
            "The DLQ topic '{queue}' may not be {how} ('{key}={shown}') consumed by the connector"
        );
        vec![OptionError::new(key, message)]
    };
    let topics: Vec<_> = text("topics").split(',').map(str::trim).collect();
    if topics.contains(&queue) {
        let shown = format!("[{}]", topics.join(", "));
        return refused("topics", "included in the list of topics", &shown);
    }
    let pattern = text("topics.regex");
    let whole = regex::Regex::new(&format!("^(?:{pattern})$"));
    if !pattern.is_empty() && whole.is_ok_and(|whole| whole.is_match(queue)) {
        return refused(
            "topics.regex",
            "matched by the regex for the topics",
            pattern,
        );
    }
    Vec::new()
}

/// Kafka Connect's rule on names: something, and no control characters.
fn connector_name(value: &OptionValue) -> Result<(), String> {
    let OptionValue::Text(name) = value else {
        return Ok(());
    };
    if name.is_empty() {
        return Err("String may not be empty".to_owned());
    }
    let controls: Vec<_> = name
        .chars()
        .filter(|character| character.is_control())
        .map(|character| u32::from(character).to_string())
        .collect();
    if controls.is_empty() {
        return Ok(());
    }
    Err(format!(
        "String may not contain control sequences but had the following ASCII chars: {}",
        controls.join(", ")
    ))
}

/// Kafka Connect's rule on the names of transforms and predicates.
fn aliases(value: &OptionValue) -> Result<(), String> {
    let OptionValue::List(names) = value else {
        return Ok(());
    };
    let unique: std::collections::BTreeSet<_> = names.iter().collect();
    if unique.len() == names.len() {
        Ok(())
    } else {
        Err("Duplicate alias provided.".to_owned())
    }
}

fn converter(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(class) if super::find_converter_plugin(class).is_none() => {
            Err(format!("Class {class} could not be found."))
        }
        _ => Ok(()),
    }
}
