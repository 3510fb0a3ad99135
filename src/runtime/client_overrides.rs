//! The settings of a connector's own clients: the worker's below `producer.`, `consumer.` and `admin.`, over them the
//! connector's below `producer.override.` and so on, and what of these a connector may set at all.
//!
//! Used by the tasks and by requests for a sink's offsets, which make the clients, and by the checks of configurations.

use connect_core::config::{ConfigMap, OptionValue, add_infos, infos_of_given, plain_info};
use connect_core::plugin::ConnectorType;
use connect_core::{Error, Result};
use serde_json::Value;

use super::herder::GivenConfig;
use super::worker_config::strip_prefix;
use crate::kafka::client_options::Client;

/// Which settings of its clients a connector may override.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum OverridePolicy {
    All,
    None,
    /// Who it is to the brokers.
    Principal,
    /// These, by their names without a prefix.
    Allowlist(Vec<String>),
}

/// What the policy `Principal` allows.
const PRINCIPAL: [&str; 3] = ["sasl.jaas.config", "sasl.mechanism", "security.protocol"];

/// The names of all policies.
const POLICIES: [&str; 4] = ["All", "None", "Principal", "Allowlist"];

impl OverridePolicy {
    /// The policy of this name, alias or class of Kafka Connect's; `allowlist` counts for one of them.
    pub(super) fn of(name: &str, allowlist: &[String]) -> Option<Self> {
        Some(match alias(name)? {
            "None" => Self::None,
            "Principal" => Self::Principal,
            "Allowlist" => Self::Allowlist(allowlist.to_vec()),
            _ => Self::All,
        })
    }

    fn allows(&self, option: &str) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            Self::Principal => PRINCIPAL.contains(&option),
            Self::Allowlist(allowed) => allowed.iter().any(|allowed| allowed == option),
        }
    }

    /// Why an option may not be overridden, if it may not.
    fn refusal(&self, option: &str) -> Option<String> {
        let text = || {
            format!(
                "The '{}' policy does not allow '{option}' to be overridden in the connector configuration.",
                self.name()
            )
        };
        (!self.allows(option)).then(text)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::All => "All",
            Self::None => "None",
            Self::Principal => "Principal",
            Self::Allowlist(_) => "Allowlist",
        }
    }
}

/// The alias of a policy that may be given by the name of its Java class.
fn alias(name: &str) -> Option<&'static str> {
    let name = name.trim();
    let name = name
        .strip_prefix("org.apache.kafka.connect.connector.policy.")
        .unwrap_or(name);
    let name = name
        .strip_suffix("ConnectorClientConfigOverridePolicy")
        .unwrap_or(name);
    POLICIES.into_iter().find(|policy| *policy == name)
}

/// Checks the name of a policy.
pub(super) fn policy(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(name) if alias(name).is_none() => Err(format!(
            "must be one of {}, or one of these by the name of Kafka Connect's class",
            POLICIES.join(", ")
        )),
        _ => Ok(()),
    }
}

/// The settings of a task's client: the worker's, and over them the connector's own.
pub(super) fn client_settings(
    client: Client,
    worker: &ConfigMap,
    connector: &ConfigMap,
) -> ConfigMap {
    let mut settings = worker.clone();
    settings.extend(strip_prefix(connector, &prefix(client)));
    settings
}

/// Checks what a connector overrides before its task starts: it may have been stored under another policy, or by a worker
/// with another one.
///
/// # Errors
/// `Config` if the policy does not allow something.
pub(super) fn check(
    kind: ConnectorType,
    config: &ConfigMap,
    policy: &OverridePolicy,
) -> Result<()> {
    let given = config.iter();
    let given = given.map(|(key, value)| (key.clone(), Some(value.clone())));
    let clients = clients(kind, &given.collect());
    clients
        .into_iter()
        .try_for_each(|client| check_client(client, config, policy))
}

/// The same for one of its clients.
///
/// # Errors
/// `Config` if the policy does not allow something.
pub(super) fn check_client(
    client: Client,
    config: &ConfigMap,
    policy: &OverridePolicy,
) -> Result<()> {
    let overrides = strip_prefix(config, &prefix(client));
    match overrides.keys().find_map(|option| policy.refusal(option)) {
        Some(refusal) => Err(Error::config(refusal).operation("client overrides")),
        None => Ok(()),
    }
}

fn prefix(client: Client) -> String {
    format!("{}.override.", client.name())
}

/// The clients that tasks of a connector have of their own.
fn clients(kind: ConnectorType, config: &GivenConfig) -> Vec<Client> {
    let queue = config.get("errors.deadletterqueue.topic.name");
    let queue = queue.and_then(Option::as_deref).unwrap_or_default().trim();
    let makes_topics = || config.keys().any(|key| key.starts_with("topic.creation."));
    match kind {
        ConnectorType::Source if makes_topics() => vec![Client::Producer, Client::Admin],
        ConnectorType::Source => vec![Client::Producer],
        ConnectorType::Sink if queue.is_empty() => vec![Client::Consumer],
        ConnectorType::Sink => vec![Client::Producer, Client::Consumer, Client::Admin],
    }
}

/// Adds to a validation what the connector overrides, with what is wrong with it.
pub(super) fn add_to(
    infos: &mut Value,
    kind: ConnectorType,
    config: &GivenConfig,
    policy: &OverridePolicy,
) {
    let mut overrides = Vec::new();
    let group = config.get_key_value("consumer.override.group.id");
    if let Some((key, value)) = group.filter(|_| kind == ConnectorType::Sink) {
        // Once for the check of the group, which Kafka Connect lists by itself.
        overrides.push(plain_info(key, value.as_deref(), &[]));
    }
    for client in clients(kind, config) {
        let refused = |option: &str| policy.refusal(option);
        let prefix = prefix(client);
        overrides.extend(infos_of_given(
            &prefix,
            client.definition(),
            config,
            refused,
        ));
    }
    add_infos(infos, overrides);
}

#[cfg(test)]
mod tests {
    use connect_core::config::error_messages;
    use serde_json::json;

    use super::*;

    fn errors(kind: ConnectorType, keys: &[(&str, &str)], policy: &OverridePolicy) -> Vec<String> {
        let given = keys.iter().copied();
        let config = given.map(|(key, value)| (key.to_owned(), Some(value.to_owned())));
        let mut infos = json!({"error_count": 0, "configs": []});
        add_to(&mut infos, kind, &config.collect(), policy);
        error_messages(&infos)
    }

    const QUEUE: (&str, &str) = ("errors.deadletterqueue.topic.name", "letters");

    #[test]
    fn policies_are_known_by_alias_and_by_class() {
        let class =
            "org.apache.kafka.connect.connector.policy.NoneConnectorClientConfigOverridePolicy";
        for name in [
            "None",
            " None ",
            class,
            "NoneConnectorClientConfigOverridePolicy",
        ] {
            assert_eq!(OverridePolicy::of(name, &[]), Some(OverridePolicy::None));
        }
        for name in ["none", "", "com.example.Mine"] {
            assert_eq!(OverridePolicy::of(name, &[]), None);
            assert!(policy(&OptionValue::Text(name.to_owned())).is_err());
        }
    }

    #[test]
    fn only_clients_that_a_connector_has_are_looked_at() {
        let (none, sink) = (OverridePolicy::None, ConnectorType::Sink);
        let producer = ("producer.override.acks", "all");
        assert!(errors(sink, &[producer], &none).is_empty());
        assert_eq!(errors(sink, &[producer, QUEUE], &none).len(), 1);
        let admin = ("admin.override.retries", "1");
        let source = ConnectorType::Source;
        assert!(errors(source, &[admin], &none).is_empty());
        let groups = ("topic.creation.groups", "");
        assert_eq!(errors(source, &[admin, groups], &none).len(), 1);
    }

    #[test]
    fn a_policy_refuses_what_it_does_not_name() {
        let sink = ConnectorType::Sink;
        let keys = [
            ("consumer.override.sasl.mechanism", "PLAIN"),
            ("consumer.override.max.poll.records", "5"),
        ];
        let allowlist = OverridePolicy::Allowlist(vec!["max.poll.records".to_owned()]);
        assert_eq!(errors(sink, &keys, &OverridePolicy::All).len(), 0);
        assert_eq!(
            errors(sink, &keys, &OverridePolicy::Principal),
            [
                "The 'Principal' policy does not allow 'max.poll.records' to be overridden in the connector configuration."
            ]
        );
        assert_eq!(
            errors(sink, &keys, &allowlist),
            [
                "The 'Allowlist' policy does not allow 'sasl.mechanism' to be overridden in the connector configuration."
            ]
        );
    }

    #[test]
    fn a_value_of_the_wrong_type_is_an_error_of_its_key() {
        let keys = [("producer.override.linger.ms", "soon")];
        assert_eq!(
            errors(ConnectorType::Source, &keys, &OverridePolicy::All),
            [
                "Invalid value soon for configuration producer.override.linger.ms: Not a number of type LONG"
            ]
        );
    }

    #[test]
    fn a_stored_connector_is_looked_at_before_its_tasks_start() {
        let key = "consumer.override.max.poll.records".to_owned();
        let config = ConfigMap::from([(key, "5".to_owned())]);
        let refusal = check(ConnectorType::Sink, &config, &OverridePolicy::Principal).unwrap_err();
        assert!(
            refusal
                .trace()
                .contains("does not allow 'max.poll.records'")
        );
        assert!(check(ConnectorType::Sink, &config, &OverridePolicy::All).is_ok());
        assert!(check(ConnectorType::Source, &config, &OverridePolicy::None).is_ok());
    }

    #[test]
    fn the_connectors_settings_win_over_the_workers() {
        let map = |keys: &[(&str, &str)]| {
            let keys = keys.iter().copied();
            keys.map(|(key, value)| (key.to_owned(), value.to_owned()))
                .collect::<ConfigMap>()
        };
        let worker = map(&[("linger.ms", "1"), ("acks", "all")]);
        let connector = map(&[("producer.override.linger.ms", "2"), ("linger.ms", "3")]);
        let settings = client_settings(Client::Producer, &worker, &connector);
        assert_eq!(settings, map(&[("linger.ms", "2"), ("acks", "all")]));
    }
}
