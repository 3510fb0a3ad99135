//! The options that the three converters share: where the registry is, who asks, and which schema is written.

use std::time::Duration;

use connect_core::config::{ConnectorConfig, OptionValue};
use connect_core::{Secret, option_names};
use reqwest::Url;

use crate::subject::Strategy;

/// Where user and password come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CredentialsSource {
    Url,
    UserInfo,
}

option_names!(CredentialsSource { "URL" => Url, "USER_INFO" => UserInfo });

/// Where a bearer token comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenSource {
    StaticToken,
}

option_names!(TokenSource { "STATIC_TOKEN" => StaticToken });

/// In what form certificates are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreType {
    Pem,
}

option_names!(StoreType { "PEM" => Pem });

/// What every converter with a registry takes.
#[derive(Debug, Clone, ConnectorConfig)]
pub(crate) struct RegistryOptions {
    #[option(flatten)]
    pub(crate) connection: ConnectionOptions,
    #[option(flatten)]
    pub(crate) schemas: SchemaOptions,
}

/// How the registry is reached.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Registry")]
pub(crate) struct ConnectionOptions {
    /// The registry's addresses, comma-separated. If one does not answer the next is asked.
    #[option(name = "schema.registry.url", importance = High, validator = Validator::Custom(addresses))]
    pub(crate) urls: Vec<String>,
    /// Where user and password come from: the address itself (`https://user:password@host`), or `basic.auth.user.info`.
    #[option(name = "basic.auth.credentials.source", default = "URL", importance = Medium)]
    pub(crate) credentials: CredentialsSource,
    /// User and password, `user:password`.
    #[option(name = "basic.auth.user.info", importance = Medium)]
    pub(crate) user_info: Option<Secret<String>>,
    /// `STATIC_TOKEN` to log in with `bearer.auth.token`.
    #[option(name = "bearer.auth.credentials.source", importance = Medium)]
    pub(crate) token_source: Option<TokenSource>,
    /// The token.
    #[option(name = "bearer.auth.token", importance = Medium)]
    pub(crate) token: Option<Secret<String>>,
    /// A file with the certificates of the authorities that are trusted; the system's if there is none.
    #[option(name = "schema.registry.ssl.truststore.location", importance = Medium)]
    pub(crate) truststore: Option<String>,
    /// The certificates themselves, in PEM, instead of a file.
    #[option(name = "schema.registry.ssl.truststore.certificates", importance = Low)]
    pub(crate) certificates: Option<Secret<String>>,
    /// The form of the file. A Java key store can be converted: `keytool -exportcert -rfc`.
    #[option(name = "schema.registry.ssl.truststore.type", default = "PEM", importance = Low)]
    pub(crate) _truststore_type: StoreType,
    /// A key store for TLS with a certificate of the client's own.
    #[option(name = "schema.registry.ssl.keystore.location", importance = Low, unsupported = "the client's own certificate is not supported yet")]
    pub(crate) _keystore: Option<String>,
    /// The host of an HTTP proxy.
    #[option(name = "proxy.host", default = "", importance = Low)]
    pub(crate) proxy_host: String,
    /// The proxy's port.
    #[option(name = "proxy.port", default = "-1", importance = Low, validator = Validator::Between(-1, 65535))]
    pub(crate) proxy_port: i32,
    /// Milliseconds that making a connection may take.
    #[option(name = "http.connect.timeout.ms", default = "5000", importance = Low, validator = Validator::AtLeast(1))]
    pub(crate) connect_timeout: Duration,
    /// Milliseconds that an answer may take. While it waits a task moves no records.
    #[option(name = "http.read.timeout.ms", default = "10000", importance = Low, validator = Validator::AtLeast(1))]
    pub(crate) read_timeout: Duration,
}

/// Which schema a record gets, and what is remembered.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Schemas")]
pub(crate) struct SchemaOptions {
    /// Whether the schema of what is written is registered if the registry does not have it.
    #[option(name = "auto.register.schemas", default = "true", importance = Medium)]
    pub(crate) auto_register: bool,
    /// Whether everything is written with the subject's latest schema. Needs `auto.register.schemas=false`.
    #[option(name = "use.latest.version", default = "false", importance = Medium)]
    pub(crate) use_latest: bool,
    /// Whether the registry is asked if the data's own schema is compatible with the latest one before that is used.
    #[option(name = "latest.compatibility.strict", default = "true", importance = Low)]
    pub(crate) latest_strict: bool,
    /// Seconds after which the latest version is asked for again; -1: never.
    #[option(name = "latest.cache.ttl.sec", default = "-1", importance = Low, validator = Validator::AtLeast(-1))]
    pub(crate) latest_ttl: i64,
    /// Writes with the schema of this id.
    #[option(name = "use.schema.id", default = "-1", importance = Low, unsupported = "use.latest.version chooses a schema")]
    pub(crate) _use_id: i32,
    /// Whether the registry brings schemas into a normal form, so that those that differ in form only are one.
    #[option(name = "normalize.schemas", default = "false", importance = Medium)]
    pub(crate) normalize: bool,
    /// How a key's schema is named: `TopicNameStrategy` (`<topic>-key`), `RecordNameStrategy` (the record's name),
    /// `TopicRecordNameStrategy` (`<topic>-<record's name>`), in the package `io.confluent.kafka.serializers.subject`.
    #[option(name = "key.subject.name.strategy", default = "io.confluent.kafka.serializers.subject.TopicNameStrategy", importance = Medium)]
    pub(crate) key_strategy: Strategy,
    /// How a value's schema is named, likewise.
    #[option(name = "value.subject.name.strategy", default = "io.confluent.kafka.serializers.subject.TopicNameStrategy", importance = Medium)]
    pub(crate) value_strategy: Strategy,
    /// How many schemas are remembered, by id and by subject.
    #[option(name = "max.schemas.per.subject", default = "1000", importance = Low, validator = Validator::AtLeast(1))]
    pub(crate) capacity: u32,
    /// Seconds for which an id that the registry does not know is not asked for again.
    #[option(name = "missing.id.cache.ttl.sec", default = "30", importance = Low, validator = Validator::AtLeast(0))]
    pub(crate) missing_id_ttl: u64,
    /// Seconds for which a schema that the registry refuses or does not know is not sent again.
    #[option(name = "missing.schema.cache.ttl.sec", default = "30", importance = Low, validator = Validator::AtLeast(0))]
    pub(crate) missing_schema_ttl: u64,
}

fn addresses(value: &OptionValue) -> Result<(), String> {
    let OptionValue::List(urls) = value else {
        return Ok(());
    };
    if urls.is_empty() {
        return Err("must not be empty".to_owned());
    }
    let is_url = |text: &String| {
        Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    if urls.iter().all(is_url) {
        Ok(())
    } else {
        Err("not an address that begins with http:// or https://".to_owned())
    }
}
