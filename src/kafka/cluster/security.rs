//! TLS and SASL from Kafka's own keys; certificates and keys in PEM.

use connect_core::config::{ConfigMap, ConnectorConfig, OptionError};
use connect_core::{Secret, option_names};
use krafka::auth::{
    AuthConfig, AwsMskIamCredentials, ClientCredentials, OidcTokenProvider, TlsConfig,
};

/// What lies between client and broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

option_names!(Protocol {
    "PLAINTEXT" => Plaintext, "SSL" => Ssl, "SASL_PLAINTEXT" => SaslPlaintext, "SASL_SSL" => SaslSsl,
});

/// How the client says who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mechanism {
    Plain,
    Scram256,
    Scram512,
    OauthBearer,
    MskIam,
}

option_names!(Mechanism {
    "PLAIN" => Plain, "SCRAM-SHA-256" => Scram256, "SCRAM-SHA-512" => Scram512,
    "OAUTHBEARER" => OauthBearer, "AWS_MSK_IAM" => MskIam,
});

#[derive(Debug, ConnectorConfig)]
#[config(group = "Security")]
struct SecuritySettings {
    /// What lies between client and broker.
    #[option(name = "security.protocol", default = "PLAINTEXT")]
    protocol: Protocol,
    /// How the client says who it is.
    #[option(name = "sasl.mechanism")]
    mechanism: Option<Mechanism>,
    /// User and password, in the form of a Java login module: `… required username="…" password="…";`.
    #[option(name = "sasl.jaas.config")]
    jaas: Option<Secret<String>>,
    /// Where OAuth tokens are asked for with the client's credentials.
    #[option(name = "sasl.oauthbearer.token.endpoint.url")]
    token_endpoint: Option<String>,
    /// The form of the trusted certificates; only PEM.
    #[option(name = "ssl.truststore.type", default = "PEM", validator = Validator::OneOfIgnoreCase(&["PEM"]))]
    _truststore_type: String,
    /// A file of trusted certificates; the system's if not given.
    #[option(name = "ssl.truststore.location")]
    truststore: Option<String>,
    /// Trusted certificates themselves.
    #[option(name = "ssl.truststore.certificates")]
    trusted: Option<String>,
    /// The form of the client's certificate and key; only PEM.
    #[option(name = "ssl.keystore.type", default = "PEM", validator = Validator::OneOfIgnoreCase(&["PEM"]))]
    _keystore_type: String,
    /// A file with the client's key and certificate chain.
    #[option(name = "ssl.keystore.location")]
    keystore: Option<String>,
    /// The client's certificate chain itself.
    #[option(name = "ssl.keystore.certificate.chain")]
    certificate_chain: Option<String>,
    /// The client's key itself.
    #[option(name = "ssl.keystore.key")]
    key: Option<Secret<String>>,
    /// The password of the client's key.
    #[option(name = "ssl.key.password")]
    key_password: Option<Secret<String>>,
    /// Whether the broker's certificate must name its host: `https`, or empty for any name.
    #[option(name = "ssl.endpoint.identification.algorithm", default = "https", validator = Validator::OneOfIgnoreCase(&["https"]))]
    _identification: String,
    /// The AWS region of an MSK cluster; from `AWS_REGION` if not given.
    #[option(name = "aws.region")]
    aws_region: Option<String>,
}

/// Reads the settings.
pub(super) fn settings(properties: &ConfigMap) -> Result<AuthConfig, Vec<OptionError>> {
    let settings = SecuritySettings::from_map(properties)?;
    settings.auth().map_err(|error| vec![error])
}

impl SecuritySettings {
    fn auth(&self) -> Result<AuthConfig, OptionError> {
        match self.protocol {
            Protocol::Plaintext => Ok(AuthConfig::plaintext()),
            Protocol::Ssl => Ok(AuthConfig::ssl(self.tls())),
            Protocol::SaslPlaintext => self.sasl(),
            Protocol::SaslSsl => Ok(self.sasl()?.with_tls(self.tls())),
        }
    }

    fn sasl(&self) -> Result<AuthConfig, OptionError> {
        let Some(mechanism) = self.mechanism else {
            return Err(OptionError::new(
                "sasl.mechanism",
                "sasl.mechanism must be set with this security.protocol",
            ));
        };
        match mechanism {
            Mechanism::Plain => self
                .login()
                .map(|(user, password)| AuthConfig::sasl_plain(user, password)),
            Mechanism::Scram256 => self
                .login()
                .map(|(user, password)| AuthConfig::sasl_scram_sha256(user, password)),
            Mechanism::Scram512 => self
                .login()
                .map(|(user, password)| AuthConfig::sasl_scram_sha512(user, password)),
            Mechanism::OauthBearer => self.oauth(),
            Mechanism::MskIam => self.msk_iam(),
        }
    }

    fn login(&self) -> Result<(String, String), OptionError> {
        Ok((self.jaas_entry("username")?, self.jaas_entry("password")?))
    }

    fn oauth(&self) -> Result<AuthConfig, OptionError> {
        let key = "sasl.oauthbearer.token.endpoint.url";
        let Some(endpoint) = &self.token_endpoint else {
            return Err(OptionError::new(
                key,
                format!("{key} must be set with OAUTHBEARER"),
            ));
        };
        let credentials = ClientCredentials::secret(
            self.jaas_entry("clientId")?,
            self.jaas_entry("clientSecret")?,
        );
        let mut provider = OidcTokenProvider::builder(endpoint).credentials(credentials);
        if let Ok(scope) = self.jaas_entry("scope") {
            provider = provider.scope(scope);
        }
        let provider = provider
            .build()
            .map_err(|error| OptionError::invalid(key, endpoint, &error.to_string()))?;
        Ok(AuthConfig::sasl_oauthbearer_provider(provider))
    }

    /// Credentials from the environment, as the AWS tools name them.
    fn msk_iam(&self) -> Result<AuthConfig, OptionError> {
        let credentials = match &self.aws_region {
            Some(region) => AwsMskIamCredentials::from_env_with_region(region),
            None => AwsMskIamCredentials::from_env(),
        };
        credentials
            .map(AuthConfig::aws_msk_iam_with_credentials)
            .map_err(|error| OptionError::new("sasl.mechanism", format!("AWS_MSK_IAM: {error}")))
    }

    fn jaas_entry(&self, entry: &str) -> Result<String, OptionError> {
        let key = "sasl.jaas.config";
        let Some(jaas) = &self.jaas else {
            return Err(OptionError::new(
                key,
                format!("{key} must be set with this sasl.mechanism"),
            ));
        };
        jaas_value(jaas.expose(), entry)
            .ok_or_else(|| OptionError::new(key, format!("{key} holds no {entry}=\"…\"")))
    }

    fn tls(&self) -> TlsConfig {
        let mut tls = TlsConfig::new();
        tls = match (&self.trusted, &self.truststore) {
            (Some(pem), _) => tls.with_ca_cert_pem(pem.as_bytes()),
            (None, Some(path)) => tls.with_ca_cert(path),
            (None, None) => tls.with_native_roots(),
        };
        tls = match (&self.certificate_chain, &self.key, &self.keystore) {
            (Some(chain), Some(key), _) => {
                tls.with_client_cert_pem(chain.as_bytes(), key.expose().as_bytes().to_vec())
            }
            (_, _, Some(path)) => tls.with_client_cert(path, path),
            _ => tls,
        };
        match &self.key_password {
            Some(password) => tls.with_client_key_password(password.expose().as_str()),
            None => tls,
        }
    }
}

/// The value of `entry="…"` (or `entry=…`) in a login module's line; `\"` and `\\` are escapes.
fn jaas_value(jaas: &str, entry: &str) -> Option<String> {
    let start = jaas.match_indices(entry).find_map(|(position, _)| {
        let before = jaas.get(..position)?.chars().next_back();
        let rest = jaas
            .get(position + entry.len()..)?
            .trim_start()
            .strip_prefix('=')?;
        before
            .is_none_or(char::is_whitespace)
            .then(|| rest.trim_start())
    })?;
    let Some(quoted) = start.strip_prefix('"') else {
        return Some(start.split([' ', ';']).next()?.to_owned());
    };
    let mut value = String::new();
    let mut characters = quoted.chars();
    loop {
        match characters.next()? {
            '"' => return Some(value),
            '\\' => value.push(characters.next()?),
            character => value.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_module_line_yields_its_entries() {
        let jaas = r#"org.apache.kafka.common.security.plain.PlainLoginModule required username="al ice" password="a\"b;=\\";"#;
        assert_eq!(jaas_value(jaas, "username").as_deref(), Some("al ice"));
        assert_eq!(jaas_value(jaas, "password").as_deref(), Some("a\"b;=\\"));
        assert_eq!(jaas_value(jaas, "user"), None);
        assert_eq!(
            jaas_value("x required username=bob;", "username").as_deref(),
            Some("bob")
        );
    }

    #[test]
    fn what_is_missing_is_named_and_a_password_is_not_shown() {
        let config = [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "PLAIN"),
            ("sasl.jaas.config", "x required password=\"hush\";"),
        ];
        let config = config
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
        let errors = settings(&config).unwrap_err();
        assert_eq!(errors.len(), 1);
        assert!(errors[0].message.contains("username"));
        assert!(!errors[0].message.contains("hush"));
    }

    #[test]
    fn java_key_stores_are_refused_by_name() {
        let config = [("ssl.truststore.type".to_owned(), "JKS".to_owned())].into();
        let errors = settings(&config).unwrap_err();
        assert_eq!(errors[0].key, "ssl.truststore.type");
    }
}
