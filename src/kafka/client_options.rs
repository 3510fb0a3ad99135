//! The options of Kafka's own clients, as Kafka Connect shows them in validations. What of them is understood here stands in
//! `cluster/settings.rs`.

use std::sync::LazyLock;

use connect_core::config::{ConfigDef, Importance, OptionDef, OptionType};

/// The options, a line each: the clients that have it (`a`dmin, `c`onsumer, `p`roducer), name, type, importance, and default:
/// `!` if it must be given, `-` for null, `=` and the text of any other. Printed by Apache Kafka itself, in a test. Internal
/// options are left out.
pub const TABLE: &str = include_str!("client_options.tsv");

/// What is shown where Kafka has a text of its own.
const DOCUMENTATION: &str = "An option of Apache Kafka's clients.";

/// A client that a connector's task has of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// Writes a source's records, and dead letters.
    Producer,
    /// Reads a sink's records.
    Consumer,
    /// Makes topics.
    Admin,
}

impl Client {
    /// `producer`, `consumer` or `admin`: what the prefixes of its settings begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
            Self::Admin => "admin",
        }
    }

    /// Kafka's definition of its options.
    pub fn definition(self) -> &'static ConfigDef {
        static PRODUCER: LazyLock<ConfigDef> = LazyLock::new(|| definition('p'));
        static CONSUMER: LazyLock<ConfigDef> = LazyLock::new(|| definition('c'));
        static ADMIN: LazyLock<ConfigDef> = LazyLock::new(|| definition('a'));
        match self {
            Self::Producer => &PRODUCER,
            Self::Consumer => &CONSUMER,
            Self::Admin => &ADMIN,
        }
    }
}

fn definition(client: char) -> ConfigDef {
    let mut definition = ConfigDef::default();
    for line in TABLE.lines() {
        if let Some(option) = option(line, client) {
            definition.push(option);
        }
    }
    definition
}

/// The option of a line; `None` if this client does not have it.
fn option(line: &'static str, client: char) -> Option<OptionDef> {
    let mut columns = line.split('\t');
    columns.next().filter(|clients| clients.contains(client))?;
    let (name, kind) = (columns.next()?, columns.next()?);
    let importance = match columns.next()? {
        "HIGH" => Importance::High,
        "MEDIUM" => Importance::Medium,
        _ => Importance::Low,
    };
    let default = columns.next()?;
    let option = match default.strip_prefix('=') {
        Some(text) => OptionDef::of::<String>(name, DOCUMENTATION).default_text(text),
        None if default == "!" => OptionDef::of::<String>(name, DOCUMENTATION),
        None => OptionDef::of::<Option<String>>(name, DOCUMENTATION),
    };
    Some(option.kind(kind_of(kind)?).importance(importance))
}

fn kind_of(name: &str) -> Option<OptionType> {
    let all = [
        OptionType::Boolean,
        OptionType::String,
        OptionType::Int,
        OptionType::Short,
        OptionType::Long,
        OptionType::Double,
        OptionType::List,
        OptionType::Class,
        OptionType::Password,
    ];
    all.into_iter().find(|kind| kind.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_an_option_of_a_client() {
        for line in TABLE.lines() {
            let found = ['a', 'c', 'p'].map(|client| option(line, client));
            assert!(found.iter().any(Option::is_some), "{line}");
        }
    }

    #[test]
    fn an_option_is_what_its_client_has() {
        let servers = |client: Client| client.definition().option("bootstrap.servers").cloned();
        let of = |client| servers(client).map(|option| option.default);
        use connect_core::config::Default;
        assert_eq!(of(Client::Producer), Some(Default::Required));
        assert_eq!(of(Client::Admin), Some(Default::Text("")));
        let group = Client::Consumer.definition().option("group.id").unwrap();
        assert_eq!(
            (group.kind, group.default),
            (OptionType::String, Default::Null)
        );
        assert!(Client::Producer.definition().option("group.id").is_none());
    }
}
