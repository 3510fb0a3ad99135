//! The worker's options about its REST API, under Kafka Connect's keys.

use std::time::Duration;

use connect_core::Secret;
use connect_core::config::{ConfigMap, ConnectorConfig, OptionError, OptionValue};

use super::worker_config::strip_prefix;

/// TLS options of HTTPS listeners stand below this, else without it.
const HTTPS_PREFIX: &str = "listeners.https.";

/// Who must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nobody.
    None,
    /// Whoever has one; it is checked.
    Requested,
    /// Everybody.
    Required,
}

connect_core::option_names!(ClientAuth {
    "none" => None,
    "requested" => Requested,
    "required" => Required,
});

/// Options of the REST API.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "REST")]
pub struct RestOptions {
    /// Where `/admin` is served: where all else is, if not given; nowhere, if empty.
    #[option(name = "admin.listeners")]
    pub admin_listeners: Option<Vec<String>>,
    /// The scheme of `listeners` that other workers and clients reach this one by: `http` or `https`.
    #[option(name = "rest.advertised.listener", validator = Validator::OneOfIgnoreCase(&["http", "https"]))]
    pub advertised_listener: Option<String>,
    /// The origin of pages that may call this API: one, several by commas, or `*`; none if empty.
    #[option(name = "access.control.allow.origin", default = "")]
    pub allow_origin: Vec<String>,
    /// The methods such pages may call; if empty, GET, POST and HEAD.
    #[option(name = "access.control.allow.methods", default = "")]
    pub allow_methods: Vec<String>,
    /// Headers of every answer: rules `[action] name:value` by commas; a rule that holds a comma stands in double quotes.
    /// Actions are set, add, setDate and addDate.
    #[option(name = "response.http.headers.config", default = "")]
    pub response_headers: String,
    /// Extensions of the API. There is one: `org.apache.kafka.connect.rest.basic.auth.extension.BasicAuthSecurityRestExtension`.
    #[option(name = "rest.extension.classes", default = "")]
    pub extensions: Vec<String>,
    /// The users that basic authentication lets in: a properties file, `user=password`. Without it, the file named by the
    /// JAAS configuration that `KAFKA_OPTS` gives to a Java worker (`-Djava.security.auth.login.config=…`).
    #[option(name = "rest.basic.auth.file")]
    pub basic_auth_file: Option<String>,
    /// Milliseconds a request may take before it is answered with what the worker is doing.
    #[option(name = "rest.request.timeout.ms", default = "90000", importance = Low)]
    pub request_timeout: Duration,
}

/// TLS of the HTTPS listeners. Only PEM is read.
#[derive(Debug, Clone, ConnectorConfig)]
#[config(group = "REST")]
pub struct TlsOptions {
    /// The form of the key store: `PEM`.
    #[option(name = "ssl.keystore.type", default = "PEM", validator = Validator::Custom(pem))]
    _keystore_type: String,
    /// A file with private key and certificate chain.
    #[option(name = "ssl.keystore.location")]
    pub keystore: Option<String>,
    /// The private key itself.
    #[option(name = "ssl.keystore.key")]
    pub key: Option<Secret<String>>,
    /// The certificate chain itself.
    #[option(name = "ssl.keystore.certificate.chain")]
    pub certificates: Option<String>,
    /// The password of an encrypted private key.
    #[option(name = "ssl.key.password")]
    pub key_password: Option<Secret<String>>,
    /// The form of the trust store: `PEM`.
    #[option(name = "ssl.truststore.type", default = "PEM", validator = Validator::Custom(pem))]
    _truststore_type: String,
    /// A file with the certificates that sign clients' ones.
    #[option(name = "ssl.truststore.location")]
    pub truststore: Option<String>,
    /// These certificates themselves.
    #[option(name = "ssl.truststore.certificates")]
    pub trusted: Option<String>,
    /// Whether clients must show a certificate.
    #[option(name = "ssl.client.auth", default = "none")]
    pub client_auth: ClientAuth,
}

impl TlsOptions {
    /// Those of a worker: below `listeners.https.`, if there is any such key, else the plain ones.
    ///
    /// # Errors
    /// Every wrong key.
    pub fn of(properties: &ConfigMap) -> Result<Self, Vec<OptionError>> {
        let own = strip_prefix(properties, HTTPS_PREFIX);
        let has_own = own.keys().any(|key| key.starts_with("ssl."));
        Self::from_map(if has_own { &own } else { properties })
    }
}

fn pem(value: &OptionValue) -> Result<(), String> {
    match value {
        OptionValue::Text(form) if !form.eq_ignore_ascii_case("PEM") => Err(
            "only PEM is read. Convert the store: keytool -importkeystore -srckeystore STORE -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12 -in store.p12 -nodes -out store.pem"
                .to_owned(),
        ),
        _ => Ok(()),
    }
}
