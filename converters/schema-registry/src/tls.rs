//! The HTTP client's side of the options: certificates, proxy, login.

use connect_core::config::OptionError;
use connect_core::{Error, Result};
use reqwest::{Certificate, Proxy, Url};

use crate::options::{ConnectionOptions, CredentialsSource};

/// What a request carries so that the registry knows who asks.
#[derive(Clone)]
pub(crate) enum Login {
    None,
    Basic(String, String),
    Bearer(String),
}

/// Never shows what it holds.
impl std::fmt::Debug for Login {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("[hidden]")
    }
}

/// An address without user and password, and who asks there.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    pub(crate) login: Login,
}

type Checked<T> = Result<T, OptionError>;

/// The addresses with who asks there.
pub(crate) fn endpoints(options: &ConnectionOptions) -> Checked<Vec<Endpoint>> {
    let common = login(options)?;
    let endpoint = |text: &String| {
        let mut url = Url::parse(text)
            .map_err(|_| OptionError::new("schema.registry.url", "an address is none"))?;
        let in_url = (!url.username().is_empty()).then(|| {
            let user = decoded(url.username());
            Login::Basic(user, decoded(url.password().unwrap_or_default()))
        });
        // An address that has a host takes both.
        let _removed = (url.set_username(""), url.set_password(None));
        Ok(Endpoint {
            url,
            login: common.clone().or(in_url).unwrap_or(Login::None),
        })
    };
    options.urls.iter().map(endpoint).collect()
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

fn login(options: &ConnectionOptions) -> Checked<Option<Login>> {
    if options.token_source.is_some() {
        let token = options.token.as_ref().map(|token| token.expose().clone());
        let missing = || OptionError::new("bearer.auth.token", "STATIC_TOKEN needs a token");
        return token.map(Login::Bearer).map(Some).ok_or_else(missing);
    }
    if options.credentials == CredentialsSource::Url {
        return Ok(None);
    }
    let given = options
        .user_info
        .as_ref()
        .map(|info| info.expose().as_str());
    match given.and_then(|info| info.split_once(':')) {
        Some((user, password)) => Ok(Some(Login::Basic(user.to_owned(), password.to_owned()))),
        None => Err(OptionError::new(
            "basic.auth.user.info",
            "USER_INFO needs user and password: user:password",
        )),
    }
}

/// The HTTP client: certificates, proxy and limits. Makes no connection.
pub(crate) fn client(options: &ConnectionOptions) -> Checked<reqwest::Client> {
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(options.connect_timeout)
        .timeout(options.read_timeout)
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .no_proxy();
    if let Some(pem) = trusted(options)? {
        builder = builder.tls_built_in_root_certs(false);
        for certificate in pem {
            builder = builder.add_root_certificate(certificate);
        }
    }
    if !options.proxy_host.is_empty() {
        let address = format!("http://{}:{}", options.proxy_host, options.proxy_port);
        let proxy = Proxy::all(address)
            .map_err(|_| OptionError::new("proxy.host", "host and port make no address"))?;
        builder = builder.proxy(proxy);
    }
    builder
        .build()
        .map_err(|_| OptionError::new("schema.registry.url", "the HTTP client cannot be made"))
}

/// The authorities named in the options; `None` for the system's.
fn trusted(options: &ConnectionOptions) -> Checked<Option<Vec<Certificate>>> {
    let (option, pem) = match (&options.certificates, &options.truststore) {
        (Some(pem), _) => (
            "schema.registry.ssl.truststore.certificates",
            pem.expose().clone().into_bytes(),
        ),
        (None, Some(path)) => {
            let option = "schema.registry.ssl.truststore.location";
            let pem = connect_core::named_file::read(path)
                .map_err(|cause| OptionError::invalid(option, path, &cause.to_string()))?;
            (option, pem)
        }
        (None, None) => return Ok(None),
    };
    let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if found.is_empty() {
        return Err(OptionError::new(option, "holds no certificate in PEM form"));
    }
    Ok(Some(found))
}

/// What a request failed with, without its address: that may hold a password.
pub(crate) fn failed(cause: reqwest::Error) -> Error {
    let error = if cause.is_timeout() {
        Error::external("the registry does not answer in time")
    } else if cause.is_connect() {
        Error::external("the registry cannot be reached")
    } else {
        Error::external("the registry's answer broke off")
    };
    error.source(cause.without_url())
}
