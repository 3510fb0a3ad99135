//! The options of `com.snowflake.kafka.connector.SnowflakeSinkConnector`, under its keys and with its defaults, and a few of ours.

use connect_core::config::{ConnectorConfig, OptionError, OptionValue};
use connect_core::{Secret, option_names};

use crate::naming::TopicMap;
use crate::url::AccountUrl;

/// How a session is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Authenticator {
    KeyPair,
    Password,
}

option_names!(Authenticator { "snowflake_jwt" => KeyPair, "snowflake" => Password });

/// What becomes of records without a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NullValues {
    /// A row with an empty document.
    Default,
    /// No row.
    Ignore,
}

option_names!(NullValues { "default" => Default, "ignore" => Ignore });

/// Options of the Snowflake sink.
#[derive(Debug, Clone, ConnectorConfig)]
pub(crate) struct SnowflakeSinkConfig {
    #[option(flatten)]
    pub(crate) login: LoginOptions,
    #[option(flatten)]
    pub(crate) buffer: BufferOptions,
    #[option(flatten)]
    pub(crate) rows: RowOptions,
    #[option(flatten)]
    #[expect(dead_code, reason = "its options are declared only to be checked")]
    pub(crate) rest: RestOptions,
}

/// The account, and who we are there.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Snowflake Login Info")]
pub(crate) struct LoginOptions {
    /// Where the account is: `account.region.snowflakecomputing.com`, with or without `https://` and port.
    #[option(name = "snowflake.url.name", importance = High, width = Long, validator = Validator::Custom(account_url))]
    pub(crate) url: String,
    /// The user.
    #[option(name = "snowflake.user.name", importance = High, validator = Validator::NonEmpty)]
    pub(crate) user: String,
    /// The private key, PKCS#8, with or without the PEM lines around it, in one line or several.
    #[option(name = "snowflake.private.key", importance = High)]
    pub(crate) private_key: Option<Secret<String>>,
    /// What an encrypted private key is decrypted with.
    #[option(name = "snowflake.private.key.passphrase", importance = Low)]
    pub(crate) passphrase: Option<Secret<String>>,
    /// The password, for development. Not in the original.
    #[option(name = "snowflake.password", importance = Medium)]
    pub(crate) password: Option<Secret<String>>,
    /// `snowflake_jwt`: by key pair; `snowflake`: by password, which is meant if only a password is given.
    #[option(name = "snowflake.authenticator", importance = Low)]
    pub(crate) authenticator: Option<Authenticator>,
    /// The database. It must exist.
    #[option(name = "snowflake.database.name", importance = High, validator = Validator::NonEmpty)]
    pub(crate) database: String,
    /// The schema. It must exist.
    #[option(name = "snowflake.schema.name", importance = High, validator = Validator::NonEmpty)]
    pub(crate) schema: String,
    /// The role; the user's default if not given.
    #[option(name = "snowflake.role.name", importance = Low)]
    pub(crate) role: Option<String>,
    /// The warehouse that loads; the user's default if not given. Not in the original, which loads without one.
    #[option(name = "snowflake.warehouse.name", importance = Medium)]
    pub(crate) warehouse: Option<String>,
    /// The account's name, where the URL does not begin with it: behind a proxy or private link. Not in the original.
    #[option(name = "snowflake.account.name", importance = Low)]
    pub(crate) account: Option<String>,
    /// Seconds that a statement waits for a table another transaction holds. Not in the original.
    #[option(name = "snowflake.lock.timeout", default = "30", importance = Low, kind = Long, validator = Validator::Between(1, 3600))]
    pub(crate) lock_timeout: u64,
}

/// When what is gathered is loaded.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Buffers")]
pub(crate) struct BufferOptions {
    /// Records of a partition, at the most, before they are loaded.
    #[option(name = "buffer.count.records", default = "10000", importance = Low, kind = Long, validator = Validator::AtLeast(1))]
    pub(crate) records: u64,
    /// Bytes of a partition's rows, before compression, before they are loaded.
    #[option(name = "buffer.size.bytes", default = "5000000", importance = Low, kind = Long, validator = Validator::AtLeast(1))]
    pub(crate) bytes: usize,
    /// Seconds after which the first record of a partition is loaded, whatever else comes.
    #[option(name = "buffer.flush.time", default = "120", importance = Low, kind = Long, validator = Validator::AtLeast(1))]
    pub(crate) seconds: u64,
}

/// From records to rows.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Rows")]
pub(crate) struct RowOptions {
    /// Tables of topics: `topic:table,topic:table`. A topic may be a pattern. Either side may be in double quotes; a table that is not is taken in upper case. Other topics go to a table of their own name.
    #[option(name = "snowflake.topic2table.map", default = "", importance = Low, validator = Validator::Custom(topic_map))]
    pub(crate) topics: String,
    /// Whether RECORD_METADATA is filled.
    #[option(name = "snowflake.metadata.all", default = "true", importance = Low)]
    pub(crate) metadata: bool,
    /// Whether it holds the topic.
    #[option(name = "snowflake.metadata.topic", default = "true", importance = Low)]
    pub(crate) metadata_topic: bool,
    /// Whether it holds offset and partition.
    #[option(name = "snowflake.metadata.offset.and.partition", default = "true", importance = Low)]
    pub(crate) metadata_offset: bool,
    /// Whether it holds the timestamp, as `CreateTime` or `LogAppendTime`.
    #[option(name = "snowflake.metadata.createtime", default = "true", importance = Low)]
    pub(crate) metadata_time: bool,
    /// Records without a value: `default` writes a row with an empty document, `ignore` none.
    #[option(name = "behavior.on.null.values", default = "default", importance = Low)]
    pub(crate) null_values: NullValues,
    /// Whether fields of the value become columns of their own, added as they appear, instead of RECORD_CONTENT.
    #[option(name = "snowflake.enable.schematization", default = "false", importance = Low)]
    pub(crate) schematization: bool,
}

/// Options that are accepted or refused without further effect.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "Compatibility")]
pub(crate) struct RestOptions {
    /// How rows get in: `SNOWPIPE`, which is stage and COPY here. `SNOWPIPE_STREAMING` is not supported.
    #[option(name = "snowflake.ingestion.method", default = "SNOWPIPE", importance = Low, validator = Validator::Custom(ingestion_method))]
    _ingestion: String,
    /// For telemetry only.
    #[option(name = "provider", default = "unknown", importance = Low)]
    _provider: String,
    /// Metrics are always there.
    #[option(name = "jmx", default = "true", importance = Low)]
    _jmx: bool,
    /// Logs always name connector and task.
    #[option(name = "enable.mdc.logging", default = "false", importance = Low)]
    _mdc: bool,
    /// A refused login or privilege always fails the task.
    #[option(name = "enable.task.fail.on.authorization.errors", default = "false", importance = Low)]
    _fail_on_authorization: bool,
    /// A cleaner of stages; files are removed once they are loaded.
    #[option(name = "snowflake.snowpipe.v2CleanerEnabled", default = "true", importance = Low)]
    _cleaner: bool,
    /// File names; they always name the topic.
    #[option(name = "snowflake.snowpipe.stageFileNameExtensionEnabled", default = "true", importance = Low)]
    _extension: bool,
    /// OAuth.
    #[option(
        name = "snowflake.oauth.client.id",
        default = "",
        unsupported = "OAuth"
    )]
    _oauth_client: String,
    /// OAuth.
    #[option(name = "snowflake.oauth.client.secret", unsupported = "OAuth")]
    _oauth_secret: Option<Secret<String>>,
    /// OAuth.
    #[option(name = "snowflake.oauth.refresh.token", unsupported = "OAuth")]
    _oauth_token: Option<Secret<String>>,
    /// OAuth.
    #[option(
        name = "snowflake.oauth.token.endpoint",
        default = "",
        unsupported = "OAuth"
    )]
    _oauth_endpoint: String,
    /// A proxy.
    #[option(
        name = "jvm.proxy.host",
        default = "",
        unsupported = "proxies by option; HTTPS_PROXY is used"
    )]
    _proxy_host: String,
    /// A proxy.
    #[option(
        name = "jvm.proxy.port",
        default = "",
        unsupported = "proxies by option; HTTPS_PROXY is used"
    )]
    _proxy_port: String,
    /// Options of the Java driver.
    #[option(
        name = "snowflake.jdbc.map",
        default = "",
        unsupported = "options of the Java driver"
    )]
    _jdbc_map: String,
    /// Iceberg tables.
    #[option(
        name = "snowflake.streaming.iceberg.enabled",
        default = "false",
        unsupported = "Iceberg tables"
    )]
    _iceberg: bool,
    /// What kind of table is made.
    #[option(
        name = "snowflake.autocreate.table.type",
        default = "snowflake",
        unsupported = "other kinds of tables"
    )]
    _table_type: String,
    /// Patterns in table names.
    #[option(
        name = "snowflake.topic2table.map.regex.replacement",
        default = "false",
        unsupported = "replacement by pattern"
    )]
    _replacement: bool,
    /// Offsets of the streaming connector.
    #[option(
        name = "snowflake.streaming.classic.offset.migration",
        default = "skip",
        unsupported = "offsets of streaming channels"
    )]
    _migration: String,
}

impl SnowflakeSinkConfig {
    /// How the session is opened: as asked for, else by what is given.
    pub(crate) fn authenticator(&self) -> Authenticator {
        let login = &self.login;
        match login.authenticator {
            Some(authenticator) => authenticator,
            None if is_given(login.private_key.as_ref()) || !is_given(login.password.as_ref()) => {
                Authenticator::KeyPair
            }
            None => Authenticator::Password,
        }
    }

    /// The URL, which was checked when the options were read.
    pub(crate) fn url(&self) -> Result<AccountUrl, String> {
        AccountUrl::parse(&self.login.url)
    }

    /// The account's name.
    pub(crate) fn account(&self) -> String {
        let given = self.login.account.as_ref().map(|name| name.to_uppercase());
        given
            .or_else(|| self.url().ok().map(|url| url.account()))
            .unwrap_or_default()
    }

    /// The key in PEM.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn private_key(&self) -> Result<String, String> {
        let key = self
            .login
            .private_key
            .as_ref()
            .map_or("", |key| key.expose());
        let passphrase = self.login.passphrase.as_ref();
        crate::key::to_pem(
            key,
            passphrase.map(|passphrase| passphrase.expose().as_str()),
        )
    }

    /// The tables of topics, which were checked when the options were read.
    pub(crate) fn topics(&self) -> TopicMap {
        TopicMap::parse(&self.rows.topics).unwrap_or_default()
    }

    /// Rules that need several options at once.
    pub(crate) fn cross_errors(&self) -> Vec<OptionError> {
        let mut errors = Vec::new();
        match self.authenticator() {
            Authenticator::KeyPair if !is_given(self.login.private_key.as_ref()) => {
                let text = "snowflake.private.key is needed, or snowflake.password for a login by password";
                errors.push(OptionError::new("snowflake.private.key", text));
            }
            Authenticator::KeyPair => {
                if let Err(reason) = self.private_key() {
                    let text = format!("snowflake.private.key: {reason}");
                    errors.push(OptionError::new("snowflake.private.key", text));
                }
            }
            Authenticator::Password if !is_given(self.login.password.as_ref()) => {
                let text = "snowflake.password is needed with snowflake.authenticator=snowflake";
                errors.push(OptionError::new("snowflake.password", text));
            }
            Authenticator::Password => {}
        }
        errors
    }
}

fn is_given(secret: Option<&Secret<String>>) -> bool {
    secret.is_some_and(|secret| !secret.expose().trim().is_empty())
}

fn account_url(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) => AccountUrl::parse(text).map(|_| ()),
        _ => Ok(()),
    }
}

fn topic_map(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) => TopicMap::parse(text).map(|_| ()),
        _ => Ok(()),
    }
}

fn ingestion_method(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(text) if text.eq_ignore_ascii_case("SNOWPIPE") => Ok(()),
        OptionValue::Text(text) if text.eq_ignore_ascii_case("SNOWPIPE_STREAMING") => Err(
            "SNOWPIPE_STREAMING is not supported yet; SNOWPIPE loads by stage and COPY".to_owned(),
        ),
        _ => Err("must be SNOWPIPE".to_owned()),
    }
}
