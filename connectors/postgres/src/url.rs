//! JDBC URLs: `jdbc:postgresql://host1:port1,host2/database?key=value`, as the Java driver reads them.

use std::time::Duration;

use percent_encoding::percent_decode_str;

/// Where the servers are, and what the URL says about reaching them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct JdbcUrl {
    /// Host and port, in the order to try them.
    pub(crate) hosts: Vec<(String, u16)>,
    /// The database; the user's name if empty.
    pub(crate) database: String,
    /// Parameters that matter here.
    pub(crate) parameters: Vec<(Parameter, String)>,
}

/// A parameter of the URL that is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    User,
    Password,
    Ssl,
    SslMode,
    SslRootCert,
    SslCert,
    SslKey,
    CurrentSchema,
    ApplicationName,
    ConnectTimeout,
    SocketTimeout,
    Options,
}

const FOLLOWED: &[(&str, Parameter)] = &[
    ("user", Parameter::User),
    ("password", Parameter::Password),
    ("ssl", Parameter::Ssl),
    ("sslmode", Parameter::SslMode),
    ("sslrootcert", Parameter::SslRootCert),
    ("sslcert", Parameter::SslCert),
    ("sslkey", Parameter::SslKey),
    ("currentSchema", Parameter::CurrentSchema),
    ("ApplicationName", Parameter::ApplicationName),
    ("connectTimeout", Parameter::ConnectTimeout),
    ("socketTimeout", Parameter::SocketTimeout),
    ("options", Parameter::Options),
];

/// Parameters of the Java driver that have no meaning here or are always as they say.
const NEEDLESS: &[&str] = &[
    "reWriteBatchedInserts",
    "stringtype",
    "prepareThreshold",
    "preparedStatementCacheQueries",
    "preparedStatementCacheSizeMiB",
    "databaseMetadataCacheFields",
    "databaseMetadataCacheFieldsMiB",
    "defaultRowFetchSize",
    "binaryTransfer",
    "binaryTransferEnable",
    "binaryTransferDisable",
    "tcpKeepAlive",
    "tcpNoDelay",
    "loginTimeout",
    "cancelSignalTimeout",
    "logUnclosedConnections",
    "loggerLevel",
    "targetServerType",
    "loadBalanceHosts",
    "hostRecheckSeconds",
    "assumeMinServerVersion",
    "charSet",
    "adaptiveFetch",
    "disableColumnSanitiser",
    "autosave",
    "cleanupSavepoints",
    "preferQueryMode",
];

impl JdbcUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// What is wrong with it; never the whole URL, which may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let rest = text
            .strip_prefix("jdbc:postgresql:")
            .ok_or("must begin with jdbc:postgresql:")?;
        let (location, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (hosts, database) = match location.strip_prefix("//") {
            Some(location) => location.split_once('/').unwrap_or((location, "")),
            None => ("", location),
        };
        Ok(Self {
            hosts: hosts
                .split(',')
                .map(host_and_port)
                .collect::<Result<_, _>>()?,
            database: decode(database)?,
            parameters: parameters(query)?,
        })
    }

    /// The last value of a parameter.
    pub(crate) fn parameter(&self, wanted: Parameter) -> Option<&str> {
        self.parameters
            .iter()
            .rev()
            .find(|(parameter, _)| *parameter == wanted)
            .map(|(_, value)| value.as_str())
    }

    /// A parameter that counts seconds; 0 is no limit.
    pub(crate) fn seconds(&self, wanted: Parameter) -> Option<Duration> {
        let seconds = self.parameter(wanted)?.parse().ok()?;
        (seconds > 0).then(|| Duration::from_secs(seconds))
    }
}

fn host_and_port(text: &str) -> Result<(String, u16), String> {
    const DEFAULT: u16 = 5432;
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let host = if host.is_empty() { "localhost" } else { host };
    let port = match port.filter(|port| !port.is_empty()) {
        Some(port) => port
            .parse()
            .map_err(|_| format!("`{port}` is not a port"))?,
        None => DEFAULT,
    };
    Ok((host.to_owned(), port))
}

fn parameters(query: &str) -> Result<Vec<(Parameter, String)>, String> {
    let mut followed = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some((_, parameter)) = FOLLOWED.iter().find(|(known, _)| *known == name) {
            followed.push((*parameter, decode(value)?));
        } else if !NEEDLESS.contains(&name) {
            return Err(format!("the parameter `{name}` is not supported"));
        }
    }
    Ok(followed)
}

fn decode(text: &str) -> Result<String, String> {
    // The Java driver reads a plus as a space, as forms do.
    percent_decode_str(&text.replace('+', " "))
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| "escaped bytes are not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_hosts_and_a_default_port_are_read() {
        let url = JdbcUrl::parse("jdbc:postgresql://a:1,b,[::1]:3/shop").unwrap();
        let hosts: Vec<_> = url
            .hosts
            .iter()
            .map(|(host, port)| format!("{host} {port}"))
            .collect();
        assert_eq!(hosts, ["a 1", "b 5432", "::1 3"]);
        assert_eq!(url.database, "shop");
    }

    #[test]
    fn a_url_without_hosts_means_this_machine() {
        for text in ["jdbc:postgresql:shop", "jdbc:postgresql:///shop"] {
            let url = JdbcUrl::parse(text).unwrap();
            assert_eq!(url.hosts, [("localhost".to_owned(), 5432)]);
            assert_eq!(url.database, "shop");
        }
    }

    #[test]
    fn parameters_are_decoded_and_unknown_ones_refused_by_name() {
        let url = JdbcUrl::parse(
            "jdbc:postgresql://h/d?user=a%40b&reWriteBatchedInserts=true&connectTimeout=7",
        );
        let url = url.unwrap();
        assert_eq!(url.parameter(Parameter::User), Some("a@b"));
        assert_eq!(
            url.seconds(Parameter::ConnectTimeout),
            Some(Duration::from_secs(7))
        );
        let refused = JdbcUrl::parse("jdbc:postgresql://h/d?kerberosServerName=x&password=y");
        assert_eq!(
            refused.unwrap_err(),
            "the parameter `kerberosServerName` is not supported"
        );
    }

    #[test]
    fn other_databases_are_refused() {
        assert!(JdbcUrl::parse("jdbc:mysql://h/d").is_err());
        assert!(JdbcUrl::parse("postgresql://h/d").is_err());
        assert!(JdbcUrl::parse("jdbc:postgresql://h:port/d").is_err());
    }
}
