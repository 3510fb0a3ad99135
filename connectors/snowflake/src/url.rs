//! `snowflake.url.name` in all its spellings: `[https://]host[:port][/]`.

/// Where the account is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AccountUrl {
    pub(crate) scheme: &'static str,
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl AccountUrl {
    /// Reads the option's value; the scheme may be missing, the host is taken in lower case.
    ///
    /// # Errors
    /// What is wrong, in the form of Kafka's reasons.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_lowercase();
        let (scheme, rest) = match text.split_once("://") {
            None => ("https", text.as_str()),
            Some(("https", rest)) => ("https", rest),
            Some(("http", rest)) => ("http", rest),
            Some((scheme, _)) => return Err(format!("the scheme must be https, not {scheme}")),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.split_once(':') {
            None if scheme == "http" => (rest, 80),
            None => (rest, 443),
            Some((host, port)) => {
                let port = port.parse().map_err(|_| format!("{port} is not a port"))?;
                (host, port)
            }
        };
        let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if host.is_empty() || !host.chars().all(is_legal) {
            return Err(
                "must be account.region.snowflakecomputing.com, with or without https:// and port"
                    .to_owned(),
            );
        }
        Ok(Self {
            scheme,
            host: host.to_owned(),
            port,
        })
    }

    /// The account's name as logins use it: the first part of the host, without what follows for `.global` hosts.
    pub(crate) fn account(&self) -> String {
        let first = self.host.split('.').next().unwrap_or_default();
        let is_global = self.host.contains(".global.");
        let first = match first.rsplit_once('-') {
            Some((account, _)) if is_global => account,
            _ => first,
        };
        first.to_uppercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_means_the_same() {
        let expected = AccountUrl {
            scheme: "https",
            host: "xy12345.eu-west-1.snowflakecomputing.com".to_owned(),
            port: 443,
        };
        for spelling in [
            "xy12345.eu-west-1.snowflakecomputing.com",
            "XY12345.eu-west-1.snowflakecomputing.com:443",
            "https://xy12345.eu-west-1.snowflakecomputing.com",
            "https://xy12345.eu-west-1.snowflakecomputing.com:443/",
        ] {
            assert_eq!(
                AccountUrl::parse(spelling).as_ref(),
                Ok(&expected),
                "{spelling}"
            );
        }
        assert_eq!(expected.account(), "XY12345");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for wrong in [
            "",
            "ftp://a.b",
            "a b.snowflakecomputing.com",
            "a.b:port",
            "https://a.b/path",
        ] {
            assert!(AccountUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn accounts_of_organizations_keep_their_dash_and_global_ones_lose_it() {
        let account = |text: &str| AccountUrl::parse(text).map(|url| url.account());
        assert_eq!(
            account("org-xy12345.snowflakecomputing.com").as_deref(),
            Ok("ORG-XY12345")
        );
        assert_eq!(
            account("xy12345-x1y2.global.snowflakecomputing.com").as_deref(),
            Ok("XY12345")
        );
    }
}
