//! Topics that source connectors write to, made with settings of their own: the options `topic.creation.*`.
//!
//! A topic that is there is never altered. Without these options the broker makes topics as it likes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use connect_core::config::ConfigMap;
use connect_core::{Error, ErrorKind, Result};
use regex::Regex;
use tracing::{info, warn};

use super::worker_config::strip_prefix;
use crate::kafka::{Admin, NewTopic};

const PREFIX: &str = "topic.creation.";
/// The group of topics that no other group takes.
const DEFAULT: &str = "default";
/// As many as the broker makes by itself.
const BROKERS_CHOICE: i32 = -1;

/// Whose topics are made how.
#[derive(Debug)]
pub(super) struct TopicCreation {
    /// In the order of `topic.creation.groups`; the last takes what is left.
    groups: Vec<Group>,
}

/// Topics that are made alike.
#[derive(Debug)]
struct Group {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
    partitions: i32,
    replication_factor: i16,
    /// Settings of the topics under Kafka's own names.
    settings: BTreeMap<String, String>,
}

/// Makes the topics of one task before it writes to them.
pub(super) struct TopicProvider {
    creation: TopicCreation,
    admin: Arc<dyn Admin>,
    known: HashSet<Arc<str>>,
}

impl TopicCreation {
    /// What the options of a connector say; `None` if there are none.
    ///
    /// # Errors
    /// A configuration error in Kafka Connect's words.
    pub(super) fn of(config: &ConfigMap) -> Result<Option<Self>> {
        let options = strip_prefix(config, PREFIX);
        if options.is_empty() {
            return Ok(None);
        }
        let default = Group::of(DEFAULT, &options, None)?;
        let names = options.get("groups").map_or("", String::as_str).split(',');
        let mut groups = names
            .map(str::trim)
            .filter(|name| !name.is_empty() && *name != DEFAULT)
            .map(|name| Group::of(name, &options, Some(&default)))
            .collect::<Result<Vec<_>>>()?;
        groups.push(default);
        Ok(Some(Self { groups }))
    }

    fn new_topic(&self, name: &str) -> Option<NewTopic> {
        let (default, groups) = self.groups.split_last()?;
        let group = groups.iter().find(|group| group.takes(name));
        let group = group.unwrap_or(default);
        Some(NewTopic {
            name: name.to_owned(),
            partitions: (group.partitions != BROKERS_CHOICE).then_some(group.partitions),
            replication_factor: (i32::from(group.replication_factor) != BROKERS_CHOICE)
                .then_some(group.replication_factor),
            settings: group.settings.clone(),
        })
    }
}

impl Group {
    /// What is not given is that of the default group, which must give all.
    fn of(name: &str, options: &ConfigMap, default: Option<&Self>) -> Result<Self> {
        let mut own = strip_prefix(options, &format!("{name}."));
        let partitions = number(
            name,
            "partitions",
            &mut own,
            default.map(|default| default.partitions),
        )?;
        let replicas = default.map(|default| i32::from(default.replication_factor));
        let replicas = number(name, "replication.factor", &mut own, replicas)?;
        Ok(Self {
            include: patterns(name, "include", &mut own)?,
            exclude: patterns(name, "exclude", &mut own)?,
            partitions,
            replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
            settings: own,
        })
    }

    fn takes(&self, topic: &str) -> bool {
        let any = |patterns: &[Regex]| patterns.iter().any(|pattern| pattern.is_match(topic));
        any(&self.include) && !any(&self.exclude)
    }
}

fn number(group: &str, option: &str, own: &mut ConfigMap, default: Option<i32>) -> Result<i32> {
    let key = format!("{PREFIX}{group}.{option}");
    let Some(text) = own.remove(option) else {
        let missing = || {
            let text =
                format!("Missing required configuration \"{key}\" which has no default value.");
            Error::config(text)
        };
        return default.ok_or_else(missing);
    };
    let wrong = |reason: &str| {
        Error::config(format!(
            "Invalid value {text} for configuration {key}: {reason}"
        ))
    };
    let kind = if option == "partitions" {
        "INT"
    } else {
        "SHORT"
    };
    let value: i32 = text
        .trim()
        .parse()
        .map_err(|_| wrong(&format!("Not a number of type {kind}")))?;
    if value != BROKERS_CHOICE && value < 1 {
        let what = match option {
            "partitions" => "Number of partitions must be positive",
            _ => {
                "Replication factor must be positive and not larger than the number of brokers in the Kafka cluster"
            }
        };
        return Err(wrong(&format!("{what}, or -1 to use the broker's default")));
    }
    Ok(value)
}

fn patterns(group: &str, option: &str, own: &mut ConfigMap) -> Result<Vec<Regex>> {
    let text = own.remove(option).unwrap_or_default();
    let given = text.split(',').map(str::trim);
    given
        .filter(|pattern| !pattern.is_empty())
        .map(|pattern| {
            // By itself first: anchors and parentheses of ours must not make a whole of what is none.
            let whole = Regex::new(pattern).and_then(|_| Regex::new(&format!("^(?:{pattern})$")));
            whole.map_err(|cause| {
                let key = format!("{PREFIX}{group}.{option}");
                let text = format!("Invalid value {pattern} for configuration {key}: Syntax error(s) in regular expression list");
                Error::config(text).source(cause)
            })
        })
        .collect()
}

impl TopicProvider {
    /// For the topics of one task.
    pub(super) fn new(creation: TopicCreation, admin: Arc<dyn Admin>) -> Self {
        Self {
            creation,
            admin,
            known: HashSet::new(),
        }
    }

    /// Makes the topic if it is not there.
    pub(super) async fn provide(&mut self, topic: &Arc<str>) -> Result<()> {
        if self.known.contains(topic) {
            return Ok(());
        }
        if self.admin.describe_topic(topic).await?.is_none()
            && let Some(new) = self.creation.new_topic(topic)
        {
            match self.admin.create_topic(&new).await {
                Ok(true) => info!(topic = &**topic, ?new.partitions, "topic made"),
                Ok(false) => {} // by another task, a moment ago
                Err(error) if error.kind() == ErrorKind::Auth => warn!(
                    topic = &**topic,
                    error = error.trace(),
                    "the topic may not be made by this worker: the broker may do it"
                ),
                Err(error) => return Err(error),
            }
        }
        self.known.insert(topic.clone());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn creation(options: &[(&str, &str)]) -> Result<Option<TopicCreation>> {
        let options = options.iter();
        TopicCreation::of(
            &options
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    const DEFAULTS: [(&str, &str); 2] = [
        ("topic.creation.default.partitions", "5"),
        ("topic.creation.default.replication.factor", "-1"),
    ];

    #[test]
    fn the_first_group_that_includes_a_topic_makes_it() {
        let mut options = DEFAULTS.to_vec();
        options.extend([
            ("topic.creation.groups", "logs, compact"),
            ("topic.creation.logs.include", "log-.*,audit"),
            ("topic.creation.logs.exclude", "log-debug"),
            ("topic.creation.logs.partitions", "1"),
            ("topic.creation.logs.retention.ms", "1000"),
            ("topic.creation.compact.include", ".*"),
            ("topic.creation.compact.cleanup.policy", "compact"),
        ]);
        let creation = creation(&options).unwrap().unwrap();
        let made = |name| {
            let new = creation.new_topic(name).unwrap();
            (new.partitions, new.replication_factor, new.settings)
        };
        let setting = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert_eq!(
            made("log-web"),
            (Some(1), None, setting("retention.ms", "1000"))
        );
        let compact = setting("cleanup.policy", "compact");
        assert_eq!(made("log-debug"), (Some(5), None, compact.clone()));
        assert_eq!(made("my-audit"), (Some(5), None, compact));
    }

    #[test]
    fn what_no_group_takes_is_made_by_default() {
        let creation = creation(&DEFAULTS).unwrap().unwrap();
        assert_eq!(creation.new_topic("any").unwrap().partitions, Some(5));
    }

    #[test]
    fn without_options_the_broker_makes_topics() {
        assert!(creation(&[("topic", "t")]).unwrap().is_none());
    }

    #[test]
    fn wrong_options_are_named_in_kafkas_words() {
        let error = |options: &[(&str, &str)]| creation(options).unwrap_err().to_string();
        assert_eq!(
            error(&[("topic.creation.default.partitions", "1")]),
            "Missing required configuration \"topic.creation.default.replication.factor\" which has no default value."
        );
        let zero = [("topic.creation.default.partitions", "0"), DEFAULTS[1]];
        assert_eq!(
            error(&zero),
            "Invalid value 0 for configuration topic.creation.default.partitions: Number of partitions must be positive, or -1 to use the broker's default"
        );
        let mut pattern = DEFAULTS.to_vec();
        pattern.extend([
            ("topic.creation.groups", "a"),
            ("topic.creation.a.include", "a)(b"),
        ]);
        assert!(error(&pattern).contains("topic.creation.a.include"));
    }
}
